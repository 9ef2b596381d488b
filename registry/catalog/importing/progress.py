"""How far an import is: one row, which moves in the transaction that writes the rows. What was written is never written again."""

import json
from dataclasses import asdict, dataclass, field

import sqlalchemy as sa

from registry.db.session import Session
from registry.names import sha256
from registry.tables.service import imports

PHASES = ("types", "contexts", "executions", "artifacts", "events", "associations", "attributions", "parents", "runs")


@dataclass
class State:
    """`after`: the last row of the phase that is done. `types`: ours, by the source's. `written`, `left_out`: rows by phase.

    `met`: contexts that were here before, which stay as they are. `measures`: types whose artifacts are points and params here,
    by the source's id; `folded`: rows by phase that are no nodes and edges for that. `lost`: kinds and ids of nodes that were
    left out because what they belong to is not there.
    """

    phase: str = PHASES[0]
    after: list[int] = field(default_factory=lambda: [0, 0])
    types: dict[str, int] = field(default_factory=dict)
    written: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    met: list[int] = field(default_factory=list)
    measures: dict[str, str] = field(default_factory=dict)
    folded: dict[str, int] = field(default_factory=dict)
    lost: list[list[int]] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        return self.phase == "done"

    def next_phase(self) -> None:
        following = [*PHASES, "done"]
        self.phase, self.after = following[following.index(self.phase) + 1], [0, 0]

    def count(self, *, written: int, left_out: int) -> None:
        self.written[self.phase] = self.written.get(self.phase, 0) + written
        self.left_out[self.phase] = self.left_out.get(self.phase, 0) + left_out


def source_key(scope: int, address: str) -> str:
    """`address`: where the source is, without credentials."""
    return sha256(str(scope), address)


def load(session: Session, key: str) -> State | None:
    text = session.scalar(sa.select(imports.c.state).where(imports.c.source == key))
    return None if text is None else State(**json.loads(text))


def save(session: Session, key: str, state: State) -> None:
    session.upsert(imports, [{"source": key, "state": json.dumps(asdict(state))}], key=("source",), update=("state",))
