"""Where bytes lie: one normal form for the spellings of one location.

Links between records of different sources (a training step's output, a deployment's `storageUri`) match on it alone. It
is for comparing, never for fetching: what a client gave is kept beside it and given back as it was.
"""

import posixpath
import re
from functools import lru_cache
from urllib.parse import parse_qsl, quote, unquote, urlsplit

_ALIASES = {"minio": "s3", "s3a": "s3", "s3n": "s3", "gcs": "gs"}

_OBJECT_STORES = {"s3", "gs", "oss", "abfs", "abfss", "wasb", "wasbs"}
"""Their keys are plain text: `%`, `?` and `#` stand for themselves, and an empty segment is a segment."""

_CONNECTION = {"endpoint", "region", "defaultRegion", "disableSSL", "s3ForcePathStyle", "use_path_style"}
"""Query of `s3://bucket/key?…` as gocloud and the Model Registry's client write it: how to connect, not where the bytes
lie."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}

_KEPT_IN_PATHS = "/:@!$&'()*+,;=~-._"


@lru_cache(64)  # who writes a record asks for the location's form, its folder's, and the folder's of the next one
def normalise_uri(uri: str) -> str:
    """The normal form of `uri`; applying it twice changes nothing, and it never raises: what it does not know stays as
    it is.

    - `minio`, `s3a`, `s3n` are `s3`, `gcs` is `gs`; a query that only says how to connect goes.
    - A slash at the end goes, and with object stores Argo's `.tgz` (it packs every artifact by default, and whether the
      suffix is named depends on who writes the URI).
    - `file:/p`, `file://localhost/p` and `/p` are `file:///p`, with dots resolved and escapes in one form.
    - `http` and `https`: host in lower case, no default port, no fragment.
    """
    text = uri
    for _ in range(8):  # what one step uncovers, the next one sees; more than three were never needed
        text, before = _plainer(text), text
        if text == before:
            break
    return text


def under(location: str, path: str) -> str:
    """`path` below the location; a query, which says how to connect, stays at the end."""
    place, mark, query = location.partition("?") if "://" in location else (location, "", "")
    return f"{place.rstrip('/')}/{path}{mark}{query}"


def _plainer(uri: str) -> str:
    text = uri.strip()
    if text.startswith("/"):
        return _file(text)
    found = _SCHEME.match(text)
    if not found:
        return text
    scheme = found.group(1).lower()
    scheme = _ALIASES.get(scheme, scheme)
    rest = text[found.end() :]
    if scheme == "file":
        return _file_uri(rest)
    if scheme in _OBJECT_STORES and rest.startswith("//"):
        return f"{scheme}://{_object(rest[2:])}"
    if scheme in _DEFAULT_PORTS:
        return _web(scheme, rest)
    return f"{scheme}:{rest.rstrip('/') or rest}"


def object_uri(bucket: str, key: str) -> str:
    """The URI of a key that was named without a scheme, as Argo does it: the bucket is the artifact repository's."""
    return f"s3://{bucket}/{key.removeprefix('/')}"


def _object(rest: str) -> str:
    where, mark, query = rest.rpartition("?")
    if mark and query and {name for name, _ in parse_qsl(query, keep_blank_values=True)} <= _CONNECTION:
        rest = where
    end = len(rest)
    while end:
        if rest[end - 1] == "/" or rest[end - 1].isspace():
            end -= 1
        elif rest.endswith(".tgz", 0, end):
            end -= len(".tgz")
        else:
            break
    return rest[:end]


def _file_uri(rest: str) -> str:
    """`rest` is what follows `file:`. A host other than this machine's stays, in lower case."""
    host, path = "", rest
    if rest.startswith("//"):
        host, slash, tail = rest[2:].partition("/")
        path = slash + tail
    host = host.lower()
    return _file(unquote(path, errors="replace"), "" if host == "localhost" else host)


def _file(path: str, host: str = "") -> str:
    tidy = "/" + posixpath.normpath("/" + path.lstrip("/")).lstrip("/")
    return f"file://{host}{quote(tidy, safe=_KEPT_IN_PATHS, errors='replace')}"


def _web(scheme: str, rest: str) -> str:
    try:
        split = urlsplit(f"{scheme}:{rest}")
    except ValueError:  # an unclosed bracket in the host
        return f"{scheme}:{rest}"
    host, port = split.netloc.lower(), _DEFAULT_PORTS[scheme]
    if host.count(":") == 1 or host.endswith(f"]{port}"):
        host = host.removesuffix(port)
    path = re.sub("%[0-9a-fA-F]{2}", _one_escape, split.path).rstrip("/")
    return f"{scheme}://{host}{path}" + (f"?{split.query}" if split.query else "")


def _one_escape(found: re.Match[str]) -> str:
    """RFC 3986, 6.2.2: escapes of unreserved characters are the characters; the others have capital letters."""
    character = chr(int(found.group()[1:], 16))
    return character if character.isascii() and (character.isalnum() or character in "-._~") else found.group().upper()
