"""Searches for parameters: an experiment with its trials as runs, whoever is reported first."""

import itertools
import math
from pathlib import Path
from typing import Any

import pytest

from registry.catalog.actors import Actor
from registry.catalog.checking import check_all
from registry.catalog.experiments import create_experiment, find_experiment
from registry.catalog.metrics import Batch, Point, history, latest_values, log_many
from registry.catalog.objects import list_objects, read_details
from registry.catalog.pages import Search
from registry.catalog.runs import Run, list_runs
from registry.catalog.searching import HyperparameterSearch, find_search
from registry.db.runner import Runner
from registry.errors import NotFound
from registry.names import Role, Status
from tests.catalog.reporting import apply, new_uid, seen
from tests.databases import sqlite_url, started

Json = dict[str, Any]


def reported(kind: str, name: str, **parts: Any) -> Json:
    return {"object": {"kind": kind, "name": name, "uid": new_uid(), "resource_version": "7"}, **parts}


def experiment(name: str, **said: Any) -> Json:
    objective = {"metric": "loss", "type": "minimize", "goal": 0.001} | said.pop("objective", {})
    return reported("Experiment", name, experiment={"name": name, "state": "RUNNING", "objective": objective, **said})


def suggestion(name: str) -> Json:
    return reported("Suggestion", name, experiment={"name": name, "suggestion": {"count": 3, "algorithm_settings": {"a": "1"}}})


def trial(name: str, search: str, loss: str, *, state: str = "COMPLETE", version: int = 7, **run: Any) -> Json:
    body = reported("Trial", name)
    fields = {
        "id": body["object"]["uid"],
        "name": name,
        "state": state,
        "phase": "Succeeded",
        "started_at": "2026-06-10T09:00:00Z",
        "finished_at": "2026-06-10T09:10:00Z",
        "parameters": {"lr": "1e-05"},
        "metrics": {"loss": {"latest": loss, "min": loss, "max": "inf"}},
        "owner": {"kind": "Experiment", "name": search, "uid": None},
    }
    body["object"]["resource_version"] = str(version)
    return body | {"run": fields | run}


def found(runner: Runner, actor: Actor, name: str) -> HyperparameterSearch:
    def read(session: Any) -> HyperparameterSearch:
        experiment = find_experiment(session, actor, f"katib/{name}")
        assert experiment is not None
        return find_search(session, actor, experiment.id)

    return runner.read(read)


def runs_of(runner: Runner, actor: Actor, name: str) -> list[Run]:
    records = runner.read(lambda session: list_runs(session, actor, Search(f"experiment = 'katib/{name}'"))).records
    return sorted(records, key=lambda run: run.name)


def test_a_search_is_one_picture_in_every_order_of_its_objects(tmp_path: Path) -> None:
    bodies = [experiment("s"), suggestion("s"), trial("s-1", "s", "0.2"), trial("s-2", "s", "0.1")]
    pictures = []
    for number, order in enumerate(itertools.permutations(bodies)):
        (tmp_path / str(number)).mkdir()
        with started(sqlite_url(tmp_path / str(number))) as runner:
            actor = Actor("agent", 1, "default", Role.ADMIN)
            for body in [*order, order[0]]:
                apply(runner, actor, body)
            best = found(runner, actor, "s").best_trial
            pictures.append((seen(runner), best and best.name))
            assert [str(problem) for problem in runner.read(lambda session: list(check_all(session)))] == []

    assert pictures[0][1] == "s-2"
    assert all(picture == pictures[0] for picture in pictures)


def test_a_trial_is_a_run_of_its_search_with_texts_as_params_and_numbers_as_metrics(runner: Runner, actor: Actor) -> None:
    name = new_uid()
    apply(runner, actor, trial("t", name, "1e-05"))

    [run] = runs_of(runner, actor, name)

    assert (run.name, run.status, dict(run.params)) == ("t", Status.SUCCEEDED, {"lr": "1e-05"})
    values = {key: point.value for key, point in runner.read(lambda session: latest_values(session, [run.id]))[run.id].items()}
    assert values == {"loss": 1e-05, "loss/min": 1e-05, "loss/max": math.inf}


def test_the_texts_of_a_trial_stay_with_its_object(runner: Runner, actor: Actor) -> None:
    name = new_uid()
    apply(runner, actor, trial(name, name, "0.100"))

    [one] = runner.read(lambda session: list_objects(session, actor, kind="Trial", name=name)).records

    details = runner.read(lambda session: read_details(session, [one.id]))[one.id]
    assert details["run"]["metrics"]["loss"] == {"latest": "0.100", "min": "0.100", "max": "inf"}


def test_what_cannot_be_measured_is_no_metric(runner: Runner, actor: Actor) -> None:
    name = new_uid()
    apply(runner, actor, trial("t", name, "unavailable", state="FAILED"))

    [run] = runs_of(runner, actor, name)

    assert set(runner.read(lambda session: latest_values(session, [run.id])).get(run.id, {})) == {"loss/max"}


@pytest.mark.parametrize(
    ("objective", "trials", "best"),
    [
        ({"type": "minimize"}, {"a": "0.3", "b": "0.1", "c": "unavailable"}, "b"),
        ({"type": "maximize"}, {"a": "0.3", "b": "-inf", "c": "0.29"}, "a"),
        ({"type": "maximize", "strategies": {"loss": "latest"}}, {"a": "0.3", "b": "0.4"}, "b"),
        ({"type": "maximize"}, {"a": "nan", "b": "0.1"}, "b"),
        ({"type": "minimize"}, {"a": "unavailable"}, None),
        ({"type": "minimize"}, {}, None),
    ],
)
def test_the_best_trial_is_found_where_the_search_does_not_say(
    runner: Runner, actor: Actor, objective: Json, trials: dict[str, str], best: str | None
) -> None:
    name = new_uid()
    apply(runner, actor, experiment(name, objective=objective))
    for own, loss in trials.items():
        values = {"latest": loss, "min": loss, "max": loss}
        apply(runner, actor, trial(own, name, loss, metrics={"loss": values}))

    shown = found(runner, actor, name).best_trial

    assert (shown.name if shown else None) == best


def test_of_an_objective_that_is_text_the_last_trial_is_the_best(runner: Runner, actor: Actor) -> None:
    name = new_uid()
    apply(runner, actor, experiment(name))
    for own, end in (("a", "10"), ("b", "30"), ("c", "20")):
        text = {"loss": {"latest": f"Genotype{own}"}}
        apply(runner, actor, trial(own, name, "", metrics=text, finished_at=f"2026-06-10T10:{end}:00Z"))

    best = found(runner, actor, name).best_trial

    assert best is not None
    assert (best.name, best.recomputed) == ("b", True)


def test_a_search_that_was_made_again_under_its_name_is_not_about_the_trials_before(runner: Runner, actor: Actor) -> None:
    name = new_uid()
    uids = [new_uid(), new_uid()]
    for version, uid in enumerate(uids):
        body = experiment(name)
        apply(runner, actor, body | {"object": body["object"] | {"uid": uid, "resource_version": str(version + 1)}})
        owner = {"kind": "Experiment", "name": name, "uid": uid}
        apply(runner, actor, trial(f"t{version}", name, f"0.{version + 1}", owner=owner))

    best = found(runner, actor, name).best_trial

    assert best is not None
    assert best.name == "t1"


@pytest.mark.parametrize(("state", "expected"), [("RUNNING", "CANCELED"), ("COMPLETE", "COMPLETE")])
def test_a_search_whose_object_went_unseen_does_not_go_on(state: str, expected: str, runner: Runner, actor: Actor) -> None:
    name = new_uid()
    body = experiment(name, state=state)
    apply(runner, actor, body)
    assert found(runner, actor, name).said["state"] == state

    apply(runner, actor, {"object": body["object"] | {"deleted": True, "resource_version": "90"}})

    assert found(runner, actor, name).said["state"] == expected


def test_a_failed_trial_is_never_the_best_and_what_the_search_says_counts(runner: Runner, actor: Actor) -> None:
    name = new_uid()
    apply(runner, actor, trial("a", name, "0.0", state="FAILED"))
    apply(runner, actor, trial("b", name, "0.2"))
    apply(runner, actor, trial("c", name, "0.1"))
    apply(runner, actor, experiment(name, best_trial={"name": "b", "parameters": {"lr": "x"}, "metrics": {}}))

    best = found(runner, actor, name).best_trial

    assert best is not None
    assert (best.name, best.recomputed) == ("b", False)
    assert best.run_hex is not None


def test_an_experiment_that_is_no_search_has_none(runner: Runner, actor: Actor) -> None:
    made = runner.write(lambda session: create_experiment(session, actor, new_uid(), now=1))

    with pytest.raises(NotFound):
        runner.read(lambda session: find_search(session, actor, made.id))


# ---- histories ----------------------------------------------------------------------------------------------------------


def with_history(body: Json, *values: tuple[str, str]) -> Json:
    history = [{"name": "loss", "at": f"2026-06-10T09:{minute}:00Z", "value": value} for minute, value in values]
    return body | {"run": body["run"] | {"history": history}}


def history_of(runner: Runner, actor: Actor, name: str) -> list[tuple[int, float]]:
    [run] = runs_of(runner, actor, name)
    return [(point.step, point.value) for point in runner.read(lambda session: history(session, run.id, "loss", limit=100))]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_history_once_told_stays_in_whatever_order_reports_come(runner: Runner, actor: Actor, order: tuple[int, ...]) -> None:
    name = new_uid()
    bare = trial("t", name, "0.1")
    told = with_history(bare, ("01", "0.9"), ("05", "inf"), ("09", "0.1"))
    later = bare | {"object": bare["object"] | {"resource_version": "9"}}
    bodies = [bare, told, later]

    for place in order:
        apply(runner, actor, bodies[place])

    assert history_of(runner, actor, name) == [(0, 0.9), (1, math.inf), (2, 0.1)]


def test_values_of_one_moment_stay_in_the_order_in_which_they_were_told(runner: Runner, actor: Actor) -> None:
    """Collectors write times in whole seconds: the last value of a second is not its largest."""
    name = new_uid()
    body = with_history(trial("t", name, "0.1"), ("09", "0.9"), ("09", "0.5"), ("09", "0.1"), ("01", "2"))

    apply(runner, actor, body)

    assert history_of(runner, actor, name) == [(0, 2.0), (1, 0.9), (2, 0.5), (3, 0.1)]
    [run] = runs_of(runner, actor, name)
    assert runner.read(lambda session: latest_values(session, [run.id]))[run.id]["loss"].value == 0.1


def test_a_history_of_one_value_takes_the_place_of_the_latest(runner: Runner, actor: Actor) -> None:
    name = new_uid()
    bare = trial("t", name, "0.1")

    for body in (bare, with_history(bare, ("04", "0.1")), bare | {"object": bare["object"] | {"resource_version": "9"}}):
        apply(runner, actor, body)

    [run] = runs_of(runner, actor, name)
    [point] = runner.read(lambda session: history(session, run.id, "loss", limit=9))
    assert point.at == 1781082240000


def test_a_client_s_points_stay_beside_the_history(runner: Runner, actor: Actor) -> None:
    name = new_uid()
    bare = trial("t", name, "0.1")
    apply(runner, actor, bare)
    [run] = runs_of(runner, actor, name)
    batch = Batch(actor.workspace, run.hex, [Point("loss", 0.5, 2_000_000_000_000, 7)])
    runner.write(lambda session: log_many(session, [batch]))

    apply(runner, actor, with_history(bare, ("01", "0.9"), ("09", "0.1")))

    assert (7, 0.5) in history_of(runner, actor, name)
    assert (0, 0.9) in history_of(runner, actor, name)
