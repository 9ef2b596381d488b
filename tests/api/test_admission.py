"""A server under more load than it takes on refuses at once and in clear words; what it takes on is done."""

import dataclasses
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from registry.api.admission import UNIT_BYTES, Admission, weight
from registry.settings import Settings
from tests.api.test_runs import problem
from tests.servers import serving


def test_a_call_is_admitted_while_the_work_in_hand_is_under_the_limit() -> None:
    admission = Admission(4)

    assert [admission.admit(2), admission.admit(2), admission.admit(1)] == [True, True, False]
    admission.release(2)
    assert admission.admit(1)


def test_one_call_alone_is_admitted_whatever_its_weight() -> None:
    admission = Admission(4)

    assert admission.admit(1000)
    assert not admission.admit(1)
    admission.release(1000)
    assert admission.admit(1)


def test_what_weighs_nothing_is_admitted_beside_one_that_is_over_the_limit() -> None:
    admission = Admission(4)

    admission.admit(1000)

    assert admission.admit(0)


@pytest.mark.parametrize("framing", ["Content-Length: 100", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("path", ["/api/v1/runs/run_" + "0" * 32 + "/log", "/api/v1/runs", "/api/v1/reports", "/graphql"])
def test_a_client_that_goes_while_it_sends_is_no_fault_and_holds_no_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, path: str, framing: str
) -> None:
    settings = dataclasses.replace(Settings(data_dir=str(tmp_path)), max_in_flight=0)  # one at a time
    with serving(settings) as served, httpx.Client(base_url=served.url, timeout=60) as http, caplog.at_level("INFO"):
        address = httpx.URL(served.url)
        with socket.create_connection((str(address.host), int(address.port or 0))) as gone:
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{framing}\r\n\r\n"
            gone.sendall(head.encode() + (b"" if "Length" in framing else b"1\r\n{\r\n"))
            wait_until(lambda: http.get("/api/v1/models").status_code == 429)  # it has a place
        wait_until(lambda: http.get("/api/v1/models").status_code == 200)

    noted = [record for record in caplog.records if getattr(record, "data", {}).get("method") == "POST"]
    assert [record.data["status"] for record in noted] == [400]  # type: ignore[attr-defined]
    assert not [record for record in caplog.records if record.exc_info]


def wait_until(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + 20
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_a_body_weighs_by_its_length() -> None:
    assert [weight(0, chunked=False), weight(4 * UNIT_BYTES, chunked=False)] == [1, 5]
    assert weight(0, chunked=True) > 1


def test_of_large_batches_no_more_are_in_hand_than_keep_their_time_within_five_times_that_of_8_clients() -> None:
    points = [{"key": f"m{number}", "value": 0.5, "at": 1, "step": 1} for number in range(1_000)]
    batch = weight(len(json.dumps({"metrics": points})), chunked=False)

    assert 8 < Settings().max_in_flight // batch <= 5 * 8


def test_under_overload_some_are_refused_at_once_and_nothing_of_them_is_there(tmp_path: Path) -> None:
    settings = dataclasses.replace(Settings(data_dir=str(tmp_path)), max_in_flight=8)
    with serving(settings) as served:
        barrier = threading.Barrier(24)

        def create(number: int) -> httpx.Response:
            with httpx.Client(base_url=served.url, timeout=60) as http:
                barrier.wait(30)
                tags = {f"key{index}": "x" * 400 for index in range(200)}
                return http.post("/api/v1/runs", json={"name": f"run {number}", "tags": tags})

        with ThreadPoolExecutor(24) as pool:
            answers = list(pool.map(create, range(24)))

        counts = Counter(answer.status_code for answer in answers)
        assert set(counts) == {201, 429}
        for answer in answers:
            if answer.status_code == 429:
                problem(answer, 429, "overloaded")
                assert int(answer.headers["Retry-After"]) >= 1
        with httpx.Client(base_url=served.url, timeout=60) as http:
            names = [run["name"] for run in http.get("/api/v1/runs?page_size=1000").json()["runs"]]
            assert sorted(names) == sorted(answer.json()["name"] for answer in answers if answer.status_code == 201)
            assert http.post("/api/v1/runs", json={}).status_code == 201  # full speed again


def test_probes_are_answered_whatever_is_in_hand(tmp_path: Path) -> None:
    settings = dataclasses.replace(Settings(data_dir=str(tmp_path)), max_in_flight=0)
    with serving(settings) as served, httpx.Client(base_url=served.url, timeout=60) as http:
        assert [http.get(path).status_code for path in ("/healthz", "/readyz", "/metrics")] == [200, 200, 200]
