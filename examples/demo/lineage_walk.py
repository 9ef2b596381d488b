"""From the champion back to the data and the workflow that it comes from; and what a search and a look at the bytes find."""

import tempfile
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from checks import Checks
from models import MODEL
from readers import Json, Readers, values


def walk(readers: Readers, checks: Checks, champion: Json) -> Json:
    """The dataset that the champion was trained on."""
    graph = readers.client.lineage(champion["id"], direction="upstream", depth=10, max_nodes=5000)
    told = readers.line("lineage", champion["id"], "--upstream", "--depth", "10")
    checks.same("the champion's lineage", graph, told)
    checks.same("what was left out of it", graph["truncated"], False)
    nodes = {node["id"]: node for node in graph["nodes"]}
    [dataset] = [node for node in nodes.values() if node["kind"] == "dataset" and node["name"] == MODEL]
    edges = {(edge["target"], edge["source"]) for edge in told["edges"]}
    for goal in (dataset["id"], champion["run_id"]):  # the run is the workflow's
        found = readers.rest("lineage/paths", start=champion["id"], goal=goal, direction="upstream", max_paths=1)
        path = found["paths"][0]["nodes"]
        names = {node["id"]: f"{node['kind']} {node['name']!r}" for node in found["nodes"]}
        checks.same(f"the ends of the path to {goal}", [path[0], path[-1]], [champion["id"], goal])
        graphs = readers.graphql("lineage-paths", start=champion["id"], goal=goal, maxPaths=1)["lineagePaths"]["paths"]
        checks.same(f"the path to {goal}", path, graphs[0]["nodes"])
        checks.true(f"the path to {goal} is in the picture", set(pairwise(path)) <= edges)
        checks.say("champion = " + " <- ".join(names[id].replace("_", " ") for id in path))
    return readers.client.get_artifact(dataset["id"])


def search(readers: Readers, checks: Checks, champion: Json) -> None:
    query = "metrics.accuracy > 0.96 AND params.rate IN ('0.01', '0.1') AND NOT metrics.loss >= 0.1"
    found = list(readers.client.runs(filter=query))
    checks.same("what the search finds", found, readers.lines("search", query))
    graphs = readers.graphql("search-runs", filter=query, metrics=["accuracy"])["searchRuns"]["edges"]
    accuracies = [(run["id"], values(run["metrics"])["accuracy"]) for run in found]
    checks.same("its accuracy", accuracies, [(edge["node"]["id"], edge["node"]["metrics"][0]["value"]) for edge in graphs])
    checks.same("what the search should find", [run["id"] for run in found], [champion["run_id"]])
    checks.say(f"{query}: {found[0]['name']!r}")


def look(readers: Readers, checks: Checks, dataset: Json, table: pa.Table) -> None:
    """The preview that the server makes of the Parquet file, against the file that `lineal pull` brings."""
    preview = readers.rest(f"artifacts/{dataset['id']}/preview", offset=250, limit=3)
    with tempfile.TemporaryDirectory() as folder:
        readers.lines("pull", dataset["id"], folder)
        [file] = [path for path in Path(folder).rglob("*") if path.is_file()]
        pulled = pq.read_table(file)
    checks.true("the pulled table is the one that was written", pulled.equals(table))
    checks.same("the number of rows", preview["total_rows"], pulled.num_rows)
    columns = [column["name"] for column in preview["columns"]]
    checks.same("the columns", columns, pulled.column_names[: len(columns)])
    checks.same("rows 250 to 252", preview["rows"], [list(row.values()) for row in pulled.slice(250, 3).to_pylist()])
    shown = [0, 1, len(columns) - 1]
    checks.table([columns[at] for at in shown], [[str(row[at]) for at in shown] for row in preview["rows"]])
