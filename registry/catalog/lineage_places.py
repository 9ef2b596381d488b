"""Edges that records have by the place where bytes lie, and by the labels of deployments.

A workflow writes a model, a person registers its URI, a service fetches it: none knows of the others, whichever comes first. So
these edges are stored nowhere; they are found where two records have the same normalised location, and are marked inferred.
"""

from typing import Any

import sqlalchemy as sa

from lineage.graph import EdgeKind
from registry.catalog.lineage_selects import ARTIFACT, CONTEXT, Column, Part, code_of, ends, is_here, number
from registry.db.row_reads import among
from registry.names import Author, Status
from registry.tables.graph import artifacts, contexts
from registry.tables.models import deployments, model_versions, registered_models, revisions
from registry.tables.runs import objects, steps

_GUESSED: dict[str, Any] = {"inferred": number(1), "is_repeated": True}
_SAID: dict[str, Any] = {"is_repeated": True}


def taken_from(*, outward: bool) -> Part:
    """From what a run made to what another one took from there: two records, because neither knew of the other."""
    near, far = artifacts.alias(), artifacts.alias()
    made, taken = ends(near, far, outward=outward)
    rows = sa.join(near, far, far.c.location_hash == near.c.location_hash)
    where = (
        among(near.c.id),
        made.c.step.is_not(None),
        ~_is_cached(made),
        made.c.id != taken.c.id,
        taken.c.step.is_(None) | _is_cached(taken),
        taken.c.author == number(Author.AGENT),
        is_here(artifacts, near.c.id),
        is_here(artifacts, far.c.id),
        near.c.workspace == far.c.workspace,
    )
    code = code_of(EdgeKind.DERIVATION, outward=outward)
    return Part(code, near.c.id, ARTIFACT, far.c.id, rows, where, taken.c.created_at, **_GUESSED)


def _is_cached(table: sa.FromClause) -> Column:
    """Its maker did not run: it shows what another step made."""
    maker = steps.alias()
    return sa.exists().where(maker.c.id == table.c.step, maker.c.status == number(Status.CACHED)).correlate_except(maker)


def lies_where_registered(*, outward: bool) -> Part:
    """A version whose source is where an artifact lies, though nobody said that it is this one."""
    return _registered_at(artifacts.c.location_hash, outward=outward)


def lies_in_what_is_registered(*, outward: bool) -> Part:
    """A version whose source is the folder that an artifact lies in."""
    return _registered_at(artifacts.c.folder_hash, outward=outward)


def _registered_at(place: Column, *, outward: bool) -> Part:
    near, far = ends(artifacts.c.id, model_versions.c.id, outward=outward)
    rows = sa.join(model_versions, contexts, contexts.c.id == model_versions.c.id)
    rows = rows.join(artifacts, place == model_versions.c.location_hash)
    where = (
        among(near),
        is_here(model_versions, model_versions.c.id),
        is_here(artifacts, artifacts.c.id),
        artifacts.c.step.is_not(None),
        sa.func.coalesce(model_versions.c.artifact, number(0)) != artifacts.c.id,
    )
    kind = CONTEXT if outward else ARTIFACT
    return Part(code_of(EdgeKind.REGISTERED_AS, outward=outward), near, kind, far, rows, where, contexts.c.created_at, **_GUESSED)


def served(*, outward: bool) -> Part:
    """A version that lies where a revision's model is fetched from."""
    rows = sa.join(revisions, model_versions, model_versions.c.location_hash == revisions.c.location_hash)
    return _from_version(rows, outward=outward, guessed=True)


def labelled(*, outward: bool) -> Part:
    """A version that the deployment's label named."""
    return _from_version(sa.join(revisions, model_versions, model_versions.c.id == revisions.c.label), outward=outward)


def named(*, outward: bool) -> Part:
    """A version that the URI of a revision names; without a version's name the newest."""
    numbers = model_versions.alias()
    newest = sa.select(sa.func.max(numbers.c.number)).where(numbers.c.model == registered_models.c.id).scalar_subquery()
    is_named = sa.case(
        (revisions.c.version_name.is_(None), model_versions.c.number == newest.correlate(registered_models)),
        else_=model_versions.c.name == revisions.c.version_name,
    )
    rows = sa.join(revisions, registered_models, registered_models.c.name == revisions.c.model_name)
    rows = rows.join(model_versions, model_versions.c.model == registered_models.c.id)
    return _from_version(rows, is_named, outward=outward)


def fetched(*, outward: bool) -> Part:
    """An artifact that a revision's model is fetched from, where nobody has registered it."""
    return _fetched_at(artifacts.c.location_hash, outward=outward)


def fetched_with_folder(*, outward: bool) -> Part:
    """An artifact in the folder that a revision's model is fetched from, where nobody has registered that."""
    return _fetched_at(artifacts.c.folder_hash, outward=outward)


def _fetched_at(place: Column, *, outward: bool) -> Part:
    own = model_versions.alias()
    registered = sa.exists().where(own.c.location_hash == revisions.c.location_hash, is_here(model_versions, own.c.id))
    rows = sa.join(revisions, artifacts, place == revisions.c.location_hash)
    where = ~registered.correlate(revisions), is_here(artifacts, artifacts.c.id)
    return _to_deployment((artifacts.c.id, ARTIFACT), rows, where, outward=outward, guessed=True)


def routed(*, outward: bool) -> Part:
    """A service that a graph names, of the graph's namespace; of a graph that is there, one that is there, too."""
    service, graph = objects.alias(), objects.alias()
    near, far = ends(service.c.deployment, graph.c.deployment, outward=outward)
    beside = [graph.c[name] == service.c[name] for name in ("workspace", "cluster", "namespace")]
    rows = sa.join(service, graph, sa.and_(graph.c.kind == _text("InferenceGraph"), *beside))
    rows = rows.join(revisions, sa.and_(revisions.c.deployment == graph.c.deployment, revisions.c.name == service.c.name))
    rows = rows.join(contexts, contexts.c.id == graph.c.deployment)
    where = (
        among(near),
        service.c.kind == _text("InferenceService"),
        (service.c.deleted == number(0)) | (graph.c.deleted != number(0)),
        is_here(deployments, service.c.deployment),
        is_here(deployments, graph.c.deployment),
    )
    return Part(code_of(EdgeKind.DEPLOYED_AS, outward=outward), near, CONTEXT, far, rows, where, contexts.c.created_at, **_SAID)


def _text(value: str) -> Column:
    return sa.literal_column(f"'{value}'", sa.Text)


def _from_version(rows: sa.Join, *where: Column, outward: bool, guessed: bool = False) -> Part:
    """But one that the deployment says it serves: that is an edge already."""
    others = sa.func.coalesce(deployments.c.model_version, number(0)) != model_versions.c.id
    here = *where, others, is_here(model_versions, model_versions.c.id)
    return _to_deployment((model_versions.c.id, CONTEXT), rows, here, outward=outward, guessed=guessed)


def _to_deployment(
    source: tuple[Column, Column], rows: sa.Join, where: tuple[Column, ...], *, outward: bool, guessed: bool
) -> Part:
    """Through a revision of it. `source`: id and kind."""
    id, kind = source
    near, far = ends(id, deployments.c.id, outward=outward)
    rows = rows.join(deployments, deployments.c.id == revisions.c.deployment).join(contexts, contexts.c.id == deployments.c.id)
    here = among(near), is_here(deployments, deployments.c.id), *where
    more = _GUESSED if guessed else _SAID
    code = code_of(EdgeKind.DEPLOYED_AS, outward=outward)
    return Part(code, near, CONTEXT if outward else kind, far, rows, here, contexts.c.created_at, **more)
