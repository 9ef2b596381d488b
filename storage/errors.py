"""Everything that can go wrong with bytes, as one tree.

    StorageError
    ├── InvalidStoreUrl        the address of the store cannot be used
    ├── InvalidKey             a name that could leave its root, or that some store or file system cannot hold
    ├── ObjectNotFound
    ├── ObjectExists           a put that must not overwrite met an object
    ├── KeyConflict            the key runs through an object, or is the folder of other objects
    ├── RangeNotSatisfiable    the asked bytes lie behind the end
    ├── UploadNotFound         no such multipart upload: never begun, completed, or aborted
    ├── InvalidParts           the parts of a multipart upload do not make an object
    ├── UploadTooLarge         more bytes than the store takes in one object or part
    ├── UploadCutOff           fewer or more bytes came than were announced
    ├── DigestMismatch         the bytes are not those that were announced
    ├── InvalidContent         the bytes are not what their format says, or are too wild to preview
    ├── StoreUnavailable       not reached, timed out, or failed inside; trying again may help
    │   └── StoreFull          no space or quota left; trying again helps once a person has made room
    └── StoreDenied            the store refuses our credentials or our rights

Each carries data, not a formatted sentence only. No message holds a secret or a signed link.
"""


class StorageError(Exception):
    """Root of the tree; never raised itself."""


class InvalidStoreUrl(StorageError):
    def __init__(self, reason: str) -> None:
        super().__init__(f"invalid store address: {reason}")
        self.reason = reason


class _KeyError(StorageError):
    """An error about one key."""

    sentence = "{key}"

    def __init__(self, key: str) -> None:
        super().__init__(self.sentence.format(key=shown(key)))
        self.key = key


class InvalidKey(StorageError):
    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"invalid name {shown(key)}: {reason}")
        self.key = key
        self.reason = reason


class ObjectNotFound(_KeyError):
    sentence = "no object {key}"


class ObjectExists(_KeyError):
    sentence = "object {key} exists already"


class KeyConflict(_KeyError):
    sentence = "{key} runs through an object or is the folder of other objects"


class RangeNotSatisfiable(StorageError):
    def __init__(self, key: str, offset: int, size_bytes: int) -> None:
        super().__init__(f"offset {offset} lies behind the {size_bytes} bytes of {shown(key)}")
        self.key = key
        self.offset = offset
        self.size_bytes = size_bytes


class UploadNotFound(StorageError):
    def __init__(self, key: str, upload_id: str) -> None:
        super().__init__(f"no multipart upload {shown(upload_id)} of {shown(key)}")
        self.key = key
        self.upload_id = upload_id


class InvalidParts(StorageError):
    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"the parts do not make {shown(key)}: {reason}")
        self.key = key
        self.reason = reason


class UploadTooLarge(StorageError):
    def __init__(self, key: str, limit_bytes: int) -> None:
        super().__init__(f"{shown(key)} is larger than {limit_bytes} bytes")
        self.key = key
        self.limit_bytes = limit_bytes


class UploadCutOff(StorageError):
    def __init__(self, key: str, expected_bytes: int, received_bytes: int) -> None:
        super().__init__(
            f"{shown(key)}: {expected_bytes} bytes were announced, {received_bytes} or more came"
            if received_bytes > expected_bytes
            else f"{shown(key)}: {expected_bytes} bytes were announced, {received_bytes} came"
        )
        self.key = key
        self.expected_bytes = expected_bytes
        self.received_bytes = received_bytes


class DigestMismatch(StorageError):
    def __init__(self, key: str, expected: str, found: str) -> None:
        super().__init__(f"{shown(key)}: sha256 {expected} was announced, the bytes have {found}")
        self.key = key
        self.expected = expected
        self.found = found


class InvalidContent(StorageError):
    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{shown(key)} cannot be shown: {reason}")
        self.key = key
        self.reason = reason


class StoreUnavailable(StorageError):
    def __init__(self, reason: str) -> None:
        super().__init__(f"object store not available: {reason}")
        self.reason = reason


class StoreFull(StoreUnavailable):
    pass


class StoreDenied(StorageError):
    def __init__(self, reason: str) -> None:
        super().__init__(f"object store refuses access: {reason}")
        self.reason = reason


def shown(text: str) -> str:
    """`text` for a message: quoted, control characters escaped, at most 200 characters."""
    return ascii(text if len(text) <= 200 else text[:199] + "…") if not text.isprintable() else repr(text[:200])
