"""Searches for parameters (Katib's experiments): what is searched for, how far it is, and which trial is the best.

All of it stands in the newest reports of the objects that belong to the experiment; nothing is stored twice.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.experiments import get_experiment
from registry.catalog.reports import ranking
from registry.catalog.reports.record import STATUS
from registry.db.session import Session
from registry.errors import NotFound
from registry.tables.runs import objects, runs

Json = Mapping[str, Any]
_STRATEGIES = {"maximize": "max", "minimize": "min"}


@dataclass(frozen=True)
class BestTrial:
    """`recomputed`: the search itself does not say; it is the best of the trials that are here."""

    name: str
    run_hex: str | None
    parameters: Json
    metrics: Json
    recomputed: bool


@dataclass(frozen=True)
class HyperparameterSearch:
    """`said`: the search as its own object says; `suggestion`: what its algorithm's object says."""

    said: Json
    suggestion: Json
    best_trial: BestTrial | None


def find_search(session: Session, actor: Actor, experiment: int) -> HyperparameterSearch:
    """Raises NotFound: no such experiment here, or no search for parameters."""
    own = get_experiment(session, actor, experiment).own_id
    found = find_searches(session, [experiment]).get(experiment)
    if found is None:
        raise NotFound("search of experiment", own)
    return found


def find_searches(session: Session, ids: Sequence[int]) -> dict[int, HyperparameterSearch]:
    """Of those experiments that are one; two statements. The caller has seen that they are the workspace's."""
    newest: dict[tuple[int, str], tuple[ranking.Rank, Json]] = {}
    uids: dict[int, str | None] = {}
    columns = (objects.c.experiment, objects.c.kind, objects.c.uid, objects.c.deleted, objects.c.report_rank, objects.c.report)
    for row in session.all(sa.select(*columns).where(objects.c.experiment.in_(ids))) if ids else []:
        told = ranking.loaded(row.report_rank), _closed(msgspec.json.decode(row.report)["experiment"], gone=bool(row.deleted))
        key = row.experiment, row.kind
        if key not in newest or told[0] > newest[key][0]:
            newest[key] = told
            if row.kind == "Experiment":
                uids[row.experiment] = row.uid
    trials = _trials(session, sorted({experiment for experiment, _ in newest}), uids)
    found = {}
    for experiment in {experiment for experiment, _ in newest}:
        parts = {kind: told for (of, kind), (_, told) in newest.items() if of == experiment}
        said = parts.pop("Experiment", {})
        suggestion: Json = next((part["suggestion"] for part in parts.values() if part.get("suggestion")), {})
        empty: tuple[Any, ...] = (None, {}, [])
        shown = {key: value for key, value in said.items() if key not in {"best_trial", "suggestion"} and value not in empty}
        found[experiment] = HyperparameterSearch(shown, suggestion, _best_trial(said, trials.get(experiment, [])))
    return found


def _closed(said: Json, *, gone: bool) -> Json:
    """One whose object is gone does not go on, whether or not anybody saw it go."""
    state = said.get("state")
    goes_on = gone and state in STATUS and not STATUS[state].is_final
    return {**said, "state": "CANCELED"} if goes_on else said


Trial = tuple[str, str, Json]
"""Name, the run's 32 hex, what the newest report says of the run."""


def _trials(session: Session, ids: Sequence[int], uids: Mapping[int, str | None]) -> dict[int, list[Trial]]:
    """By name. `uids`: of the newest object of each search; trials of one of its name that was there before are left out."""
    query = sa.select(runs.c.experiment, objects.c.name, objects.c.report, runs.c.hex).join(runs, runs.c.id == objects.c.run)
    found: dict[int, list[Trial]] = {}
    for row in session.all(query.where(runs.c.experiment.in_(ids), objects.c.kind == "Trial")) if ids else []:
        if row.report is None:
            continue
        run = msgspec.json.decode(row.report)["run"]
        owner = (run.get("owner") or {}).get("uid")
        if None in (owner, uids.get(row.experiment)) or owner == uids[row.experiment]:
            found.setdefault(row.experiment, []).append((row.name, row.hex, run))
    return {experiment: sorted(own, key=lambda trial: trial[:2]) for experiment, own in found.items()}


def _best_trial(said: Json, trials: Sequence[Trial]) -> BestTrial | None:
    told = said.get("best_trial") or {}
    if told.get("name"):
        hex = next((hex for name, hex, _ in trials if name == told["name"]), None)
        return BestTrial(told["name"], hex, told.get("parameters", {}), told.get("metrics", {}), recomputed=False)
    best = _best(trials, said.get("objective") or {})
    if best is None:
        return None
    name, hex, run = best
    return BestTrial(name, hex, run.get("parameters", {}), run.get("metrics", {}), recomputed=True)


def _best(trials: Iterable[Trial], objective: Json) -> Trial | None:
    """Of those with a number for the objective, under its strategy. Trials that were stopped early count.

    Of an objective that is text, the last one that ended.
    """
    metric, usual = objective.get("metric"), _STRATEGIES.get(str(objective.get("type")), "latest")
    wanted = (objective.get("strategies") or {}).get(metric, usual)
    sign = -1 if objective.get("type") == "minimize" else 1
    numbers, texts = [], []
    for trial in trials:
        run = trial[2]
        values = run.get("metrics", {}).get(metric) or {}
        if run.get("state") != "COMPLETE" or not isinstance(values, dict):
            continue
        text = values.get(wanted) or values.get("latest")
        number = _number(text)
        if number is not None:
            numbers.append((sign * number, trial))
        elif text not in (None, "unavailable"):
            texts.append((run.get("finished_at") or "", trial))
    return max(numbers or texts, key=lambda pair: pair[0], default=(None, None))[1]


def _number(text: Any) -> float | None:
    try:
        number = float(text)
    except (TypeError, ValueError):
        return None
    return None if math.isnan(number) else number
