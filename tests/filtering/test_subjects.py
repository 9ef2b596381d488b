"""The subjects of the catalog on the real tables, on every database: what the use cases wrote is what filters find."""

import math
from dataclasses import dataclass, replace

import pytest
import sqlalchemy as sa

from registry.catalog import subjects, tagging
from registry.catalog.actors import Actor
from registry.catalog.artifacts import create_artifact
from registry.catalog.datasets import create_dataset
from registry.catalog.deployments import create_deployment
from registry.catalog.experiments import create_experiment
from registry.catalog.metrics import Batch, Point, log_many
from registry.catalog.models import create_model
from registry.catalog.pages import Search, Total, find_page
from registry.catalog.properties import Properties, PropertyKind, PropertyValue, write_properties
from registry.catalog.run_creation import create_run
from registry.catalog.runs import list_runs
from registry.catalog.targets import Target, move
from registry.catalog.versions import create_version, log_to_version
from registry.db.runner import Runner
from registry.db.session import Session
from registry.errors import InvalidFilter, InvalidPageToken
from registry.filtering.keyset import Place, place_of, token_of
from registry.filtering.subject import Subject
from registry.names import ArtifactKind, NodeKind, TargetKind

LONG = "x" * 250
HEXES = {name: f"{number:032x}" for number, name in enumerate(("parent", "child", "nan", "inf", "bare"), 1)}


@dataclass
class World:
    runner: Runner
    names: dict[tuple[str, int], str]

    def find(self, subject: Subject, text: str) -> list[str]:
        found = self.page(subject, text)
        return [name for name, _ in found]

    def page(
        self, subject: Subject, text: str = "", order_by: str = "", after: Place | None = None, limit: int = 100
    ) -> list[tuple[str, Place]]:
        def read(session: Session) -> list[tuple[int, Place]]:
            search = Search(text, order_by, after, limit)
            read_ids = lambda _session, rows: [row.id for row in rows]  # noqa: E731
            page = find_page(session, subject, (), search, rows=sa.select(subject.id), read=read_ids)
            return list(zip(page.records, page.places, strict=True))

        known = [(self.names.get((subject.kind, id)), place) for id, place in self.runner.read(read)]
        return [(name, place) for name, place in known if name is not None]  # a fresh database has a Default experiment


@pytest.fixture(scope="module")
def world(runner: Runner, actor: Actor) -> World:
    names: dict[tuple[str, int], str] = {}

    def make(session: Session) -> None:
        experiment = create_experiment(session, actor, "Alpha", now=1_000, tags={"team": "vision"})
        beta = create_experiment(session, actor, "beta", now=2_000, description="50% off")
        names.update({("experiment", experiment.id): "Alpha", ("experiment", beta.id): "beta"})
        runs = {}
        for name, hex in HEXES.items():
            parent = HEXES["parent"] if name == "child" else None
            home = beta.id if name == "bare" else experiment.id
            runs[name] = create_run(session, actor, now=3_000, experiment=home, name=name, hex=hex, parent=parent)
            names["run", runs[name]] = name
        values = {"parent": 0.5, "child": 0.9, "nan": math.nan, "inf": math.inf}
        refused = log_many(
            session,
            [
                Batch(actor.workspace, HEXES[name], [Point("acc", value, at=1)], {"lr": LONG if name == "inf" else "0.1"})
                for name, value in values.items()
            ],
        )
        assert refused == [None] * 4
        write_properties(
            session,
            NodeKind.CONTEXT,
            {
                runs["parent"]: Properties(
                    declared={"n": PropertyValue(PropertyKind.INT, 2**53 + 1)},
                    custom={"n": PropertyValue(PropertyKind.STRING, "five")},
                ),
                runs["child"]: Properties(declared={"n": PropertyValue(PropertyKind.DOUBLE, 2.0**53)}),
                runs["nan"]: Properties(declared={"n": PropertyValue(PropertyKind.BOOLEAN, value=True)}),
            },
        )
        model = create_model(session, actor, "resnet", now=4_000, owner="É. Müller", tags={"a.b": "x"})
        other = create_model(session, actor, "ResNet", now=4_100)
        names.update({("registered model", model.id): "resnet", ("registered model", other.id): "ResNet"})
        child = create_version(session, actor, model.id, now=5_000, run=HEXES["child"], tags={"k": "v"})
        plain = create_version(session, actor, model.id, now=5_100, source="s3://b/100%/x_y")
        hidden = create_version(session, actor, other.id, now=5_200, run=HEXES["child"])
        bare = create_version(session, actor, other.id, now=5_300)  # nothing of its own, and no run to have it from
        names.update({("model version", v.id): n for v, n in ((child, "r1"), (plain, "r2"), (hidden, "R1"), (bare, "R2"))})
        log_to_version(session, actor, plain.id, points=[Point("acc", 0.7, at=1)], params={"lr": "0.2"})
        log_to_version(session, actor, hidden.id, points=[Point("acc", math.nan, at=1)], params={"lr": "0.3"})
        for alias, version in (("champion", child), ("best", child), ("Champion", hidden)):
            move(session, Target(TargetKind.ALIAS, version.model, alias), version.id, expected=None, actor=actor, now=6_000)
        move(session, Target(TargetKind.STAGE, model.id, "Production"), plain.id, expected=None, actor=actor, now=6_000)
        data = create_artifact(session, actor, now=7_000, kind=ArtifactKind.DATASET, uri="s3://b/" + LONG, size_bytes=2**53 + 1)
        empty = create_artifact(session, actor, now=7_100, display_name="жук", tags={"k": "a\\b"})
        names.update({("artifact", data.id): "data", ("artifact", empty.id): "empty"})
        tagging.set_tags(session, NodeKind.ARTIFACT, {data.id: {"k": LONG}})
        live = create_deployment(session, actor, "live", now=8_000, environment="prod", model=model.id, model_version=child.id)
        idle = create_deployment(session, actor, "idle", now=8_100, environment="prod", actual_state="Ready")
        names.update({("deployment", live.id): "live", ("deployment", idle.id): "idle"})
        names["environment", live.environment] = "prod"
        digits = create_dataset(session, actor, "mnist", now=9_000, namespace="s3", description="digits")
        none = create_dataset(session, actor, "none", now=9_100)
        names.update({("dataset", digits.id): "mnist", ("dataset", none.id): "none"})

    runner.write(make)
    return World(runner, names)


R, V, M, A, E, D, N, S = (
    subjects.RUNS,
    subjects.VERSIONS,
    subjects.MODELS,
    subjects.ARTIFACTS,
    subjects.EXPERIMENTS,
    subjects.DEPLOYMENTS,
    subjects.ENVIRONMENTS,
    subjects.DATASETS,
)
EXAMPLES: list[tuple[Subject, str, list[str]]] = [
    (R, "metrics.acc > 0.6", ["child", "inf"]),
    (R, "metrics.acc = inf", ["inf"]),
    (R, "NOT metrics.acc > 0.6", ["parent", "nan", "bare"]),
    (R, "metrics.acc != 0", ["parent", "child", "nan", "inf"]),  # NaN, which is stored as 0, is unequal to every number
    (R, "metrics.acc != 0.5", ["child", "nan", "inf"]),
    (R, "metrics.acc NOT IN (0, 0.5, nan)", ["child", "nan", "inf"]),
    (R, "metrics.acc = 0 OR metrics.acc = nan OR metrics.acc >= -inf OR metrics.acc < 1", ["parent", "child", "inf"]),
    (R, "metrics.acc IS NULL", ["bare"]),
    (R, "parent IS NULL", ["parent", "nan", "inf", "bare"]),
    (R, f"parent = 'run_{HEXES['parent']}'", ["child"]),
    (R, f"NOT parent = 'run_{HEXES['parent']}'", ["parent", "nan", "inf", "bare"]),
    (R, "NOT experiment LIKE 'a%' AND experiment ILIKE 'a%'", ["parent", "child", "nan", "inf"]),
    (R, f"params.lr = '{LONG}'", ["inf"]),
    (R, f"params.lr = '{LONG}x'", []),
    (R, "params.lr IN ('0.1') AND status = running", ["parent", "child", "nan"]),
    (R, "params.never_used IS NULL AND NOT tags.never_used = 'x'", list(HEXES)),
    (R, "properties.n = 9007199254740993", ["parent"]),
    (R, "properties.n = 9007199254740992", ["child"]),
    (R, "properties.n = true", ["nan"]),
    (R, "properties.n.int_value IS NULL", ["child", "nan", "inf", "bare"]),
    (R, "custom.n = 'five' AND properties.n > 5", ["parent"]),
    (E, "tags.team = 'vision'", ["Alpha"]),
    (E, "name > 'B'", ["beta"]),
    (E, r"description LIKE '50\% %'", ["beta"]),
    (E, "created_at >= '1970-01-01T00:00:02Z' AND name = 'beta'", ["beta"]),
    (E, "derived = true", []),
    (M, "name = 'resnet'", ["resnet"]),
    (M, "name ILIKE 'RESNET'", ["resnet", "ResNet"]),
    (M, "owner ILIKE 'é. mÜ%'", ["resnet"]),
    (M, "owner LIKE 'é%'", []),
    (M, "tags.`a.b` = 'x' AND tags.a.b = 'x'", ["resnet"]),
    (M, "aliases = 'best'", ["resnet"]),
    (M, "last_number >= 2 AND owner IS NOT NULL", ["resnet"]),
    (V, "aliases = 'champion'", ["r1"]),
    (V, "aliases IN ('Champion', 'best')", ["r1", "R1"]),
    (V, "aliases IS NULL", ["r2", "R2"]),
    (V, "NOT aliases = 'best'", ["r2", "R1", "R2"]),
    (V, "stage = 'Production'", ["r2"]),
    (V, "stage IS NULL", ["r1", "R1", "R2"]),
    (V, "model = 'resnet' AND number = 2", ["r2"]),
    (V, "metrics.acc = 0.9", ["r1"]),  # of its run; R1's own NaN hides the run's
    (V, "metrics.acc > 0", ["r1", "r2"]),
    (V, "NOT metrics.acc > 0", ["R1", "R2"]),
    (V, "metrics.acc != 0.9", ["r2", "R1"]),
    (V, "metrics.acc IS NULL AND NOT params.lr = '0.1'", ["R2"]),
    (V, "params.lr IN ('0.1', '0.3')", ["r1", "R1"]),
    (V, "params.lr != '0.1'", ["r2", "R1"]),
    (V, "metrics.none IS NULL", ["r1", "r2", "R1", "R2"]),
    (V, "run IS NULL", ["r2", "R2"]),
    (V, f"run = '{HEXES['child']}'", ["r1", "R1"]),
    (V, r"source LIKE '%100\%/x\_y'", ["r2"]),
    (V, r"source LIKE '%100\%/x\_\_'", []),
    (A, "kind = dataset", ["data"]),
    (A, "readiness = READY", ["data", "empty"]),
    (A, "size_bytes = 9007199254740993", ["data"]),
    (A, "size_bytes = 9007199254740992 OR size_bytes > 99999999999999999999", []),
    (A, f"uri = 's3://b/{LONG}'", ["data"]),
    (A, "display_name ILIKE 'ЖУК'", ["empty"]),
    (A, r"tags.k = 'a\\b' AND tags.k LIKE 'a\\\\b'", ["empty"]),
    (A, f"tags.k LIKE '{LONG[:240]}%_'", ["data"]),
    (D, "environment = 'prod'", ["live", "idle"]),
    (D, "model = 'resnet' AND desired_state = deployed", ["live"]),
    (D, "model IS NULL AND actual_state = 'Ready'", ["idle"]),
    (D, "NOT model = 'resnet'", ["idle"]),
    (N, "name = 'prod' AND created_at = 8000 AND description IS NULL", ["prod"]),
    (S, "namespace = 's3' AND name LIKE 'mn%'", ["mnist"]),
    (S, "description ILIKE 'DIGITS' OR created_at >= 9100", ["mnist", "none"]),
]


@pytest.mark.parametrize(("subject", "text", "names"), EXAMPLES, ids=[f"{s.kind}: {t[:60]}" for s, t, _ in EXAMPLES])
def test_a_filter_finds_the_records_that_it_means(world: World, subject: Subject, text: str, names: list[str]) -> None:
    assert world.find(subject, text) == names


@pytest.mark.parametrize(("subject", "text"), [example[:2] for example in EXAMPLES])
def test_a_filter_and_its_not_share_all_records_among_them(world: World, subject: Subject, text: str) -> None:
    both = world.find(subject, text) + world.find(subject, f"NOT ({text})")

    assert sorted(both) == sorted(world.find(subject, ""))


def test_a_list_is_the_page_of_ids_with_their_rows_in_its_order(world: World, actor: Actor) -> None:
    search = Search("params.lr IS NOT NULL", "metrics.acc DESC, experiment", limit=3, total=True)

    first = world.runner.read(lambda session: list_runs(session, actor, search))
    rest = world.runner.read(lambda session: list_runs(session, actor, replace(search, after=first.end)))

    assert [run.name for run in first.records] == ["inf", "child", "parent"]
    assert [run.name for run in rest.records] == ["nan"]
    assert first.end == [0.5, "Alpha", first.records[2].id]
    assert rest.end is None
    assert first.total == rest.total == Total(4, exact=True)


HOSTILE = ["' OR 1=1 --", "'; DROP TABLE runs; --", '" OR ""="', "`", "%", "\\", "!_%", ":name", "%s %(x)s", "{0}", "$1", "/*"]


@pytest.mark.parametrize("subject", [R, V, M, A, E, D, N], ids=lambda subject: subject.kind)
@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_is_only_text(world: World, subject: Subject, hostile: str) -> None:
    text = "'" + hostile.replace("\\", "\\\\").replace("'", "\\'") + "'"
    key = "`" + hostile.replace("`", "``") + "`"
    everything = world.find(subject, "")

    assert world.find(subject, f"name = {text} OR tags.{key} = {text} OR custom.{key} = {text} OR name IN ({text})") == []
    assert world.find(subject, f"tags.{key} IS NULL AND NOT tags.{key} LIKE {text}") == everything
    assert [name for name, _ in world.page(subject, order_by=f"tags.{key} DESC")] == everything
    with pytest.raises(InvalidFilter):
        world.find(subject, f"name = {text} {hostile} 1")


ORDERS = [
    (R, "metrics.acc", ["parent", "child", "inf", "nan", "bare"]),
    (R, "metrics.acc DESC", ["inf", "child", "parent", "nan", "bare"]),
    (R, "params.lr DESC, name", ["inf", "child", "nan", "parent", "bare"]),
    (R, "parent, name DESC", ["child", "parent", "nan", "inf", "bare"]),
    (R, "properties.n.int_value, created_at, id DESC", ["parent", "bare", "inf", "nan", "child"]),
    (V, "metrics.acc DESC", ["r1", "r2", "R1", "R2"]),
    (V, "params.lr DESC", ["R1", "r2", "r1", "R2"]),
    (V, "model, number DESC", ["R2", "R1", "r2", "r1"]),
    (V, "stage, created_at DESC", ["r2", "R2", "R1", "r1"]),
    (A, "size_bytes DESC, readiness", ["data", "empty"]),
    (A, "display_name", ["empty", "data"]),
    (D, "model DESC", ["live", "idle"]),
    (M, "name", ["ResNet", "resnet"]),
    (E, "name DESC", ["beta", "Alpha"]),
    (S, "namespace DESC, name", ["mnist", "none"]),
    (N, "name, updated_at DESC", ["prod"]),
]


@pytest.mark.parametrize("size", [1, 2, 100])
@pytest.mark.parametrize(("subject", "order_by", "names"), ORDERS, ids=[f"{s.kind}: {o}" for s, o, _ in ORDERS])
def test_pages_in_an_order_are_the_list_without_a_gap_or_repeat(
    world: World, subject: Subject, order_by: str, names: list[str], size: int
) -> None:
    found: list[str] = []
    after: Place | None = None
    while True:
        page = world.page(subject, "created_at > 1", order_by, after, size)  # only what `world` made is that young
        found += [name for name, _ in page]
        if len(page) < size:
            break
        after = place_of(token_of(page[-1][1], order_by), order_by)

    assert found == names


@pytest.mark.parametrize(
    "place",
    [[], [1], [1, 2, 3], ["a", 1], [True, 1], [2**63, 1], [1, 2**63], [1, True], [1, None], [1, "1"], [1.5, 1], [None, 1.0]],
)
def test_a_place_of_another_order_is_refused(world: World, place: Place) -> None:
    with pytest.raises(InvalidPageToken):
        world.page(R, order_by="started_at", after=place)


@pytest.mark.parametrize("place", [["\0", 1], ["\ud800", 1], [None, 1], [1, 1]])
def test_a_name_that_no_column_holds_is_no_place(world: World, place: Place) -> None:
    with pytest.raises(InvalidPageToken):
        world.page(R, order_by="name", after=place)


@pytest.mark.parametrize("place", [[math.nan, 1], [math.inf, 1], [10**400, 1], ["0.5", 1]])
def test_a_number_that_no_column_holds_is_no_place(world: World, place: Place) -> None:
    with pytest.raises(InvalidPageToken):
        world.page(R, order_by="metrics.acc", after=place)


@pytest.mark.parametrize(
    ("subject", "text", "column", "words"),
    [
        (V, "nmae = 'x'", 1, "did you mean `name`"),
        (V, "name = 1", 8, "is text"),
        (A, "size_bytes = 'x'", 14, "is a number"),
        (A, "kind = mdoel", 8, "is one of other, model"),
        (V, "id = 'run_1'", 6, "mv_17"),
        (M, "metrics.acc > 1", 1, "no field"),
        (V, "name = 'a'\n  AND created_at > 'soon'", 20, "is a time"),
    ],
)
def test_errors_say_where(world: World, subject: Subject, text: str, column: int, words: str) -> None:
    with pytest.raises(InvalidFilter, match=words) as caught:
        world.find(subject, text)

    assert caught.value.data == {"line": text.count("\n") + 1, "column": column}


@pytest.mark.parametrize("order_by", ["aliases", "description DESC", "properties.x", "nope", "name,", "name ASC DESC"])
def test_what_has_no_order_is_refused(world: World, order_by: str) -> None:
    with pytest.raises(InvalidFilter, match="order_by"):
        world.page(V, order_by=order_by)
