"""Calls about what runs read and made."""

from registry.api.mlflow import wire
from registry.api.mlflow.calls import Answer, Call
from registry.api.mlflow.fields import Fields, missing
from registry.api.mlflow.limits import MAX_DATASET_DIGEST, MAX_DATASET_NAME, check_length
from registry.catalog.run_inputs import DatasetInput, ModelOutput, log_inputs, log_outputs, summarise_datasets
from registry.errors import InvalidArgument

MAX_DATASETS = 1_000
MAX_EXPERIMENTS = 20
MAX_TAG_KEY = 255
MAX_TAG_VALUE = 500


async def log(call: Call) -> Answer:
    """Datasets and logged models; a batch is all or nothing."""
    hex = call.run()
    models = [item.required("model_id") for item in call.fields.items("models")]
    if len(call.fields.listed("datasets")) > MAX_DATASETS:
        raise InvalidArgument(f"at most {MAX_DATASETS} datasets at a time", field="datasets")
    inputs = [_input(item, f"datasets[{index}].") for index, item in enumerate(call.fields.items("datasets"))]
    await call.runner.awrite(lambda session: log_inputs(session, call.actor, hex, inputs, models, now=call.now), replayable=True)
    return {}


async def outputs(call: Call) -> Answer:
    """Logged models."""
    hex = call.run()
    if not call.fields.listed("models"):
        raise missing("models")
    made = [ModelOutput(item.required("model_id"), item.integer("step") or 0) for item in call.fields.items("models")]
    await call.runner.awrite(lambda session: log_outputs(session, call.actor, hex, made, now=call.now), replayable=True)
    return {}


async def search_datasets(call: Call) -> Answer:
    """Names, contents and purposes of what runs of some experiments read."""
    texts = call.fields.texts("experiment_ids")
    if not texts:
        raise InvalidArgument("SearchDatasets request must specify at least one experiment_id.", field="experiment_ids")
    if len(texts) > MAX_EXPERIMENTS:
        raise InvalidArgument(
            f"SearchDatasets request cannot specify more than {MAX_EXPERIMENTS} experiment_ids.", field="experiment_ids"
        )
    ids = sorted({call.experiment_id(text) for text in texts})
    found = await call.runner.aread(lambda session: summarise_datasets(session, call.actor, ids))
    shown = [
        {
            "experiment_id": call.shown_experiment(one.experiment),
            "name": one.name,
            "digest": one.digest,
            **({"context": one.context} if one.context else {}),
        }
        for one in found
    ]
    return wire.given(dataset_summaries=shown)


def _input(item: Fields, path: str) -> DatasetInput:
    dataset = item.object("dataset")
    if dataset is None:
        raise missing(f"{path}dataset")
    tags = {}
    for tag in item.items("tags"):
        key = check_length(tag.required("key"), "key", MAX_TAG_KEY)
        tags[key] = check_length(tag.text("value") or "", "value", MAX_TAG_VALUE)
    return DatasetInput(
        name=check_length(dataset.required("name"), f"{path}dataset.name", MAX_DATASET_NAME),
        digest=check_length(dataset.required("digest"), f"{path}dataset.digest", MAX_DATASET_DIGEST),
        source_type=dataset.text("source_type"),
        source=dataset.text("source"),
        schema=dataset.text("schema"),
        profile=dataset.text("profile"),
        tags=tags,
    )
