"""A server under more load than it takes on refuses at once and in clear words; what it takes on is done."""

import dataclasses
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

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


def test_a_body_weighs_by_its_length() -> None:
    assert [weight(None, chunked=False), weight("0", chunked=False), weight(str(4 * UNIT_BYTES), chunked=False)] == [1, 1, 5]
    assert weight(None, chunked=True) > 1


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
