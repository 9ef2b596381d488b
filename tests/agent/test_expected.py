"""What the translator says about recorded Workflows, against expectations written from the objects and the
specification page alone.

An expectation is `expected/<folder>/<sample file name>.yaml`: the report without its empty fields, or a list of such
reports under `reports:`. Tasks are compared by key, edges as `from -> to : port (kind)`, artifacts by name and URI, all
in any order. `warnings` is a count, or one lower-case piece of text per warning; `{sha256: ...}` stands for a text of
more than 200 characters; `open` lists paths that the page leaves undecided and that are not compared
(`tasks.*.pod_name`, `tasks[a/b].outputs`; `*` and `?` match inside one key). Samples are found under the environment
variable LINEAL_SAMPLES; without it nothing here is collected.
"""

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.kinds import translate
from agent.reading import Unreadable, read_file
from agent.report import Report


def translate_file(path: Path) -> list[dict[str, Any]]:
    """What `lineal-agent translate` prints of the file."""
    reports = [read if isinstance(read, Unreadable) else translate(read) for read in read_file(str(path))]
    assert not [report for report in reports if isinstance(report, Unreadable)]
    return [json.loads(report.to_json(sent=False)) for report in reports if isinstance(report, Report)]


EXPECTED = Path(__file__).parent / "expected"
SAMPLES = os.environ.get("LINEAL_SAMPLES") and f"{os.environ['LINEAL_SAMPLES']}/k8s"
FOLDERS = ("argo", "kfp-v1", "kfp-v2", "compressed", "watch", "katib", "kserve", "training", "scheduled")
NOTES = {"open", "warnings"}
FLAGS = {"deleted", "skipped", "cached"}
"""False in a report says the same as nothing; every other false, 0 or "" is a value."""
VALUES = {"parameters", "metrics", "metadata"}
"""Maps whose values are the user's: an empty list in one is a value, not an absence."""
TIMES = {"started_at", "finished_at"}
IDS = {"execution_id"}
"""Compared as text: the page does not say whether an id of ML Metadata is a number."""

Difference = tuple[str, str]
"""Where (`tasks[train].state`), and what was expected and found there."""


def samples() -> list[str]:
    """`<folder>/<file>` of every sample and of every expectation, so that neither can be without the other."""
    root = Path(SAMPLES or "")
    found = {f"{folder}/{path.name}" for folder in FOLDERS for path in (root / folder).glob("*") if path.is_file()}
    written = {str(path.relative_to(EXPECTED).with_suffix("")) for path in EXPECTED.glob("*/*.yaml")}
    return sorted(found | written)


def expectation(sample: str) -> list[dict[str, Any]]:
    """The expected reports of a sample, in the order of its objects."""
    path = EXPECTED / f"{sample}.yaml"
    assert path.is_file(), f"{sample} has no expectation"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    reports: list[dict[str, Any]] = document.get("reports", [document])
    return reports


def compare(expected: dict[str, Any], found: dict[str, Any]) -> list[Difference]:
    """Every difference between a report and its expectation, but for those under an `open` path."""
    wanted = {name: value for name, value in expected.items() if name not in NOTES}
    said = {name: value for name, value in found.items() if name not in NOTES}
    differences = list(of_maps("", wanted, said))
    differences += of_warnings(expected.get("warnings", 0), found.get("warnings") or [])
    patterns = [pattern(path) for path in expected.get("open", [])]
    return [difference for difference in differences if not any(p.match(difference[0]) for p in patterns)]


def pattern(path: str) -> re.Pattern[str]:
    """Matches the path itself and all that is below it. A part may stand after a dot or in brackets."""
    first, *rest = (part.strip("[]") for part in re.findall(r"\[[^\[\]]*\]|[^.\[\]]+", path))
    parts = [re.escape(part).replace(r"\*", r"[^\[\]]*").replace(r"\?", r"[^\[\]]") for part in rest]
    return re.compile(re.escape(first) + "".join(rf"(?:\.{part}|\[{part}\])" for part in parts) + r"(?=$|[.\[])")


def of_maps(path: str, expected: dict[str, Any], found: dict[str, Any]) -> Iterator[Difference]:
    """Field by field, without the empty ones."""
    for name in sorted(expected.keys() | found.keys()):
        where = f"{path}.{name}" if path else name
        yield from of_fields(where, name, expected.get(name), found.get(name))


def of_fields(path: str, name: str, expected: Any, found: Any) -> Iterator[Difference]:
    """One field, by the rule of its name."""
    if found is False and name in FLAGS:
        found = None
    if name == "tasks":
        yield from of_lists(path, expected or [], found or [], lambda task: str(task.get("key")))
    elif name == "artifacts":
        yield from of_lists(path, expected or [], found or [], lambda artifact: str(artifact.get("name")))
    elif name == "edges":
        edges = [f"{edge['from']} -> {edge['to']} : {edge['port']} ({edge['kind']})" for edge in found or []]
        yield from of_bags(path, expected or [], edges)
    elif name == "depends_on":
        yield from of_bags(path, expected or [], found or [])
    elif name in VALUES and isinstance(expected or {}, dict) and isinstance(found or {}, dict):
        yield from of_values(path, expected or {}, found or {})
    elif isinstance(expected, dict) and isinstance(found, dict):
        yield from of_maps(path, expected, found)
    elif isinstance(found, dict) and expected is None:
        yield from of_maps(path, {}, found)
    elif isinstance(expected, dict) and found is None and not is_digest(expected):
        yield from of_maps(path, expected, {})
    elif not (found in ([], {}) and expected is None) and not same(name, expected, found):
        yield path, f"expected {expected!r}, found {found!r}"


def of_values(path: str, expected: dict[str, Any], found: dict[str, Any]) -> Iterator[Difference]:
    """Maps of the user's values: names may be anything, a value is compared whole, null says the same as none."""
    for name in sorted(expected.keys() | found.keys()):
        if not same("", expected.get(name), found.get(name)):
            yield f"{path}.{name}", f"expected {expected.get(name)!r}, found {found.get(name)!r}"


def of_lists(path: str, expected: list[Any], found: list[Any], key: Any) -> Iterator[Difference]:
    """Lists of maps in any order, paired by key; of artifacts with one name, in the order of their URIs."""
    wanted, said = keyed(expected, key), keyed(found, key)
    for name in sorted(wanted.keys() | said.keys()):
        for place in range(max(len(wanted.get(name, [])), len(said.get(name, [])))):
            where = f"{path}[{name}]"
            if place >= len(said.get(name, [])):
                yield where, "expected, not found"
            elif place >= len(wanted.get(name, [])):
                yield where, f"found, not expected: {said[name][place]!r}"
            else:
                yield from of_maps(where, wanted[name][place], said[name][place])


def keyed(entries: list[Any], key: Any) -> dict[str, list[Any]]:
    """The entries under their key; those that share one are ordered by URI."""
    places: dict[str, list[Any]] = {}
    for entry in entries:
        places.setdefault(key(entry), []).append(entry)
    return {name: sorted(same_key, key=lambda entry: str(entry.get("uri"))) for name, same_key in places.items()}


def of_bags(path: str, expected: list[str], found: list[str]) -> Iterator[Difference]:
    """Lists of text in any order; one that stands twice counts twice."""
    for text in sorted((Counter(expected) - Counter(found)).elements()):
        yield path, f"expected, not found: {text}"
    for text in sorted((Counter(found) - Counter(expected)).elements()):
        yield path, f"found, not expected: {text}"


def of_warnings(expected: int | list[str], found: list[str]) -> list[Difference]:
    """The number of warnings, and for each expected piece of text a warning of its own that has it."""
    number = expected if isinstance(expected, int) else len(expected)
    differences = [] if number == len(found) else [("warnings", f"expected {number}, found {found!r}")]
    rest = [warning.lower() for warning in found]
    for piece in [] if isinstance(expected, int) else expected:
        hit = next((warning for warning in rest if piece in warning), None)
        if hit is None:
            differences.append(("warnings", f"none says {piece!r}: {found!r}"))
        else:
            rest.remove(hit)
    return differences


def same(name: str, expected: Any, found: Any) -> bool:
    """Equal as JSON values (a boolean is no number), times as instants, long texts by their digest."""
    if is_digest(expected):
        return isinstance(found, str) and hashlib.sha256(found.encode()).hexdigest() == expected["sha256"]
    if name in TIMES and isinstance(expected, str) and isinstance(found, str):
        return instant(expected) == instant(found)
    if name in IDS and expected is not None and found is not None:
        return str(expected) == str(found)
    if isinstance(expected, dict) and isinstance(found, dict):
        return expected.keys() == found.keys() and all(same("", expected[key], found[key]) for key in expected)
    if isinstance(expected, list) and isinstance(found, list):
        return len(expected) == len(found) and all(same("", a, b) for a, b in zip(expected, found, strict=True))
    return isinstance(expected, bool) == isinstance(found, bool) and bool(expected == found)


def is_digest(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"sha256"}


def instant(text: str) -> datetime | str:
    """A time with its offset; any other text is itself and so equal to no time."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return moment if moment.tzinfo else text


if SAMPLES:

    @pytest.mark.parametrize("sample", samples())
    def test_the_report_of_a_sample_says_what_a_reader_of_the_object_expects(sample: str) -> None:
        expected = expectation(sample)

        reports = translate_file(Path(SAMPLES or "") / sample)

        differences = [
            (f"{place}: {where}" if len(expected) > 1 else where, what)
            for place, (wanted, report) in enumerate(zip(expected, reports, strict=False))
            for where, what in compare(wanted, report)
        ]
        if len(expected) != len(reports):
            differences.append(("reports", f"expected {len(expected)}, found {len(reports)}"))
        assert not differences, "\n" + "\n".join(f"{where}: {what}" for where, what in differences)
