"""The watch on a scripted API server: each rule of the protocol, and each way in which it goes wrong.

It is whole: one server, one protocol.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.cluster.credentials import TokenFile
from agent.watching.change import Seen, Sign
from agent.watching.watch import State
from tests.agent.building import workflow
from tests.agent.fake_api import WORKFLOWS, FakeApi, answers, cut, expired, first, says, sends, silent
from tests.agent.watching import QUICK, WORKFLOW, Told, token_file, watching


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi().serving() as serving:
        yield serving


@pytest.fixture(params=["streamed", "paged"])
def either(request: pytest.FixtureRequest, api: FakeApi) -> FakeApi:
    """Servers with the streaming list, and without."""
    api.streams_lists = request.param == "streamed"
    return api


def named(name: str, **metadata: Any) -> dict[str, Any]:
    made = workflow(phase="Running", name=name, **metadata)
    made["metadata"].pop("uid") if "uid" not in metadata else None
    made["metadata"]["namespace"] = metadata.get("namespace", "default")
    return made


# ---- the list -------------------------------------------------------------------------------------------------------


def test_all_that_is_there_is_told_once_and_then_each_change(either: FakeApi) -> None:
    for number in range(5):
        either.put(named(f"w{number}"))

    with watching(either) as told:
        told.wait(lambda: told.figures.synced)
        either.put(named("late"))
        told.wait_for(("changed", "late"))
        either.delete("w0")
        told.wait_for(("deleted", "w0"))

    assert sorted(told.short) == sorted([*(("changed", f"w{n}") for n in range(5)), ("changed", "late"), ("deleted", "w0")])


def test_a_list_is_read_in_pages(api: FakeApi) -> None:
    api.streams_lists = False
    for number in range(5):
        api.put(named(f"w{number}"))

    with watching(api) as told:
        told.wait(lambda: told.figures.synced)

    assert [request.query["limit"] for request in api.asked("LIST")] == ["2", "2", "2"]


def test_a_server_without_the_streaming_list_is_asked_for_it_once(api: FakeApi) -> None:
    api.streams_lists = False
    api.put(named("w"))

    with watching(api) as told:
        told.wait(lambda: told.figures.synced)
        api.compact()
        api.fail("WATCH", says(expired()))
        api.put(named("x"))
        told.wait_for(("changed", "x"))

    assert sum("sendInitialEvents" in request.query for request in api.asked("WATCH")) == 1


def test_the_watch_starts_at_the_version_of_the_list_and_not_of_its_last_object(api: FakeApi) -> None:
    api.streams_lists = False
    api.put(named("w"))
    api.restamp(7)

    with watching(api) as told:
        told.wait(lambda: bool(told.figures.state is State.WATCHING and api.asked("WATCH")[1:]))

    assert api.asked("WATCH")[-1].query["resourceVersion"] == "1008"


def test_a_list_whose_pages_expire_is_begun_again_and_tells_nothing_twice(api: FakeApi) -> None:
    api.streams_lists = False
    for number in range(5):
        api.put(named(f"w{number}"))
    api.fail("LIST", None, first(api._pages.clear))

    with watching(api) as told:
        told.wait(lambda: told.figures.synced)

    assert sorted(told.short) == [("changed", f"w{number}") for number in range(5)]
    assert len(api.asked("LIST")) == 5


def test_a_streaming_list_that_is_cut_off_is_begun_again(api: FakeApi) -> None:
    kept = [api.put(named(f"w{number}")) for number in range(3)]
    api.fail("WATCH", says({"type": "ADDED", "object": kept[0]}, then="cut"))

    with watching(api) as told:
        told.wait(lambda: told.figures.synced)

    assert sorted(told.short) == [("changed", f"w{number}") for number in range(3)]


@pytest.mark.parametrize("headers", [True, False])
def test_a_streaming_list_that_never_comes_is_read_in_pages(api: FakeApi, headers: bool) -> None:
    """As of an API server that has just started: it takes the request and sends nothing, for as long as the client waits."""
    for number in range(3):
        api.put(named(f"w{number}"))
    api.fail("WATCH", says(then="silence") if headers else silent)

    with watching(api, pace=replace(QUICK, silence_s=3600.0, list_silence_s=0.1)) as told:
        told.wait(lambda: told.figures.synced)
        api.put(named("late"))
        told.wait_for(("changed", "late"))

    assert sorted(told.short) == [("changed", "late"), *(("changed", f"w{number}") for number in range(3))]
    assert "sendInitialEvents" not in api.asked("LIST")[0].query
    assert told.figures.failures == 0


@pytest.mark.parametrize("then", ["silence", "end"])
def test_a_streaming_list_without_its_end_is_read_in_pages_and_nothing_is_told_twice(api: FakeApi, then: str) -> None:
    kept = [api.put(named(f"w{number}")) for number in range(3)]
    gone = api.put(named("gone"))
    api.delete("gone")
    api.fail("WATCH", says(*({"type": "ADDED", "object": one} for one in (*kept[:2], gone)), then=then))

    with watching(api, pace=replace(QUICK, list_silence_s=0.1)) as told:
        told.wait(lambda: told.figures.synced)

    assert sorted(told.short) == [("changed", "gone"), *(("changed", f"w{number}") for number in range(3)), ("gone", "gone")]


def test_a_list_after_one_that_went_silent_is_streamed_again(api: FakeApi) -> None:
    api.put(named("w"))
    api.fail("WATCH", says(then="silence"))

    with watching(api, pace=replace(QUICK, list_silence_s=0.1)) as told:
        told.wait(lambda: told.figures.synced)
        api.fail("WATCH", says(expired()))
        api.watch_s = 0.1
        told.wait(lambda: told.figures.relists == 1 and told.figures.state is State.WATCHING)

    assert len(api.asked("LIST")) == 1
    assert sum("sendInitialEvents" in request.query for request in api.asked("WATCH")) == 2


# ---- the history is gone --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["in the stream", "as a status"])
def test_after_410_the_difference_is_told_and_nothing_else(either: FakeApi, how: str) -> None:
    for name in ("stays", "changes", "goes"):
        either.put(named(name))

    with watching(either) as told:
        told.wait(lambda: told.figures.synced)
        told.changes.clear()

        def gap() -> None:
            either.put(named("changes"))
            either.put(named("comes"))
            either.delete("goes")
            either.compact()

        either.watch_s = 0.1
        either.fail("WATCH", *([says(expired())] if how == "in the stream" else [answers(410, "Expired")]))
        with either.changed:
            either.faults["WATCH"].insert(0, first(gap))
        told.wait(lambda: len(told.short) >= 3)
        told.wait(lambda: told.figures.state is State.WATCHING)

    assert sorted(told.short) == [("changed", "changes"), ("changed", "comes"), ("gone", "goes")]
    assert told.figures.relists >= 1


def test_an_object_that_went_in_a_gap_is_told_with_the_version_of_the_list(api: FakeApi) -> None:
    api.put(named("goes"))

    with watching(api) as told:
        told.wait(lambda: told.figures.synced)

        def gap() -> None:
            api.delete("goes")
            api.compact()

        api.fail("WATCH", first(gap))
        api.watch_s = 0.1
        told.wait_for(("gone", "goes"))
        [gone] = [change for change in told.changes if change.sign is Sign.GONE]

    assert gone.seen.version == str(api.version)
    assert gone.content == b""


def test_the_same_name_with_a_new_uid_is_another_object(either: FakeApi) -> None:
    before = either.put(named("w"))

    with watching(either) as told:
        told.wait(lambda: told.figures.synced)

        def replaced() -> None:
            either.delete("w")
            either.put(named("w"))
            either.compact()

        either.fail("WATCH", first(replaced))
        either.watch_s = 0.1
        told.wait_for(("gone", "w"))
        [gone] = [change for change in told.changes if change.sign is Sign.GONE]

    assert gone.seen.uid == before["metadata"]["uid"]
    assert len({change.seen.uid for change in told.changes}) == 2


def test_a_server_that_always_says_410_is_not_asked_without_a_pause(api: FakeApi) -> None:
    api.put(named("w"))
    api.streams_lists = False
    api.fail("WATCH", *[answers(410, "Expired")] * 1000)

    with watching(api, pace=replace(QUICK, first_pause_s=0.2, longest_pause_s=5.0)) as told:
        told.wait(lambda: told.figures.relists >= 2)
        before = len(api.asked("WATCH"))
        time.sleep(0.5)

    assert before < 10
    assert len(api.asked("WATCH")) - before < 6


def test_versions_that_went_back_are_listed_again(api: FakeApi) -> None:
    """An etcd that was restored from a backup is behind what the watch has seen."""
    api.put(named("w"))
    api.restamp(50)

    with watching(api) as told:
        told.wait(lambda: told.figures.synced)
        api.watch_s = 0.1
        api.fail("WATCH", first(lambda: api.restore(500)))
        api.put(named("x"))
        told.wait(lambda: told.figures.relists >= 1 and told.figures.state is State.WATCHING)
        api.put(named("y"))
        told.wait_for(("changed", "y"))


# ---- the connection -------------------------------------------------------------------------------------------------


def test_a_watch_that_the_server_ends_goes_on_where_it_was(api: FakeApi) -> None:
    api.watch_s = 0.1

    with watching(api) as told:
        told.wait(lambda: told.figures.synced)
        for number in range(4):
            api.put(named(f"w{number}"))
            time.sleep(0.1)
        told.wait_for(*(("changed", f"w{number}") for number in range(4)))

    assert len(told.short) == 4
    assert told.figures.relists == 0


def test_a_connection_that_is_cut_goes_on_where_it_was(api: FakeApi) -> None:
    api.watch_s = 0.1
    with watching(api) as told:
        told.wait(lambda: told.figures.synced)
        api.fail("WATCH", cut, says(b'{"type":"ADDED","object":{"metadata":{"uid":"half', then="cut"), cut)
        api.put(named("w"))
        told.wait_for(("changed", "w"))

    assert told.short == [("changed", "w")]
    assert told.figures.relists == 0
    assert told.figures.unreadable == 0


def test_a_connection_that_goes_silent_is_left(api: FakeApi) -> None:
    """No end ever comes of one that a load balancer has dropped; a living watch has its bookmarks."""
    api.watch_s = 0.1
    with watching(api) as told:
        told.wait(lambda: told.figures.synced)
        api.fail("WATCH", says(then="silence"))
        told.wait(lambda: not api.faults["WATCH"])
        api.put(named("w"))
        told.wait_for(("changed", "w"))

    assert "ReadTimeout" in told.figures.last_failure


def test_bookmarks_move_the_place_to_go_on_from(api: FakeApi) -> None:
    with watching(api) as told:
        told.wait(lambda: told.figures.synced)
        api.restamp(10)
        told.wait(lambda: told.watch is not None and told.watch.progress.safe == "1010")

    assert told.short == []


def test_what_is_told_again_is_not_sent_again(api: FakeApi) -> None:
    kept = api.put(named("w"))

    with watching(api) as told:
        told.wait(lambda: told.figures.synced)
        api.watch_s = 0.1
        api.fail("WATCH", says({"type": "MODIFIED", "object": kept}, {"type": "MODIFIED", "object": kept}))
        api.put(named("end"))
        told.wait_for(("changed", "end"))

    assert told.of("w") == [Sign.CHANGED]


def test_a_line_of_several_megabytes_is_one_event(api: FakeApi) -> None:
    with watching(api) as told:
        told.wait(lambda: told.figures.synced)
        api.put(named("large", annotations={"text": "x" * 3_000_000}))
        told.wait_for(("changed", "large"))
        [change] = told.changes

    assert len(change.content) > 3_000_000


def nested(content: dict[str, Any], levels: int) -> bytes:
    """Its JSON with a spec of so many levels, which Python's own writer would not make."""
    return json.dumps(content | {"spec": "SPEC"}).encode().replace(b'"SPEC"', b'{"a":' * levels + b"1" + b"}" * levels)


@pytest.mark.parametrize("levels", [1_000, 9_900])
def test_an_object_nested_as_deep_as_the_api_server_takes_is_told_and_ends_nothing(api: FakeApi, levels: int) -> None:
    deep = named("deep", uid="u", resourceVersion="1001")
    with watching(api) as told:
        told.wait(lambda: told.figures.synced)
        api.watch_s = 0.1
        api.fail("WATCH", says(b'{"type":"ADDED","object":%b}\n' % nested(deep, levels)))
        told.wait_for(("changed", "deep"))
        api.restamp()
        api.put(named("w"))
        told.wait_for(("changed", "w"))

    assert told.figures.failures == 0


def test_a_page_with_an_object_nested_deep_is_read(api: FakeApi) -> None:
    api.streams_lists = False
    deep = named("deep", uid="u", resourceVersion="1001")
    page = b'{"metadata":{"resourceVersion":"1001"},"items":[%b]}' % nested(deep, 9_900)
    api.fail("LIST", sends(page))

    with watching(api) as told:
        told.wait_for(("changed", "deep"))


def test_what_is_no_object_is_left_out_and_counted(api: FakeApi) -> None:
    with watching(api) as told:
        told.wait(lambda: told.figures.synced)
        api.watch_s = 0.1
        strange: list[Any] = [
            {"type": "ADDED", "object": {"metadata": {"name": 7}}},
            {"type": "ADDED", "object": []},
            {"type": "WHAT", "object": {}},
        ]
        api.fail("WATCH", says(*strange))
        told.wait(lambda: not api.faults["WATCH"])
        api.put(named("w"))
        told.wait_for(("changed", "w"))

    assert told.figures.unreadable == 2


def test_a_line_that_is_no_json_interrupts_the_watch_and_no_more(api: FakeApi) -> None:
    with watching(api) as told:
        told.wait(lambda: told.figures.synced)
        api.watch_s = 0.1
        api.fail("WATCH", says(b"<html>\n"))
        told.wait(lambda: not api.faults["WATCH"])
        api.put(named("w"))
        told.wait_for(("changed", "w"))


# ---- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [500, 503, 403])
def test_an_error_of_the_server_is_waited_out(api: FakeApi, code: int) -> None:
    api.streams_lists = False
    api.put(named("w"))
    api.fail("LIST", answers(code), answers(code))
    api.fail("WATCH", None, answers(code))

    with watching(api) as told:
        told.wait_for(("changed", "w"))
        api.put(named("x"))
        told.wait_for(("changed", "x"))

    assert told.figures.failures >= 2


def test_the_wait_that_429_asks_for_is_kept(api: FakeApi) -> None:
    api.put(named("w"))
    api.fail("WATCH", answers(429, "TooManyRequests", Retry_After="1"))
    began = time.monotonic()

    with watching(api) as told:
        told.wait_for(("changed", "w"))
        waited = time.monotonic() - began

    assert waited >= 1.0


def test_a_token_that_was_rotated_is_read_again(api: FakeApi, tmp_path: Path) -> None:
    api.tokens = {"old"}
    file = token_file(tmp_path, "old")

    with watching(api, credentials=TokenFile(file)) as told:
        told.wait(lambda: told.figures.synced)
        api.tokens, api.watch_s = {"new"}, 0.1
        token_file(tmp_path, "new")
        api.put(named("w"))
        told.wait_for(("changed", "w"))

    assert told.figures.failures == 0


def test_a_token_that_is_not_accepted_is_waited_out(api: FakeApi, tmp_path: Path) -> None:
    api.tokens = {"right"}
    file = token_file(tmp_path, "wrong")

    with watching(api, credentials=TokenFile(file)) as told:
        told.wait(lambda: told.figures.failures >= 2)
        api.put(named("w"))
        token_file(tmp_path, "right")
        told.wait_for(("changed", "w"))


# ---- kinds that come and go -----------------------------------------------------------------------------------------


def test_a_kind_that_is_installed_later_is_found(api: FakeApi) -> None:
    api.served.clear()

    with watching(api) as told:
        told.wait(lambda: told.figures.state is State.ABSENT)
        api.served.add(WORKFLOWS)
        api.put(named("w"))
        told.wait_for(("changed", "w"))

    assert told.figures.failures == 0


def test_a_kind_whose_version_changes_is_followed_without_a_loss(api: FakeApi) -> None:
    kind = replace(WORKFLOW, versions=("v1alpha1", "v2"))
    api.put(named("w"))

    with watching(api, kind=kind) as told:
        told.wait(lambda: told.figures.synced)
        api.served.clear()
        api.served.add(("argoproj.io", "v2", "workflows"))
        api.watch_s = 0.1
        told.wait(lambda: "/v2/" in api.asked("WATCH")[-1].path)
        api.put(named("x"))
        told.wait_for(("changed", "x"))

    assert told.short == [("changed", "w"), ("changed", "x")]
    assert told.changes[-1].api_version == "argoproj.io/v2"


def test_of_several_versions_the_first_that_is_served_is_watched(api: FakeApi) -> None:
    api.put(named("w"))

    with watching(api, kind=replace(WORKFLOW, versions=("v9", "v1alpha1"))) as told:
        told.wait_for(("changed", "w"))

    assert told.changes[0].api_version == "argoproj.io/v1alpha1"


# ---- selectors and namespaces ---------------------------------------------------------------------------------------


def test_an_object_that_leaves_the_selector_is_not_deleted(either: FakeApi) -> None:
    either.put(named("leaves", labels={"team": "a"}))
    either.put(named("goes", labels={"team": "a"}))
    either.put(named("other", labels={"team": "b"}))

    with watching(either, selector="team=a") as told:
        told.wait(lambda: told.figures.synced)
        either.put(named("leaves", labels={"team": "b"}))
        either.delete("goes")
        told.wait_for(("deleted", "goes"))

    assert told.short == [("changed", "goes"), ("changed", "leaves"), ("changed", "leaves"), ("deleted", "goes")]


def test_an_object_that_left_the_selector_in_a_gap_is_not_gone(either: FakeApi) -> None:
    either.put(named("leaves", labels={"team": "a"}))
    either.put(named("goes", labels={"team": "a"}))

    with watching(either, selector="team=a") as told:
        told.wait(lambda: told.figures.synced)

        def gap() -> None:
            either.put(named("leaves", labels={"team": "b"}))
            either.delete("goes")
            either.compact()

        either.watch_s = 0.1
        either.fail("WATCH", first(gap))
        told.wait_for(("gone", "goes"))
        told.wait(lambda: len(told.of("leaves")) == 2)

    assert told.of("leaves") == [Sign.CHANGED, Sign.CHANGED]


def test_a_namespace_is_watched_by_itself(either: FakeApi) -> None:
    either.put(named("here", namespace="a"))
    either.put(named("there", namespace="b"))

    with watching(either, namespace="a") as told:
        told.wait(lambda: told.figures.synced)
        either.put(named("also-there", namespace="b"))
        either.put(named("also-here", namespace="a"))
        told.wait_for(("changed", "also-here"))

    assert told.short == [("changed", "here"), ("changed", "also-here")]


# ---- starting again -------------------------------------------------------------------------------------------------


def test_a_watch_that_starts_again_goes_on_where_everything_was_safe(api: FakeApi) -> None:
    told = Told()
    api.put(named("safe"))
    with watching(api, told=told):
        told.wait(lambda: told.figures.synced)
        told.wait(lambda: told.watch is not None and told.watch.progress.safe is not None)
        told.hold = True
        api.put(named("lost"))
        told.wait_for(("changed", "lost"))
        assert told.watch is not None
        place = told.watch.progress.safe

    with watching(api, version=place) as again:
        again.wait_for(("changed", "lost"))

    assert again.short == [("changed", "lost")]
    assert again.figures.relists == 0


def test_a_watch_that_starts_again_after_410_tells_what_went_meanwhile(either: FakeApi) -> None:
    went = either.put(named("went"))
    either.delete("went")
    either.put(named("stays"))
    either.compact()
    uid = went["metadata"]["uid"]

    with watching(either, version="7", known={uid: Seen(uid, "went", "default", "")}) as told:
        told.wait_for(("gone", "went"), ("changed", "stays"))

    assert sorted(told.short) == [("changed", "stays"), ("gone", "went")]
    assert told.figures.relists == 1


def test_a_list_is_no_place_to_go_on_from_before_all_of_it_is_safe(api: FakeApi) -> None:
    told = Told()
    told.hold = True
    api.put(named("w"))

    with watching(api, told=told):
        told.wait_for(("changed", "w"))
        told.wait(lambda: told.figures.state is State.WATCHING)
        assert told.watch is not None
        before = told.watch.progress.safe
        [change] = told.changes
        change.progress.settle(change.ticket)
        told.wait(lambda: told.watch is not None and told.watch.progress.safe is not None)

    assert before is None


def test_everything_is_told_again_when_that_is_asked_for(api: FakeApi) -> None:
    api.put(named("w"))

    with watching(api) as told:
        told.wait(lambda: told.figures.synced)
        assert told.watch is not None
        told.watch.relist()
        told.wait(lambda: len(told.short) == 2)

    assert told.short == [("changed", "w"), ("changed", "w")]


def test_a_watch_reads_only(api: FakeApi) -> None:
    api.put(named("w", labels={"team": "a"}))

    with watching(api, selector="team=a") as told:
        told.wait(lambda: told.figures.synced)
        api.delete("w")
        told.wait_for(("deleted", "w"))

    assert {request.verb for request in api.requests} <= {"LIST", "WATCH", "GET"}
