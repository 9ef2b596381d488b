"""Two trainings, two versions of one model: compared, and the better one becomes the champion."""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from checks import Checks
from readers import Json, Readers, values
from workflows import NODE, STEP, TRAINING

import lineal

MODEL = "tumours"
EPOCHS = 20


def write_table(path: Path) -> pa.Table:
    """Measures of 569 tumours, and which were benign; the data comes with scikit-learn."""
    from sklearn.datasets import load_breast_cancer  # seconds: not before the first words are said

    data = load_breast_cancer()
    columns = {str(name): data.data[:, place] for place, name in enumerate(data.feature_names)}
    table = pa.table({**columns, "benign": data.target == 1})
    pq.write_table(table, path, row_group_size=200)
    return table


def train(readers: Readers, checks: Checks, table: Path, rate: float, **environment: str) -> Json:
    """`training.py` in a process of its own, as a pod or a notebook would run it; the version that it registered."""
    script = Path(__file__).with_name("training.py")
    ended = readers.service.python(str(script), str(table), "--rate", str(rate), "--model", MODEL, **environment)
    if ended.returncode:
        sys.exit(f"demo: the training failed:\n{ended.stderr}")
    version = readers.client.get_by_alias(readers.client.get_model(MODEL)["id"], "latest")
    run = readers.rest(f"runs/{version['run_id']}")
    checks.same(f"the run of {version['id']}", run, readers.line("run", run["id"]))
    checks.same(f"the end of {run['id']}", run["status"], "succeeded")
    checks.same(f"the rate of {run['id']}", run["params"]["rate"], str(rate))
    for key in ("accuracy", "loss"):
        history = list(readers.client.metric_history(run["id"], key))
        checks.same(f"the points of {key}", history, readers.lines("history", run["id"], key))
        checks.same(f"the steps of {key}", [point["step"] for point in history], list(range(EPOCHS)))
        checks.same(f"the last point of {key}", history[-1]["value"], values(run["metrics"])[key])
    found = values(run["metrics"])
    checks.say(f"{MODEL} {version['number']}: accuracy {found['accuracy']:.4f}, loss {found['loss']:.4f}")
    checks.say(f"  by the run {run['name']!r} in the experiment {run['experiment_name']!r}")
    return version


def train_two(readers: Readers, checks: Checks, table: Path, *, own: bool) -> list[Json]:
    """The first in a notebook, the second in a step of the replayed workflow (with objects of one's own: in a notebook too)."""
    notebook = {"LINEAL_EXPERIMENT": "tumours"}
    first = train(readers, checks, table, 0.0001, **notebook)
    second = train(readers, checks, table, 0.01, **({"ARGO_NODE_ID": NODE} if own else notebook))
    checks.same("the numbers of the versions", [first["number"], second["number"]], [1, 2])
    if own:
        joined(readers, checks, second)
    listed = readers.rest("model-versions", model_id=first["model_id"])["versions"]
    checks.same("the list of versions", listed, readers.lines("versions", MODEL))
    return [first, second]


def joined(readers: Readers, checks: Checks, version: Json) -> None:
    """The training found out which step of which run it was: what it read and wrote hangs on that step."""
    checks.same("the run of the second training", version["run_id"], TRAINING)
    [step] = [one for one in readers.client.steps(TRAINING) if one["path"] == STEP]
    uses = [use for use in readers.client.uses(TRAINING) if use["step"] == step["id"] and use["artifact"]["digest"]]
    used = {(use["direction"], use["artifact"]["kind"]): use["artifact"] for use in uses}
    checks.same("what the step used", sorted(used), [("input", "dataset"), ("output", "model")])
    model = used["output", "model"]
    checks.same("the step's model", model["id"], version["artifact_id"])
    checks.same("the digest of its bytes", model["digest"], version["digest"])
    checks.say(f"  in the step {step['path']}, which ARGO_NODE_ID named: {step['node_id']}")


def compare(readers: Readers, checks: Checks, versions: list[Json]) -> None:
    """By GraphQL, by REST and by the command line."""
    for key, direction in (("accuracy", "maximize"), ("loss", "minimize")):
        readers.client.transport.request("PUT", f"/api/v1/metrics/{key}", json={"direction": direction})
    ids = [version["id"] for version in versions]
    graph = readers.graphql("compare-model-versions", ids=ids, onlyDifferent=True)["compareModelVersions"]
    rest = readers.client.compare_versions(ids, only_different=True)
    told = readers.line("compare", *ids, "--only-different")
    checks.same("the comparison", rest, told)
    rows = []
    for metric in graph["metrics"]:
        [row] = [one for one in rest["metrics"] if one["key"] == metric["key"]]
        for field in ("value", "delta", "verdict", "best"):
            cells = [cell[field] for cell in metric["cells"]]
            checks.same(f"{field} of {metric['key']}", cells, [cell[field] for cell in row["cells"]])
        if metric["key"] in ("accuracy", "loss"):
            one, other = metric["cells"]
            checks.same(f"the verdict on {metric['key']}", other["verdict"], "better")
            rows.append(
                (metric["key"], f"{one['value']:.4f}", f"{other['value']:.4f}", f"{other['delta']:+.4f}", other["verdict"])
            )
    for param in graph["params"]:
        [row] = [one for one in rest["params"] if one["key"] == param["key"]]
        checks.same(f"values of {param['key']}", param["values"], row["values"])
        if param["key"] == "rate":
            rows.append((param["key"], *param["values"], "", ""))
    checks.table(("", f"{MODEL} 1", f"{MODEL} 2", "difference", ""), rows)


def crown(readers: Readers, checks: Checks, versions: list[Json]) -> None:
    """`champion` goes to the first version, then, if the first still has it, to the better one."""
    first, second = versions
    model = first["model_id"]
    path = f"/api/v1/models/{model}/aliases/champion"

    def move(version: Json, expected: Json | None, reason: str) -> list[Json]:
        body = {"version_id": version["id"], "expected": expected and expected["id"], "reason": reason}
        moves: list[Json] = readers.client.transport.request("PUT", path, json=body)["moves"]
        return moves

    move(first, None, "the only one")
    move(second, first, "more accurate, less loss")
    try:
        move(first, first, "somebody who has not seen the move")
    except lineal.ApiError as refused:
        checks.same("the answer to a late move", refused.status, 412)
    else:
        sys.exit("demo: an alias moved away from a version that had lost it")
    rest = readers.client.get_by_alias(model, "champion")
    checks.same("the champion", rest["id"], second["id"])
    told = readers.line("alias", MODEL, "champion")
    graph = readers.graphql("model-version", model=MODEL, alias="champion")["modelVersion"]
    checks.same("the champion's record", rest, told)
    checks.same("the champion's id", rest["id"], graph["id"])
    checks.same("the champion's run", rest["run_id"], graph["run"])
    moves = readers.rest(f"models/{model}/moves", kind="alias", target="champion")["moves"]
    checks.same("the moves", [move["to_version"] for move in moves], [second["id"], first["id"]])
    audited = [event for event in readers.rest("audit", object=model)["events"] if event["action"] == "alias.moved"]
    checks.same("the moves in the audit log", [event["after"]["version"] for event in audited], [second["id"], first["id"]])
    names = {None: "nobody", first["id"]: f"{MODEL} 1", second["id"]: f"{MODEL} 2"}
    for moved in reversed(moves):
        checks.say(f"champion: from {names[moved['from_version']]} to {names[moved['to_version']]} ({moved['reason']})")
    checks.say(f"a third move, which expected {MODEL} 1 to have it still, was refused (412)")
