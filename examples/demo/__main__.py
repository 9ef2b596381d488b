"""The tour: a server on the embedded default, Kubernetes objects replayed into it, two trainings, and the way back from a model.

Every value that is printed is read in two ways, by REST and by the command line or GraphQL; a difference fails the demo.
`DATA=folder` replays the objects of that folder instead of `examples/objects`; `KEEP=1` leaves the server running and prints
where it is.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lineage_walk
import models
import workflows
from checks import Checks
from readers import Readers
from service import ROOT, Service, serving

import lineal

PARTS = 9  # with DATA one less: no run of somebody else's objects is looked at in particular


def main() -> None:
    folder = Path(os.environ.get("DATA") or workflows.OBJECTS).expanduser().absolute()
    workflows.refuse_missing(folder)
    keep = os.environ.get("KEEP", "") not in ("", "0")
    own = not os.environ.get("DATA")
    checks = Checks(PARTS if own else PARTS - 1)
    data = Path(tempfile.mkdtemp(prefix="lineal-demo-"))
    checks.part("a server on the embedded default: SQLite and a local folder")
    with _kept_on_failure(data), serving(data, keep=keep) as service, lineal.Client(service.url) as client:
        started = f"first answer after {service.first_answer_s:.2f} s, {service.memory_mb:.0f} MB"
        checks.say(f"{service.url} ({started})")
        tour(Readers(service, client), checks, folder, own=own)
        checks.part("the store checks itself")
        examine(service, checks)
    if keep:
        checks.say(f"left running: {service.url} (GraphQL {service.url}/graphql, API {service.url}/api/v1/openapi.json)")
        checks.say(f"{started} then, {service.memory_mb:.0f} MB now; data in {data}")
        checks.say(f"stop it with: kill {service.pid}")
    else:
        shutil.rmtree(data)
    checks.end()


@contextmanager
def _kept_on_failure(data: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        shutil.rmtree(data)
        raise
    except BaseException:
        print(f"demo: what the server kept, and its log, is in {data}", file=sys.stderr)
        raise


def tour(readers: Readers, checks: Checks, folder: Path, *, own: bool) -> None:
    checks.part(f"the Kubernetes objects in {_short(folder)} are replayed")
    workflows.replay(readers, checks, folder)
    reports = workflows.read_back(readers, checks, folder)
    if own:
        checks.part("what became of the Kubeflow Pipelines run")
        workflows.examine(readers, checks, reports)
    checks.part("two trainings, in a notebook and in a step of that run" if own else "two trainings, in a notebook")
    path = readers.service.folder / "tumours.parquet"
    table = models.write_table(path)
    versions = models.train_two(readers, checks, path, own=own)
    checks.part("their two versions of one model, side by side")
    models.compare(readers, checks, versions)
    checks.part("the better one becomes the champion")
    models.crown(readers, checks, versions)
    checks.part("where the champion comes from")
    dataset = lineage_walk.walk(readers, checks, versions[1])
    checks.part("a search, and a look into the data")
    lineage_walk.search(readers, checks, versions[1])
    lineage_walk.look(readers, checks, dataset, table)


def _short(folder: Path) -> str:
    return str(folder.relative_to(ROOT)) if folder.is_relative_to(ROOT) else str(folder)


def examine(service: Service, checks: Checks) -> None:
    ended = service.module("registry.main", "check", "--data-dir", str(service.folder))
    last = (ended.stdout.splitlines() or [ended.stderr])[-1]
    checks.same("the store's own check", last, "0 problems")
    checks.say(last)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\ndemo: stopped")
