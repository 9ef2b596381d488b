"""Random filters and orders: what clients write, what is nearly right, and at times what makes no sense."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Fields = dict[str, Any]

WORDS = ("=", "!=", "LIKE", "ILIKE")
LISTED = (*WORDS, "IN", "NOT IN")
NULLED = (*WORDS, "IS NULL", "IS NOT NULL")
NUMBERS = ("=", "!=", ">", ">=", "<", "<=")
ODD = ("=", "!=", ">", "<=", "LIKE", "ILIKE", "IS NULL", "IS NOT NULL", "IN", "NOT IN", "~", "<>", "like", "is null")
_USUAL_NUMBERS = ("0", "1", "0.5", "-1", "1.5", "2", "1e3", "1e308", "100", "9007199254740993", "-0.0", ".5", "1.")
_ODD_NUMBERS = ("'x'", "x", "NaN", "inf", "'NaN'", "0x1", "--1", "- 1", "", "null", "true")
_PATTERNS = ("%", "x%", "%x%", "_", "X", "%ä%", "A%", "%%", "[a-z]*", "x_")
_PATTERNS_OF_IDS = ("%", "x%", "_", "%%")
"""Of ids that each server makes up: all of them have it, or none."""

_MODEL_NAMES = ("one", "two", "ä")


@dataclass(frozen=True)
class Vocabulary:
    """What is worth to be asked for. `prefix` begins all names of the program."""

    keys: Sequence[str]
    texts: Sequence[str]
    prefix: str
    runs: Sequence[str]
    experiments: Sequence[str]


class _Writing:
    def __init__(self, rng: random.Random, words: Vocabulary, quotes: Sequence[str] = ("'", "'", "'", '"')) -> None:
        self.rng, self.words, self.quotes = rng, words, quotes

    def one(self, usual: Sequence[Any], odd: Sequence[Any] = (), share: float = 0.1) -> Any:
        return self.rng.choice(odd) if odd and self.rng.random() < share else self.rng.choice(usual)

    def key(self) -> str:
        key: str = self.one(self.words.keys)
        if key.isidentifier() and self.rng.random() > 0.2:
            return key
        mark = self.one(("`", '"'), ("",), 0.04) if '"' in self.quotes else "`"
        return f"{mark}{key}{mark}"

    def text(self, *more: str) -> str:
        """What is likely to be found is asked for more often."""
        text = self.one((*self.words.texts, *more, *more, *more))
        mark = self.one(self.quotes)
        if mark in text:
            mark = "'" if mark == '"' else '"'
        return f"{mark}{text}{mark}" if mark in self.quotes else "''"

    def pattern(self, field: str, *more: str) -> str:
        """Without backslashes, which are characters there."""
        if field.endswith(("run_id", "parentRunId")):
            return f"'{self.one((*_PATTERNS_OF_IDS, *more))}'"
        return self.text(*_PATTERNS, f"{self.words.prefix}%", *more).replace("\\", "")

    def number(self) -> str:
        return str(self.one(_USUAL_NUMBERS, _ODD_NUMBERS, 0.06))

    def listed(self, *more: str) -> str:
        items = [self.text(*more) for _ in range(self.rng.randint(1, 3))]
        return f"({self.one((', ', ','), (' , ',)).join(items)})"

    def test(self, field: str, usual: Sequence[str], *more: str, number: bool = False) -> str:
        """`more`: texts that it may have."""
        how = self.one(usual, ODD, 0.05)
        if how.upper().endswith("NULL"):
            return f"{field} {how}"
        if how.endswith("IN"):
            return f"{field} {how} {self.listed(*more)}"
        said = self.number() if number else self.pattern(field, *more) if how.upper().endswith("LIKE") else self.text(*more)
        gap = "" if how[0] in "=!<>" and self.rng.random() < 0.15 else " "
        return f"{field}{gap}{how}{gap}{said}"

    def whole(self, clause: Callable[[], str]) -> str:
        join = self.one((" AND ", " and "), (" And ", "  AND  ", "\nAND\t"), 0.1)
        text: str = join.join(clause() for _ in range(self.one((1, 1, 1, 2, 2, 3))))
        odd = (f" {text}", f"{text} ", f"{text};", f"{text} AND", f"({text})", f"{text} OR {text}", f"{text} -- x", text[:-1])
        return str(self.one((text,), odd, 0.03))

    def order(self, fields: Sequence[str], odd: Sequence[str]) -> list[str]:
        chosen = self.rng.sample([*fields], min(len(fields), self.one((1, 1, 2, 3))))
        terms = [f"{field}{self.one(('', ' ASC', ' DESC', ' asc', ' desc'))}" for field in chosen]
        return [*terms, self.one((*odd, "", " ", "x", "name up", "name ASC ASC"))] if self.rng.random() < 0.05 else terms

    def asked(self, clause: Callable[[], str], fields: Sequence[str], odd: Sequence[str], within: str = "") -> Fields:
        """`within`: what keeps the search to what the program has made."""
        asked: Fields = {"filter": within} if within else {}
        if self.rng.random() < 0.8:
            asked["filter"] = self.whole((lambda: f"{clause()} AND {within}") if within else clause)
        if self.rng.random() < 0.45:
            asked["order_by"] = self.order(fields, odd)
        return asked


def runs(rng: random.Random, words: Vocabulary) -> Fields:
    w = _Writing(rng, words)

    def clause() -> str:
        kind, at = rng.random(), w.one(("", "attributes.", "attribute.", "attr.", "run."))
        if kind < 0.3:
            return w.test(f"{w.one(('metrics', 'metric'), ('METRICS', 'metricss'), 0.03)}.{w.key()}", NUMBERS, number=True)
        if kind < 0.5:
            return w.test(f"{w.one(('params', 'param', 'parameters', 'parameter'), ('PARAM',), 0.03)}.{w.key()}", NULLED)
        if kind < 0.7:
            key = w.one((w.key(), w.key(), "mlflow.user", "`mlflow.runName`", "mlflow.parentRunId"))
            return w.test(f"{w.one(('tags', 'tag'))}.{key}", NULLED)
        if kind < 0.78:
            field = f"{w.one(('dataset', 'datasets'))}.{w.one(('name', 'digest', 'context'), ('colour',), 0.05)}"
            return w.test(field, LISTED, f"{words.prefix}d", "1", "train")
        if kind < 0.86:
            return w.test(f"{at}{w.one(('start_time', 'end_time', 'created', 'Created'))}", NUMBERS, number=True)
        if kind < 0.92:
            return w.test(f"{at}run_id", LISTED, *words.runs[:4])
        usual = (
            *(("run_name", "one", "two"), ("`run name`", "one"), ("`Run name`", "two"), ("user_id", "ada", "bob")),
            *(("status", "RUNNING", "FINISHED", "running"), ("artifact_uri", "%/artifacts")),
        )
        field, *more = w.one(usual, (("lifecycle_stage", "active"), ("experiment_id", "1"), ("colour", "x")), 0.06)
        return w.test(f"{at}{field}", WORDS, *more)

    keys = [f"{kind}.{w.key()}" for kind in ("metrics", "params", "tags", "metric", "param", "tag")]
    fields = (*keys, "start_time", "end_time", "attributes.start_time", "run_name", "status", "user_id", "created")
    return w.asked(clause, (*fields, "tags.mlflow.user"), ("dataset.name", "lifecycle_stage", "metrics", "things.x"))


def experiments(rng: random.Random, words: Vocabulary) -> Fields:
    w = _Writing(rng, words)
    names = (f"{words.prefix}e1", f"{words.prefix}e2", f"{words.prefix}%")

    def clause() -> str:
        kind, at = rng.random(), w.one(("", "", "attribute."))
        if kind < 0.4:
            return w.test(f"{at}name", WORDS, *names)
        if kind < 0.75:
            return w.test(f"{w.one(('tags', 'tag'))}.{w.key()}", NULLED)
        if kind < 0.85:
            return w.test(f"{at}{w.one(('creation_time', 'last_update_time'))}", NUMBERS, number=True)
        said = w.one((f"'{words.experiments[0]}'", f"'{words.experiments[-1]}'", "'0'"), ("'x'", "5"), 0.05)
        return f"{at}experiment_id {w.one(('=', '!='))} {said}"

    fields = ("name", "creation_time", "last_update_time", "experiment_id")
    return w.asked(clause, fields, ("lifecycle_stage", "colour"), f"name LIKE '{words.prefix}%'")


def models(rng: random.Random, words: Vocabulary) -> Fields:
    w = _Writing(rng, words)

    def clause() -> str:
        if rng.random() < 0.5:
            return w.test(f"{w.one(('', 'attribute.'))}name", LISTED, *(words.prefix + name for name in _MODEL_NAMES))
        return w.test(f"{w.one(('tags', 'tag'))}.{w.key()}", WORDS)

    odd = ("creation_timestamp", "tags.a", "colour", "version")
    return w.asked(clause, ("name", "last_updated_timestamp"), odd, f"name LIKE '{words.prefix}%'")


def versions(rng: random.Random, words: Vocabulary) -> Fields:
    w = _Writing(rng, words)

    def clause() -> str:
        kind = rng.random()
        if kind < 0.3:
            return w.test("name", LISTED, *(words.prefix + name for name in _MODEL_NAMES))
        if kind < 0.5:
            return w.test("run_id", LISTED, *words.runs[:4])
        if kind < 0.65:
            return w.test("source_path", WORDS, "s3://b/m", "dbfs:/x", "s3://%")
        if kind < 0.8:
            return w.test("version_number", NUMBERS, number=True)
        return w.test(f"{w.one(('tags', 'tag'))}.{w.key()}", WORDS)

    fields = ("name", "version_number", "creation_timestamp", "last_updated_timestamp")
    odd = ("current_stage", "run_id", "tags.a", "timestamp", "version")
    return w.asked(clause, fields, odd, f"name LIKE '{words.prefix}%'")


def logged_models(rng: random.Random, words: Vocabulary) -> Fields:
    """No double quotes: there what is in them matches nothing."""
    w = _Writing(rng, words, quotes="'")

    def clause() -> str:
        kind, at = rng.random(), w.one(("", "attributes."))
        if kind < 0.3:
            return w.test(f"metrics.{w.key()}", NUMBERS, number=True)
        if kind < 0.5:
            return w.test(f"params.{w.key()}", LISTED)
        if kind < 0.65:
            return w.test(f"tags.{w.key()}", LISTED)
        if kind < 0.75:
            return w.test(f"{at}creation_timestamp_ms", NUMBERS, number=True)
        usual = (
            ("name", f"{words.prefix}l", f"{words.prefix}m"),
            ("model_type", "agent", "x"),
            ("source_run_id", *words.runs[:3]),
        )
        field, *more = w.one(usual, (("model_id", "x"), ("colour", "x")), 0.05)
        return w.test(f"{at}{field}", LISTED, *more)

    asked: Fields = {"filter": w.whole(clause)} if rng.random() < 0.8 else {}
    if rng.random() < 0.4:
        fields = ("name", "creation_timestamp", "metrics.a", "metrics.loss", "attributes.name", "status", "model_type")
        chosen = rng.sample(fields, w.one((1, 1, 2)))
        asked["order_by"] = [{"field_name": name, "ascending": rng.random() < 0.5} for name in chosen]
    return asked
