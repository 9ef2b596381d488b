"""Which siblings a task depends on: by KFP v2's task specs, by what a hook follows, else by the execution graph."""

from agent.values import Notes, as_list, text
from agent.workflow.drafts import MAX_LINKS, Draft, Tree, lift
from agent.workflow.graph import Graph
from agent.workflow.links import links


def depend(graph: Graph, tree: Tree, notes: Notes) -> None:
    """Sets `depends_on` of every draft, sorted. Only siblings that are listed themselves."""
    lifted = _lifted(graph, tree, notes)
    siblings: dict[int, dict[str, Draft]] = {}
    for draft in tree.drafts.values():
        if draft.by_itself:
            continue
        if id(draft.parent) not in siblings:
            listed = tree.siblings(draft.parent)
            siblings[id(draft.parent)] = {other.name: other for other in listed if other.iteration is None}
        draft.depends_on = tuple(sorted(_dependencies(draft, siblings[id(draft.parent)], lifted)))


def _dependencies(draft: Draft, beside: dict[str, Draft], lifted: dict[str, set[str]]) -> set[str]:
    if draft.follows is not None:
        return {draft.follows.key}
    if draft.spec:
        named = [text(name) for name in as_list(draft.spec.get("dependentTasks"))]
        return {beside[name].key for name in named if name in beside and beside[name] is not draft}
    return lifted.get(draft.key, set())


def _lifted(graph: Graph, tree: Tree, notes: Notes) -> dict[str, set[str]]:
    """Edges of the execution graph between siblings, by the key of the later one."""
    found: dict[str, set[str]] = {}
    count = 0
    for looked_at, (before, after) in enumerate(links(graph)):
        source, target = tree.of(before), tree.of(after)
        if source is None or target is None or source is target:
            continue
        pair = lift(source, target)
        if pair is None or not (tree.listed(pair[0]) and tree.listed(pair[1])):
            continue
        known = found.setdefault(pair[1].key, set())
        if pair[0].key in known:
            continue
        if count >= MAX_LINKS or looked_at >= 5 * MAX_LINKS:
            notes.add(f"There are more than {MAX_LINKS} dependencies between tasks; the rest is left out.")
            break
        known.add(pair[0].key)
        count += 1
    return found
