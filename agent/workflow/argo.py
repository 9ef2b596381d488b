"""Plain Argo (and Kubeflow Pipelines v1, which compiles to it): which nodes are tasks, and what each of them says."""

from agent.report import Artifact
from agent.values import Notes, text
from agent.workflow.artifacts import Repository, is_log, log_uri
from agent.workflow.drafts import Draft, Tree
from agent.workflow.graph import Graph, Name, Step
from agent.workflow.nodes import CONTAINERS, GROUPS
from agent.workflow.templates import Templates


def plant(graph: Graph, tree: Tree, templates: Templates) -> None:
    """Every task of the graph as a draft: the root's content below the run, the exit task and strays beside it."""
    pending: list[tuple[tuple[Step, ...], Draft | None]] = []
    if graph.root is not None:
        pending.append(_root(graph, graph.root, tree, templates))
    pending.extend([((step,), None) for step in reversed(graph.tops)])
    while pending:
        steps, parent = pending.pop()
        for step, draft in _plant_siblings(steps, parent, graph, tree):
            pending.append((graph.inside(step), draft))


def _root(graph: Graph, root: Step, tree: Tree, templates: Templates) -> tuple[tuple[Step, ...], Draft | None]:
    """The root DAG or Steps node is the run; any other root is the run and its one task, named by its template."""
    if is_run(root, templates):
        return graph.inside(root), None
    name = root.head.template or root.live.template or graph.local_text(root)
    draft = tree.add(name, name, None, root)
    if draft is not None:
        draft.by_itself = True
    return graph.inside(root), draft


def is_run(root: Step, templates: Templates) -> bool:
    """Whether the root is only the run. A Retry that has not started an attempt shows it by its template alone."""
    if root.live.type == "Retry":
        template = templates.of(root)
        return "dag" in template or "steps" in template
    return root.live.type in CONTAINERS


def _plant_siblings(steps: tuple[Step, ...], parent: Draft | None, graph: Graph, tree: Tree) -> list[tuple[Step, Draft]]:
    """Tasks first, then loop items (whose TaskGroup is one of these), then hooks (which follow any of these)."""
    named = [(step, graph.local_text(step), graph.local_name(step)) for step in steps if step.head.type != "StepGroup"]
    by_text: dict[str, Draft] = {}
    groups: dict[str, Draft] = {}
    planted: list[tuple[Step, Draft]] = []
    for step, local, name in sorted(named, key=lambda item: (item[2].hook is not None, item[2].item is not None)):
        if name.hook is not None:
            draft = _plant_hook(step, name, parent, by_text.get(name.base), tree)
        else:
            group = groups.get(name.base) if name.item is not None else None
            draft = _plant_task(step, name, group or parent, tree)
        if draft is None:
            continue
        planted.append((step, draft))
        by_text.setdefault(local, draft)
        if step.head.type == "TaskGroup" and name.item is None:
            groups[name.base] = draft
    return planted


def _plant_task(step: Step, name: Name, parent: Draft | None, tree: Tree) -> Draft | None:
    """A loop item stands below its TaskGroup; under Steps, which have none, its number follows its name."""
    in_group = parent is not None and parent.own is not None and parent.own.head.type == "TaskGroup"
    if name.item is None:
        key = tree.key_below(parent, name.base)
    elif in_group and parent is not None and parent.call == name.base:
        key = tree.key_below(parent, str(name.item))
    else:
        key = f"{tree.key_below(parent, name.base)}/{name.item}"
    draft = tree.add_at(name.base, key, parent, step)
    if draft is not None:
        draft.call = name.base
        draft.iteration = name.item
        draft.is_group = step.live.type in GROUPS
    return draft


def _plant_hook(step: Step, name: Name, parent: Draft | None, followed: Draft | None, tree: Tree) -> Draft | None:
    """An exit task or hook: beside what it follows. The run's own is named `onExit` or `hooks.<name>`."""
    hook = name.hook or ""
    if step.head.boundary is None and parent is None:
        own_name = hook.removeprefix(".")
        draft = tree.add(own_name, own_name, None, step)
        if draft is not None:
            draft.by_itself = True
        return _grouped(draft, step)
    if followed is None:
        draft = tree.add(f"{name.base}{hook}", f"{name.base}{hook}", parent, step)
    else:
        draft = tree.add_at(f"{followed.name}{hook}", f"{followed.key}{hook}", followed.parent, step)
    if draft is not None:
        draft.follows = followed
    return _grouped(draft, step)


def _grouped(draft: Draft | None, step: Step) -> Draft | None:
    if draft is not None:
        draft.is_group = step.live.type in GROUPS
    return draft


def fill(draft: Draft, templates: Templates, repository: Repository, notes: Notes) -> None:
    """Values, artifacts and logs of one task: what its node shows."""
    step = draft.own
    if step is None:
        return
    own_names = templates.output_artifact_names(step)
    repository = repository.of_template(templates.of(step))
    draft.inputs = dict(step.inputs.parameters)
    draft.outputs = dict(step.outputs.parameters)
    if step.outputs.result is not None:
        draft.outputs.setdefault("result", step.outputs.result)
    draft.input_artifacts = read_artifacts(step.inputs.artifacts, frozenset(), repository, notes)
    made = () if draft.skipped else step.outputs.artifacts
    draft.output_artifacts = read_artifacts(made, own_names, repository, notes)
    logs = tuple(item for item in step.outputs.artifacts if is_log(item, own_names))
    draft.log_uri = log_uri(logs, repository, notes)


def share_container_logs(graph: Graph, tree: Tree, repository: Repository, notes: Notes) -> None:
    """The containers of a container set have no outputs of their own: their logs are archived at their Pod."""
    for draft in tree.drafts.values():
        pod = draft.parent.own if draft.parent else None
        if draft.own is not None and draft.own.live.type == "Container" and pod is not None and draft.log_uri is None:
            wanted = f"{graph.local_text(draft.own)}-logs"
            logs = tuple(item for item in pod.outputs.artifacts if text(item.get("name")) == wanted)
            draft.log_uri = log_uri(logs, repository, notes)


def read_artifacts(
    artifacts: tuple[dict[str, object], ...], own_names: frozenset[str], repository: Repository, notes: Notes
) -> list[Artifact]:
    """Artifacts that are stored somewhere, without logs. Argo knows no types."""
    found = []
    for item in artifacts:
        name, uri = text(item.get("name")), repository.uri(item, notes)
        if name and uri and not is_log(item, own_names):
            found.append(Artifact(name, uri, None))
    return found
