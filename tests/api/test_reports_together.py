"""Several reports in one call: each comes to what it would have come to by itself."""

import json
import uuid
from typing import Any

import httpx
import pytest

from registry.api.rest.reports import MAX_REPORTS
from storage.errors import StoreFull
from tests.api.test_reports import QUICK, ROUTED, going_on
from tests.servers import Served


def send(http: httpx.Client, reports: Any, media_type: str = QUICK) -> httpx.Response:
    body = reports if isinstance(reports, bytes) else json.dumps({"reports": reports}).encode()
    return http.post("/api/v1/reports/batch", content=body, headers={"Content-Type": media_type})


def results(answer: httpx.Response) -> list[tuple[int, str | None]]:
    assert answer.status_code == 200, answer.text
    return [(one["status"], one["result"]) for one in answer.json()["results"]]


@pytest.mark.parametrize("media_type", [QUICK, ROUTED])
def test_each_of_several_reports_is_answered_in_its_place(http: httpx.Client, media_type: str) -> None:
    uid, other = str(uuid.uuid4()), str(uuid.uuid4())
    send(http, [going_on(uid, 2)]).raise_for_status()

    answer = send(http, [going_on(uid, 2), going_on(other), going_on(uid, 1)], media_type)

    assert results(answer) == [(200, "unchanged"), (200, "applied"), (200, "stale")]
    run = f"run_{uuid.UUID(other).hex}"
    assert answer.json()["results"][1] == {"status": 200, "result": "applied", "run": run, "warnings": ["odd"], "detail": None}


def test_a_report_that_is_refused_leaves_the_others_alone(http: httpx.Client) -> None:
    uids = [str(uuid.uuid4()) for _ in range(2)]
    wrong = [{"object": {}}, going_on(str(uuid.uuid4()), parent="nobody"), 7]

    answer = send(http, [going_on(uids[0]), *wrong, going_on(uids[1])])

    assert results(answer) == [(200, "applied"), (400, None), (400, None), (400, None), (200, "applied")]
    assert "names a parent" in answer.json()["results"][2]["detail"]
    for uid in uids:
        assert http.get(f"/api/v1/runs/{uuid.UUID(uid).hex}").status_code == 200


def test_the_objects_of_several_final_reports_are_kept(http: httpx.Client) -> None:
    uids = [str(uuid.uuid4()) for _ in range(5)]
    reports = [going_on(uid) | {"run": {"id": uid, "state": "COMPLETE"}, "source": {"uid": uid}} for uid in uids]

    first, again = send(http, reports), send(http, reports)

    assert results(first) == [(200, "applied")] * 5
    assert results(again) == [(200, "unchanged")] * 5
    assert [http.get(f"/api/v1/runs/{uuid.UUID(uid).hex}/source").json() for uid in uids] == [{"uid": uid} for uid in uids]


def test_an_object_that_could_not_be_stored_is_stored_when_it_comes_again(
    server: Served, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    uids = [str(uuid.uuid4()) for _ in range(2)]
    reports = [going_on(uid) | {"run": {"id": uid, "state": "COMPLETE"}, "source": {"uid": uid}} for uid in uids]

    def full(*_arguments: object, **_named: object) -> None:
        raise StoreFull("no room")

    with monkeypatch.context() as patch:
        patch.setattr(type(server.services.store), "put", full)
        first = send(http, reports)
    missing = [http.get(f"/api/v1/runs/{uuid.UUID(uid).hex}/source").status_code for uid in uids]
    again = send(http, reports)

    assert results(first) == [(200, "applied")] * 2
    assert all("The whole object was not stored" in " ".join(one["warnings"]) for one in first.json()["results"])
    assert missing == [404, 404]
    assert [status for status, _ in results(again)] == [200, 200]
    assert [http.get(f"/api/v1/runs/{uuid.UUID(uid).hex}/source").json() for uid in uids] == [{"uid": uid} for uid in uids]


def test_the_last_of_two_reports_of_one_object_is_what_stands(http: httpx.Client) -> None:
    uid = str(uuid.uuid4())

    assert sorted(results(send(http, [going_on(uid, 1, state="RUNNING"), going_on(uid, 2, state="COMPLETE")]))) in (
        [(200, "applied"), (200, "applied")],
        [(200, "applied"), (200, "stale")],
    )
    [step] = http.get(f"/api/v1/runs/{uuid.UUID(uid).hex}/steps").json()["steps"]
    assert step["status"] == "succeeded"


def test_none_are_few_enough(http: httpx.Client) -> None:
    assert results(send(http, [])) == []


@pytest.mark.parametrize("media_type", [QUICK, ROUTED])
@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"reports": {}}', json.dumps({"reports": [{}] * (MAX_REPORTS + 1)}).encode()],
)
def test_what_is_no_list_of_reports_is_refused(http: httpx.Client, body: bytes, media_type: str) -> None:
    answer = send(http, body, media_type)

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


def test_another_type_of_content_is_refused(http: httpx.Client) -> None:
    assert send(http, [], "text/plain").status_code == 400
