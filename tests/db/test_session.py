"""The session's own statements behave alike on the three databases, and say so where they cannot."""

import secrets

import pytest
import sqlalchemy as sa

from registry.db.row_inserts import RowInsert
from registry.db.runner import Runner
from registry.db.session import Session
from registry.errors import InvalidArgument
from registry.tables.graph import names, properties


def word() -> str:
    return secrets.token_hex(8)


def row(session: Session, name: str) -> dict[str, object]:
    return {"id": session.next_id("name"), "name": name}


def count(runner: Runner, *wanted: str) -> int:
    return int(runner.read(lambda session: session.scalar(sa.select(sa.func.count()).where(names.c.name.in_(wanted)))))


def test_insert_ignore_counts_exactly_what_went_in_also_over_many_rows(runner: Runner) -> None:
    wanted = [word() for _ in range(600)]
    taken = wanted[::3]
    runner.write(lambda session: session.insert(names, [row(session, name) for name in taken]))

    went_in = runner.write(lambda session: session.insert_ignore(names, [row(session, name) for name in wanted]))
    again = runner.write(lambda session: session.insert_ignore(names, [row(session, name) for name in wanted]))

    assert (went_in, again) == (400, 0)
    assert count(runner, *wanted) == 600


def test_insert_ignore_of_no_rows_is_nothing(runner: Runner) -> None:
    assert runner.write(lambda session: session.insert_ignore(names, [])) == 0


def test_insert_ignore_never_cuts_a_value_to_fit(runner: Runner) -> None:
    if runner.database.is_sqlite:
        return  # has no lengths
    start, rest = word(), [f"{word()}{'y' * 400}" for _ in range(1500)]  # more than PyMySQL sends at once

    def add(session: Session) -> None:
        session.insert_ignore(names, [row(session, name) for name in [start + "x" * 2000, *rest]])

    with pytest.raises((InvalidArgument, sa.exc.DataError)):
        runner.write(add)

    found = runner.read(lambda session: session.scalars(sa.select(names.c.name).where(names.c.name.startswith(start))))
    assert found == []
    assert count(runner, *rest[:10], *rest[-10:]) == 0


def test_a_column_of_doubles_takes_whole_numbers_among_them(runner: Runner) -> None:
    node = runner.write(lambda session: session.next_id("context"))
    absent = dict.fromkeys(("int_value", "string_value", "string_prefix", "bool_value"))
    values = [0.5, 1, None, *range(2, 20)]
    rows = [
        {"kind": 1, "node": node, "space": 0, "name_id": number, "double_value": value, **absent}
        for number, value in enumerate(values, 1)
    ]

    runner.write(lambda session: session.insert(properties, rows))

    query = sa.select(properties.c.double_value).where(properties.c.node == node).order_by(properties.c.name_id)
    assert runner.read(lambda session: session.scalars(query)) == values


def test_insert_if_absent_says_whether_the_row_went_in(runner: Runner) -> None:
    name = word()

    first = runner.write(lambda session: session.insert_if_absent(names, row(session, name)))
    second = runner.write(lambda session: session.insert_if_absent(names, row(session, name)))

    assert (first, second) == (True, False)


def test_upsert_inserts_what_is_new_and_changes_what_is_there(runner: Runner) -> None:
    old, changed, new = word(), word(), word()
    ids = runner.write(lambda session: session.next_ids("name", 2))
    runner.write(lambda session: session.insert(names, {"id": ids[0], "name": old}))
    rows = [{"id": ids[1], "name": new}, {"id": ids[0], "name": changed}]

    runner.write(lambda session: session.upsert(names, rows, key=["id"], update=["name"]))

    found = runner.read(lambda session: session.all(sa.select(names).where(names.c.id.in_(list(ids))).order_by(names.c.id)))
    assert [(one.id, one.name) for one in found] == [(ids[0], changed), (ids[1], new)]


def test_no_ids_are_drawn_where_none_are_asked_for(runner: Runner) -> None:
    before = runner.write(lambda session: session.next_id("record"))

    assert list(runner.write(lambda session: session.next_ids("record", 0))) == []
    assert runner.write(lambda session: session.next_id("record")) == before + 1


def test_a_locked_row_is_changed_by_one_writer_at_a_time(runner: Runner) -> None:
    name = word()
    id = runner.write(lambda session: session.next_id("name"))
    runner.write(lambda session: session.insert(names, {"id": id, "name": name}))

    runner.write(lambda session: session.lock(names, [id, id]))
    runner.write(lambda session: session.lock(names, []))

    assert count(runner, name) == 1


def test_what_waits_for_the_commit_runs_after_it_and_never_without_it(runner: Runner) -> None:
    seen: list[int] = []
    name, lost = word(), word()

    def add(session: Session) -> None:
        session.insert(names, row(session, name))
        session.after_commit(lambda: seen.append(count(runner, name)))

    def fail(session: Session) -> None:
        session.insert(names, row(session, lost))
        session.after_commit(lambda: seen.append(-1))
        raise InvalidArgument("no")

    runner.write(add)
    with pytest.raises(InvalidArgument):
        runner.write(fail)

    assert seen == [1]


def test_an_action_after_the_commit_that_fails_is_logged_and_ends_no_writer(
    runner: Runner, caplog: pytest.LogCaptureFixture
) -> None:
    name, later = word(), word()
    waiting: list[str] = []

    def add(session: Session) -> None:
        session.insert(names, row(session, name))
        session.after_commit(lambda: waiting.remove("nobody"))

    runner.write(add)
    runner.write(lambda session: session.insert(names, row(session, later)))

    assert count(runner, name, later) == 2
    assert "after a commit failed" in caplog.text


def test_ids_of_several_kinds_are_drawn_together_and_are_new(runner: Runner) -> None:
    first = runner.write(lambda session: session.next_ids_of({"context": 3, "record": 2}))
    second = runner.write(lambda session: session.next_ids_of({"record": 1, "context": 1}))

    assert [len(first["context"]), len(first["record"])] == [3, 2]
    for kind in ("context", "record"):
        drawn = [*first[kind], *second[kind]]
        assert drawn == sorted(set(drawn))


def test_rows_have_the_texts_that_they_were_given(runner: Runner) -> None:
    """Which go to PostgreSQL within the text of an array."""
    texts = ["", "NULL", '"', '"", {}', "\\", '\\"', "a,b", "{1}", " a ", "é\u2028\U0001f600", "%s", "'", "\t\n", "x" * 300]
    marked = [f"{secrets.token_hex(4)} {text}" for text in texts]

    def write(session: Session) -> None:
        rows = list(zip(session.next_ids("name", len(marked)), marked, strict=True))
        RowInsert(names, ["id", "name"]).run(session, rows)

    runner.write(write)

    assert set(marked) <= set(runner.read(lambda session: session.scalars(sa.select(names.c.name))))


def test_a_text_that_is_none_is_none_and_not_a_word(runner: Runner) -> None:
    insert = RowInsert(properties, ["kind", "node", "space", "name_id", "string_value", "string_prefix"])
    rows = [(1, 77, 0, number, value, value) for number, value in enumerate([None, "NULL", '"', None], 1)]

    runner.write(lambda session: insert.run(session, rows))

    query = sa.select(properties.c.string_value).where(properties.c.node == 77).order_by(properties.c.name_id)
    assert runner.read(lambda session: session.scalars(query)) == [None, "NULL", '"', None]


def test_rows_by_ids_come_in_the_order_of_the_ids(runner: Runner) -> None:
    def made(session: Session) -> list[int]:
        rows = [row(session, word()) for _ in range(3)]
        session.insert(names, rows)
        return [int(str(one["id"])) for one in rows]

    first, second, third = runner.write(made)
    wanted = [third, first, 2**40, second, first]

    found = runner.read(lambda session: session.by_ids(sa.select(names), names.c.id, wanted))

    assert [one.id for one in found] == [third, first, second, first]
    assert runner.read(lambda session: session.by_ids(sa.select(names), names.c.id, [])) == []
