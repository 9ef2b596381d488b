"""What a file's name says about it, and the headers under which a client's file may leave the server.

A file that a client uploaded must never run in the server's origin: not as a page, not as a script of another page, not
as a frame. So headers come from here only, for our own answers and for presigned links alike.
"""

import re
from urllib.parse import quote

OCTETS = "application/octet-stream"

_TYPES = {
    ".avif": "image/avif",
    ".avro": "application/avro",
    ".bmp": "image/bmp",
    ".cfg": "text/plain",
    ".conf": "text/plain",
    ".css": "text/css",
    ".csv": "text/csv",
    ".gif": "image/gif",
    ".gz": "application/gzip",
    ".htm": "text/html",
    ".html": "text/html",
    ".ini": "text/plain",
    ".ipynb": "application/x-ipynb+json",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".js": "text/javascript",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".log": "text/plain",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".ndjson": "application/jsonl",
    ".ogg": "audio/ogg",
    ".parquet": "application/vnd.apache.parquet",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".py": "text/x-python",
    ".r": "text/plain",
    ".sh": "text/plain",
    ".sql": "text/plain",
    ".svg": "image/svg+xml",
    ".tgz": "application/gzip",
    ".toml": "application/toml",
    ".tsv": "text/tab-separated-values",
    ".txt": "text/plain",
    ".wav": "audio/wav",
    ".webm": "video/webm",
    ".webp": "image/webp",
    ".xhtml": "application/xhtml+xml",
    ".xml": "application/xml",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".zip": "application/zip",
}
"""A table of our own: `mimetypes` reads the machine's files, and one file must not have two types on two replicas."""

_INERT = {
    "application/json",
    "application/jsonl",
    "application/gzip",
    "application/vnd.apache.parquet",
    "application/yaml",
    "application/zip",
    "audio/mpeg",
    "audio/ogg",
    "audio/wav",
    "image/avif",
    "image/bmp",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/webp",
    "text/csv",
    "text/markdown",
    "text/plain",
    "text/tab-separated-values",
    "video/mp4",
    "video/webm",
    OCTETS,
}
"""Types that no browser runs. Everything else counts as active: HTML, SVG, XML and its kin, PDF, scripts, styles,
Flash, WebAssembly, MHTML, and whatever is invented next."""

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}")
"""RFC 6838, 4.2. Parameters are dropped: `charset` and `boundary` change how a browser reads."""


def guess_media_type(name: str) -> str:
    """By the last suffix; `application/octet-stream` for what is not known."""
    dot = name.rfind(".")
    suffix = name[dot:].lower() if dot > name.rfind("/") else ""
    return _TYPES.get(suffix, OCTETS)


def is_active(media_type: str) -> bool:
    """Whether a browser might run what has this type."""
    return _essence(media_type) not in _INERT


def safe_headers(name: str, media_type: str | None = None, *, inline: bool = False) -> dict[str, str]:
    """Headers for an answer that holds the bytes of `name` (a key or a file name; its last segment counts).

    Active content is sent as octets for downloading, whatever is asked. `inline` shows inert types in the browser.
    Names may hold anything: what RFC 6266 and RFC 8187 do not let through is escaped.
    """
    essence = _essence(media_type or guess_media_type(name))
    active = essence not in _INERT
    return {
        "Content-Type": OCTETS if active else essence,
        "Content-Disposition": _disposition(name, "inline" if inline and not active and essence != OCTETS else "attachment"),
        "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
        "Cross-Origin-Resource-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
    }


def _essence(media_type: str) -> str:
    text = media_type.partition(";")[0].strip().lower()
    return text if _MEDIA_TYPE.fullmatch(text) else OCTETS


def _disposition(name: str, kind: str) -> str:
    last = name.replace("\\", "/").rpartition("/")[2].encode("utf-8", "replace").decode()
    plain = re.sub(r"[^A-Za-z0-9 ._()+,=@~-]", "_", last) or "file"
    extended = "" if plain == last else f"; filename*=UTF-8''{quote(last, safe='')}"
    return f'{kind}; filename="{plain}"{extended}'
