"""A Workflow's report, step by step: nodes, graph, tasks, what each says, what they depend on, what flows where."""

from typing import Any

from agent.kind import Kind
from agent.report import Cache, Json, ObjectRef, Report, Task
from agent.report import Ports as ReportPorts
from agent.values import Notes, as_map, number, short, text
from agent.workflow import argo, kfp_facts, kfp_v1, kfp_v2, settling
from agent.workflow.argo_bindings import ArgoBindings
from agent.workflow.artifacts import Repository
from agent.workflow.bindings import ByUri, EdgeSet
from agent.workflow.compression import node_map
from agent.workflow.dependencies import depend
from agent.workflow.drafts import Draft, Tree
from agent.workflow.graph import Graph, build_graph
from agent.workflow.kfp_bindings import KfpBindings, share_metadata
from agent.workflow.nodes import read_nodes
from agent.workflow.pods import naming_of
from agent.workflow.run import ARGO, argo_parameters, describe_run
from agent.workflow.states import is_unfinished
from agent.workflow.templates import Templates

METRIC_TYPES = frozenset({"system.Metrics", "system.ClassificationMetrics", "system.SlicedClassificationMetrics", "Metrics"})

_NO_METRIC = frozenset({"display_name", "store_session_info"})
"""Texts that the launcher itself writes into the metadata of every artifact."""


def translate_workflow(reference: ObjectRef, content: dict[str, Any], notes: Notes) -> Report:
    """Run, tasks and edges of one picture of a Workflow. Never raises for what stands in the object."""
    metadata, spec, status = (notes.map(content.get(part), part) for part in ("metadata", "spec", "status"))
    notes.map(metadata.get("labels"), "metadata.labels")
    nodes = read_nodes(node_map(status, notes), notes)
    graph = build_graph(nodes, reference.name, notes)
    templates = Templates(spec, status, notes)
    job = _Job({"metadata": metadata, "spec": spec, "status": status}, graph, templates, notes)
    tree = job.kfp_v2() if kfp_v2.is_kfp_v2(metadata, spec, graph) else job.argo()
    run = describe_run(reference, content, job.pipeline, job.parameters, notes)
    annotated = text(as_map(metadata.get("annotations")).get(ARGO + "pod-name-format"))
    naming = naming_of(annotated, nodes.values())
    tasks = tuple(_task(draft, reference.name, naming) for draft in tree.ordered())
    return Report(reference, run, tasks, job.edges.sorted() if job.edges else (), warnings=notes.lines())


WORKFLOW = Kind("Workflow", "argoproj.io", ("v1alpha1",), "workflows", translate_workflow)


class _Job:
    """One translation, from graph to drafts and edges. The compilers differ in how, not in the order."""

    def __init__(self, content: dict[str, Json], graph: Graph, templates: Templates, notes: Notes) -> None:
        self._metadata, self._spec, self._status = content["metadata"], content["spec"], content["status"]
        self._graph, self._templates, self._notes = graph, templates, notes
        self._repository = Repository(self._status)
        self._tree = Tree(notes)
        self.pipeline: str | None = None
        self.parameters: Json = {}
        self.edges: EdgeSet | None = None

    def argo(self) -> Tree:
        """Plain Argo, and KFP v1 where the marks of its compiler are there."""
        tree, notes = self._tree, self._notes
        is_v1 = kfp_v1.is_kfp_v1(self._metadata, self._templates)
        self.pipeline = text(kfp_v1.pipeline_spec(self._metadata).get("name")) if is_v1 else None
        self.parameters = argo_parameters(self._metadata, self._spec, self._status, notes)
        argo.plant(self._graph, tree, self._templates)
        self._settle()
        for draft in tree.drafts.values():
            argo.fill(draft, self._templates, self._repository, notes)
            if is_v1:
                kfp_v1.declare(draft, self._templates)
        argo.share_container_logs(self._graph, tree, self._repository, notes)
        return self._connect(ArgoBindings(self._graph, tree, self._templates))

    def kfp_v2(self) -> Tree:
        tree = self._tree
        planter = kfp_v2.Planter(self._graph, tree)
        planter.plant()
        root = kfp_facts.root_component(self._metadata, self._spec, planter.root_driver)
        given = kfp_facts.runtime_values(self._templates, planter.root_driver)
        self.parameters = {**kfp_facts.default_values(root), **given}
        for draft in tree.ordered():
            enclosing = draft.parent.component if draft.parent else root
            draft.spec, draft.component = kfp_facts.spec_of(draft, enclosing)
        self._settle()
        bindings = KfpBindings(tree, root, self.parameters)
        launches = [kfp_facts.fill(draft, self._repository, self._notes) for draft in tree.drafts.values()]
        self.pipeline = kfp_facts.pipeline_name(self._templates, launches)
        drafts = tree.ordered()
        for draft in drafts:
            bindings.work_out_parameters(draft)
            kfp_facts.add_imported(draft)
        for draft in drafts:
            bindings.learn_outputs(draft)
        for draft in drafts:
            bindings.work_out_artifacts(draft)
        share_metadata(drafts)
        return self._connect(bindings)

    def _settle(self) -> None:
        unfinished = is_unfinished(self._status)
        for draft in self._tree.ordered():
            settling.settle(draft, self._templates, workflow_is_unfinished=unfinished)
        for draft in self._tree.ordered():
            if draft.skipped:
                self._tree.drop_below(draft)

    def _connect(self, bindings: ArgoBindings | KfpBindings) -> Tree:
        tree, notes = self._tree, self._notes
        drafts = tree.ordered()
        for draft in drafts:
            draft.metrics = metrics_of(draft, notes)
        depend(self._graph, tree, notes)
        self.edges = EdgeSet(tree, notes)
        bindings.connect(drafts, self.edges, ByUri(drafts, notes))
        return tree


def metrics_of(draft: Draft, notes: Notes) -> Json:
    """The numbers in the metadata of a task's metrics outputs, as `<port>/<key>`."""
    metrics: Json = {}
    for artifact in draft.output_artifacts:
        for key, value in artifact.metadata.items() if artifact.type in METRIC_TYPES else ():
            known = number(value)
            if known is not None:
                metrics[f"{artifact.name}/{key}"] = known
            elif isinstance(value, str | float) and key not in _NO_METRIC:
                notes.add(f"The metric {short(artifact.name)}/{short(key)} of {short(draft.key)} is no number.")
    return metrics


def _cache(draft: Draft) -> Cache | None:
    keys = [node.cache_key for node in draft.own.nodes if node.cache_key] if draft.own else []
    return Cache(keys[-1]) if keys else None


def _task(draft: Draft, workflow: str | None, naming: str | None) -> Task:
    return Task(
        key=draft.key,
        name=draft.name,
        display_name=draft.display_name,
        parent=draft.parent.key if draft.parent else None,
        depends_on=draft.depends_on,
        state=draft.state,
        skipped=draft.skipped,
        phase=draft.own.head.phase if draft.own else None,
        message=settling.message_of(draft),
        started_at=settling.started_at(draft),
        finished_at=settling.finished_at(draft),
        attempts=settling.attempts_of(draft),
        iteration=draft.iteration,
        cached=draft.cached,
        node_id=settling.node_id(draft),
        pod_name=settling.pod_of(draft, workflow, naming),
        execution_id=draft.execution_id,
        log_uri=draft.log_uri,
        inputs=ReportPorts(draft.inputs, tuple(draft.input_artifacts)),
        outputs=ReportPorts(draft.outputs, tuple(draft.output_artifacts)),
        metrics=draft.metrics,
        cache=_cache(draft),
    )
