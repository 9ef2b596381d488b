"""Asks MLflow's own server and ours the same, started in this run, and compares the answers: `make differential-mlflow`.

Every difference has to be a deliberate one (`differences.py`), and every deliberate one has to be seen. Then N programs of random
calls (2), which SEED (1) decides. Needs MLFLOW_PYTHON.
"""

import os
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from registry.settings import Settings
from tests.mlflow.differential import files, registry, searching, tracking
from tests.mlflow.differential.asking import Asker, differences
from tests.mlflow.differential.differences import DIFFERENCES
from tests.mlflow.differential.programs import playing
from tests.mlflow.peers import mlflow_server, run_client, seen
from tests.servers import serving

AREAS: Sequence[Callable[[Asker], None]] = (
    tracking.experiments,
    tracking.bodies,
    tracking.runs,
    tracking.logging,
    searching.runs,
    searching.experiments,
    files.files,
    registry.models,
    registry.logged_models,
    tracking.kept_by_one_side_only,
    registry.kept_by_one_side_only,
)
SCRIPTS = ("tour.py", "registry_tour.py", "files.py")
"""What MLflow's own client sees of each side; each says it under names."""

LEAST = 300


def main() -> int:
    python = os.environ.get("MLFLOW_PYTHON", "")
    if not python:
        print("differential mlflow: needs MLFLOW_PYTHON: mlflow 3.17.2 in an environment of its own", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        peer, own = Path(folder) / "mlflow", Path(folder) / "ours"
        peer.mkdir()
        with (
            mlflow_server(python, peer) as url,
            serving(Settings(data_dir=str(own))) as served,
            Asker(url) as theirs,
            Asker(served.url) as ours,
        ):
            for area in AREAS:
                area(theirs)
                area(ours)
            for script in SCRIPTS:
                for asker, home in ((theirs, peer), (ours, own)):
                    done = run_client(Path(python), script, str(asker.http.base_url).rstrip("/"), home)
                    for name, value in seen(done).items():
                        asker.fact(f"{script}, {name}", value)
            return max(judged(theirs, ours), played(url, served.url))


def played(theirs: str, ours: str) -> int:
    """Random programs, by askers of their own: what they make is not among the probes."""
    seed, count = int(os.environ.get("SEED") or 1), int(os.environ.get("N") or 2)
    with Asker(theirs) as one, Asker(ours) as other:
        found = list(playing.play(one, other, seed=seed, count=count))
        print(*(f"differs: {text}" for text in found), sep="\n", end="\n" if found else "")
        print(f"differential mlflow: {count} programs of seed {seed}, {len(one.answers)} calls, {len(found)} unexplained")
    return int(bool(found))


def judged(theirs: Asker, ours: Asker) -> int:
    unexplained = 0
    shown: dict[str, int] = {one.row: 0 for one in DIFFERENCES}
    deliberate = 0
    for name in theirs.answers:
        lines = differences(theirs.said(name), ours.said(name))
        for one in DIFFERENCES:
            if lines and re.fullmatch(one.probes, name):
                known = [line for line in lines if any(re.fullmatch(pattern, line, re.DOTALL) for pattern in one.lines)]
                shown[one.row] += bool(known)
                lines = [line for line in lines if line not in known]
                deliberate += bool(known)
        if lines:
            unexplained += 1
            print(f"differs: {name}", *(line[:600] for line in lines[:6]), sep="\n  ")
    unseen = [row for row, count in shown.items() if not count]
    print(*(f"not seen: {row}" for row in unseen), sep="\n")
    same = set(theirs.answers) == set(ours.answers)
    print(
        f"differential mlflow: {len(theirs.answers)} calls, {deliberate} deliberate differences in {len(shown)} rows, "
        f"{unexplained} unexplained, {len(unseen)} not seen"
    )
    return 0 if same and not unexplained and not unseen and len(theirs.answers) >= LEAST else 1


if __name__ == "__main__":
    raise SystemExit(main())
