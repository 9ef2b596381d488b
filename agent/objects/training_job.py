"""Jobs of the Training Operator and the MPI Operator: one status type, and replicas by role."""

from dataclasses import replace

from agent.kind import Kind
from agent.objects.conditions import described, role
from agent.report import Json, ObjectRef, Report, State
from agent.shape import CONDITIONS, MAP, METADATA, NUMBER, Shape
from agent.values import Notes, as_map, text, whole

STATES: dict[str, State] = {
    "Created": "NEW",
    "Suspended": "NEW",
    "Running": "RUNNING",
    "Restarting": "RUNNING",
    "Failed": "FAILED",
    "Succeeded": "COMPLETE",
}


BEFORE: dict[str, State] = {"Running": "RUNNING", "Failed": "FAILED", "Succeeded": "COMPLETE"}
"""`status.state` of v1alpha1, which had no conditions."""


def translate_training_job(reference: ObjectRef, content: Json, notes: Notes) -> Report:
    spec, status = (notes.map(content.get(part), part) for part in ("spec", "status"))
    word = None if status.get("conditions") else text(status.get("state"))
    run = described(reference, content, STATES, notes, otherwise=BEFORE.get(word or "", "NEW"), replicas=_replicas(spec, status))
    if word in BEFORE:
        run = replace(run, phase=word)
    return Report(reference, run, warnings=notes.lines())


def _replicas(spec: Json, status: Json) -> Json:
    """`pytorchReplicaSpecs` and its like by the ending that they share; `replicaStatuses`, before also `mxReplicaStatuses`."""
    wanted: Json = {}
    for name, roles in spec.items():
        wanted |= as_map(roles) if name.endswith("ReplicaSpecs") else {}
    counted: Json = {}
    for name, roles in status.items():
        counted |= as_map(roles) if name.endswith(("replicaStatuses", "ReplicaStatuses")) else {}
    found = {}
    for name in sorted({*wanted, *counted}):
        given = as_map(wanted.get(name)).get("replicas", 1) if name in wanted else None
        found[name] = role(whole(given), as_map(counted.get(name)))
    return found


_COUNTS: Shape = {"active": NUMBER, "succeeded": NUMBER, "failed": NUMBER}
SHAPE: Shape = {
    "metadata": METADATA,
    "spec": MAP,
    "status": {"conditions": CONDITIONS, "replicaStatuses": {"*": _COUNTS}},
}


def _kind(name: str, *versions: str, earlier: str = "") -> Kind:
    plural, groups = f"{name.lower()}s", (earlier,) if earlier else ()
    return Kind(name, "kubeflow.org", versions or ("v1",), plural, translate_training_job, SHAPE, earlier_groups=groups)


PYTORCH_JOB = _kind("PyTorchJob")
TF_JOB = _kind("TFJob")
MPI_JOB = _kind("MPIJob", "v2beta1", "v1")
XGBOOST_JOB = _kind("XGBoostJob", earlier="xgboostjob.kubeflow.org")
MX_JOB = _kind("MXJob")
PADDLE_JOB = _kind("PaddleJob")
JAX_JOB = _kind("JAXJob")
