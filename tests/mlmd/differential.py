"""`python -m tests.mlmd.differential` with N and SEED: the same requests to the C++ store and to our server, answers compared.

Hypothesis makes sequences over all RPCs (sequences.py); each begins with an empty store there and an empty workspace here. Ids
are compared by who was made when, times and tokens by whether they are there. What differs on purpose is in deliberate.py,
and in docs/doors/mlmd.md with a test of its own. An RPC that fewer than 1 % of the sequences call fails the run.
"""

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import grpc
import hypothesis
from hypothesis import HealthCheck, Phase, given
from hypothesis.strategies import SearchStrategy

from registry.api.mlmd.descriptors import service
from registry.catalog.workspaces import get_or_create_workspace
from registry.settings import Settings
from tests.mlmd.deliberate import DELIBERATE, KIND_OF_MESSAGE, OK, TYPES_TWICE, Pair, puts_type_twice
from tests.mlmd.door import Door, raw_call
from tests.mlmd.oracle import DIED, Oracle
from tests.mlmd.sequences import KINDS, NOBODY, REQUESTS, Asked, Query, Ref, Token, sequences
from tests.servers import serving

_TIMES = {"create_time_since_epoch", "last_update_time_since_epoch", "milliseconds_since_epoch"}
_MILLISECONDS_OF_2001 = 10**12


class Differs(AssertionError):
    """The two stores did not answer alike."""


@dataclass
class Side:
    """One of the two stores, in one sequence: how it is asked, the ids that it has given, the token that it gave last."""

    ask: Callable[[str, bytes], tuple[int, bytes]]
    ids: dict[str, list[int]] = field(default_factory=lambda: {kind: [] for kind in (*KINDS, "type")})
    token: str = ""

    def request(self, asked: Asked) -> Any:
        message = service().methods[asked.method].request()
        fill(message, asked.fields, self)
        return message

    def id_of(self, ref: Ref) -> int:
        known = self.ids[ref.kind]
        return known[ref.place] if ref.place < len(known) else NOBODY

    def remember(self, asked: Asked, answer: Any) -> None:
        """The ids that a write has given, in the order of the answer."""
        for name, value in answer.ListFields():
            kind = name.name.removesuffix("s").removesuffix("_id")
            kind = "type" if kind.endswith("type") else kind
            if asked.method.startswith("Put") and kind in self.ids:
                for id in value if isinstance(value, Sequence) or hasattr(value, "extend") else [value]:
                    if id not in self.ids[kind] and id > 0:
                        self.ids[kind].append(id)
        if "next_page_token" in answer.DESCRIPTOR.fields_by_name and answer.next_page_token:
            self.token = answer.next_page_token


def fill(message: Any, values: Mapping[str, Any], side: Side) -> None:
    """A message from a dictionary of its form."""
    for name, value in values.items():
        into = message.DESCRIPTOR.fields_by_name[name]
        if into.message_type is not None and into.message_type.GetOptions().map_entry:
            held = getattr(message, name)
            for key, entry in value.items():
                if isinstance(entry, Mapping):
                    held[key].SetInParent()
                    fill(held[key], entry, side)
                else:
                    held[key] = entry
        elif isinstance(value, list):
            for entry in value:
                if isinstance(entry, Mapping):
                    fill(getattr(message, name).add(), entry, side)
                else:
                    getattr(message, name).append(plain(entry, side))
        elif isinstance(value, Mapping):
            getattr(message, name).SetInParent()
            fill(getattr(message, name), value, side)
        else:
            setattr(message, name, plain(value, side))


def plain(value: Any, side: Side) -> Any:
    match value:
        case Ref():
            return side.id_of(value)
        case Query():
            return value.text.format(*(side.id_of(ref) for ref in value.refs)) if value.refs else value.text
        case Token():
            return side.token
    return value


def comparable(message: Any, side: Side) -> Any:
    """Of an answer, what both stores must have alike."""
    found: dict[str, Any] = {}
    for of, value in message.ListFields():
        if of.message_type is not None and of.message_type.GetOptions().map_entry:
            found[of.name] = {str(key): _one(of, value[key], side, message) for key in sorted(value)}
        elif hasattr(value, "extend"):
            found[of.name] = [_one(of, entry, side, message) for entry in value]
            if message.DESCRIPTOR.name == "LineageGraph":
                found[of.name].sort(key=str)  # a set: the order of the walk is nobody's promise
            elif message.DESCRIPTOR.name == "GetArtifactsByURIResponse":
                found[of.name].sort(key=lambda one: one["uri"])  # URIs there are a hash set with a seed of the process
        else:
            found[of.name] = _one(of, value, side, message)
    return found


def _one(of: Any, value: Any, side: Side, message: Any) -> Any:
    if hasattr(value, "ListFields"):
        return comparable(value, side)
    name = of.name.removesuffix("s")
    if name in _TIMES:
        return "now" if value > _MILLISECONDS_OF_2001 else value
    if name == "next_page_token":
        return bool(value)
    kind = KIND_OF_MESSAGE.get(message.DESCRIPTOR.name) if name == "id" else _KIND_OF_FIELD.get(name)
    if kind is not None and value in side.ids[kind]:
        return f"{kind} {side.ids[kind].index(value)}"
    return value


_KIND_OF_FIELD = {f"{kind}_id": kind for kind in (*KINDS, "type")} | {"child_id": "context", "parent_id": "context"}
_KIND_OF_FIELD |= {f"{kind}_type_id": "type" for kind in KINDS}


class Comparison:
    """Runs sequences against both; counts what was called and what differed on purpose."""

    def __init__(self, oracle: Oracle, door: Door) -> None:
        self.oracle = oracle
        self.door = door
        self.channel = grpc.insecure_channel(door.address)
        self.calls: Counter[str] = Counter()
        self.deliberate: Counter[str] = Counter()
        self.codes: Counter[int] = Counter()
        self.sequences = 0

    def compare(self, sequence: Sequence[Asked]) -> None:
        """Raises Differs."""
        self.sequences += 1
        theirs, ours = self.sides()
        self.calls.update({asked.method for asked in sequence})
        told: list[str] = []
        for asked in sequence:
            requests = theirs.request(asked), ours.request(asked)
            told.append(f"{asked.method} {{ {str(requests[0]).replace(chr(10), ' ')}}}")
            if not self._same(asked, requests, theirs, ours, told):
                return

    def sides(self) -> tuple[Side, Side]:
        """Both empty."""
        workspace = f"sequence-{self.sequences}"
        self.door.served.services.runner.write(partial(get_or_create_workspace, name=workspace, now=1))
        self.oracle.reset()
        return Side(self.oracle.ask), Side(partial(self._ask_ours, workspace))

    def _ask_ours(self, workspace: str, method: str, request: bytes) -> tuple[int, bytes]:
        try:
            return OK, raw_call(self.channel, method)(request, timeout=60, metadata=[("x-lineal-workspace", workspace)])
        except grpc.RpcError as error:
            return int(error.code().value[0]), str(error.details()).encode()

    def _same(self, asked: Asked, requests: tuple[Any, Any], theirs: Side, ours: Side, told: list[str]) -> bool:
        """False where the two part on purpose and what follows cannot be compared. Raises Differs."""
        answers, codes, texts = [], [], []
        for side, request in zip((theirs, ours), requests, strict=True):
            code, body = side.ask(asked.method, request.SerializeToString())
            response: Any = service().methods[asked.method].response()
            if code == OK:
                response.ParseFromString(body)
            codes.append(code)
            texts.append("" if code == OK else " ".join(body.decode(errors="replace").split())[:300])
            answers.append(response)
        self.codes[codes[0]] += 1
        if codes[0] == codes[1] == OK:
            for side, response in ((theirs, answers[0]), (ours, answers[1])):
                side.remember(asked, response)
        shown = [comparable(response, side) for side, response in ((theirs, answers[0]), (ours, answers[1]))]
        if codes[0] == codes[1] and shown[0] == shown[1]:
            if codes[0] != OK or not puts_type_twice(requests[0]):
                return True
            self.deliberate[TYPES_TWICE] += 1
            return False
        pair = Pair(asked.method, requests[0], codes[0], codes[1], texts[0], texts[1], answers[0], answers[1], shown, told)
        name = next((name for name, allowed in DELIBERATE.items() if allowed(pair)), None)
        if name is None:
            lines = [*told, f"theirs: {codes[0]} {texts[0]} {shown[0]}", f"ours:   {codes[1]} {texts[1]} {shown[1]}"]
            raise Differs("\n".join(lines))
        self.deliberate[name] += 1
        return codes[0] not in {OK, DIED} and codes[1] != OK

    def seldom(self) -> list[str]:
        """RPCs that fewer than 1 % of the sequences have called."""
        return sorted(name for name in service().methods if self.calls[name] * 100 < self.sequences)


@contextmanager
def comparison() -> Iterator[Comparison]:
    with tempfile.TemporaryDirectory(prefix="lineal-differential.") as folder:
        settings = Settings(data_dir=folder, grpc="127.0.0.1:0", log_level="error")
        with serving(settings) as served, Door(served) as door, Oracle(os.environ["MLMD_PYTHON"]) as oracle:
            yield Comparison(oracle, door)


def run(with_: Comparison, count: int, seed: int) -> None:
    """In turn for each method so many sequences that call it. Raises Differs, with the shortest sequence that was found."""
    share, left = divmod(count, len(REQUESTS))
    for number, method in enumerate(REQUESTS):
        some = share + (number < left)
        if some:
            _run(with_, sequences(method), some, f"{seed} {method}")


def _run(with_: Comparison, strategy: SearchStrategy[list[Asked]], count: int, seed: str) -> None:
    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
        report_multiple_bugs=False,
    )
    @given(strategy)
    def check(sequence: list[Asked]) -> None:
        with_.compare(sequence)

    check()


def main() -> int:
    count, seed = int(os.environ.get("N") or 500), int(os.environ.get("SEED") or 1)
    if not os.environ.get("MLMD_PYTHON"):
        print("differential mlmd: needs MLMD_PYTHON", file=sys.stderr)
        return 2
    with comparison() as made:
        differs = ""
        try:
            run(made, count, seed)
        except Differs as found:
            differs = str(found)
        for name, times in sorted(made.deliberate.items()):
            print(f"differential mlmd: on purpose: {name}: {times}")
        seldom = made.seldom()
        for name in seldom:
            print(f"differential mlmd: {name} was called in {made.calls[name]} of {made.sequences} sequences")
        if differs:
            print(f"{differs}\ndifferential mlmd: seed {seed}: the stores differ")
            return 1
    print(f"differential mlmd: {count} sequences, seed {seed}, {sum(made.codes.values())} calls, no difference", flush=True)
    return int(bool(seldom))


if __name__ == "__main__":
    sys.exit(main())
