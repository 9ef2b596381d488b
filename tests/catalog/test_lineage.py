"""Lineage over the tables. Each test has nodes of its own, so one database serves them all.

Kept whole: every test reads the same small graphs through the same few calls, and a second module would be a second database.
"""

from collections.abc import Collection
from functools import partial
from random import Random
from typing import Any

import pytest

from lineage.graph import Direction, Edge, EdgeBatch, EdgeKind, Node, NodeCard
from lineage.impact import ImpactPage, Place
from lineage.limits import Cut, Deadline
from lineage.memory import MemoryGraph
from lineage.paths import Paths
from lineage.trails import Trails
from lineage.walks import Walk
from registry.catalog import lineage, node_types
from registry.catalog.lineage_cards import CardKind
from registry.catalog.lineage_edges import MOST_ROWS, SqlEdges
from registry.catalog.lineage_selects import SHARED
from registry.db.counting import count_statements
from registry.db.runner import Runner
from registry.db.session import Session
from registry.errors import InvalidArgument, InvalidName, NotFound
from registry.names import ArtifactKind, EventType, Lifecycle, LinkKind
from tests.catalog.lineage_rows import Rows

HERE, ELSEWHERE = 1, 2
UP, DOWN = Direction.UPSTREAM, Direction.DOWNSTREAM


def walked(runner: Runner, root: Node, direction: Direction = Direction.BOTH, *, workspace: int = HERE, **limits: Any) -> Walk:
    given = {"depth": 20} | limits
    return runner.read(lambda session: lineage.walk(session, root, workspace=workspace, direction=direction, **given))


def joined(runner: Runner, start: Node, goal: Node, *, workspace: int = HERE) -> Paths:
    return runner.read(lambda session: lineage.find_paths(session, start, goal, workspace=workspace))


def named(runner: Runner, id: str) -> Node:
    return runner.read(lambda session: lineage.find_node(session, id, workspace=HERE))


def batch(runner: Runner, frontier: list[Node], way: Direction, limit: int, most_rows: int = MOST_ROWS) -> EdgeBatch:
    return runner.read(lambda session: SqlEdges(session, HERE, most_rows).edges(frontier, way, limit))


def beyond(runner: Runner, frontier: list[Node], way: Direction, limit: int = 1_000) -> Collection[Node]:
    return runner.read(lambda session: SqlEdges(session, HERE).neighbours(frontier, way, limit))


def listed(
    runner: Runner, data: Node, trails: Trails | None = None, kinds: list[str] | None = None, first: int = 10
) -> list[ImpactPage]:
    """All pages of what is below."""
    pages: list[ImpactPage] = []
    after: Place | None = None
    while not pages or after is not None:
        given: dict[str, Any] = {"kinds": kinds, "first": first, "after": after, "trails": trails}
        pages.append(runner.read(partial(lineage.impact, root=data, workspace=HERE, **given)))
        after = pages[-1].next
    return pages


def nodes(walk: Walk) -> list[Node]:
    return [reached.node for reached in walk.nodes]


def card(runner: Runner, node: Node) -> NodeCard:
    return runner.read(lambda session: lineage.cards(session, [node], workspace=HERE))[node]


def chain(runner: Runner) -> list[Node]:
    """Dataset, training step, model file, version, deployment."""

    def fill(session: Session) -> list[Node]:
        rows = Rows(session)
        data = rows.artifact(kind=ArtifactKind.DATASET, display_name="clicks")
        step = rows.step()
        model = rows.artifact(kind=ArtifactKind.MODEL)
        version = rows.version(of=model)
        rows.reads(step, data, port="train")
        rows.writes(step, model, port="model")
        return [data, step, model, version, rows.deployment(version)]

    return runner.write(fill)


def test_from_deployment_to_dataset_each_generation_has_its_depth(runner: Runner) -> None:
    expected = chain(runner)
    walk = walked(runner, expected[-1], UP)
    assert nodes(walk) == expected[::-1]
    assert [reached.depth for reached in walk.nodes] == [0, 1, 2, 3, 4]
    assert not walk.truncated


def test_edges_point_as_the_data_flows_whichever_way_is_walked(runner: Runner) -> None:
    data, step, model, version, deployment = chain(runner)
    expected = {
        (data, step, EdgeKind.INPUT, "train"),
        (step, model, EdgeKind.OUTPUT, "model"),
        (model, version, EdgeKind.REGISTERED_AS, None),
        (version, deployment, EdgeKind.DEPLOYED_AS, None),
    }
    for root, direction in ((deployment, UP), (data, DOWN), (model, Direction.BOTH)):
        walk = walked(runner, root, direction)
        assert {(edge.source, edge.target, edge.kind, edge.role) for edge in walk.edges} == expected


def test_a_run_is_one_node_and_its_steps_are_its_own(runner: Runner) -> None:
    def fill(session: Session) -> tuple[Node, ...]:
        rows = Rows(session)
        own = rows.execution(node_types.RUN_EXECUTION)
        run = rows.run(own=own)
        step, data, made = rows.step(run), rows.artifact(), rows.artifact()
        rows.reads(own, data)
        rows.writes(own, made)
        return own, run, step, data, made, rows.run(parent=run), rows.version(run=run)

    own, run, step, data, made, child, version = runner.write(fill)
    below = walked(runner, data, DOWN)
    assert set(nodes(below)) == {data, run, made, step, child, version}
    assert {(edge.source, edge.target): edge.kind for edge in below.edges} == {
        (data, run): EdgeKind.INPUT,
        (run, made): EdgeKind.OUTPUT,
        (run, step): EdgeKind.CONTAINS,
        (run, child): EdgeKind.CONTAINS,
        (run, version): EdgeKind.REGISTERED_AS,
    }
    for leaf in (made, step, child, version):
        assert nodes(walked(runner, leaf, UP)) == [leaf, run, data]
    assert nodes(walked(runner, own, UP)) == [run, data]


def test_a_cached_step_comes_from_the_original(runner: Runner) -> None:
    def fill(session: Session) -> tuple[Node, Node]:
        rows = Rows(session)
        original, cached = rows.step(), rows.step()
        rows.link(LinkKind.REUSED_FROM, cached, original)
        return original, cached

    original, cached = runner.write(fill)
    up, down = walked(runner, cached, UP), walked(runner, original, DOWN)
    assert nodes(up) == [cached, original]
    assert nodes(down) == [original, cached]
    assert [(edge.source, edge.target, edge.kind) for edge in up.edges] == [(original, cached, EdgeKind.REUSED_FROM)]
    assert nodes(walked(runner, cached, DOWN)) == [cached]


def test_the_same_thing_twice_is_crossed_both_ways(runner: Runner) -> None:
    def fill(session: Session) -> tuple[Node, Node]:
        rows = Rows(session)
        one, other = rows.run(), rows.run()
        rows.link(LinkKind.SAME_AS, one, other)
        return one, other

    one, other = runner.write(fill)
    for direction in (UP, DOWN):
        assert nodes(walked(runner, one, direction)) == [one, other]
        assert nodes(walked(runner, other, direction)) == [other, one]


def test_a_derivation_says_whether_it_was_inferred(runner: Runner) -> None:
    def fill(session: Session) -> tuple[Node, Node, Node]:
        rows = Rows(session)
        base, tuned, copy = rows.artifact(), rows.artifact(), rows.artifact()
        rows.derive(base, tuned)
        rows.derive(tuned, copy, inferred=1)
        return base, tuned, copy

    base, tuned, copy = runner.write(fill)
    walk = walked(runner, copy, UP)
    assert {(edge.source, edge.target): (edge.inferred, edge.at) for edge in walk.edges} == {
        (tuned, copy): (True, 7),
        (base, tuned): (False, 7),
    }


def test_an_input_said_in_two_ways_is_one_edge(runner: Runner) -> None:
    def fill(session: Session) -> Node:
        rows = Rows(session)
        data, step = rows.artifact(), rows.step()
        rows.reads(step, data, port="b", at=3)
        rows.reads(step, data, type=EventType.DECLARED_INPUT, port="a", at=4)
        return data

    data = runner.write(fill)
    walk = walked(runner, data, DOWN, per_hop=1)
    assert [(edge.role, edge.at) for edge in walk.edges] == [("a", 4)]
    assert not walk.truncated
    assert batch(runner, [data], DOWN, 1, most_rows=0) == batch(runner, [data], DOWN, 1)


@pytest.mark.parametrize("most_rows", [0, MOST_ROWS])
def test_an_artifact_that_is_linked_to_itself_has_one_edge_each_way(runner: Runner, most_rows: int) -> None:
    def fill(session: Session) -> Node:
        rows = Rows(session)
        data = rows.artifact()
        rows.link(LinkKind.SAME_AS, data, data)
        return data

    data = runner.write(fill)
    for way in (UP, DOWN):
        found = batch(runner, [data], way, 1, most_rows)
        assert ([len(edges) for edges in found.edges.values()], found.hidden) == ([1], {})


def test_of_many_neighbours_at_least_as_many_as_asked_for_are_told(runner: Runner) -> None:
    data = hub(runner, 20)
    assert len(beyond(runner, [data], DOWN, 7)) == 7
    assert len(beyond(runner, [data], DOWN, 21)) == 20


def test_a_cycle_ends(runner: Runner) -> None:
    def fill(session: Session) -> tuple[Node, Node]:
        rows = Rows(session)
        data, step = rows.artifact(), rows.step()
        rows.reads(step, data)
        rows.writes(step, data)
        return data, step

    data, step = runner.write(fill)
    walk = walked(runner, data, DOWN)
    assert nodes(walk) == [data, step]
    assert len(walk.edges) == 2


def test_another_workspace_is_neither_seen_nor_counted(runner: Runner) -> None:
    def fill(session: Session) -> tuple[Node, Node]:
        here, there = Rows(session), Rows(session, ELSEWHERE)
        data = here.artifact(workspace=SHARED)
        mine = here.step()
        here.reads(mine, data)
        for _ in range(3):
            there.reads(there.step(), data)
        there.version(of=data)
        there.derive(data, there.artifact())
        there.link(LinkKind.SAME_AS, data, there.artifact())
        there.writes(there.step(), data)
        return data, mine

    data, mine = runner.write(fill)
    assert nodes(walked(runner, data, per_hop=1)) == [data, mine]
    assert not walked(runner, data, per_hop=1).truncated
    assert len(nodes(walked(runner, data, workspace=ELSEWHERE, depth=1))) == 8
    with pytest.raises(NotFound):
        walked(runner, mine, workspace=ELSEWHERE)


def test_an_artifact_of_another_workspace_is_not_seen_from_a_step_that_read_it(runner: Runner) -> None:
    def fill(session: Session) -> Node:
        here, there = Rows(session), Rows(session, ELSEWHERE)
        step = here.step()
        here.reads(step, there.artifact())
        here.writes(step, there.artifact())
        return step

    step = runner.write(fill)
    assert nodes(walked(runner, step)) == [step]


def hub(runner: Runner, width: int) -> Node:
    def fill(session: Session) -> Node:
        rows = Rows(session)
        data = rows.artifact()
        for n in range(width):
            step = rows.step()
            rows.reads(step, data, at=n)
            rows.writes(step, rows.artifact())
        return data

    return runner.write(fill)


def test_a_hub_gives_its_newest_users_and_counts_the_rest(runner: Runner) -> None:
    data = hub(runner, 300)
    walk = walked(runner, data, DOWN, depth=1, per_hop=50, max_nodes=100)
    assert [edge.at for edge in walk.edges] == list(range(299, 249, -1))
    assert (data, DOWN, 250) in {(stub.node, stub.way, stub.hidden) for stub in walk.stubs}
    assert Cut.FAN_OUT in walk.cut


def test_a_hub_of_exactly_the_cap_is_whole(runner: Runner) -> None:
    data = hub(runner, 50)
    assert not walked(runner, data, DOWN, per_hop=50, max_nodes=101).truncated
    assert walked(runner, data, DOWN, per_hop=50, max_nodes=100).cut == (Cut.NODES,)


@pytest.mark.parametrize("direction", [Direction.BOTH, Direction.ANY])
def test_statements_do_not_grow_with_the_width(runner: Runner, direction: Direction) -> None:
    counts = []
    for width in (1, 5, 400):
        data = hub(runner, width)
        with count_statements(runner.database) as counted:
            walk = walked(runner, data, direction, per_hop=1000, max_nodes=2000)
        assert len(walk.nodes) == 2 * width + 1
        counts.append(counted.count)
    assert len(set(counts)) == 1


def generations(runner: Runner, count: int) -> Node:
    """The first of a row of artifacts, with a step from each to the next."""

    def fill(session: Session) -> Node:
        rows = Rows(session)
        first = last = rows.artifact()
        for _ in range(count):
            step = rows.step()
            rows.reads(step, last)
            rows.writes(step, last := rows.artifact())
        return first

    return runner.write(fill)


@pytest.mark.parametrize(("kinds", "each"), [(None, 1), (["STEP", "ARTIFACT"], 2)])
def test_a_level_takes_one_statement_per_kind_of_node_and_with_kinds_one_for_its_cards(
    runner: Runner, kinds: list[str] | None, each: int
) -> None:
    data = generations(runner, 10)
    with count_statements(runner.database) as shallow:
        walked(runner, data, DOWN, depth=5, kinds=kinds)
    with count_statements(runner.database) as deeper:
        walked(runner, data, DOWN, depth=15, kinds=kinds)
    assert deeper.count - shallow.count == 10 * each


def test_all_pages_of_a_listing_take_statements_as_its_levels_and_pages_and_not_as_their_product(runner: Runner) -> None:
    counts = []
    for count in (10, 40):
        data = generations(runner, count)
        with count_statements(runner.database) as counted:
            pages = listed(runner, data, Trails(), first=5)
        assert [len(page.items) for page in pages] == [5] * (2 * count // 5)
        counts.append(counted.count)
    assert counts[1] <= 4 * counts[0]


def test_a_page_that_goes_on_says_what_one_that_walks_anew_says(runner: Runner) -> None:
    data = generations(runner, 12)
    trails = Trails()
    assert listed(runner, data, trails, first=5) == listed(runner, data, None, first=5)
    assert trails.take((HERE, data, DOWN, 100)) is None


def test_a_later_page_shows_nothing_that_is_gone_since_the_first(runner: Runner) -> None:
    data, trails = hub(runner, 3), Trails()
    given: dict[str, Any] = {"workspace": HERE, "kinds": ["STEP"], "first": 1, "trails": trails}
    first = runner.read(lambda session: lineage.impact(session, data, **given))
    second = runner.read(lambda session: lineage.impact(session, data, after=first.next, **given))

    runner.write(lambda session: Rows(session).forget(second.items[0].node))

    again = runner.read(lambda session: lineage.impact(session, data, after=first.next, **given))
    assert again.items[0].node > second.items[0].node


def test_a_first_page_is_never_of_what_was(runner: Runner) -> None:
    data, trails = hub(runner, 3), Trails()
    given: dict[str, Any] = {"workspace": HERE, "kinds": ["STEP"], "trails": trails}
    runner.read(lambda session: lineage.impact(session, data, first=1, **given))

    runner.write(lambda session: Rows(session).reads(Rows(session).step(), data))

    assert len(runner.read(lambda session: lineage.impact(session, data, first=9, **given)).items) == 4


def mixed(session: Session) -> tuple[list[Edge], list[Node]]:
    """Steps and artifacts, joined at random, with what the tables say as edges."""
    random = Random(7)
    rows = Rows(session)
    data, doing = [rows.artifact() for _ in range(30)], [rows.step() for _ in range(20)]
    edges: list[Edge] = []
    for step in doing:
        for source in random.sample(data, 5):
            rows.reads(step, source, at=(at := random.randrange(4)))
            edges.append(Edge(source, step, EdgeKind.INPUT, "in", at=at))
        for target in random.sample(data, 2):
            rows.writes(step, target, at=(at := random.randrange(4)))
            edges.append(Edge(step, target, EdgeKind.OUTPUT, "out", at=at))
    for source, target in {tuple(random.sample(data, 2)) for _ in range(20)}:
        rows.derive(source, target)
        edges.append(Edge(source, target, EdgeKind.DERIVATION, at=7))
    for one, other in {tuple(random.sample(data, 2)) for _ in range(10)}:
        rows.link(LinkKind.SAME_AS, one, other)
        edges.append(Edge(one, other, EdgeKind.SAME_AS, at=9))
    return edges, data + doing


@pytest.mark.parametrize("per_hop", [1, 3, 100])
@pytest.mark.parametrize("most_rows", [10, MOST_ROWS])
def test_the_tables_give_what_a_graph_in_memory_gives(runner: Runner, per_hop: int, most_rows: int) -> None:
    edges, every = runner.write(mixed)
    memory = MemoryGraph(edges)
    for direction in (UP, DOWN):
        assert beyond(runner, every, direction) == memory.neighbours(every, direction, 1_000)
        found = batch(runner, every, direction, per_hop, most_rows)
        expected = memory.edges(every, direction, per_hop)
        assert found.edges == {node: list(edges) for node, edges in expected.edges.items() if edges}
        assert found.hidden == expected.hidden


def test_kinds_limit_what_is_shown(runner: Runner) -> None:
    data, _, _, version, deployment = chain(runner)
    walk = walked(runner, data, DOWN, kinds=["MODEL_VERSION", "DEPLOYMENT"])
    assert nodes(walk) == [data, version, deployment]
    assert {(edge.source, edge.target, edge.kind) for edge in walk.edges} == {
        (version, deployment, EdgeKind.DEPLOYED_AS),
        (data, version, EdgeKind.VIA),
    }


def test_cards_say_what_a_node_is(runner: Runner) -> None:
    data, step, _, version, deployment = chain(runner)
    assert card(runner, data) == NodeCard(
        data, CardKind.DATASET, "clicks", "lineal.Artifact", "ready", data.id, shown_id=f"art_{data.id}"
    )
    assert card(runner, step) == NodeCard(
        step, CardKind.STEP, "train", "lineal.Step", "succeeded", step.id, shown_id=f"step_{step.id}"
    )
    model = f"model_{version.id}"
    assert card(runner, version) == NodeCard(
        version, CardKind.MODEL_VERSION, f"{model}/3", "kf.ModelVersion", "ready", version.id, f"mv_{version.id}", group=model
    )
    shown = f"dep_{deployment.id}"
    assert card(runner, deployment) == NodeCard(
        deployment,
        CardKind.DEPLOYMENT,
        "churn in production",
        "kf.InferenceService",
        "deployed",
        deployment.id,
        shown,
        group="env_1",
    )


def test_a_step_is_grouped_by_its_run(runner: Runner) -> None:
    def fill(session: Session) -> tuple[Node, Node]:
        rows = Rows(session)
        run = rows.run(name="nightly")
        return run, rows.step(run)

    run, step = runner.write(fill)
    found = card(runner, run)
    assert (found.kind, found.name, found.status) == (CardKind.RUN, "nightly", "failed")
    assert found.shown_id is not None
    assert found.shown_id.startswith("run_")
    assert card(runner, step).group == found.shown_id


def test_a_deleted_node_stays_as_a_tombstone(runner: Runner) -> None:
    def fill(session: Session) -> tuple[Node, Node]:
        rows = Rows(session)
        gone = rows.artifact(deleted_at=9)
        version = rows.version(of=gone, lifecycle=Lifecycle.DELETED)
        return gone, version

    gone, version = runner.write(fill)
    walk = walked(runner, version, UP)
    assert [(reached.node, reached.card.deleted) for reached in walk.nodes if reached.card] == [(version, True), (gone, True)]


def test_an_edge_to_a_row_that_is_gone_is_left_out(runner: Runner) -> None:
    def fill(session: Session) -> Node:
        rows = Rows(session)
        data, step = rows.artifact(), rows.step()
        rows.reads(step, data)
        rows.forget(step)
        return data

    data = runner.write(fill)
    walk = walked(runner, data)
    assert (nodes(walk), walk.edges, walk.truncated) == ([data], (), False)


def test_paths_join_dataset_and_deployment_from_either_end(runner: Runner) -> None:
    expected = chain(runner)
    for start, goal in ((expected[0], expected[-1]), (expected[-1], expected[0])):
        found = joined(runner, start, goal)
        assert [list(path.nodes) for path in found.paths] == [expected if start == expected[0] else expected[::-1]]


def test_nodes_that_do_not_hang_together_have_no_path_and_strangers_no_nodes(runner: Runner) -> None:
    start, goal = chain(runner)[0], chain(runner)[-1]
    assert joined(runner, start, goal).paths == ()
    with pytest.raises(NotFound):
        joined(runner, start, goal, workspace=ELSEWHERE)


@pytest.mark.parametrize("goes_on", [False, True])
def test_impact_lists_every_user_in_pages(runner: Runner, goes_on: bool) -> None:
    found = listed(runner, hub(runner, 25), Trails() if goes_on else None, ["STEP"])
    pages = [[item.node for item in page.items] for page in found]
    assert [len(page) for page in pages] == [10, 10, 5]
    assert len({node for page in pages for node in page}) == 25


def test_a_deadline_gives_what_there_is(runner: Runner) -> None:
    data = chain(runner)[0]
    walk = walked(runner, data, DOWN, deadline=Deadline(0, lambda: 1))
    assert (nodes(walk), walk.cut) == ([data], (Cut.DEADLINE,))


def test_ids_that_clients_know_name_their_nodes(runner: Runner) -> None:
    data, step, _, version, deployment = chain(runner)

    def fill(session: Session) -> tuple[Node, Node]:
        rows = Rows(session)
        own = rows.execution(node_types.RUN_EXECUTION)
        return own, rows.run(own=own)

    own, run = runner.write(fill)
    known = {f"art_{data.id}": data, f"step_{step.id}": step, f"mv_{version.id}": version, f"dep_{deployment.id}": deployment}
    known |= {str(card(runner, run).shown_id): run, f"exec_{own.id}": run}
    for id, node in known.items():
        assert named(runner, id) == node


@pytest.mark.parametrize("wrong", ["", "art", "art_0", "art_x", "exp_1", "run_1", "mv_-1"])
def test_what_is_no_id_of_a_node_is_refused(runner: Runner, wrong: str) -> None:
    with pytest.raises(InvalidName):
        named(runner, wrong)


def test_an_id_of_another_kind_is_not_found(runner: Runner) -> None:
    version = chain(runner)[3]
    for wrong in (f"dep_{version.id}", f"art_{version.id}", f"step_{version.id}", "mv_999999"):
        with pytest.raises(NotFound):
            named(runner, wrong)


@pytest.mark.parametrize(
    "wrong", [{"depth": -1}, {"max_nodes": 0}, {"per_hop": 0}, {"kinds": ["step"]}, {"kinds": ["STEP", "CLOUD"]}]
)
def test_a_walk_that_makes_no_sense_is_refused(runner: Runner, wrong: dict[str, Any]) -> None:
    data = chain(runner)[0]
    with pytest.raises(InvalidArgument):
        walked(runner, data, **wrong)
