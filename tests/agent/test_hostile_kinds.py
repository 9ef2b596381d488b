"""Objects of every kind that are wrong on purpose: a report or an error entry, one warning for what is wrong, never a crash."""

import copy
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from agent.kind import Kind
from agent.kinds import KINDS, translate
from agent.reading import Read, Unreadable, files, read_file
from agent.report import Report
from agent.schema import report_schema
from agent.shape import Shape, Type
from tests.agent.building import Json
from tests.agent.test_hostile import check, places, specimens

VALIDATOR = jsonschema.Draft202012Validator(report_schema())
SHAPED = [kind for kind in KINDS if kind.shape]
RIGHT: dict[Type, Any] = {Type.TEXT: "x", Type.NUMBER: 1, Type.BOOLEAN: True, Type.MAP: {}, Type.LIST: []}
WRONG: dict[Type, Any] = {Type.TEXT: {"a": 1}, Type.NUMBER: "many", Type.BOOLEAN: "yes", Type.MAP: [], Type.LIST: "x"}
MUTANTS = 5000


VALUES: list[Any] = [
    None,
    True,
    -1,
    10**30,
    1.5,
    "",
    "\x00",
    "\ud800",
    "x" * 5000,
    "\U0001f600" * 300,
    "9999-12-31T23:59:59Z",
    [],
    {},
    [None],
    {"a": {}},
    [[]],
    "[" * 500,
    "{}",
    {"": ""},
]
"""What may stand in any place."""


def filled(shape: Shape) -> Any:
    """A value of the shape with everything in it."""
    if isinstance(shape, Type):
        return RIGHT[shape]
    if isinstance(shape, list):
        return [filled(shape[0])]
    return {"x" if name == "*" else name: filled(part) for name, part in shape.items()}


def spots(shape: Shape, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every place of a shape with a value of the wrong type for it."""
    if isinstance(shape, Type):
        yield path, WRONG[shape]
    elif isinstance(shape, list):
        yield path, "text"
        yield from spots(shape[0], (*path, 0))
    else:
        if path:
            yield path, ["list"]
        for name, part in shape.items():
            yield from spots(part, (*path, "x" if name == "*" else name))


def full(kind: Kind) -> Json:
    content = filled(kind.shape)
    content["metadata"] |= {"name": "one", "uid": "u", "namespace": "team"}
    content["metadata"]["ownerReferences"][0] |= {"kind": "Pipeline", "name": "p"}
    return {"apiVersion": f"{kind.group}/{kind.versions[0]}", "kind": kind.name, **content}


def warnings_of(content: Json) -> tuple[str, ...]:
    found = translate(Read("test", 0, content))
    assert isinstance(found, Report), found
    VALIDATOR.validate(found.to_dict())
    return found.warnings


@pytest.mark.parametrize("kind", SHAPED, ids=lambda kind: f"{kind.name}.{kind.group}")
def test_hostile_a_wrong_type_in_any_field_that_is_read_is_one_warning(kind: Kind) -> None:
    right = set(warnings_of(full(kind)))
    count = 0
    for path, wrong in spots(kind.shape):
        if path == ("metadata",):
            continue  # without it nobody knows which object it is
        content = full(kind)
        box: Any = content
        for step in path[:-1]:
            box = box[step]
        box[path[-1]] = wrong

        new = [line for line in warnings_of(content) if line not in right]
        count += 1

        assert len(new) == 1, (path, new)
    assert count > 10


def samples() -> list[Json]:
    """One of each kind and shape: recorded ones where there are some, else made from the shapes."""
    made = [*specimens(), *(full(kind) for kind in SHAPED)]
    if "LINEAL_SAMPLES" not in os.environ:
        return made
    root = Path(os.environ["LINEAL_SAMPLES"]) / "k8s"
    names = files([str(root / folder) for folder in ("argo", "kfp-v1", "kfp-v2", "katib", "kserve", "training", "scheduled")])
    small = [name for name in names if Path(name).stat().st_size < 60_000]
    return made + [entry.content for name in small for entry in read_file(name) if isinstance(entry, Read)]


def test_hostile_5000_mutated_samples_leave_the_translator_alive() -> None:
    """What stands at one to four places is replaced by anything, a place at a time with the same seed each run."""
    dice = random.Random(20261129)
    kinds = samples()
    for _ in range(MUTANTS):
        content = copy.deepcopy(dice.choice(kinds))
        for _ in range(dice.randint(1, 4)):
            found = places(content)
            if not found:
                break
            box, key = dice.choice(found)
            box[key] = copy.deepcopy(dice.choice(VALUES))

        check(content)


@pytest.mark.parametrize("kind", SHAPED, ids=lambda kind: f"{kind.name}.{kind.group}")
def test_hostile_a_text_of_a_megabyte_anywhere_goes_through(kind: Kind) -> None:
    content = full(kind)
    for box, key in places(content):
        if isinstance(box[key], str) and key not in ("kind", "apiVersion"):
            box[key] = "x" * 1_000_000 if key not in ("name", "uid", "namespace") else box[key]

    result = translate(Read("test", 0, content))

    assert isinstance(result, Report | Unreadable)
    assert json.dumps(result.to_dict())
