"""The words of the domain: enumerations that tables store as small integers, ids as text, checks of what clients send.

Numbers are stored: they are only added to, never changed. Where one is a protocol's, its docstring names the protocol.
"""

import hashlib
import re
import uuid
from enum import IntEnum, StrEnum

from registry.errors import InvalidArgument, InvalidName

MAX_NAME = 512
MAX_KEY = 250
MAX_ALIAS = 255
MAX_NODE_ID = 999_999_999


class NodeKind(IntEnum):
    """Which node table; also the kind of a type. The numbers are ML Metadata's `type_kind`."""

    EXECUTION = 0
    ARTIFACT = 1
    CONTEXT = 2


class ArtifactKind(IntEnum):
    OTHER = 0
    MODEL = 1
    DATASET = 2
    DOC = 3
    LOGGED_MODEL = 4


class Status(IntEnum):
    """Of runs and steps: the core column of the contract's state table."""

    UNKNOWN = 0
    PENDING = 1
    RUNNING = 2
    SUCCEEDED = 3
    FAILED = 4
    CACHED = 5
    CANCELED = 6
    SKIPPED = 7

    @property
    def is_final(self) -> bool:
        return self in {Status.SUCCEEDED, Status.FAILED, Status.CACHED, Status.CANCELED, Status.SKIPPED}


class Lifecycle(IntEnum):
    ACTIVE = 0
    ARCHIVED = 1
    DELETED = 2


class Origin(IntEnum):
    """Through which door a record was born."""

    REST = 0
    AGENT = 1
    MLMD = 2
    MLFLOW = 3
    KMR = 4
    OPENLINEAGE = 5


class Author(IntEnum):
    """Who wrote a field or row: what the agent wrote gives way to a client."""

    CLIENT = 0
    AGENT = 1


class OwnerKind(IntEnum):
    """What a series belongs to."""

    RUN = 0
    VERSION = 1
    LOGGED_MODEL = 2


class Special(IntEnum):
    """Doubles that not every database can keep."""

    FINITE = 0
    NAN = 1
    POSITIVE_INFINITY = 2
    NEGATIVE_INFINITY = 3


class EventType(IntEnum):
    """ML Metadata's `Event.Type`."""

    UNKNOWN = 0
    DECLARED_OUTPUT = 1
    DECLARED_INPUT = 2
    INPUT = 3
    OUTPUT = 4
    INTERNAL_INPUT = 5
    INTERNAL_OUTPUT = 6
    PENDING_OUTPUT = 7


INPUT_EVENTS = (EventType.DECLARED_INPUT, EventType.INPUT, EventType.INTERNAL_INPUT)
OUTPUT_EVENTS = (EventType.DECLARED_OUTPUT, EventType.OUTPUT, EventType.INTERNAL_OUTPUT, EventType.PENDING_OUTPUT)


class LinkKind(IntEnum):
    SAME_AS = 1
    REUSED_FROM = 2


class KeyKind(IntEnum):
    """Kinds of keys from outside, unique per workspace."""

    RUN_ID = 1  # a further run id of a merged run, 32 hex
    KFP_RUN = 2  # 32 hex
    KUBERNETES_UID = 3
    OPENLINEAGE_RUN = 4
    OUTPUT = 5  # sha256 of step, port, URI
    INPUT_URI = 6  # sha256 of the URI
    NODE = 7  # Argo's node id of a step that its own process told of before any report did
    POD = 8  # the same by the name of its pod
    IMPORTED = 9  # a source's key, ":" and what an imported experiment is called there


class Door(IntEnum):
    """Whose integer ids an imported record answers to; 0 in `id_aliases` is every door."""

    MLMD = 1
    MLFLOW = 3  # experiments


class TargetKind(IntEnum):
    ALIAS = 1
    STAGE = 2


class FragmentKind(IntEnum):
    """Which bytes a stored fragment holds."""

    RUN_VALUES_JSON = 2  # metrics, params and tags of a run in the own REST's JSON
    RUN_VALUES_MLFLOW = 3  # the same in MLflow's


class Readiness(IntEnum):
    READY = 0
    PENDING = 1
    FAILED = 2


class Direction(IntEnum):
    """Which way a metric is better."""

    MAXIMIZE = 1
    MINIMIZE = 2


class DesiredState(IntEnum):
    DEPLOYED = 1
    UNDEPLOYED = 2


class Role(IntEnum):
    """Rights grow with the number; each has those below it."""

    VIEWER = 1
    CONTRIBUTOR = 2
    APPROVER = 3
    ADMIN = 4


class IdPrefix(StrEnum):
    """The first part of an own id `<prefix>_<integer>`; a run's is `run_<32 hex>`."""

    EXPERIMENT = "exp"
    RUN = "run"
    STEP = "step"
    MODEL = "model"
    VERSION = "mv"
    ARTIFACT = "art"
    DATASET = "ds"
    DEPLOYMENT = "dep"
    ENVIRONMENT = "env"
    PIPELINE = "pipe"
    PIPELINE_VERSION = "pv"
    OBJECT = "obj"
    TOKEN = "tok"  # noqa: S105  (a prefix, not a secret)
    WORKSPACE = "ws"
    CONTEXT = "ctx"
    EXECUTION = "exec"


_HEX = re.compile(r"[0-9a-f]{32}\Z")
_DIGITS = re.compile(r"[1-9][0-9]{0,17}\Z")
_SURROGATE = re.compile("[\ud800-\udfff]")


def own_id(prefix: IdPrefix, number: int) -> str:
    return f"{prefix.value}_{number}"


def parse_id(prefix: IdPrefix, value: str) -> int:
    """The integer of an own id.

    Raises:
        InvalidName: not an id of that prefix.
    """
    head, _, digits = value.partition("_")
    if head != prefix.value or not _DIGITS.match(digits):
        raise InvalidName(f"{value[:80]!r} is not an id of the form {prefix.value}_<integer>", field="id")
    return int(digits)


def parse_run_id(value: str) -> str:
    """The 32 hex characters of `run_<hex>`, of bare hex or of a dashed UUID.

    Raises:
        InvalidName: none of the three.
    """
    found = run_hex_or_none(value)
    if found is None:
        raise InvalidName(f"{value[:80]!r} is not a run id", field="run_id")
    return found


def run_hex_or_none(value: str) -> str | None:
    bare = value.removeprefix("run_").replace("-", "").lower()
    return bare if _HEX.match(bare) else None


def new_run_hex() -> str:
    return uuid.uuid4().hex


def check_text(value: str, field: str, *, limit: int | None = None, empty: bool = True) -> str:
    """Text that every database can keep: no NUL, no lone surrogate, at most `limit` characters.

    Raises:
        InvalidArgument: names the field and what is wrong.
    """
    if "\x00" in value:
        raise InvalidArgument(f"{field} contains a NUL character", field=field)
    if not value.isascii() and _SURROGATE.search(value):
        raise InvalidArgument(f"{field} contains a lone surrogate, which is not a character", field=field)
    if limit is not None and len(value) > limit:
        raise InvalidArgument(f"{field} has {len(value)} characters, at most {limit} are allowed", field=field)
    if not empty and not value:
        raise InvalidArgument(f"{field} must not be empty", field=field)
    return value


def check_name(value: str, field: str = "name") -> str:
    """A record's name: 1 to 512 characters. Any character but NUL and lone surrogates: doors limit more."""
    return check_text(value, field, limit=MAX_NAME, empty=False)


def check_key(value: str, field: str = "key") -> str:
    """A metric, param or tag key: 1 to 250 characters (MLflow's limit, so that every door can show it)."""
    return check_text(value, field, limit=MAX_KEY, empty=False)


def narrow(value: str) -> str:
    """A key as a column of 512 characters takes it: itself, or its sha256 where longer."""
    return value if len(value) <= MAX_NAME else hashlib.sha256(value.encode()).hexdigest()


def prefix_of(value: str) -> str:
    """The first 200 characters: what the index of a long value holds."""
    return value[:200]


def sha256(*parts: str) -> str:
    """64 hex characters over the parts, NUL between them (no part can contain one)."""
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()
