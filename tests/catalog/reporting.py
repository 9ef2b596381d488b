"""Small reports for tests, and sending them."""

import uuid
from typing import Any

import msgspec

from registry.catalog.actors import Actor
from registry.catalog.dumping import canonical
from registry.catalog.reports.applying import Applied, apply_report
from registry.catalog.reports.record import parse
from registry.db.runner import Runner


def new_uid() -> str:
    return str(uuid.uuid4())


def task(key: str, state: str = "COMPLETE", **fields: Any) -> dict[str, Any]:
    return {"key": key, "name": key.rpartition("/")[2], "state": state, **fields}


def report(uid: str, version: int, *tasks: dict[str, Any], state: str = "RUNNING", **run: Any) -> dict[str, Any]:
    return {
        "object": {"kind": "Workflow", "name": f"wf-{uid[:4]}", "uid": uid, "resource_version": str(version)},
        "run": {"id": uid, "name": "train", "state": state, "pipeline": "churn", **run},
        "tasks": list(tasks),
    }


def owned(kind: str, name: str, uid: str, owner: tuple[str, str], *tasks: dict[str, Any], **run: Any) -> dict[str, Any]:
    """`owner`: kind and uid."""
    return {
        "object": {"kind": kind, "name": name, "uid": uid, "resource_version": "1"},
        "run": {"id": uid, "state": "COMPLETE", "owner": {"kind": owner[0], "uid": owner[1]}, **run},
        "tasks": list(tasks),
    }


def apply(runner: Runner, actor: Actor, body: dict[str, Any]) -> Applied:
    parsed = parse(msgspec.json.encode(body))
    return runner.write(lambda session: apply_report(session, actor, parsed, now=5000))


def seen(runner: Runner) -> list[dict[str, Any]]:
    return runner.read(lambda session: list(canonical(session)))
