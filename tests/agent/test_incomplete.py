"""The page's section *Incomplete objects*, and the three compressions of the node map."""

import base64
import gzip
import json
import zlib
from typing import Any

import brotli
import pytest
import zstandard

from agent.workflow.compression import UnreadableNodesError, decompress
from tests.agent.building import dag, node, report_of, workflow

NODES = {item["id"]: item for item in (dag("wf.a"), node("wf.a", inside="wf"))}
PACKERS = {"gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress, "brotli": brotli.compress}


def packed(data: bytes, how: str) -> str:
    return base64.b64encode(PACKERS[how](data)).decode()


def with_nodes(**status: Any) -> dict[str, Any]:
    content = workflow(spec={"arguments": {"parameters": [{"name": "p", "value": "1"}]}})
    content["status"] |= {"nodes": None, **status}
    return content


@pytest.mark.parametrize("how", PACKERS)
def test_incomplete_compressed_nodes_are_read(how: str) -> None:
    report = report_of(with_nodes(compressedNodes=packed(json.dumps(NODES).encode(), how)))

    assert [task["key"] for task in report["tasks"]] == ["a"]
    assert "warnings" not in report


def test_incomplete_offloaded_nodes_give_the_run_and_a_warning_but_no_tasks() -> None:
    report = report_of(with_nodes(offloadNodeStatusVersion="fnv:1"))

    assert report["run"]["parameters"] == {"p": "1"}
    assert "tasks" not in report
    assert len(report["warnings"]) == 1


@pytest.mark.parametrize(
    "damaged",
    [
        "not base64 at all!",
        packed(json.dumps(NODES).encode(), "gzip")[:40],
        packed(json.dumps(NODES).encode(), "zstd")[:24],
        packed(b"[1, 2]", "gzip"),
        packed(b"{", "brotli"),
        base64.b64encode(b"\xff\xff\xff").decode(),
        17,
        ["x"],
    ],
    ids=["no base64", "gzip cut", "zstd cut", "a list", "brotli cut", "no compression", "a number", "a list of nodes"],
)
def test_incomplete_unreadable_nodes_give_the_run_and_a_warning_but_no_tasks(damaged: Any) -> None:
    report = report_of(with_nodes(compressedNodes=damaged))

    assert report["run"]["state"] == "COMPLETE"
    assert "tasks" not in report
    assert any("compressed" in warning for warning in report["warnings"])


@pytest.mark.parametrize("how", PACKERS)
def test_incomplete_nodes_that_grow_beyond_the_bound_are_refused_before_they_are_held(how: str) -> None:
    bomb = packed(b" " * 8_000_000, how)

    with pytest.raises(UnreadableNodesError, match="larger than"):
        decompress(bomb, limit=1_000_000)


def test_incomplete_a_gzip_stream_with_a_wrong_checksum_is_refused() -> None:
    data = bytearray(gzip.compress(json.dumps(NODES).encode()))
    data[-6] ^= 0xFF

    with pytest.raises(UnreadableNodesError) as error:
        decompress(base64.b64encode(bytes(data)).decode())
    assert isinstance(error.value.__cause__, zlib.error)
