"""Calls about what runs read."""

from registry.api.mlflow.calls import Answer, Call
from registry.api.mlflow.fields import Fields, missing
from registry.api.mlflow.limits import check_length
from registry.catalog.run_inputs import DatasetInput, log_inputs
from registry.errors import InvalidArgument, NotSupported

MAX_DATASETS = 1_000
MAX_NAME = 500
MAX_DIGEST = 36
MAX_TAG_KEY = 255
MAX_TAG_VALUE = 500


async def log(call: Call) -> Answer:
    """Datasets; a batch is all or nothing."""
    hex = call.run()
    if call.fields.listed("models"):
        raise NotSupported("models as inputs of a run are not kept here yet")
    if len(call.fields.listed("datasets")) > MAX_DATASETS:
        raise InvalidArgument(f"at most {MAX_DATASETS} datasets at a time", field="datasets")
    inputs = [_input(item, f"datasets[{index}].") for index, item in enumerate(call.fields.items("datasets"))]
    await call.runner.awrite(lambda session: log_inputs(session, call.actor, hex, inputs, now=call.now), replayable=True)
    return {}


def _input(item: Fields, path: str) -> DatasetInput:
    dataset = item.object("dataset")
    if dataset is None:
        raise missing(f"{path}dataset")
    tags = {}
    for tag in item.items("tags"):
        key = check_length(tag.required("key"), "key", MAX_TAG_KEY)
        tags[key] = check_length(tag.text("value") or "", "value", MAX_TAG_VALUE)
    return DatasetInput(
        name=check_length(dataset.required("name"), f"{path}dataset.name", MAX_NAME),
        digest=check_length(dataset.required("digest"), f"{path}dataset.digest", MAX_DIGEST),
        source_type=dataset.text("source_type"),
        source=dataset.text("source"),
        schema=dataset.text("schema"),
        profile=dataset.text("profile"),
        tags=tags,
    )
