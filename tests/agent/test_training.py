"""What jobs of every kind say. Of PaddleJob and JAXJob no object was recorded: these are made from the API's type, which is one
for all kinds of the Training Operator, and differ in the name of the field with the replicas.
"""

from typing import Any

import pytest

from tests.agent.building import Json, report_of
from tests.agent.objects import BORN, condition, thing

LATER, LAST = "2026-06-10T10:00:00Z", "2026-06-10T11:00:00Z"
JOBS = [
    ("PyTorchJob", "v1", "pytorchReplicaSpecs"),
    ("TFJob", "v1", "tfReplicaSpecs"),
    ("MPIJob", "v1", "mpiReplicaSpecs"),
    ("MPIJob", "v2beta1", "mpiReplicaSpecs"),
    ("XGBoostJob", "v1", "xgbReplicaSpecs"),
    ("MXJob", "v1", "mxReplicaSpecs"),
    ("PaddleJob", "v1", "paddleReplicaSpecs"),
    ("JAXJob", "v1", "jaxReplicaSpecs"),
]
TRAINER, JOBSET = "trainer.kubeflow.org/v1alpha1", "jobset.x-k8s.io/v1alpha2"


def run(content: Json, **more: Any) -> Json:
    found: Json = report_of(content, **more)["run"]
    return found


def job(*conditions: Json, spec: Json | None = None, **status: Any) -> Json:
    return thing("PyTorchJob", "kubeflow.org/v1", spec, {"conditions": list(conditions)} | status)


def roles(found: Json) -> dict[str, tuple[Any, ...]]:
    return {name: tuple(counts[key] for key in ("wanted", "active", "succeeded", "failed")) for name, counts in found.items()}


@pytest.mark.parametrize(("kind", "version", "field"), JOBS)
def test_every_kind_of_job_counts_its_replicas_by_role(kind: str, version: str, field: str) -> None:
    spec = {field: {"Worker": {"replicas": 3}, "Master": {}}}
    status = {"replicaStatuses": {"Worker": {"active": 2, "failed": 1}}, "conditions": [condition("Running")]}

    found = run(thing(kind, f"kubeflow.org/{version}", spec, status))

    assert found["state"] == "RUNNING"
    assert roles(found["replicas"]) == {"Master": (1, 0, 0, 0), "Worker": (3, 2, 0, 1)}


def test_old_names_of_counts_and_roles_that_only_the_status_has_are_read_too() -> None:
    status = {"mxReplicaStatuses": {"Worker": {"active": 1}}}
    content = thing("MXJob", "kubeflow.org/v1", {"mxReplicaSpecs": {"Server": {}}}, status)

    assert roles(run(content)["replicas"]) == {"Server": (1, 0, 0, 0), "Worker": (None, 1, 0, 0)}


def test_a_job_of_the_group_that_served_its_kind_before_is_read_as_one() -> None:
    content = thing("XGBoostJob", "xgboostjob.kubeflow.org/v1", {}, {"conditions": [condition("Succeeded")]})

    assert run(content)["state"] == "COMPLETE"


@pytest.mark.parametrize(
    ("status", "state", "phase"),
    [
        ({"phase": "Done", "state": "Succeeded"}, "COMPLETE", "Succeeded"),
        ({"phase": "Running", "state": "Running"}, "RUNNING", "Running"),
        ({"phase": "Failed", "state": "Failed"}, "FAILED", "Failed"),
        ({"phase": "Creating", "state": "Other"}, "NEW", None),
        ({"state": "Failed", "conditions": [condition("Running")]}, "RUNNING", "Running"),
    ],
)
def test_a_job_before_there_were_conditions_says_its_state_in_a_word(status: Json, state: str, phase: str | None) -> None:
    found = run(thing("PyTorchJob", "kubeflow.org/v1alpha1", {}, status))

    assert (found["state"], found["phase"]) == (state, phase)


@pytest.mark.parametrize(
    ("conditions", "state", "phase"),
    [
        ([], "NEW", None),
        ([condition("Created")], "NEW", "Created"),
        ([condition("Created"), condition("Suspended", at=LATER)], "NEW", "Suspended"),
        ([condition("Created"), condition("Running")], "RUNNING", "Running"),
        ([condition("Restarting", at=LAST), condition("Running", "False"), condition("Created")], "RUNNING", "Restarting"),
        ([condition("Succeeded"), condition("Created"), condition("Running", "False")], "COMPLETE", "Succeeded"),
        ([condition("Created"), condition("Failed", at=LATER)], "FAILED", "Failed"),
        ([condition("Created"), condition("Running"), condition("Succeeded")], "COMPLETE", "Succeeded"),
        ([condition("Dreaming")], "NEW", None),
    ],
)
def test_a_job_stands_where_its_conditions_say_in_whatever_order(conditions: list[Json], state: str, phase: str | None) -> None:
    found = run(job(*conditions))

    assert (found["state"], found["phase"]) == (state, phase)


def test_times_are_the_status_s_else_those_of_conditions_else_the_birth() -> None:
    said = run(job(condition("Succeeded", at=LAST), startTime=BORN, completionTime=LATER))
    by_conditions = run(job(condition("Created", at=LATER), condition("Failed", at=LAST)))
    in_another_order = run(job(condition("Failed", at=LAST), condition("Created", at=LATER)))
    by_birth = run(job())

    assert (said["started_at"], said["finished_at"]) == (BORN, LATER)
    assert (by_conditions["started_at"], by_conditions["finished_at"]) == (LATER, LAST)
    assert (in_another_order["started_at"], in_another_order["finished_at"]) == (LATER, LAST)
    assert (by_birth["started_at"], by_birth["finished_at"]) == (BORN, None)


def test_a_job_that_is_deleted_before_its_end_was_canceled_and_a_finished_one_stays() -> None:
    assert run(job(condition("Running")), deleted=True)["state"] == "CANCELED"
    assert run(job(condition("Succeeded")), deleted=True)["state"] == "COMPLETE"


def test_the_owner_is_the_controlling_one() -> None:
    owners = [{"kind": "Other", "name": "o", "uid": "1"}, {"kind": "Trial", "name": "t", "uid": "2", "controller": True}]

    assert run(thing("Job", "batch/v1", ownerReferences=owners))["owner"] == {"kind": "Trial", "name": "t", "uid": "2"}


@pytest.mark.parametrize(
    ("spec", "conditions", "state", "phase"),
    [
        ({}, [], "RUNNING", None),
        ({}, [condition("Suspended", "False", reason="Resumed")], "RUNNING", None),
        ({"suspend": True}, [condition("Suspended")], "NEW", "Suspended"),
        ({"suspend": True}, [], "NEW", None),
        ({}, [condition("Suspended", "False"), condition("Complete")], "COMPLETE", "Complete"),
        ({}, [condition("Failed")], "FAILED", "Failed"),
    ],
)
def test_a_train_job_without_a_true_condition_runs(spec: Json, conditions: list[Json], state: str, phase: str | None) -> None:
    found = run(thing("TrainJob", TRAINER, spec, {"conditions": conditions}))

    assert (found["state"], found["phase"]) == (state, phase)


def test_a_train_job_says_what_it_reads_its_steps_and_its_metrics() -> None:
    spec = {"initializer": {"dataset": {"storageUri": "hf://org/data"}, "model": {"storageUri": "s3://b/base"}}}
    trainer = {"metrics": [{"name": "loss", "value": "0.10"}]}
    content = thing("TrainJob", TRAINER, spec, {"jobsStatus": [{"name": "node", "active": 1}], "trainerStatus": trainer})

    found = run(content)

    assert [(port["name"], port["uri"], port["type"]) for port in found["inputs"]["artifacts"]] == [
        ("dataset", "hf://org/data", "system.Dataset"),
        ("model", "s3://b/base", "system.Model"),
    ]
    assert roles(found["replicas"]) == {"node": (None, 1, 0, 0)}
    assert found["metrics"] == {"loss": "0.10"}


@pytest.mark.parametrize(
    ("status", "state", "phase"),
    [
        ({}, "NEW", None),
        ({"replicatedJobsStatus": [{"name": "w", "ready": 1}]}, "RUNNING", None),
        ({"conditions": [condition("StartupPolicyInProgress")]}, "RUNNING", "StartupPolicyInProgress"),
        ({"conditions": [condition("Suspended")]}, "NEW", "Suspended"),
        ({"conditions": [condition("Completed")]}, "COMPLETE", "Completed"),
        ({"conditions": [condition("Failed")]}, "FAILED", "Failed"),
    ],
)
def test_a_job_set_runs_as_soon_as_one_of_its_jobs_does(status: Json, state: str, phase: str | None) -> None:
    found = run(thing("JobSet", JOBSET, {"replicatedJobs": [{"name": "w", "replicas": 2}]}, status))

    assert (found["state"], found["phase"]) == (state, phase)
    assert found["replicas"]["w"]["wanted"] == 2


@pytest.mark.parametrize(
    ("status", "state", "phase"),
    [
        ({}, "NEW", None),
        ({"active": 1}, "RUNNING", None),
        ({"startTime": BORN}, "RUNNING", None),
        ({"conditions": [condition("Suspended")]}, "NEW", "Suspended"),
        ({"startTime": BORN, "conditions": [condition("SuccessCriteriaMet")]}, "RUNNING", "SuccessCriteriaMet"),
        ({"conditions": [condition("SuccessCriteriaMet"), condition("Complete")]}, "COMPLETE", "Complete"),
        ({"conditions": [condition("FailureTarget"), condition("Failed")]}, "FAILED", "Failed"),
    ],
)
def test_a_job_has_ended_when_its_last_condition_says_so(status: Json, state: str, phase: str | None) -> None:
    found = run(thing("Job", "batch/v1", {"completions": 2, "parallelism": 1}, status))

    assert (found["state"], found["phase"]) == (state, phase)
    assert found["replicas"]["Pod"]["wanted"] == 2
