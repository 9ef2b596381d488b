"""JSON bytes of what is answered."""

import json
from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import BaseModel

Body = BaseModel | Mapping[str, Any]
"""What is answered: a model, or a TypedDict where the answer is hot."""


def encode(body: Body) -> bytes:
    """Also of what orjson refuses: JSON that others have stored may have integers beyond 64 bits and 254 levels."""
    try:
        return orjson.dumps(body, default=BaseModel.model_dump)
    except TypeError:
        return json.dumps(body, default=BaseModel.model_dump, ensure_ascii=False, separators=(",", ":")).encode()
