"""The node map of a Workflow, which Argo compresses above 1 MiB (`status.compressedNodes`) and offloads above that.

Source: Argo Workflows, `WORKFLOW_COMPRESSION_ALGORITHM` (gzip by default; zstd and brotli from 4.1): base64 of the
compressed JSON of the map, told apart by their first bytes.
"""

import base64
import binascii
import json
import zlib
from typing import Any

import brotli
import zstandard

from agent.values import MAX_DEPTH, Notes, depth_within

MAX_NODES_BYTES = 128 * 1024 * 1024
"""Bound on the decompressed map: etcd's limit of 1.5 MiB times 85. Node maps compress to about a tenth."""

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"


class UnreadableNodesError(ValueError):
    """The compressed node map cannot be read; the text is the reason, for a person."""


def node_map(status: dict[str, Any], notes: Notes) -> dict[str, Any]:
    """`status.nodes`, decompressed if need be; empty, with a warning, where the object does not hold its nodes."""
    nodes = notes.map(status.get("nodes"), "status.nodes")
    compressed = status.get("compressedNodes")
    if nodes or not (compressed or status.get("offloadNodeStatusVersion")):
        return nodes
    if not compressed:
        notes.add("The nodes of this Workflow are kept in Argo's own database, not in the object: tasks are not known.")
        return {}
    try:
        return decompress(compressed)
    except UnreadableNodesError as error:
        notes.add(f"The compressed nodes cannot be read, so tasks are not known: {error}.")
        return {}


def decompress(text: object, limit: int = MAX_NODES_BYTES) -> dict[str, Any]:
    """The node map in base64 of gzip, zstd or brotli.

    Raises:
        UnreadableNodesError: if it is none of these, is damaged, or is larger than `limit` bytes.
    """
    if not isinstance(text, str):
        raise UnreadableNodesError("status.compressedNodes is not a text")
    try:
        packed = base64.b64decode(text, validate=False)
        data = _unpack(packed, limit)
    except (binascii.Error, ValueError, zlib.error, zstandard.ZstdError, brotli.error) as error:
        raise UnreadableNodesError(str(error) or type(error).__name__) from error
    if len(data) > limit:
        raise UnreadableNodesError(f"they are larger than {limit} bytes")
    try:
        nodes = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UnreadableNodesError("they are no JSON") from error
    if not isinstance(nodes, dict) or not depth_within(nodes, MAX_DEPTH):
        raise UnreadableNodesError("they are no map of nodes")
    return nodes


def _unpack(packed: bytes, limit: int) -> bytes:
    """At most limit + 1 bytes of the content: enough to see that it is too large."""
    if packed.startswith(_GZIP):
        stream = zlib.decompressobj(wbits=31)
        data = stream.decompress(packed, limit + 1)
        if len(data) <= limit and not stream.eof:
            raise UnreadableNodesError("they end too early")
        return data
    if packed.startswith(_ZSTD):
        return zstandard.ZstdDecompressor(max_window_size=128 * 1024 * 1024).stream_reader(packed).read(limit + 1)
    return _unpack_brotli(packed, limit)


def _unpack_brotli(packed: bytes, limit: int) -> bytes:
    stream = brotli.Decompressor()
    pieces = [stream.process(packed, output_buffer_limit=1024 * 1024)]
    size = len(pieces[0])
    while size <= limit and not stream.is_finished():
        piece = stream.process(b"", output_buffer_limit=1024 * 1024)
        if not piece:
            raise UnreadableNodesError("they end too early, or are neither gzip, zstd nor brotli")
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)
