"""What a program is, and the words that it is made of."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Fields = dict[str, Any]

KEYS = ("a", "b", "loss", "val/acc", "with space", "dot.ted", "col:on", "under_score-dash", "ä", "日本", "A", "1", "k" * 250)
BAD_KEYS = (
    "",
    " ",
    "..",
    ".",
    "a/../b",
    "/a",
    "a/",
    "a//b",
    "./a",
    "k" * 251,
    "a\\b",
    "a%b",
    "a'b",
    'a"b',
    "a`b",
    "a\nb",
    "a(b)",
)
TEXTS = (
    *("x", "", " ", "X", "ä", "0.1", "1", "true", "null", "a%b", "a_b", "it's", 'q"q', "b\\s"),
    *("two\nlines", " padded ", "日本", "😀", "[1, 2]", "é"),
)
ODD_TEXTS: Sequence[Any] = (7, 1.5, True, None, [], {}, ["a"], {"a": 1})
VALUES: Sequence[Any] = (
    *(0, 1, -1, 0.5, 1.5, 2, 3.25, -0.0, 1e308, -1e308, 1e-320, 2**53 + 1, 0.1, 1e21),
    *("1.5", "NaN", "1e3", "-7", "Infinity", "-Infinity", "inf", "-nan", " 1"),
)
ODD_VALUES: Sequence[Any] = ("abc", "", "0x1", None, [], {}, [1], 10**400)
TIMES: Sequence[Any] = (1, 5, 100, 1000, 1_500_000_000_000, "7", 8.0)
ODD_TIMES: Sequence[Any] = (-1, "", "x", None, [])
STEPS: Sequence[Any] = (0, 1, 2, 3, 10, -1, "4", 5.0, 2**31, 2**53 + 1, 2**63 - 1, -(2**63))
NO_ID = "0" * 32


@dataclass(frozen=True)
class Step:
    """`fields` go as a query in a GET. `makes`: the label of what it makes, which stands for its id in later steps."""

    verb: str
    path: str
    fields: Fields
    makes: str | None = None
    base: str = "/api/2.0/mlflow"


@dataclass
class Writer:
    """Writes one program; what there is so far, by kind. What both may refuse makes nothing that is used later."""

    rng: random.Random
    number: int
    steps: list[Step] = field(default_factory=list)
    made: dict[str, list[str]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)

    @property
    def prefix(self) -> str:
        """Begins every name, so that programs do not see each other."""
        return f"f{self.number}-"

    def add(self, verb: str, path: str, /, makes: str | None = None, **fields: Any) -> None:
        self.steps.append(Step(verb, path, fields, makes))

    def new(self, kind: str) -> str:
        label = f"<{kind} {self.number}-{len(self.made.setdefault(kind, [])) + 1}>"
        self.made[kind].append(label)
        return label

    def here(self, kind: str) -> str:
        """One that is not deleted."""
        return self.rng.choice([one for one in self.made[kind] if one not in self.gone])

    def some(self, kind: str) -> str:
        """One that may be deleted, or may never have been."""
        if self.rng.random() < 0.04:
            return "999999" if kind == "experiment" else NO_ID
        return self.rng.choice(self.made[kind])

    def one(self, usual: Sequence[Any], odd: Sequence[Any] = (), share: float = 0.1) -> Any:
        return self.rng.choice(odd) if odd and self.chance(share) else self.rng.choice(usual)

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def key(self) -> Any:
        return self.one(KEYS[:6], (*KEYS, *BAD_KEYS), 0.2)

    def text(self) -> Any:
        return self.one(TEXTS, ODD_TEXTS, 0.06)

    def pairs(self, most: int = 3, *, odd: bool = True) -> list[Any]:
        """No key twice: the database refuses that there, at times with its own words."""
        keys = [self.key() if odd else self.one(KEYS) for _ in range(self.rng.randint(0, most))]
        return [{"key": key, "value": self.one(TEXTS)} for key in dict.fromkeys(keys)]

    def metric(self, *, odd: bool) -> Fields:
        share = 0.1 if odd else 0
        return {
            "key": self.key(),
            "value": self.one(VALUES, ODD_VALUES, share),
            "timestamp": self.one(TIMES, ODD_TIMES, share),
            "step": self.one(STEPS),
        }
