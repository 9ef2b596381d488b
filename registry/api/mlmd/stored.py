"""Values as ML Metadata's own store keeps them: serialised messages in its tables."""

import math
from typing import Any

from google.protobuf import any_pb2, struct_pb2
from google.protobuf.message import DecodeError

from registry.catalog.importing.mlmd.source import Decoding


def _struct(raw: bytes) -> dict[str, Any]:
    """Raises ValueError: no Struct, or one that cannot be kept."""
    try:
        message = struct_pb2.Struct.FromString(raw)
    except (DecodeError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from error
    return {key: _json(value) for key, value in message.fields.items()}


def _json(value: Any) -> Any:
    which = value.WhichOneof("kind")
    match which:
        case "struct_value":
            return {key: _json(one) for key, one in value.struct_value.fields.items()}
        case "list_value":
            return [_json(one) for one in value.list_value.values]
        case None | "null_value":
            return None
    found = getattr(value, which)
    if which == "number_value" and not math.isfinite(found):
        raise ValueError(f"{found} is no number of a struct")
    return found


def _any(raw: bytes) -> tuple[str, bytes]:
    try:
        message = any_pb2.Any.FromString(raw)
    except (DecodeError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from error
    return message.type_url, message.value


DECODING = Decoding(_struct, _any)
