"""Calls about logged models: a model's files as a run made them. Registering one is in `versions.py`."""

from collections.abc import Callable

from registry.api.mlflow import wire
from registry.api.mlflow.calls import Answer, Call
from registry.api.mlflow.fields import Fields, invalid, missing
from registry.api.mlflow.limits import MAX_EXPERIMENTS, MAX_PAGE, check_length, page_size
from registry.api.mlflow.runs import new_name
from registry.catalog import logged_models as catalog
from registry.catalog.logged_model_search import DatasetName, Order, Wanted, search_logged_models
from registry.db.session import Session
from registry.errors import NotFound
from registry.filtering.keyset import place_of, token_of
from registry.names import MAX_KEY

MAX_NAME = 500
STATUSES = ("LOGGED_MODEL_PENDING", "LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED")
"""In the order of MLflow's numbers, from 1."""

_READINESS = {word: state for state, word in wire.MODEL_STATUS.items()}
_REFUSED = "/:.%\"'"


async def create(call: Call) -> Answer:
    """Without a name, or with an empty one, it gets one."""
    fields = call.fields
    experiment = call.experiment_id(fields.required("experiment_id"))
    name = fields.text("name")
    if name:
        check_length(name, "name", MAX_NAME)
        if any(character in name for character in _REFUSED):
            raise invalid("name", name, f"the name of a model has none of {' '.join(_REFUSED)}")
    params, tags = _pairs(fields, "params"), _pairs(fields, "tags")
    made = await call.runner.awrite(
        lambda session: catalog.create_logged_model(
            session,
            call.actor,
            call.places,
            name or new_name(),
            now=call.now,
            experiment=experiment,
            model_type=fields.text("model_type") or None,
            run_id=fields.text("source_run_id") or None,
            params=params,
            tags=tags,
        )
    )
    return {"model": wire.logged_model(call, made)}


async def get(call: Call) -> Answer:
    model_id, deleted = call.fields.required("model_id"), bool(call.fields.flag("allow_deleted"))
    found = await call.runner.aread(lambda session: catalog.get_logged_model(session, call.actor, model_id, deleted=deleted))
    return {"model": wire.logged_model(call, found)}


async def finalize(call: Call) -> Answer:
    """Its files are there, or will never be."""
    model_id, word = call.fields.required("model_id"), call.fields.word("status", STATUSES)
    if word is None:
        raise missing("status")
    changed = await call.runner.awrite(
        lambda session: catalog.set_readiness(session, call.actor, model_id, _READINESS[word], now=call.now), replayable=True
    )
    return {"model": wire.logged_model(call, changed)}


async def delete(call: Call) -> Answer:
    return await _write(call, lambda session, model: catalog.delete_logged_model(session, call.actor, model, now=call.now))


async def log_params(call: Call) -> Answer:
    values = _pairs(call.fields, "params")
    return await _write(call, lambda session, model: catalog.log_logged_model_params(session, call.actor, model, values))


async def set_tags(call: Call) -> Answer:
    values = _pairs(call.fields, "tags")
    return await _write(call, lambda session, model: catalog.set_logged_model_tags(session, call.actor, model, values))


async def delete_tag(call: Call) -> Answer:
    key = call.fields.required("tag_key")

    def write(session: Session, id: str) -> None:
        try:
            catalog.delete_logged_model_tag(session, call.actor, id, key)
        except NotFound as error:
            if error.data["kind"] == "tag":
                raise NotFound("tag of a logged model", f"{key}/{id}") from None
            raise

    return await _write(call, write)


async def _write(call: Call, write: Callable[[Session, str], None]) -> Answer:
    model_id = call.fields.required("model_id")
    await call.runner.awrite(lambda session: write(session, model_id), replayable=True)
    return {}


async def search(call: Call) -> Answer:
    """50 at a time, unless the call says otherwise."""
    fields = call.fields
    texts = fields.texts("experiment_ids")
    if not texts:
        raise missing("experiment_ids")
    ids = sorted({call.experiment_id(text) for text in texts})
    if len(ids) > MAX_EXPERIMENTS:
        raise invalid("experiment_ids", len(ids), f"at most {MAX_EXPERIMENTS} experiments at a time")
    limit = page_size(fields.integer("max_results") or None, default=50, most=MAX_PAGE)
    filter, token = fields.text("filter") or "", fields.text("page_token")
    datasets = [DatasetName(one.required("dataset_name"), one.text("dataset_digest")) for one in fields.items("datasets")]
    order_by = [_order(one) for one in fields.items("order_by")]
    asked = [[one.name, one.digest] for one in datasets]
    query = ("mlflow logged models", call.actor.workspace, ids, filter, asked, [repr(one) for one in order_by])
    wanted = Wanted(filter, datasets, order_by, place_of(token, *query) if token else None, limit)
    page = await call.runner.aread(lambda session: search_logged_models(session, call.actor, ids, wanted))
    shown = [wire.logged_model(call, one) for one in page.records]
    return wire.given(models=shown, next_page_token=None if page.end is None else token_of(page.end, *query))


def _order(fields: Fields) -> Order:
    ascending, name = fields.flag("ascending"), fields.text("dataset_name")
    dataset = DatasetName(name, fields.text("dataset_digest")) if name else None
    return Order(fields.required("field_name"), ascending is not False, dataset)


def _pairs(fields: Fields, name: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in fields.items(name):
        found[check_length(item.required("key"), f"{name}.key", MAX_KEY)] = item.text("value") or ""
    return found
