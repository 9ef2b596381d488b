"""One kind in one namespace, or in all: a list, then a watch from where it ended, for ever.

    LISTING -> WATCHING -> (410, or a version that the server does not know) -> LISTING, told as the difference by uid

Everything else that happens on the way (the server ends the watch, the connection is cut or goes silent, 429, 5xx) goes on from
the last resourceVersion, after a pause that doubles. Rules: kubernetes.io/docs/reference/using-api/api-concepts.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from enum import Enum

import httpx
import msgspec

from agent.cluster.api import ApiError, ClusterApi, Gone, Query, failure
from agent.cluster.credentials import AccessError
from agent.cluster.events import LineTooLong, bookmark_of, event_of, head_of, page_of
from agent.kind import Kind
from agent.watching.change import Change, Seen, Sign, Sink
from agent.watching.progress import Progress, Ticket

log = logging.getLogger("lineal.agent.watch")


@dataclass(frozen=True, slots=True)
class Pace:
    """How long the watch waits for what, in seconds; objects in a page of a list."""

    page: int = 100
    silence_s: float = 90.0
    """A living watch has a bookmark each minute."""
    list_silence_s: float = 15.0
    """A streaming list has no pauses; one that has is left for a list in pages."""
    watch_s: tuple[int, int] = (300, 600)
    """The server ends a watch after a random time between these, so that not all come back at once."""
    first_pause_s: float = 0.5
    longest_pause_s: float = 30.0
    absent_s: float = 30.0
    """Until a kind that is not installed is looked for again."""
    calm_s: float = 5.0
    """A watch that lived so long has no part in the pause before the next."""


class State(Enum):
    LISTING = "listing"
    WATCHING = "watching"
    ABSENT = "absent"
    """The kind is not installed."""
    FAILING = "failing"


@dataclass(slots=True)
class Figures:
    """What /metrics and /healthz show of a watch; times are of the clock, 0 for never."""

    state: State = State.LISTING
    synced: bool = False
    heard_at: float = 0.0
    """The last that the server told: a page, an event, a bookmark, that the kind is not installed."""
    event_at: float = 0.0
    events: int = 0
    relists: int = 0
    """Lists after the first, each for a gap."""
    failures: int = 0
    unreadable: int = 0
    last_failure: str = ""
    waiting: bool = False
    """For room: what it told last is not taken yet."""


class Watch:
    """`known`: what an earlier process reported and has not seen deleted. `version`: where it stopped."""

    def __init__(
        self,
        api: ClusterApi,
        kind: Kind,
        sink: Sink,
        *,
        namespace: str | None = None,
        selector: str | None = None,
        known: dict[str, Seen] | None = None,
        version: str | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.kind, self.namespace = kind, namespace
        self.progress = Progress(version)
        self.figures = Figures()
        self._api, self._sink, self._selector, self._pace = api, sink, selector, pace or Pace()
        self._known = dict(known or {})
        self._told: dict[str, str] = {}  # uid: the version that this process told last
        self._version = version
        self._served = kind.versions[0]
        self._streams = True
        self._pause_s = 0.0
        self._listed = version is not None
        self._relist = False
        self._left_at = version

    async def run(self) -> None:
        """Until it is cancelled. No answer of the server ends it."""
        while True:
            try:
                if self._version is None:
                    await self._list()
                wait = await self._follow()
            except Gone as error:
                wait = self._lost(error) if self._version is not None else self._failed(error)
            except ApiError as error:
                wait = await self._refused(error)
            except (httpx.TransportError, AccessError, msgspec.MsgspecError, LineTooLong, RecursionError) as error:
                wait = self._failed(error)
            if wait:
                await asyncio.sleep(wait)

    def relist(self) -> None:
        """Tell every object again, at the next occasion: something that was told is lost."""
        self._relist = True
        self._told.clear()

    @property
    def api_version(self) -> str:
        return f"{self.kind.group}/{self._served}"

    @property
    def objects(self) -> int:
        return len(self._known)

    # ---- listing ----------------------------------------------------------------------------------------------------

    async def _list(self) -> None:
        """Tells what is there and what is not there any more; afterwards `_version` is where a watch starts."""
        self.figures.state = State.LISTING
        if self._listed:
            self.figures.relists += 1
        self._listed = True
        present: set[str] = set()
        version = await self._stream_list(present) if self._streams else None
        if version is None:
            present.clear()
            version = await self._page_list(present)
        for seen in [seen for uid, seen in self._known.items() if uid not in present]:
            await self._missing(seen, version)
        self.progress.reach(version)
        self._version = version
        self.figures.synced = True
        log.info("listed", extra={"data": {**self.named, "after": self._left_at, "version": version, "objects": len(present)}})

    async def _stream_list(self, present: set[str]) -> str | None:
        """All objects as events; None: the server does not do that, or does not come to the end of it.

        One that starts, or whose etcd does, may take the request and then never send the end (seen on kube-apiserver 1.37).
        """
        query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "resourceVersion": ""}
        try:
            async with aclosing(self._events(query, self._pace.list_silence_s)) as events:
                async for type, content in events:
                    if type == "BOOKMARK":
                        mark = bookmark_of(content)
                        if mark.ends_initial_events:
                            return mark.metadata.version
                    elif (seen := self._head(content)) is not None:
                        (present.discard if type == "DELETED" else present.add)(seen.uid)
                        await self._event(type, seen, content, listed=True)
        except ApiError as error:
            if error.code not in {httpx.codes.BAD_REQUEST, httpx.codes.UNPROCESSABLE_ENTITY, httpx.codes.METHOD_NOT_ALLOWED}:
                raise
            self._streams = False
            return None
        except httpx.ReadTimeout:
            log.warning("a streaming list went silent and is read in pages", extra={"data": self.named})
            return None
        log.warning("a streaming list had no end and is read in pages", extra={"data": self.named})
        return None

    async def _page_list(self, present: set[str]) -> str:
        """A list that is too slow for the server (410 while paging) is begun again; what was told is not told again."""
        token, version = "", ""
        while True:
            query: Query = {"limit": self._pace.page, **({"continue": token} if token else {})}
            page = page_of(await self._api.get(self._path(), self._selected(query)))
            self.figures.heard_at = time.time()
            version = version or page.metadata.version
            for item in page.items or ():
                seen = self._head(item)
                if seen is not None:
                    present.add(seen.uid)
                    await self._event("ADDED", seen, item, listed=True)
            token = page.metadata.continue_
            if not token:
                return version

    async def _missing(self, seen: Seen, version: str) -> None:
        """An object that a list did not have: it is gone, or the selector does not choose it any more."""
        if self._selector and await self._still_there(seen):
            self._forget(seen.uid)
            return
        self._forget(seen.uid)
        gone = Seen(seen.uid, seen.name, seen.namespace, version)
        await self._tell(Sign.GONE, gone, b"", self.progress.open(None))

    # ---- watching ---------------------------------------------------------------------------------------------------

    async def _follow(self) -> float:
        """Until the server ends the watch, or a relist is wanted. The pause before the next: none after one that lived."""
        began = time.monotonic()
        self.figures.state = State.WATCHING
        try:
            query = {"resourceVersion": self._version or ""}
            async with aclosing(self._events(query, self._pace.silence_s)) as events:
                async for type, content in events:
                    if type == "BOOKMARK":
                        self._version = bookmark_of(content).metadata.version
                        self.progress.reach(self._version)
                    elif (seen := self._head(content)) is not None:
                        await self._event(type, seen, content, listed=False)
                        self._version = seen.version or self._version
                    self._pause_s, self.figures.synced = 0.0, True
                    if self._relist:
                        self._relist, self._left_at, self._version = False, self._version, None
                        return 0.0
        finally:
            lived_s = time.monotonic() - began
            if lived_s > self._pace.calm_s:
                self._pause_s = 0.0
        return self._next_pause() if lived_s < self._pace.first_pause_s else 0.0

    async def _events(self, query: Query, silence_s: float) -> AsyncGenerator[tuple[str, bytes], None]:
        """Raises Gone, ApiError: what an ERROR event says; httpx.ReadTimeout: nothing came for so long."""
        asked = self._selected({**query, "allowWatchBookmarks": "true", "timeoutSeconds": self._life_s()})
        async with self._api.watch(self._path(), asked, silence_s=silence_s) as found:
            self.figures.heard_at = time.time()
            while (line := await _next_line(found, silence_s)) is not None:
                event = event_of(line)
                self.figures.heard_at = time.time()
                if event.type == "ERROR":
                    raise failure(None, bytes(event.object))
                if event.type in {"ADDED", "MODIFIED", "DELETED", "BOOKMARK"}:
                    yield event.type, bytes(event.object)
                else:
                    log.warning(
                        "an event of an unknown type is left out", extra={"data": {**self.named, "type": event.type[:80]}}
                    )

    async def _event(self, type: str, seen: Seen, content: bytes, *, listed: bool) -> None:
        if type != "DELETED":
            self._known[seen.uid] = seen
            if self._told.get(seen.uid) != seen.version or not seen.version:
                self._told[seen.uid] = seen.version
                await self._tell(Sign.CHANGED, seen, content, self._ticket(seen, listed=listed))
            return
        if self._selector and await self._still_there(seen):
            self._forget(seen.uid)
            return
        self._forget(seen.uid)
        await self._tell(Sign.DELETED, seen, content, self._ticket(seen, listed=listed))

    def _ticket(self, seen: Seen, *, listed: bool) -> Ticket:
        return self.progress.open(None if listed else seen.version)

    async def _still_there(self, seen: Seen) -> bool:
        """Whether an object that the selector does not choose any more exists; its present state is told then."""
        try:
            content = await self._api.get(self._path(seen.namespace, seen.name))
        except ApiError as error:
            if error.code == httpx.codes.NOT_FOUND:
                return False
            raise
        found = self._head(content)
        if found is None or found.uid != seen.uid:
            return False
        await self._tell(Sign.CHANGED, found, content, self.progress.open(None))
        return True

    async def _tell(self, sign: Sign, seen: Seen, content: bytes, ticket: Ticket) -> None:
        self.figures.events += 1
        self.figures.event_at = time.time()
        self.figures.waiting = True
        await self._sink.take(Change(self.kind, self.api_version, sign, seen, bytes(content), ticket, self.progress))
        self.figures.waiting = False

    def _head(self, content: bytes) -> Seen | None:
        """None: what came is no object of the API; it is counted, and the rest goes on."""
        try:
            metadata = head_of(content).metadata
        except msgspec.MsgspecError as error:
            self.figures.unreadable += 1
            log.warning("an object that cannot be read is left out", extra={"data": {**self.named, "error": str(error)[:200]}})
            return None
        return Seen(metadata.uid, metadata.name, metadata.namespace, metadata.version)

    def _forget(self, uid: str) -> None:
        self._known.pop(uid, None)
        self._told.pop(uid, None)

    # ---- what goes wrong --------------------------------------------------------------------------------------------

    def _lost(self, error: ApiError) -> float:
        """The history since our version is not kept any more. The first list is made at once, further ones after a pause."""
        log.info("the watch has to list again", extra={"data": {**self.named, "from": self._version, "reason": str(error)}})
        self._left_at, self._version = self._version, None
        wait, self._pause_s = self._pause_s, max(self._pause_s, self._pace.first_pause_s)
        return wait

    async def _refused(self, error: ApiError) -> float:
        if "Too large resource version" in error.message:  # etcd was restored from a backup
            return self._lost(error)
        if error.code == httpx.codes.NOT_FOUND:
            return self._absent()
        wait = self._failed(error)
        return wait if error.wait_s is None else error.wait_s + random.uniform(0, min(1.0, self._pace.first_pause_s))  # noqa: S311

    def _absent(self) -> float:
        """Not installed in this version: another one is tried, and after the last the kind is waited for."""
        self.figures.heard_at = time.time()
        position = self.kind.versions.index(self._served) + 1
        self._served = self.kind.versions[position % len(self.kind.versions)]
        if position < len(self.kind.versions):
            return 0.0
        self.figures.state, self.figures.synced = State.ABSENT, True
        return self._pace.absent_s * random.uniform(0.75, 1.25)  # noqa: S311 - no secret

    def _failed(self, error: Exception) -> float:
        self.figures.failures += 1
        self.figures.state = State.FAILING
        self.figures.last_failure = f"{type(error).__name__}: {error}"[:300]
        wait = self._next_pause()
        log.log(
            logging.INFO if isinstance(error, httpx.TransportError) else logging.WARNING,
            "the watch was interrupted",
            extra={"data": {**self.named, "error": self.figures.last_failure, "again_in_s": round(wait, 2)}},
        )
        return wait

    def _next_pause(self) -> float:
        self._pause_s = min(self._pace.longest_pause_s, max(self._pace.first_pause_s, 2 * self._pause_s))
        return self._pause_s * random.uniform(0.75, 1.25)  # noqa: S311 - no secret

    # ---- asking -----------------------------------------------------------------------------------------------------

    def _path(self, namespace: str | None = None, name: str | None = None) -> str:
        inside = namespace or self.namespace
        where = f"/namespaces/{inside}" if inside else ""
        return f"/apis/{self.api_version}{where}/{self.kind.plural}{f'/{name}' if name else ''}"

    def _selected(self, query: Query) -> Query:
        return {**query, "labelSelector": self._selector} if self._selector else query

    def _life_s(self) -> int:
        return random.randint(*self._pace.watch_s)  # noqa: S311 - no secret

    @property
    def named(self) -> dict[str, str]:
        return {"kind": self.kind.name, "namespace": self.namespace or "*"}


async def _next_line(found: AsyncIterator[bytes], silence_s: float) -> bytes | None:
    """Raises httpx.ReadTimeout also where something trickles that never becomes a line."""
    try:
        async with asyncio.timeout(silence_s):
            return await anext(found, None)
    except TimeoutError as error:
        raise httpx.ReadTimeout("no whole line came") from error
