"""Rows of files: written in groups, each with its own answer, and what was overwritten is audited."""

from registry.catalog.actors import Actor
from registry.catalog.audit import list_audit
from registry.catalog.blobs import Blob, NewBlob, check_unused, find_blob, put_blobs
from registry.db.counting import count_statements
from registry.db.runner import Runner
from tests.catalog.registering import some_name


def blob(key: str, digest: str, *, now: int = 1) -> Blob:
    return Blob(key, digest * 64, 3, "text/plain", now)


def test_of_one_group_the_first_makes_a_key_and_the_others_overwrite_it(runner: Runner, actor: Actor) -> None:
    key, other = some_name("default/a"), some_name("default/b")
    wanted = [blob(key, "1"), blob(other, "1"), blob(key, "2", now=2), blob(key, "2", now=3)]

    answers = runner.write(lambda session: put_blobs(session, [NewBlob(actor, one) for one in wanted]))

    assert answers == [True, True, False, False]
    assert runner.read(lambda session: find_blob(session, actor, key)) == wanted[3]
    assert runner.read(lambda session: find_blob(session, actor, other)) == wanted[1]
    events = runner.read(lambda session: list_audit(session, actor, object=f"file:{key}"))
    assert [(event.before, event.after) for event in events] == [({"digest": "1" * 64}, {"digest": "2" * 64})]


def test_the_rows_of_new_files_take_two_statements_whatever_their_number(runner: Runner, actor: Actor) -> None:
    wanted = [NewBlob(actor, blob(some_name("default/n"), "1")) for _ in range(10)]

    with count_statements(runner.database) as counted:
        answers = runner.write(lambda session: put_blobs(session, wanted))

    assert answers == [True] * 10
    assert counted.count == 2


def test_whether_a_file_is_in_use_takes_one_statement_where_no_version_has_it(runner: Runner, actor: Actor) -> None:
    with count_statements(runner.database) as counted:
        runner.read(lambda session: check_unused(session, actor, ["s3://b/a/b/c"]))

    assert counted.count == 1
