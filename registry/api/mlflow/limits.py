"""MLflow's own limits, which are narrower than the store's. Source: MLflow 3.17's server, observed; docs/doors/mlflow.md."""

import posixpath
import re
from urllib.parse import urlparse

from registry.api.mlflow.fields import invalid, missing
from registry.errors import InvalidArgument

MAX_KEY = 250
MAX_PARAM_VALUE = 6_000
MAX_TAG_VALUE = 8_000
MAX_EXPERIMENT_NAME = 500
MAX_EXPERIMENT_TAG_VALUE = 20_000
MAX_LOCATION = 2_048
MAX_METRICS = 1_000
MAX_PARAMS = 100
MAX_TAGS = 100
MAX_BATCH = 1_000
MAX_DATASET_NAME = 500
MAX_DATASET_DIGEST = 36
MAX_PAGE = 50_000
MAX_MODELS_PAGE = 1_000
MAX_VERSIONS_PAGE = 200_000
MAX_REGISTRY_VALUE = 100_000
MAX_EXPERIMENTS = 30_000
"""Of one search of runs; ours: a statement takes so many on every database."""
_KEY = re.compile(r"[/\w.\- :]+")
_WORKSPACE = re.compile(r"[a-z0-9][-a-z0-9]{0,61}[a-z0-9]")
_RESERVED_WORKSPACES = {"default", "workspaces", "api", "ajax-api", "static-files"}


def check_key(key: str, name: str) -> str:
    """A metric's, param's or tag's key: a clean relative path of ordinary characters. Raises InvalidArgument."""
    if len(key) > MAX_KEY:
        raise InvalidArgument(f"'{name}' exceeds the maximum length of {MAX_KEY} characters", field=name)
    if not _KEY.fullmatch(key):
        raise invalid(name, key, "letters, digits, _ - . : / and spaces are allowed")
    if "/" not in key and key != "." and not key.startswith(".."):
        return key  # nearly all of them; a thousand paths made normal would be half of a batch's time
    clean = posixpath.normpath(key)
    if clean != key or key.startswith(("/", "..")) or key == ".":
        raise invalid(name, key, f"as a path it would mean '{clean}'")
    return key


def check_model_name(name: str, field: str) -> str:
    """A registered model's. Raises InvalidArgument: nothing but space, or what model URIs are split at."""
    if not name.strip():
        raise missing(field)
    if "/" in name or ":" in name or name in {".", ".."}:
        raise invalid(field, name, "names cannot contain '/' or ':'")
    return name


def check_workspace_name(name: str, field: str) -> str:
    """A new workspace's. Raises InvalidArgument: no label of 2 to 63 characters as DNS has it, or a word of MLflow's own."""
    if not _WORKSPACE.fullmatch(name):
        raise invalid(field, name, "a workspace has 2 to 63 lower-case letters, digits and, between them, hyphens")
    if name in _RESERVED_WORKSPACES:
        raise invalid(field, name, "it is reserved")
    return name


def check_length(value: str, name: str, limit: int) -> str:
    if len(value) > limit:
        raise InvalidArgument(f"'{name}' exceeds the maximum length of {limit} characters", field=name)
    return value


def check_location(location: str) -> str:
    """Raises InvalidArgument: a URI with what no object store knows in it."""
    check_length(location, "artifact_location", MAX_LOCATION)
    try:
        parts = urlparse(location)
    except ValueError:
        raise invalid("artifact_location", location, "it is not a URI") from None
    if parts.fragment or parts.params:
        raise invalid("artifact_location", location, "it can have neither fragment nor params")
    if ".." in location.replace("\\", "/").split("/"):
        raise invalid("artifact_location", location, "it can lead to no parent folder")
    return location


def page_size(given: int | None, *, default: int | None = None, most: int = MAX_PAGE) -> int:
    """Raises InvalidArgument: left out where there is no default, or not from 1 to `most`."""
    size = default if given is None else given
    if size is None or size < 1:
        raise invalid("max_results", size or 0, "it must be a positive integer")
    if size > most:
        raise invalid("max_results", size, f"it must be at most {most}")
    return size
