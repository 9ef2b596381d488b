"""A report on its way: the body that is posted, and what has to be known of it without reading it."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.kinds import translate
from agent.reading import Read, Unreadable
from agent.report import Json
from agent.sending import source_text, with_source
from agent.values import MAX_DEPTH, depth_within, read_json
from agent.watching.change import Change, Sign


def _nothing() -> None:
    """For a report that is on disk, for which nobody waits."""


@dataclass(slots=True, eq=False)
class Outgoing:
    kind: str
    uid: str
    name: str
    namespace: str
    report: bytes
    """JSON."""
    source: bytes | None
    """JSON of the whole object, if the report is final."""
    lasting: frozenset[str]
    """What a newer report has to say, too, to take this one's place: `Kind.lasting`."""
    gone: bool = False
    """Says only that the object is gone, and so takes no other's place."""
    is_final: bool = False
    settle: Callable[[], None] = _nothing
    """Called once: it was delivered, is on disk, was refused for ever, or a newer one has its place."""
    received_at: float = field(default_factory=time.time)

    def replaces(self, lasting: frozenset[str], *, gone: bool) -> bool:
        """Whether it says all that a waiting one does which has these."""
        if self.gone or gone:
            return self.gone and gone
        return lasting <= self.lasting

    @property
    def body(self) -> bytes:
        """What is posted."""
        return with_source(self.report, self.source)

    @property
    def size_bytes(self) -> int:
        return len(self.report) + len(self.source or b"")

    @property
    def named(self) -> dict[str, str]:
        return {"kind": self.kind, "namespace": self.namespace, "name": self.name, "uid": self.uid}


def outgoing(change: Change, cluster: str | None, settle: Callable[[], None]) -> Outgoing | Unreadable:
    """The report of a change. Pure but for the clock; never raises for what stands in the object."""
    kind, seen = change.kind, change.seen
    content = content_of(change)
    if isinstance(content, Unreadable):
        return content
    report = translate(Read(seen.name, 0, content, deleted=change.sign is not Sign.CHANGED), cluster)
    if isinstance(report, Unreadable):
        return report
    return Outgoing(
        kind=kind.name,
        uid=seen.uid,
        name=seen.name,
        namespace=seen.namespace,
        report=report.to_json().encode(),
        source=source_text(content) if report.is_final and change.sign is not Sign.GONE else None,
        lasting=kind.lasting(report),
        gone=change.sign is Sign.GONE,
        is_final=report.is_final,
        settle=settle,
        received_at=change.received_at,
    )


def content_of(change: Change) -> Json | Unreadable:
    """The object, without what its kind keeps out."""
    kind, seen = change.kind, change.seen
    content: Json
    if change.sign is Sign.GONE:
        noticed_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(change.received_at))
        metadata = {"name": seen.name, "namespace": seen.namespace, "uid": seen.uid, "resourceVersion": seen.version}
        metadata["deletionTimestamp"] = noticed_at
        content = {"metadata": {key: value for key, value in metadata.items() if value}}
    else:
        try:
            content = read_json(change.content)
        except (ValueError, RecursionError) as error:
            return Unreadable(seen.name, 0, f"The object cannot be read: {error}")
        if not depth_within(content, MAX_DEPTH):
            return Unreadable(seen.name, 0, f"The object is nested deeper than {MAX_DEPTH} levels.")
        content = kind.project(content)
    return {"apiVersion": change.api_version, "kind": kind.name, **content}


def lasting_text(lasting: frozenset[str]) -> str:
    return json.dumps(sorted(lasting))


def lasting_of(text: str) -> frozenset[str]:
    return frozenset(json.loads(text))
