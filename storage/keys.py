"""Which names may become keys. A key is a relative path of segments between slashes, safe on every store, file system
and client.

The rules are stricter than any one store's, so that a key which one store took can be copied to another one and
downloaded anywhere. Names are refused, never repaired: two spellings of one name would be two records for one file.
"""

import re
import unicodedata
from urllib.parse import unquote

from storage.errors import InvalidKey

KEY_MAX_BYTES = 1024
"""In UTF-8; S3's limit for a key, prefix of the store included."""

SEGMENT_MAX_BYTES = 255
"""In UTF-8; NAME_MAX of Linux file systems, and MinIO's limit."""

_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffd\ufffe\uffff\ud800-\udfff\\\\]")
"""Control characters and line separators, what XML listings cannot carry, lone surrogates, Windows' separator, and U+FFFD, which
stands for bytes that were no text: `%c0%ae` and `%ff` would be one name.
"""

_DRIVE = re.compile(r"[A-Za-z]:")

_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$|clock\$)[ ]*(\..*)?", re.IGNORECASE | re.DOTALL)
"""Windows opens the device for these, whatever follows the first dot (Microsoft, "Naming Files, Paths, and
Namespaces")."""


def check_key(key: str) -> str:
    """`key`, if it may name an object. Raises InvalidKey, which says what is wrong with it."""
    _check(key, key)
    if "%" in key:
        _check_escapes(key)
    return key


def key_or_none(key: str) -> str | None:
    try:
        return check_key(key)
    except InvalidKey:
        return None


def join_key(*parts: str) -> str:
    """The key of `parts`, each one or more whole segments. Raises InvalidKey for any part that is not a key by
    itself.
    """
    return check_key("/".join(check_key(part) for part in parts))


def check_prefix(prefix: str) -> str:
    """`prefix`, if some key can begin with it: empty, a key, or a key cut anywhere. Raises InvalidKey.

    An unfinished last segment is only searched for, never opened, so it may look like `con` or end in a dot.
    """
    folder, slash, last = prefix.rpartition("/")
    if slash:
        check_key(folder)
    if _FORBIDDEN.search(last) or len(prefix.encode("utf-8", "replace")) > KEY_MAX_BYTES or last == "..":
        raise InvalidKey(prefix, "no object's name can begin like this")
    return prefix


def _check_escapes(key: str) -> None:
    """Somebody on the way may decode once more than we do, so the decoded forms have to be as harmless as the key."""
    text = key
    while (decoded := unquote(text, errors="replace")) != text:
        _check(decoded, key)
        if decoded.count("/") != key.count("/"):
            raise InvalidKey(key, "an escaped slash")
        text = decoded


def _check(text: str, key: str) -> None:
    if not text:
        raise InvalidKey(key, "it is empty")
    if found := _FORBIDDEN.search(text):
        raise InvalidKey(key, f"the character {found.group()!a} is not allowed")
    if len(text.encode()) > KEY_MAX_BYTES:
        raise InvalidKey(key, f"it is longer than {KEY_MAX_BYTES} bytes")
    if text.startswith("/"):
        raise InvalidKey(key, "it is absolute")
    for segment in text.split("/"):
        if reason := _wrong_with(segment):
            raise InvalidKey(key, reason)


def _wrong_with(segment: str) -> str | None:
    if not segment:
        return "an empty segment"
    if segment in {".", ".."} or unicodedata.normalize("NFKC", segment).strip() in {".", ".."}:
        return "a segment of dots"
    if segment[-1] in ". ":
        return "a segment ends in a dot or a space"
    if len(segment.encode()) > SEGMENT_MAX_BYTES:
        return f"a segment is longer than {SEGMENT_MAX_BYTES} bytes"
    if _DRIVE.match(segment):
        return "a Windows drive"
    if _DEVICE.fullmatch(segment):
        return "a Windows device"
    return None
