"""An output that no report tells of any more goes, unless something else names it."""

import pytest
import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.db.runner import Runner
from registry.db.session import Session
from registry.tables.graph import artifacts, attributions
from tests.catalog.reporting import apply, new_uid, report, task


@pytest.mark.parametrize("attributed", [False, True])
def test_only_an_artifact_that_nothing_attributes_is_forgotten(runner: Runner, actor: Actor, attributed: bool) -> None:
    uid = new_uid()
    uri = f"s3://b/{uid}/first"
    apply(runner, actor, report(uid, 1, task("a", outputs={"artifacts": [{"name": "o", "uri": uri}]})))
    query = sa.select(artifacts.c.id).where(artifacts.c.uri == uri)
    [made] = runner.read(lambda session: session.scalars(query))

    def attribute(session: Session) -> None:
        session.insert(attributions, {"context": 1, "artifact": made, "kind": 0, "name_key": None, "created_at": 1})

    if attributed:
        runner.write(attribute)

    apply(runner, actor, report(uid, 2, task("a", outputs={"artifacts": [{"name": "o", "uri": f"s3://b/{uid}/second"}]})))

    assert runner.read(lambda session: session.scalars(query)) == ([made] if attributed else [])
