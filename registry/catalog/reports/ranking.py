"""Which of two reports of one run is newer.

By retry generation, then resourceVersion (from Kubernetes 1.35 comparable integers of one resource type). Where the versions
are equal or missing: final over unfinished, more tasks, then the greater digest, so that every order of arrival ends alike.

What was fetched beside an object and is told with it (histories, metrics of files) does not depend on this: it stays once told.
"""

import hashlib
import json
from functools import lru_cache
from typing import Any

from registry.catalog.reports.record import Report, canonical

Rank = tuple[int, int, int, int, str]
OLDEST: Rank = (-1, -1, -1, -1, "")


def rank_of(report: Report) -> Rank:
    version = report.object.resource_version or ""
    return (
        report.object.retry_generation or 0,
        int(version) if version.isdigit() and len(version) < 40 else -1,
        int(report.status.is_final),
        len(report.tasks),
        hashlib.sha256(canonical(report)).hexdigest(),
    )


def stored(rank: Rank) -> bytes:
    return json.dumps(rank).encode()


def loaded(blob: bytes | None) -> Rank:
    return OLDEST if blob is None else _loaded(bytes(blob))


@lru_cache(maxsize=1024)
def _loaded(blob: bytes) -> Rank:
    """The steps of a run have one rank, most of them."""
    value: list[Any] = json.loads(blob)
    return value[0], value[1], value[2], value[3], value[4]
