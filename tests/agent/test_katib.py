"""What Katib's objects say. The objects are made from the API's types, as the samples are."""

from typing import Any

import pytest

from tests.agent.building import Json, report_of
from tests.agent.objects import condition, thing

LATER, LAST = "2026-06-10T10:00:00Z", "2026-06-10T11:00:00Z"


def experiment(*conditions: Json, spec: Json | None = None, **status: Any) -> Json:
    return thing("Experiment", "kubeflow.org/v1beta1", spec, {"conditions": list(conditions)} | status)


def trial(*conditions: Json, spec: Json | None = None, **status: Any) -> Json:
    owner = {"kind": "Experiment", "name": "search", "uid": "e", "controller": True}
    status = {"conditions": list(conditions)} | status
    return thing("Trial", "kubeflow.org/v1beta1", spec, status, ownerReferences=[owner])


@pytest.mark.parametrize(
    ("conditions", "state", "phase"),
    [
        ([], "NEW", None),
        ([condition("Created")], "NEW", "Created"),
        ([condition("Created"), condition("Running")], "RUNNING", "Running"),
        ([condition("Running"), condition("Created")], "RUNNING", "Running"),
        ([condition("Created"), condition("Running", "False"), condition("Succeeded")], "COMPLETE", "Succeeded"),
        ([condition("Created"), condition("Running", "False"), condition("Failed")], "FAILED", "Failed"),
        ([condition("Succeeded", at=LATER), condition("Restarting", at=LAST)], "RUNNING", "Restarting"),
        ([condition("Succeeded", "False"), condition("Running", at=LAST)], "RUNNING", "Running"),
    ],
)
def test_an_experiment_stands_where_its_conditions_say(conditions: list[Json], state: str, phase: str | None) -> None:
    found = report_of(experiment(*conditions))["experiment"]

    assert (found["state"], found["phase"]) == (state, phase)


def test_a_succeeded_experiment_that_was_started_again_has_no_end() -> None:
    restarted = experiment(condition("Succeeded", at=LATER), condition("Restarting", at=LAST), completionTime=LATER)

    assert report_of(experiment(condition("Succeeded"), completionTime=LATER))["experiment"]["finished_at"] == LATER
    assert report_of(restarted)["experiment"]["finished_at"] is None


def test_an_experiment_says_what_it_searches_for_and_where_in_the_texts_that_were_written() -> None:
    spec = {
        "objective": {
            "type": "maximize",
            "goal": 0.99,
            "objectiveMetricName": "accuracy",
            "additionalMetricNames": ["loss"],
            "metricStrategies": [{"name": "accuracy", "value": "max"}, {"name": "loss", "value": "latest"}],
        },
        "algorithm": {"algorithmName": "tpe", "algorithmSettings": [{"name": "gamma", "value": "0.25"}]},
        "earlyStopping": {"algorithmName": "medianstop"},
        "parameters": [
            {"name": "lr", "parameterType": "double", "feasibleSpace": {"min": "1e-05", "max": "0.10", "step": "0.01"}},
            {"name": "opt", "parameterType": "categorical", "feasibleSpace": {"list": ["sgd", "adam"]}},
        ],
    }
    optimal = {
        "bestTrialName": "search-1",
        "parameterAssignments": [{"name": "lr", "value": "1e-05"}],
        "observation": {"metrics": [{"name": "accuracy", "latest": "0.9", "max": "inf", "min": "0.10"}]},
    }

    found = report_of(experiment(spec=spec, trials=3, trialsSucceeded=2, currentOptimalTrial=optimal))["experiment"]

    assert found["objective"] == {
        "metric": "accuracy",
        "type": "maximize",
        "goal": 0.99,
        "additional": ["loss"],
        "strategies": {"loss": "latest"},
    }
    assert found["algorithm"] == {"name": "tpe", "settings": {"gamma": "0.25"}}
    assert found["early_stopping"] == {"name": "medianstop"}
    assert found["search_space"] == [
        {"name": "lr", "type": "double", "min": "1e-05", "max": "0.10", "step": "0.01"},
        {"name": "opt", "type": "categorical", "min": None, "max": None, "step": None, "list": ["sgd", "adam"]},
    ]
    assert found["counts"] == {"trials": 3, "trialsSucceeded": 2}
    assert found["best_trial"] == {
        "name": "search-1",
        "parameters": {"lr": "1e-05"},
        "metrics": {"accuracy": {"latest": "0.9", "max": "inf", "min": "0.10"}},
    }


@pytest.mark.parametrize(
    ("type", "state"),
    [
        ("Created", "NEW"),
        ("Running", "RUNNING"),
        ("Succeeded", "COMPLETE"),
        ("EarlyStopped", "COMPLETE"),
        ("Killed", "CANCELED"),
        ("Failed", "FAILED"),
        ("MetricsUnavailable", "FAILED"),
    ],
)
def test_a_trial_keeps_its_own_word_beside_the_state(type: str, state: str) -> None:
    run = report_of(trial(condition("Created"), condition(type, at=LATER)))["run"]

    assert (run["state"], run["phase"]) == (state, type)


def test_a_trial_is_a_run_of_its_experiment_with_assignments_and_observation_as_texts() -> None:
    spec = {"parameterAssignments": [{"name": "lr", "value": "1e-05"}, {"name": "layers", "value": "4"}]}
    metrics = [{"name": "loss", "latest": "0.0100", "max": "inf", "min": "unavailable"}]

    run = report_of(trial(condition("Succeeded", at=LAST), spec=spec, startTime=LATER, observation={"metrics": metrics}))["run"]

    assert run["parameters"] == {"layers": "4", "lr": "1e-05"}
    assert run["metrics"] == {"loss": {"latest": "0.0100", "max": "inf", "min": "unavailable"}}
    assert run["owner"] == {"kind": "Experiment", "name": "search", "uid": "e"}
    assert (run["started_at"], run["finished_at"]) == (LATER, LAST)


def test_an_experiment_of_before_v1beta1_has_a_best_trial_without_a_name_and_one_value_a_metric() -> None:
    found = report_of(
        experiment(
            condition("Succeeded"),
            currentOptimalTrial={
                "parameterAssignments": [{"name": "--lr", "value": "0.01"}],
                "observation": {"metrics": [{"name": "accuracy", "value": 0.98}]},
            },
        )
    )["experiment"]

    assert found["best_trial"] == {"name": None, "parameters": {"--lr": "0.01"}, "metrics": {"accuracy": {"latest": "0.98"}}}


def test_an_experiment_that_has_measured_nothing_has_no_best_trial() -> None:
    found = report_of(experiment(condition("Running"), currentOptimalTrial={"observation": {}}))["experiment"]

    assert "best_trial" not in found


def test_a_trial_without_an_owner_belongs_to_the_experiment_of_its_label() -> None:
    content = thing("Trial", "kubeflow.org/v1beta1", labels={"katib.kubeflow.org/experiment": "search"})

    assert report_of(content)["run"]["owner"] == {"kind": "Experiment", "name": "search", "uid": None}


def test_a_trial_that_is_deleted_before_its_end_was_canceled() -> None:
    assert report_of(trial(condition("Running")), deleted=True)["run"]["state"] == "CANCELED"


def test_a_suggestion_joins_the_experiment_of_its_owner() -> None:
    spec = {"algorithm": {"algorithmName": "tpe", "algorithmSettings": [{"name": "a", "value": "1"}]}}
    status = {"suggestionCount": 6, "algorithmSettings": [{"name": "b", "value": "2"}]}
    owner = {"kind": "Experiment", "name": "search", "uid": "e"}
    content = thing("Suggestion", "kubeflow.org/v1beta1", spec, status, name="other", ownerReferences=[owner])

    found = {key: value for key, value in report_of(content)["experiment"].items() if value is not None}

    assert found == {"name": "search", "suggestion": {"count": 6, "algorithm_settings": {"a": "1", "b": "2"}}}
