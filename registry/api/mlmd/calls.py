"""One call of the door, whatever carries it: its bytes in, the answer's bytes or a status out.

A call runs on a thread of its own from its bytes to its answer. The bytes are parsed here, so that what is no message is the
caller's fault and not ours. Authentication is by metadata:
`authorization: Bearer <token>` and `x-lineal-workspace`, as on HTTP; who brings none may be the door's anonymous identity.
"""

import itertools
import logging
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from typing import Any, Protocol

from google.protobuf.message import DecodeError

from registry.api.mlmd.descriptors import Method, service
from registry.api.mlmd.methods import READS, WRITES
from registry.api.mlmd.requests import check_texts
from registry.api.mlmd.visitors import actor_of
from registry.api.mlmd.writing import Call, OutOfRange, Prepared
from registry.api.problems import TABLE
from registry.api.services import Services, now_ms
from registry.catalog.actors import Actor
from registry.errors import InvalidArgument, NotSupported, RegistryError, TooLarge

log = logging.getLogger("lineal.mlmd")
MAX_MESSAGE = 100 * 1024 * 1024
BY_ID = {
    "GetArtifactsByID",
    "GetExecutionsByID",
    "GetContextsByID",
    "GetEventsByExecutionIDs",
    "GetEventsByArtifactIDs",
    "GetParentContextsByContexts",
    "GetChildrenContextsByContexts",
}
"""Whose ids are asked for in parts: a client that was given a lineage of 100,000 nodes may want them all."""

PUTS_OF_NODES = {"PutArtifacts", "PutExecutions", "PutContexts", "PutExecution", "PutLineageSubgraph"}

MAX_ENTRIES = 20_000
"""In the lists of one request: up to three parameters of a statement each, and PostgreSQL takes 65,535."""

MAX_REASON = 4_000
"""Bytes of an error's text as it is sent; a client's limit for all metadata is 8 KB."""


class Refused(Exception):
    """The call's status: the name of a gRPC code, and a text that fits into a header."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class Caller(Protocol):
    """Whom the answer is for, who may give up at any time. gRPC's own context is one."""

    def is_active(self) -> bool:
        """False once nobody waits for the answer."""

    def add_callback(self, callback: Callable[[], Any]) -> bool:
        """To be run when the caller has the answer or has given up; False if that has been already."""


def answered(services: Services, name: str, raw: bytes, metadata: Mapping[str, str], caller: Caller) -> bytes:
    """The response's bytes. Raises Refused."""
    try:
        method = service().methods.get(name)
        if method is None:
            raise NotSupported(f"{service().name} has no method {name[:100]}")
        actor = actor_of(services, metadata, request_id=uuid.uuid4().hex)
        return _answer(services, method, raw, actor, caller)
    except OutOfRange as error:
        raise Refused("OUT_OF_RANGE", str(error)) from error
    except RegistryError as error:
        raise Refused(TABLE[type(error)].grpc, _printable(error.message)) from error
    except CancelledError as error:
        raise Refused("CANCELLED", "the caller gave up before the call had begun") from error
    except Exception as error:
        log.exception("%s failed", name)
        raise Refused("INTERNAL", "a fault of the server: it is in its log") from error


def _answer(services: Services, method: Method, raw: bytes, actor: Actor, caller: Caller) -> bytes:
    request = _parsed(method, raw)
    call = Call(actor, now_ms(), request, method.response(), services.links, services.settings.mlmd_lineage_max_nodes)
    if method.name in WRITES:
        prepared = _prepared(method, call)
        written = services.runner.begin_write(prepared.work)
        if not caller.add_callback(written.cancel):  # what has begun is waited for
            written.cancel()
        prepared.answer(written.result())
    else:
        read = READS[method.name]
        services.runner.read_here(lambda session: read(session, call), wanted=caller.is_active)
    body = call.body()
    if len(body) > MAX_MESSAGE:
        raise TooLarge(f"the answer has {len(body)} bytes, at most {MAX_MESSAGE} can be sent: ask for pages (options)")
    return body


def _prepared(method: Method, call: Call) -> Prepared:
    try:
        return WRITES[method.name](call)
    except UnicodeDecodeError as error:  # the key of a map, which protobuf does not give as bytes
        raise InvalidArgument(f"the request is no {method.name}Request: {error}") from error


def _parsed(method: Method, raw: bytes) -> Any:
    request: Any = method.request()
    try:
        request.ParseFromString(raw)
        if method.name not in PUTS_OF_NODES:  # whose texts are looked at one by one, as they are taken
            check_texts(request)
    except (DecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"the request is no {method.name}Request: {error}") from error
    entries = sum(len(value) for _, value in request.ListFields() if hasattr(value, "extend"))
    if entries > MAX_ENTRIES and method.name not in BY_ID:
        raise TooLarge(f"the request's lists have {entries} entries, at most {MAX_ENTRIES} are taken in a call")
    return request


def _printable(text: str) -> str:
    """Cut where it would be longer than clients take a header to be: all but printable ASCII goes as three bytes for each."""
    plain = text.encode("utf-8", "backslashreplace").decode()[:MAX_REASON]
    size = itertools.accumulate(1 if " " <= one <= "~" and one != "%" else 3 * len(one.encode()) for one in plain)
    return plain[: sum(1 for sent in size if sent <= MAX_REASON)]
