"""1 GB up and 1 GB down, of unknown length, in a process that may grow by 64 MB."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services.s3 import S3Server

GROWTH_MAX_BYTES = 64 * 1024 * 1024

CODE = """
import json, resource, sys
from storage.config import open_store

def rss():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

store = open_store(sys.argv[1])
store.prepare()
store.put("warm", [b"x"]); store.read("warm")
before, peak, piece = rss(), 0, bytes(1 << 20)

def gigabyte():
    global peak
    for number in range(1024):
        if number % 8 == 0:
            peak = max(peak, rss())
        yield piece

stored = store.put("big", gigabyte())
up, peak, received = peak - before, 0, 0
with store.open("big") as reader:
    for number, chunk in enumerate(reader):
        received += len(chunk)
        if number % 64 == 0:
            peak = max(peak, rss())
store.delete("big")
(peak_ever,) = [int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")]
found = {"size": stored.size_bytes, "received": received, "up": up, "down": peak - before, "ever": peak_ever - before}
print(json.dumps(found))
"""


def measured(url: str, environ: dict[str, str]) -> dict[str, int]:
    found = subprocess.run([sys.executable, "-c", CODE, url], env=environ, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return dict(json.loads(found.stdout))


def assert_bounded(found: dict[str, int]) -> None:
    assert (found["size"], found["received"]) == (1 << 30, 1 << 30)
    assert found["up"] <= GROWTH_MAX_BYTES
    assert found["down"] <= GROWTH_MAX_BYTES
    assert found["ever"] <= GROWTH_MAX_BYTES


def test_a_gigabyte_through_a_local_store_stays_small(tmp_path: Path) -> None:
    assert_bounded(measured(f"file://{tmp_path}?durable=false", {}))


@pytest.mark.slow
def test_a_gigabyte_through_minio_stays_small(minio_server: S3Server) -> None:
    assert_bounded(measured(minio_server.url("memory"), minio_server.environ))
