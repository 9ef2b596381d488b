"""How SQLite reads a level: from its nodes, by an index. It has no statistics unless it is asked to make them, and a wrong guess
is a whole table for each level of a walk.
"""

from collections.abc import Iterator

import pytest

from lineage.graph import Direction, NodeKind
from registry.catalog import lineage_edges
from registry.db.counting import count_statements
from registry.db.runner import Runner
from registry.db.session import Session
from tests.databases import sqlite_url, started


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with started(sqlite_url(tmp_path_factory.mktemp("db"))) as made:
        yield made


@pytest.mark.parametrize("reads", ["_EDGES", "_FIRST_EDGES", "_NEIGHBOURS"])
@pytest.mark.parametrize("kind", list(NodeKind))
@pytest.mark.parametrize("way", [Direction.UPSTREAM, Direction.DOWNSTREAM])
def test_a_level_is_read_from_its_nodes(runner: Runner, reads: str, kind: NodeKind, way: Direction) -> None:
    given = {"ids": "[1]", "workspace": 1, "limit": 1}
    with count_statements(runner.database) as counted:
        runner.read(lambda session: getattr(lineage_edges, reads)[kind, way].run(session, [1], workspace=1, limit=1))

    def explain(session: Session) -> list[str]:
        plan = session.connection.exec_driver_sql("EXPLAIN QUERY PLAN " + counted.statements[-1], given | {"param_1": 0})
        return [str(row[3]) for row in plan]

    steps = runner.read(explain)
    scanned = [step.removeprefix("SCAN ") for step in steps if step.startswith("SCAN ")]
    assert [what for what in scanned if not what.startswith(("json_each", "anon_", "(subquery"))] == []
    assert [step for step in steps if "SEARCH links" in step and "_node=?" not in step] == []
    assert any(step.startswith("SEARCH links") for step in steps)
