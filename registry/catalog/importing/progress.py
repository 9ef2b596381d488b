"""How far an import is: one row, which moves in the transaction that writes the rows. What was written is never written again."""

import copy
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Self, TypeVar

import sqlalchemy as sa

from registry.db.session import Session
from registry.names import sha256
from registry.tables.service import imports

DONE = "done"


@dataclass
class State:
    """`after`: where the phase goes on, in its source's own words. `written`, `left_out`: rows by phase.

    `PHASES` in their order; `BEGIN` is where each begins.
    """

    PHASES: ClassVar[Sequence[str]] = ()
    BEGIN: ClassVar[Sequence[Any]] = ()

    phase: str = ""
    after: list[Any] = field(default_factory=list)
    written: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)

    @classmethod
    def first(cls) -> Self:
        return cls(phase=cls.PHASES[0], after=list(cls.BEGIN))

    @property
    def is_done(self) -> bool:
        return self.phase == DONE

    def copied(self) -> Self:
        """For a transaction that may be run again."""
        return copy.deepcopy(self)

    def next_phase(self) -> None:
        following = [*self.PHASES, DONE]
        self.phase, self.after = following[following.index(self.phase) + 1], list(self.BEGIN)

    def count(self, *, written: int = 0, left_out: int = 0, of: str = "") -> None:
        """`of`: rows of another kind than the phase's own."""
        name = of or self.phase
        self.written[name] = self.written.get(name, 0) + written
        self.left_out[name] = self.left_out.get(name, 0) + left_out


@dataclass
class Notes:
    """Lines for the report, one for each thing that is not as in the source."""

    lines: list[str] = field(default_factory=list)

    def add(self, what: str, id: object, why: str) -> None:
        line = f"{what} {id}: {why}"
        self.lines.append(line.replace("\n", "\\n").replace("\r", "\\r"))


S = TypeVar("S", bound=State)


def source_key(scope: int, address: str) -> str:
    """`address`: where the source is, without credentials."""
    return sha256(str(scope), address)


def load(session: Session, key: str, kind: type[S]) -> S | None:
    text = session.scalar(sa.select(imports.c.state).where(imports.c.source == key))
    return None if text is None else kind(**json.loads(text))


def save(session: Session, key: str, state: State) -> None:
    session.upsert(imports, [{"source": key, "state": json.dumps(asdict(state))}], key=("source",), update=("state",))
