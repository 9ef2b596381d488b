"""Which kinds there are. A new one is one file with a `Kind`, and one line in `KINDS`."""

from dataclasses import replace
from typing import Any

from agent.kind import Kind
from agent.objects.cron_workflow import CRON_WORKFLOW
from agent.objects.inference_graph import INFERENCE_GRAPH
from agent.objects.inference_service import INFERENCE_SERVICE
from agent.objects.job import JOB
from agent.objects.job_set import JOB_SET
from agent.objects.katib_experiment import EXPERIMENT
from agent.objects.katib_suggestion import SUGGESTION
from agent.objects.katib_trial import TRIAL
from agent.objects.notebook import NOTEBOOK
from agent.objects.pipeline import PIPELINE, PIPELINE_VERSION
from agent.objects.scheduled_workflow import SCHEDULED_WORKFLOW
from agent.objects.train_job import TRAIN_JOB
from agent.objects.training_job import JAX_JOB, MPI_JOB, MX_JOB, PADDLE_JOB, PYTORCH_JOB, TF_JOB, XGBOOST_JOB
from agent.reading import Read, Unreadable
from agent.report import ObjectRef, Report
from agent.shape import check
from agent.values import Notes, as_map, short, text
from agent.workflow.run import UnidentifiableError, object_ref
from agent.workflow.translation import WORKFLOW

KINDS: tuple[Kind, ...] = (
    WORKFLOW,
    CRON_WORKFLOW,
    SCHEDULED_WORKFLOW,
    PIPELINE,
    PIPELINE_VERSION,
    EXPERIMENT,
    SUGGESTION,
    TRIAL,
    PYTORCH_JOB,
    TF_JOB,
    MPI_JOB,
    XGBOOST_JOB,
    MX_JOB,
    PADDLE_JOB,
    JAX_JOB,
    TRAIN_JOB,
    JOB_SET,
    JOB,
    INFERENCE_SERVICE,
    INFERENCE_GRAPH,
    NOTEBOOK,
)


def find_kind(name: str, api_version: str | None) -> Kind | None:
    """The kind of that name in the group of `api_version`; where that names no group, the first of that name."""
    group = (api_version or "").rpartition("/")[0]
    return next((kind for kind in KINDS if kind.name == name and group in {"", kind.group, *kind.earlier_groups}), None)


def translate(read: Read, cluster: str | None = None) -> Report | Unreadable:
    """The report of one object. A kind that nobody translates yet gives the object alone, with a warning.

    Pure: the same object gives the same report. Never raises for what stands in the object; what cannot be told apart
    from other objects, having neither name nor uid, is unreadable.
    """
    notes = Notes()
    name = kind_of(read.content, notes)
    if name is None:
        return Unreadable(read.file, read.index, "The document is not a Kubernetes object: it has no kind.")
    try:
        reference = object_ref(read.content, name, cluster, notes, deleted=read.deleted)
        if read.deleted and "spec" not in read.content and "status" not in read.content:
            return _gone(reference, read.content, notes)
        kind = find_kind(name, text(read.content.get("apiVersion")))
        if kind is None:
            return _object_only(reference, notes)
        check(read.content, kind.shape, notes)
        return kind.translate(reference, read.content, notes)
    except UnidentifiableError as error:
        return Unreadable(read.file, read.index, f"The object cannot be identified: {error}.")
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError, AttributeError) as error:
        reason = f"{type(error).__name__}: {short(error, 200)}"
        return Unreadable(read.file, read.index, f"The object cannot be translated ({reason}). Please report this.")


def _gone(reference: ObjectRef, content: dict[str, Any], notes: Notes) -> Report:
    """All that is known is that it is gone: it was missed when it went."""
    noticed_at = notes.time(as_map(content.get("metadata")).get("deletionTimestamp"), "metadata.deletionTimestamp")
    return Report(replace(reference, gone_at=noticed_at))


def kind_of(content: dict[str, Any], notes: Notes) -> str | None:
    """The kind; an object without one that looks like a Workflow is read as one."""
    kind = text(content.get("kind"))
    if kind is not None:
        return kind
    status = as_map(content.get("status"))
    if isinstance(content.get("spec"), dict) and {"nodes", "compressedNodes", "offloadNodeStatusVersion"} & set(status):
        notes.add("The object names no kind; it is read as a Workflow.")
        return "Workflow"
    return None


def _object_only(reference: ObjectRef, notes: Notes) -> Report:
    notes.add(f"Objects of kind {short(reference.kind)} are not translated: only the object itself is reported.")
    return Report(reference, warnings=notes.lines())
