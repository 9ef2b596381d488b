"""The edges of the execution graph: `children` of Argo's nodes, seen through StepGroups, between folded steps."""

from collections.abc import Iterator

from agent.workflow.graph import Graph, Step

_LONGEST_RUN_OF_GROUPS = 100
"""StepGroups that follow each other without a step between them: a bound on work, far above what Argo makes."""


def sources_of_groups(graph: Graph) -> dict[str, tuple[Step, ...]]:
    """Which steps come right before each StepGroup, seen through StepGroups, by the group's node id."""
    before: dict[str, list[Step]] = {}
    for step in _unique(graph.steps):
        for node in step.nodes:
            for child in node.children:
                target = graph.steps.get(child)
                if target and target is not step and target.head.type == "StepGroup":
                    before.setdefault(target.head.id, []).append(step)
    return {group: tuple(_through(group, before)) for group in before}


def _through(group: str, before: dict[str, list[Step]]) -> list[Step]:
    found: dict[str, Step] = {}
    stack, seen = [group], {group}
    while stack and len(seen) < _LONGEST_RUN_OF_GROUPS:
        for step in before.get(stack.pop(), ()):
            if step.head.type != "StepGroup":
                found[step.head.id] = step
            elif step.head.id not in seen:
                seen.add(step.head.id)
                stack.append(step.head.id)
    return list(found.values())


def _unique(steps: dict[str, Step]) -> list[Step]:
    return list({step.head.id: step for step in steps.values()}.values())


def links(graph: Graph) -> Iterator[tuple[Step, Step]]:
    """The edges of the execution graph between steps, StepGroups spliced through, each end folded. May repeat."""
    before = sources_of_groups(graph)
    for step in _unique(graph.steps):
        if step.head.type == "StepGroup":
            sources = before.get(step.head.id, ())
            for child in step.head.children:
                target = graph.steps.get(child)
                if target and target.head.type != "StepGroup":
                    for source in sources:
                        yield source, target
            continue
        for node in step.nodes:
            for child in node.children:
                target = graph.steps.get(child)
                if target and target is not step and target.head.type != "StepGroup":
                    yield step, target
