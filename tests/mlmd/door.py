"""A client of the door that speaks its messages: what comes back, or the status code."""

import itertools
from typing import Any, Self

import grpc

from registry.api.mlmd.descriptors import service
from tests.servers import Served

_NAMES = itertools.count(1)
KINDS = {"artifact": "Artifact", "execution": "Execution", "context": "Context"}


def fresh(prefix: str) -> str:
    """A name that no other test uses."""
    return f"{prefix}-{next(_NAMES)}"


def raw_call(channel: grpc.Channel, method: str) -> Any:
    """Bytes to bytes."""
    call: Any = channel.unary_unary(f"/{service().name}/{method}")
    return call


class Door:
    def __init__(self, served: Served) -> None:
        self.served = served
        self.address = f"127.0.0.1:{served.services.grpc_port}"
        self._channel = grpc.insecure_channel(self.address)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._channel.close()

    def call(self, method: str, /, metadata: Any = None, **fields: Any) -> Any:
        """The response; raises grpc.RpcError."""
        return self.send(method, service().methods[method].request(**fields), metadata)

    def send(self, method: str, request: Any, metadata: Any = None) -> Any:
        """`request`: a message, or the bytes of what may be none."""
        raw = request if isinstance(request, bytes) else request.SerializeToString()
        answer = raw_call(self._channel, method)(raw, timeout=60, metadata=metadata)
        return service().methods[method].response.FromString(answer)

    def refusal(self, method: str, /, metadata: Any = None, **fields: Any) -> str:
        """The status code's name; OK where the call succeeds."""
        try:
            self.call(method, metadata, **fields)
        except grpc.RpcError as error:
            return str(error.code().name)
        return "OK"

    # ---- what most tests need ---------------------------------------------------------------------------------------

    def type(self, kind: str, name: str | None = None, /, **properties: int) -> int:
        made = message(f"{KINDS[kind]}Type", name=name or fresh("type"), properties=properties)
        return int(self.call(f"Put{KINDS[kind]}Type", **{f"{kind}_type": made}).type_id)

    def put(self, kind: str, *nodes: Any, **fields: Any) -> list[int]:
        return list(getattr(self.call(f"Put{KINDS[kind]}s", **{f"{kind}s": nodes}, **fields), f"{kind}_ids"))

    def get(self, kind: str, *ids: int) -> list[Any]:
        return list(getattr(self.call(f"Get{KINDS[kind]}sByID", **{f"{kind}_ids": ids}), f"{kind}s"))

    def one(self, kind: str, id: int) -> Any:
        [found] = self.get(kind, id)
        return found


def message(name: str, /, **fields: Any) -> Any:
    return service().messages[name](**fields)


def node(kind: str, type_id: int | None = None, *, custom: dict[str, Any] | None = None, **fields: Any) -> Any:
    """A node; Python values in `properties` and `custom` become those of their type."""
    declared = fields.pop("properties", {})
    made = message(KINDS[kind], **fields)
    if type_id is not None:
        made.type_id = type_id
    for into, values in ((made.properties, declared), (made.custom_properties, custom or {})):
        for name, value in values.items():
            fill(into[name], value)
    return made


def fill(into: Any, value: Any) -> None:
    match value:
        case bool():
            into.bool_value = value
        case int():
            into.int_value = value
        case float():
            into.double_value = value
        case str():
            into.string_value = value
        case dict():
            into.struct_value.update(value)
