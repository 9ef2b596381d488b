"""How a person names a record: `art_7`, `mv_3`, `models:/churn/3`, `models:/churn@champion`, `models:/churn` (the newest).

Where one is taken, the JSON of an artifact, a dataset's version or a model's version is, too.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lineal.errors import LinealError

if TYPE_CHECKING:
    from lineal.client import Client

Json = dict[str, Any]
_MODELS = re.compile(r"models:/(?P<name>.+?)(?:/(?P<number>[0-9]+)|@(?P<alias>[A-Za-z0-9_-]+)|/latest)?", re.DOTALL)


def get_record(client: "Client", reference: str | Mapping[str, Any]) -> Json:
    """The artifact or model version that is meant; a record's JSON as it is.

    Raises:
        LinealError: no such form, or no such model, version or alias.
        ApiError: no such id.
    """
    if isinstance(reference, Mapping):
        if not re.fullmatch("(art|mv)_[0-9]+", str(reference.get("id"))):
            raise LinealError(f"a record of an artifact or a version is wanted, not {reference.get('id')!r}")
        return dict(reference)
    if re.fullmatch("art_[0-9]+", reference):
        return client.get_artifact(reference)
    if re.fullmatch("mv_[0-9]+", reference):
        return client.get_version(reference)
    found = _MODELS.fullmatch(reference)
    if found is None:
        raise LinealError(f"{reference!r} is neither art_…, mv_… nor models:/NAME, models:/NAME/NUMBER, models:/NAME@ALIAS")
    return _version(client, found["name"], found["number"], found["alias"])


def artifact_id(record: Mapping[str, Any]) -> str:
    """Of an artifact (a dataset's version is one), or the files of a model's version. Raises LinealError: it has none."""
    id = str(record["id"])
    if not id.startswith("mv_"):
        return id
    if record["artifact_id"] is None:
        raise LinealError(f"{record['model_name']} {record['number']} has no artifact; its files are at {record['source']}")
    return str(record["artifact_id"])


def _version(client: "Client", name: str, number: str | None, alias: str | None) -> Json:
    model = client.get_model(name)
    return client.get_by_alias(model["id"], alias or (f"v{int(number)}" if number else "latest"))
