"""The Range header of a request (RFC 9110, 14.1 and 14.2), as `ObjectStore.open` takes it."""

import re

from storage.errors import RangeNotSatisfiable

_ONE_RANGE = re.compile(r"bytes\s*=\s*([0-9]{0,18})\s*-\s*([0-9]{0,18})", re.IGNORECASE)


def parse_range(header: str | None, key: str, size_bytes: int) -> tuple[int, int] | None:
    """Offset and length of the asked bytes of an object of `size_bytes`; None if the whole object is to be sent (200).

    A server may ignore what it does not understand; so do we with other units, several ranges and malformed headers.

    Raises:
        RangeNotSatisfiable: to be answered with 416 and `Content-Range: bytes */<size>`.
    """
    found = _ONE_RANGE.fullmatch((header or "").strip())
    if not found or found.group(1) == found.group(2) == "":
        return None
    first, last = found.groups()
    if not first:  # the last bytes of the object
        offset, end = max(0, size_bytes - int(last)), size_bytes
    else:
        offset, end = int(first), size_bytes if not last else min(int(last) + 1, size_bytes)
        if last and int(last) < int(first):
            return None
    if offset >= size_bytes:
        raise RangeNotSatisfiable(key, offset, size_bytes)
    return offset, end - offset
