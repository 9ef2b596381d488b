"""One life of a namespace on a real API server, with faults at seeded moments, and the proof that the record tells it so.

The proof: a store into which every recorded event is replayed, but for those that fell into a gap that ended in a relist, is
equal to the store that the agent filled; and of each object the last event has arrived, or that it is gone.

It is whole: what is done to a cluster and what then has to hold are read together.
"""

import copy
import json
import os
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from agent.kind import Kind
from agent.kinds import KINDS, find_kind, translate
from agent.reading import Read, files, read_file
from agent.report import Report
from agent.sending import ReportSender
from registry.catalog.checking import snapshot
from registry.catalog.dumping import canonical
from registry.maintenance import opened
from registry.settings import Settings
from tests.agent.recording import Recorded, Recorder, RecordingProxy
from tests.agent.running import AgentProcess, wait_until
from tests.faults.databases import Sqlite
from tests.faults.ours import Ours
from tests.servers import serving
from tests.services.kubernetes import KubeCluster

Json = dict[str, Any]
FOLDERS = ("argo", "compressed", "katib", "kfp-v1", "kfp-v2", "kserve", "scheduled", "training")
OBJECTS, STEPS, FAULTS = 8, 40, 4


@dataclass(frozen=True)
class Installed:
    """A kind as the API server of the test has it: in one version."""

    kind: Kind
    crd: Path
    status_apart: bool


def installed(samples: Path) -> dict[str, Installed]:
    """By name of the kind, those whose resource definition is among the samples."""
    found = {}
    for kind in KINDS:
        file = samples / "crds" / f"{kind.group}_{kind.plural}.yaml"
        if file.exists():
            versions = {version["name"]: version for version in yaml.safe_load(file.read_text())["spec"]["versions"]}
            version = next(name for name in kind.versions if name in versions and versions[name]["served"])
            apart = "status" in (versions[version].get("subresources") or {})
            found[kind.name] = Installed(replace(kind, versions=(version,)), file, apart)
    return found


@dataclass(frozen=True)
class Sample:
    """An object, and the states that it goes through."""

    kind: Kind
    states: tuple[Json, ...]


def samples_of(folder: Path, known: dict[str, Installed]) -> list[Sample]:
    """Of every object in the folder whose kind the API server has."""
    found = []
    for file in files([str(folder / "k8s" / name) for name in FOLDERS]):
        for read in read_file(file):
            if not isinstance(read, Read):
                continue
            kind = find_kind(str(read.content.get("kind")), str(read.content.get("apiVersion") or ""))
            if kind is not None and kind.name in known and len(json.dumps(read.content)) < 1_000_000:
                found.append(Sample(known[kind.name].kind, tuple(states_of(known[kind.name].kind, read.content))))
    return found


def accepted(cluster: KubeCluster, samples: Sequence[Sample], known: dict[str, Installed]) -> list[Sample]:
    """Those that the API server takes: some are from documentation, with parts left out."""
    space = Namespace(cluster, "accepted", known, recorded=False)
    found = []
    for number, sample in enumerate(samples):
        life = Life(sample, f"s{number}")
        try:
            for _ in sample.states:
                space.advance(life)
        except RuntimeError:
            continue
        found.append(sample)
    return found


def states_of(kind: Kind, content: Json) -> Iterator[Json]:
    """From new to as it was found. Of a Workflow with nodes: as it was after each quarter of its nodes had started."""
    made: Json = {key: copy.deepcopy(content[key]) for key in ("spec", "status") if key in content}
    metadata = content["metadata"]
    kept = {key: copy.deepcopy(metadata[key]) for key in ("labels", "annotations") if metadata.get(key)}
    made |= {"apiVersion": f"{kind.group}/{kind.versions[0]}", "kind": kind.name, "metadata": kept}
    yield {key: value for key, value in made.items() if key != "status"}
    status = made.get("status") or {}
    nodes = status.get("nodes")
    if isinstance(nodes, dict) and len(nodes) > 3:
        order = sorted(nodes, key=lambda node: str(nodes[node].get("startedAt")))
        for quarter in (1, 2, 3):
            shown = {id: copy.deepcopy(nodes[id]) for id in order[: max(1, len(order) * quarter // 4)]}
            for node in list(shown.values())[-2:]:
                node |= {"phase": "Running"}
                node.pop("finishedAt", None)
            going = {key: value for key, value in status.items() if key not in {"finishedAt", "nodes"}}
            yield made | {"status": going | {"phase": "Running", "nodes": shown}}
    elif isinstance(status.get("conditions"), list) and len(status["conditions"]) > 1:
        yield made | {"status": status | {"conditions": status["conditions"][:1]}}
    yield made


@dataclass
class Life:
    """An object in the cluster, and how far it has come."""

    sample: Sample
    name: str
    stage: int = 0
    kept: Json = field(default_factory=dict)


class Namespace:
    """Makes objects, moves them through their states, deletes them; each change is recorded before the next."""

    def __init__(self, cluster: KubeCluster, name: str, known: dict[str, Installed], *, recorded: bool = True) -> None:
        self.name = name
        self._cluster, self._known = cluster, known
        cluster.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        self.recorder = Recorder(cluster, [one.kind for one in known.values()] if recorded else [], name)

    def advance(self, life: Life) -> None:
        content = copy.deepcopy(life.sample.states[life.stage])
        content["metadata"] |= {"name": life.name, "namespace": self.name}
        path = self._path(life.sample.kind)
        status = content.get("status")
        if not life.kept:
            life.kept = self._cluster.call("POST", path, content)
        else:
            content["metadata"]["resourceVersion"] = life.kept["metadata"]["resourceVersion"]
            life.kept = self._cluster.call("PUT", f"{path}/{life.name}", content)
        if status and self._known[life.sample.kind.name].status_apart:
            life.kept = self._cluster.call("PUT", f"{path}/{life.name}/status", life.kept | {"status": status})
        life.stage += 1
        if self.recorder.records:
            self.recorder.wait_for(life.kept["metadata"]["uid"], int(life.kept["metadata"]["resourceVersion"]))

    def delete(self, life: Life) -> None:
        if self.recorder.records:
            self.recorder.wait_ready(life.sample.kind.name)
        self._cluster.call("DELETE", f"{self._path(life.sample.kind)}/{life.name}")
        if self.recorder.records:
            self.recorder.wait_for(life.kept["metadata"]["uid"], None)

    def _path(self, kind: Kind) -> str:
        return f"/apis/{kind.group}/{kind.versions[0]}/namespaces/{self.name}/{kind.plural}"


class Stage:
    """What a scenario plays on: the cluster (shared), and an agent, a server and a namespace of its own."""

    def __init__(
        self, cluster: KubeCluster, samples: Sequence[Sample], known: dict[str, Installed], folder: Path, seed: str
    ) -> None:
        self.cluster, self.folder = cluster, folder
        self.random = random.Random(seed)
        self.stack = ExitStack()
        self.space = Namespace(cluster, f"run-{time.monotonic_ns()}", known)
        self.stack.callback(self.space.recorder.close)
        self.ours = Ours(folder, Sqlite(folder))
        self.ours.start()
        self.stack.callback(self.ours.stop)
        self.proxy = self.stack.enter_context(RecordingProxy(self.ours.url).serving())
        flags = ("--namespaces", self.space.name, "--kinds", ",".join(known), "--cluster", "west")
        self.agent = AgentProcess(folder, self.proxy.url, cluster.kubeconfig(), *flags)
        self.stack.enter_context(self.agent)
        self.samples = samples
        self.lives: list[Life] = []

    def step(self) -> None:
        """One thing happens in the namespace."""
        chance = self.random.random()
        going = [life for life in self.lives if life.stage < len(life.sample.states)]
        if self.lives and chance < 0.1:
            life = self.lives.pop(self.random.randrange(len(self.lives)))
            self.space.delete(life)
        elif going and (chance < 0.75 or len(self.lives) >= OBJECTS):
            self.space.advance(self.random.choice(going))
        else:
            life = Life(self.random.choice(self.samples), f"w{self.random.randrange(10**9)}")
            self.space.advance(life)
            self.lives.append(life)

    def steps(self, number: int) -> None:
        for _ in range(number):
            self.step()
            time.sleep(self.random.uniform(0, 0.05))

    # ---- the proof --------------------------------------------------------------------------------------------------

    def reports(self) -> list[Json]:
        """That the server has taken, in order."""
        bodies = [json.loads(one.body) for one in list(self.proxy.passed) if one.method == "POST" and one.status == 200]
        return [report for body in bodies for report in body.get("reports", [body])]

    def missing(self) -> list[str]:
        """Objects of which neither the last event has arrived, nor that they are gone."""
        reports = self.reports()
        arrived = _arrived(reports)
        gone = {one["object"]["uid"] for one in reports if one["object"]["deleted"]}
        known = {one["object"]["uid"] for one in reports}
        last = {event.uid: event for event in self.space.recorder.events}
        return [
            f"{event.kind} {uid} {event.type} {event.version}"
            for uid, event in last.items()
            if (uid, str(event.version)) not in arrived and not (event.type == "DELETED" and (uid in gone or uid not in known))
        ]

    def log_of_events(self) -> list[tuple[str, Json]]:
        """The recorded events without those that a relist stands for, and with what it showed to be gone."""
        reports = self.reports()
        arrived = _arrived(reports)
        gaps = self._gaps()

        def was_missed(event: Recorded) -> bool:
            told = (event.uid, str(event.version)) in arrived
            return not told and any(kind == event.kind and after < event.version <= end for kind, after, end in gaps)

        told = [(event.type, event.content) for event in self.space.recorder.events if not was_missed(event)]
        for one in reports:
            ref = one["object"]
            if _says_only_gone(one):
                names = {"name": "name", "namespace": "namespace", "uid": "uid", "resourceVersion": "resource_version"}
                names["deletionTimestamp"] = "gone_at"
                metadata = {key: ref[own] for key, own in names.items()}
                kind = next(kind for kind in KINDS if kind.name == ref["kind"])
                told.append(
                    ("DELETED", {"kind": kind.name, "apiVersion": f"{kind.group}/{kind.versions[0]}", "metadata": metadata})
                )
        return told

    def _gaps(self) -> list[tuple[str, int, int]]:
        """Kind, the version before, the version of the list: of each list that the agent made."""
        lines = [json.loads(line) for line in self.agent.log().splitlines() if line.startswith("{")]
        return [(line["kind"], int(line["after"] or 0), int(line["version"])) for line in lines if line["message"] == "listed"]

    def difference(self) -> list[str]:
        """Between the agent's store and that of the replay; empty if they are equal."""
        try:
            wait_until(lambda: not self.missing(), patience_s=150)  # a watch that goes silent is left after 90
        except AssertionError:
            told = [f"never arrived: {line}" for line in self.missing()]
            os.kill(self.agent.pid, signal.SIGUSR1)
            time.sleep(1)
            return [*told, self.agent.log()[-20_000:]]
        self.agent.wait_idle()
        assert self.agent.stop() == 0
        problems = self.ours.problems()
        self.ours.stop()
        ours, theirs = dump_of(self.ours.database.url), self._replayed()
        return problems + ([] if ours == theirs else unequal(ours, theirs))

    def _replayed(self) -> list[Any]:
        folder = self.folder / "replayed"
        settings = Settings(data_dir=str(folder))
        with serving(settings) as empty, ReportSender(empty.url) as sender:
            for type, content in self.log_of_events():
                report = translate(Read("log", 0, content, deleted=type == "DELETED"), "west")
                assert isinstance(report, Report), report
                sender.send(report, content)
        return dump_of(settings.db_url)


def _says_only_gone(report: Json) -> bool:
    return set(report) == {"object"}


def _arrived(reports: Sequence[Json]) -> set[tuple[str, str]]:
    """The states that were told, by uid and version."""
    return {(one["object"]["uid"], one["object"]["resource_version"]) for one in reports if not _says_only_gone(one)}


def dump_of(url: str) -> list[Any]:
    database = opened(url)
    try:
        with snapshot(database) as session:
            return list(canonical(session))
    finally:
        database.close()


def unequal(ours: list[Any], theirs: list[Any]) -> list[str]:
    """Lines that only one of two dumps has: with their numbers hidden, unless the numbers are all that differs."""
    for hide in (True, False):
        lines = [Counter(_line(one, hide=hide) for one in dump) for dump in (ours, theirs)]
        shown = [f"only the agent's: {line}" for line in sorted((lines[0] - lines[1]).elements())]
        shown += [f"only the replay's: {line}" for line in sorted((lines[1] - lines[0]).elements())]
        if shown:
            return shown
    return ["the order of lines"]


def _line(value: Any, *, hide: bool) -> str:
    line = json.dumps(value, sort_keys=True, default=str)
    return re.sub(r'"([a-z]+)-\d+"', r'"\1-N"', line) if hide else line


# ---- faults ---------------------------------------------------------------------------------------------------------


def agent_killed(stage: Stage) -> None:
    stage.agent.kill()
    stage.agent.start()


def agent_killed_for_a_while(stage: Stage) -> None:
    stage.agent.kill()
    stage.steps(4)
    stage.agent.start()


def agent_killed_and_the_history_gone(stage: Stage) -> None:
    stage.agent.kill()
    stage.steps(4)
    stage.cluster.compact()
    stage.cluster.kill_api()
    stage.cluster.start_api()
    stage.agent.start()


def agent_stopped_for_a_while(stage: Stage) -> None:
    assert stage.agent.stop() == 0
    stage.steps(3)
    stage.agent.start()


def api_server_killed(stage: Stage) -> None:
    stage.cluster.kill_api()
    time.sleep(stage.random.uniform(0, 1))
    stage.cluster.start_api()


def etcd_killed(stage: Stage) -> None:
    stage.cluster.compact()
    stage.cluster.kill_etcd()
    stage.cluster.kill_api()
    stage.cluster.start()


def our_server_killed(stage: Stage) -> None:
    stage.ours.kill()
    stage.steps(3)
    stage.ours.start()


def our_server_away_while_the_agent_dies(stage: Stage) -> None:
    stage.proxy.away = True
    stage.steps(4)
    wait_until(lambda: stage.agent.metric("server_away", None) == 1)
    stage.agent.kill()
    stage.steps(1)
    stage.agent.start()
    stage.steps(2)
    stage.proxy.away = False


FAULT_LIST: tuple[Callable[[Stage], None], ...] = (
    agent_killed,
    agent_killed_for_a_while,
    agent_killed_and_the_history_gone,
    agent_stopped_for_a_while,
    api_server_killed,
    etcd_killed,
    our_server_killed,
    our_server_away_while_the_agent_dies,
)


@dataclass(frozen=True)
class Verdict:
    faults: tuple[str, ...]
    events: int
    lists: int
    difference: tuple[str, ...]


def play(cluster: KubeCluster, samples: Sequence[Sample], known: dict[str, Installed], folder: Path, seed: str) -> Verdict:
    """One scenario from its seed."""
    stage = Stage(cluster, samples, known, folder, seed)
    with stage.stack:
        chosen = stage.random.sample(FAULT_LIST, FAULTS)
        for fault in chosen:
            stage.steps(STEPS // (FAULTS + 1))
            fault(stage)
        stage.steps(STEPS // (FAULTS + 1))
        found = stage.difference()
        names = tuple(fault.__name__ for fault in chosen)
        return Verdict(names, len(stage.space.recorder.events), len(stage._gaps()), tuple(found))


@contextmanager
def cluster_with(folder: Path, scratch: Path, assets: Path) -> Iterator[tuple[KubeCluster, list[Sample], dict[str, Installed]]]:
    """Started, with the resource definitions of our kinds, and the objects in `folder` that it takes."""
    known = installed(folder)
    cluster = KubeCluster(scratch, assets)
    try:
        cluster.start()
        cluster.install([one.crd for one in known.values()])
        yield cluster, accepted(cluster, samples_of(folder, known), known), known
    finally:
        cluster.stop()
