"""The ML Metadata door beside the C++ store, in process (no network, which favours it) and behind the smallest gRPC server.

All three are told the same: 50,000 artifacts in contexts of 100, executions with two events each, a chain and a fan. Ids are the
same everywhere, so the bytes of a request are made once. A repeat sends one request again and again, from 1 client or from 8.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc

from benchmarks.apis import WrongAnswer
from benchmarks.measuring import SECONDS, Meter, Side
from benchmarks.processes import Process
from benchmarks.servers import ROOT, Missing, free_port, start_lineal
from benchmarks.stage import Area, Case, Goal, Stage
from registry.api.mlmd.descriptors import service

ARTIFACTS = int(os.environ.get("LINEAL_BENCH_ARTIFACTS") or 50_000)
IN_CONTEXT = 100
BATCH = 500
HOPS, FAN = 20, 1_000
OPTIONS = [("grpc.max_receive_message_length", 2**27), ("grpc.max_send_message_length", 2**27)]
Call = Callable[[str, bytes], bytes]


def message(name: str, /, **fields: Any) -> Any:
    return service().messages[name](**fields)


def request(method: str, **fields: Any) -> bytes:
    made: bytes = service().methods[method].request(**fields).SerializeToString()
    return made


def caller(port: int) -> Call:
    """A client with a connection of its own."""
    channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=[*OPTIONS, ("grpc.use_local_subchannel_pool", 1)])

    def call(method: str, raw: bytes) -> bytes:
        unary: Any = channel.unary_unary(f"/{service().name}/{method}")
        answer: bytes = unary(raw, timeout=300)
        return answer

    return call


@dataclass(frozen=True)
class Target:
    """`kind`: ours, bridge or process; the last two are one."""

    kind: str
    name: str
    port: int
    pid: int


def targets(stage: Stage) -> list[Target]:
    """Started and filled on first use."""
    if "targets" not in stage.memory:
        port, other = free_port(), free_port()
        ours = start_lineal(stage.folder / "lineal", stage.url("lineal"), more=["--grpc", f"127.0.0.1:{port}"])
        stage.keep(ours.process)
        found = [Target("ours", "ours", port, ours.pid)]
        if not stage.alone:
            python = os.environ.get("MLMD_PYTHON") or str(ROOT / ".venv.mlmd" / "bin" / "python")
            if not Path(python).exists():
                raise Missing("MLMD_PYTHON is not set: a Python with ml-metadata 1.17.1")
            script = [python, str(ROOT / "benchmarks" / "mlmd_store.py"), str(stage.folder / "mlmd.db"), str(other)]
            process = Process(script, stage.folder / "peer", cwd=stage.folder)
            process.wait_until(lambda: "ready" in process.text())
            stage.keep(process)
            found += [
                Target("bridge", "C++ bridged", other, process.pid),
                Target("process", "C++ in process", other, process.pid),
            ]
        for target in found[:2]:
            stage.say(f"filling {target.name} with {ARTIFACTS:,} artifacts")
            fill(caller(target.port))
        stage.memory["targets"] = found
    return stage.memory["targets"]  # type: ignore[return-value]


def fill(call: Call) -> None:
    """The first of everything has the id 1, types 10, 11 and 12."""
    call("PutArtifactType", request("PutArtifactType", artifact_type={"name": "A", "properties": {"i": 1, "d": 2, "s": 3}}))
    call("PutExecutionType", request("PutExecutionType", execution_type={"name": "E"}))
    call("PutContextType", request("PutContextType", context_type={"name": "C"}))
    for first in range(0, ARTIFACTS, BATCH):
        call("PutArtifacts", request("PutArtifacts", artifacts=[artifact(number) for number in range(first, first + BATCH)]))
    contexts = [message("Context", type_id=12, name=f"c{number}") for number in range(ARTIFACTS // IN_CONTEXT)]
    for first in range(0, len(contexts), BATCH):
        call("PutContexts", request("PutContexts", contexts=contexts[first : first + BATCH]))
    for first in range(0, ARTIFACTS, 5 * BATCH):
        pairs = [
            {"context_id": number // IN_CONTEXT + 1, "artifact_id": number + 1} for number in range(first, first + 5 * BATCH)
        ]
        call("PutAttributionsAndAssociations", request("PutAttributionsAndAssociations", attributions=pairs))
    count = HOPS + FAN + 2 * IN_CONTEXT
    for first in range(0, count, BATCH):
        some = [message("Execution", type_id=11, last_known_state=3) for _ in range(min(BATCH, count - first))]
        call("PutExecutions", request("PutExecutions", executions=some))
    made = list(events())
    for first in range(0, len(made), BATCH):
        call("PutEvents", request("PutEvents", events=made[first : first + BATCH]))


def artifact(number: int) -> Any:
    made = message("Artifact", type_id=10, uri=f"s3://bucket/{number}", state=2)
    made.properties["i"].int_value = number % (ARTIFACTS // IN_CONTEXT)
    made.properties["d"].double_value = number / ARTIFACTS
    made.properties["s"].string_value = f"s{number % 500}"
    return made


def events() -> Iterator[dict[str, int]]:
    """A chain of HOPS executions, FAN executions that read one artifact, and some that have two events each."""
    for step in range(1, HOPS + 1):
        yield {"execution_id": step, "artifact_id": step, "type": 3}
        yield {"execution_id": step, "artifact_id": step + 1, "type": 4}
    for number in range(FAN):
        yield {"execution_id": HOPS + 1 + number, "artifact_id": 5_000, "type": 3}
    for number in range(2 * IN_CONTEXT):
        for kind in (3, 4):
            yield {"execution_id": HOPS + FAN + 1 + number, "artifact_id": 10_000 + number, "type": kind}


def put_execution() -> bytes:
    pairs = [{"artifact": artifact(number), "event": {"type": 4}} for number in range(2)]
    pairs.append({"event": {"type": 3, "artifact_id": 15_000}})
    return request(
        "PutExecution",
        execution={"type_id": 11, "last_known_state": 3},
        artifact_event_pairs=pairs,
        contexts=[{"id": 1, "type_id": 12, "name": "c0"}],
    )


def filtered(text: str) -> bytes:
    return request("GetArtifacts", options={"max_result_size": 100, "filter_query": text})


def lineage(of: int, hops: int) -> bytes:
    asked = {
        "starting_artifacts": {"filter_query": f"id = {of}"},
        "max_num_hops": hops,
        "direction": 2,
    }
    return request("GetLineageSubgraph", lineage_subgraph_query_options=asked)


@dataclass(frozen=True)
class Work:
    """`holds`: how many things an answer has. `goals`: ratios at 1 and at 8 clients. `weight`: artifacts in a call."""

    method: str
    make: Callable[[], bytes]
    holds: int
    goals: tuple[float, float]
    weight: int = 1


WORK: dict[str, Work] = {
    "put_execution": Work("PutExecution", put_execution, 5, (1.5, 2.5)),
    "put_artifacts 100": Work(
        "PutArtifacts", lambda: request("PutArtifacts", artifacts=[artifact(number) for number in range(100)]), 100, (3, 4), 100
    ),
    "artifacts by context": Work(
        "GetArtifactsByContext", lambda: request("GetArtifactsByContext", context_id=50), IN_CONTEXT, (0.8, 1.2)
    ),
    "events by executions": Work(
        "GetEventsByExecutionIDs",
        lambda: request("GetEventsByExecutionIDs", execution_ids=range(HOPS + FAN + 1, HOPS + FAN + 1 + IN_CONTEXT)),
        2 * IN_CONTEXT,
        (0.6, 1),
    ),
    "filter on one property": Work(
        "GetArtifacts", lambda: filtered("properties.i.int_value = 7 AND uri LIKE 's3://bucket/%'"), 100, (3, 5)
    ),
    "filter on two properties": Work(
        "GetArtifacts",
        lambda: filtered('properties.d.double_value > 0.5 AND properties.s.string_value = "s7"'),
        ARTIFACTS // 500 // 2,
        (50, 100),
    ),
    "lineage of 20 hops": Work("GetLineageSubgraph", lambda: lineage(1, 2 * HOPS), 2 * HOPS, (6, 10)),
    "lineage with a fan of 1,000": Work("GetLineageSubgraph", lambda: lineage(5_000, 1), FAN, (1.5, 2)),
}


def _count(method: str, answer: Any) -> int:
    """How many things the answer holds: ids, nodes, or events."""
    if method == "GetLineageSubgraph":
        return len(answer.lineage_subgraph.events)
    return sum(len(value) if hasattr(value, "extend") else 1 for field, value in answer.ListFields() if "token" not in field.name)


def once(target: Target, name: str, clients: int, meter: Meter) -> float:
    """Calls, or artifacts, a second."""
    work = WORK[name]
    ask = _in_process if target.kind == "process" else _over_the_network
    count, seconds, answer = ask(target, work.method, work.make(), clients, meter)
    meter.operations = count
    held = _count(work.method, service().methods[work.method].response.FromString(answer))
    if held != work.holds:
        raise WrongAnswer(f"{target.name}: the answer of {work.method} holds {held} things, not {work.holds}")
    return count * work.weight / seconds


def _in_process(target: Target, method: str, raw: bytes, clients: int, meter: Meter) -> tuple[int, float, bytes]:
    with grpc.insecure_channel(f"127.0.0.1:{target.port}", options=OPTIONS) as channel:
        run: Any = channel.unary_unary("/bench/Run")
        asked = {"method": method, "request": raw.hex(), "clients": clients, "seconds": SECONDS}
        with meter.timed():
            found = json.loads(run(json.dumps(asked).encode(), timeout=300))
    return found["count"], found["seconds"], bytes.fromhex(found["answer"])


def _over_the_network(target: Target, method: str, raw: bytes, clients: int, meter: Meter) -> tuple[int, float, bytes]:
    calls = [caller(target.port) for _ in range(clients)]
    for call in calls:
        call("GetContextTypes", b"")  # connected
    counts, answers = [0] * clients, [b""] * clients
    until = time.perf_counter() + SECONDS

    def work(client: int) -> None:
        while time.perf_counter() < until:
            answers[client] = calls[client](method, raw)
            counts[client] += 1

    threads = [threading.Thread(target=work, args=(client,)) for client in range(clients)]
    with meter.timed():
        begun = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        spent = time.perf_counter() - begun
    return sum(counts), spent, answers[0]


def case(name: str, clients: int) -> Case:
    def sides(stage: Stage) -> list[Side]:
        return [Side(target.name, target.pid, partial(once, target, name, clients)) for target in targets(stage)]

    goal = Goal(ratio=WORK[name].goals[clients > 1])
    title = f"mlmd {name}, {clients} client{'s' * (clients > 1)}"
    return Case(title, "artifacts/s" if WORK[name].weight > 1 else "/s", sides, {"sqlite": goal}, by_workers=False)


AREA = Area("mlmd", [case(name, clients) for name in WORK for clients in (1, 8)], databases=("sqlite",))
