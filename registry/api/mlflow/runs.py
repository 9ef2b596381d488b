"""Calls about runs: their lives; what is logged to them is in `recording.py`."""

import secrets

from registry.api.mlflow import wire
from registry.api.mlflow.calls import Answer, Call
from registry.api.mlflow.fields import invalid, missing
from registry.api.mlflow.limits import MAX_KEY, MAX_TAG_VALUE, check_length
from registry.catalog import runs as catalog
from registry.catalog.fragments import RunRead, read_run
from registry.catalog.hot_runs import HOT_CREATE
from registry.catalog.run_inputs import RunUses, find_uses
from registry.catalog.run_search import STATUS_WORDS
from registry.catalog.run_tags import NAME, claims, create_claimed, new_run
from registry.catalog.run_tags import delete_tag as delete_run_tag
from registry.db.session import Session
from registry.names import FragmentKind, Lifecycle, Status

STATUSES = ("RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED")
"""In the order of MLflow's numbers, from 1."""

_STATUS = {word: status for status, word in STATUS_WORDS.items()}
_NO_VALUES = catalog.Fields([], [], [])
_ADJECTIVES = (
    "amber brisk calm clear crisp eager fair fleet fresh keen light lucid mellow mild neat quick quiet rapid sharp solid "
)
_ADJECTIVES += "steady still sunny swift tidy vivid warm wise"
_NOUNS = "alder aspen badger birch brook cedar crane delta ember falcon fern finch heron lark larch linden maple marten meadow "
_NOUNS += "otter pine plover raven reef ridge river robin spruce stone swan tern willow"


def new_name() -> str:
    """For a run that is given none: `brisk-heron-417`."""
    words = (_ADJECTIVES.split(), _NOUNS.split())
    return "-".join([*(secrets.choice(list_) for list_ in words), str(secrets.randbelow(900) + 100)])


async def create(call: Call) -> Answer:
    text = call.fields.text("experiment_id")
    if not text:
        raise missing("experiment_id")
    experiment = call.experiment_id(text)
    started_at = call.fields.integer("start_time")
    if started_at is not None and started_at < 0:
        raise invalid("start_time", started_at, "it must not be negative")
    tags = {
        check_length(item.required("key"), "key", MAX_KEY): (item.text("value") or "")[:MAX_TAG_VALUE]
        for item in call.fields.items("tags")
    }  # any character: only what is set later must have a clean key, as in MLflow
    name, tagged = call.fields.text("run_name"), tags.get(NAME)
    if name and tagged and name != tagged:
        raise invalid("run_name", name, f"tag {NAME} says {tagged!r}")
    new = new_run(
        call.actor,
        now=call.now,
        experiment=experiment,
        name=name or new_name(),
        user=call.fields.text("user_id") or None,
        started_at=started_at,
        tags=tags,
    )
    if claims(new):
        made = await call.runner.awrite(lambda session: create_claimed(session, new))
    else:
        made = await call.runner.agroup(HOT_CREATE, new)
    return b'{"run":' + wire.run(call, made, wire.run_values(made), is_new=True) + b"}"


async def get(call: Call) -> Answer:
    hex, kind = call.run(), FragmentKind.RUN_VALUES_MLFLOW

    def read(session: Session) -> tuple[RunRead, RunUses | None]:
        found = read_run(session, call.actor, hex, kind, now=call.now)
        return found, find_uses(session, [found.run]).get(found.run.id)

    shown, built = wire.read_run(call, *await call.runner.aread(read))
    if built is not None:
        call.services.keeper.keep(kind, [built])
    return b'{"run":' + shown + b"}"


async def update(call: Call) -> Answer:
    """Rename, end or reopen. A status that is no word of MLflow's is nothing."""
    hex = call.run()
    word = call.fields.word("status", STATUSES)
    status: Status | None = None if word is None else _STATUS[word]
    ended_at, name = call.fields.integer("end_time"), call.fields.text("run_name") or None
    if ended_at is not None and ended_at < 0:
        raise invalid("end_time", ended_at, "it must not be negative")
    changed = await call.runner.awrite(
        lambda session: catalog.update_run(
            session, call.actor, hex, now=call.now, name=name, status=status, ended_at=ended_at, weak=True, fields=_NO_VALUES
        ),
        replayable=True,
    )
    return {"run_info": wire.run_info(call, changed)}


async def delete(call: Call) -> Answer:
    return await _move(call, Lifecycle.DELETED)


async def restore(call: Call) -> Answer:
    return await _move(call, Lifecycle.ACTIVE)


async def _move(call: Call, lifecycle: Lifecycle) -> Answer:
    hex = call.run()
    await call.runner.awrite(
        lambda session: catalog.set_run_lifecycle(session, call.actor, hex, lifecycle, now=call.now), replayable=True
    )
    return {}


async def delete_tag(call: Call) -> Answer:
    hex, key = call.run(), call.fields.required("key")
    await call.runner.awrite(lambda session: delete_run_tag(session, call.actor, hex, key, now=call.now))
    return {}
