"""What MLflow's prompt engineering page saves: a run with a prompt, a model's answer to it, and both as a table.

The model itself is a route of MLflow's gateway, which is not served here, so no folder with a model is written.
"""

import orjson

from registry.api.mlflow import wire
from registry.api.mlflow.calls import Answer, Call
from registry.api.mlflow.fields import Fields, missing
from registry.api.mlflow.limits import MAX_PARAM_VALUE, MAX_TAG_VALUE, check_key
from registry.api.mlflow.runs import new_name
from registry.api.storing import put_bytes
from registry.catalog.file_keys import key_of
from registry.catalog.metrics import Batch, log_many
from registry.catalog.run_tags import create_claimed, new_run
from registry.catalog.runs import Run, update_run
from registry.db.session import Session
from registry.names import Status
from storage.keys import join_key

TABLE = "eval_results_table.json"
_TAGS = {
    "mlflow.loggedArtifacts": f'[{{"path": "{TABLE}", "type": "table"}}]',
    "mlflow.runSourceType": "PROMPT_ENGINEERING",
}


async def create(call: Call) -> Answer:
    """A finished run. The table is written where its files lie in our own store."""
    fields = call.fields
    experiment = call.experiment_id(_needed(fields, "experiment_id"))
    template = _needed(fields, "prompt_template")
    prompt = _pairs(fields, "prompt_parameters")
    if not prompt:
        raise missing("prompt_parameters", "CreatePromptlabRun request must specify prompt_parameters.")
    route, given = _needed(fields, "model_route"), _needed(fields, "model_input")
    _needed(fields, "mlflow_version")
    answered = _pairs(fields, "model_output_parameters")
    params = {**_pairs(fields, "model_parameters"), "model_route": route, "prompt_template": template}
    tags = {check_key(item.required("key"), "key"): (item.text("value") or "")[:MAX_TAG_VALUE] for item in fields.items("tags")}
    new = new_run(
        call.actor,
        now=call.now,
        experiment=experiment,
        name=fields.text("run_name") or new_name(),
        user=fields.text("user_id"),
        started_at=fields.integer("start_time"),
        tags=tags | _TAGS,
    )

    def write(session: Session) -> Run:
        hex = create_claimed(session, new).hex
        cut = {check_key(key, "key"): value[:MAX_PARAM_VALUE] for key, value in params.items()}
        [refused] = log_many(session, [Batch(call.actor.workspace, hex, (), cut)])
        if refused is not None:
            raise refused
        return update_run(session, call.actor, hex, now=call.now, status=Status.SUCCEEDED, ended_at=call.now)

    made = await call.runner.awrite(write)
    root = key_of(call.services.store, call.actor, made.artifact_root)
    if root is not None:
        columns = [*prompt, "prompt", "output", *answered]
        row = [*prompt.values(), given, fields.text("model_output") or "", *answered.values()]
        table = orjson.dumps({"columns": columns, "data": [row]})
        await put_bytes(call.services, call.actor, join_key(root, TABLE), table)
    return b'{"run":' + wire.run(call, made, wire.run_values(made)) + b"}"


def _needed(fields: Fields, name: str) -> str:
    text = fields.text(name)
    if not text:
        raise missing(name, f"CreatePromptlabRun request must specify {name}.")
    return text


def _pairs(fields: Fields, name: str) -> dict[str, str]:
    return {item.required("key"): item.text("value") or "" for item in fields.items(name)}
