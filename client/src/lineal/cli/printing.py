"""What the command line prints: JSON lines for programs, tabs between columns for people; and options that commands share."""

import argparse
import datetime as dt
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol

from lineal.client import Client
from lineal.errors import LinealError
from lineal.progress import Progress

Json = dict[str, Any]


class UsageError(LinealError):
    """The arguments contradict each other, or cannot be read: exit 2."""


class AddCommand(Protocol):
    """Adds a command with what all commands have."""

    def __call__(self, name: str, run: Callable[[Client, argparse.Namespace], None], help: str) -> argparse.ArgumentParser: ...


def print_rows(arguments: argparse.Namespace, rows: Iterable[Json], columns: Sequence[str | Callable[[Json], object]]) -> None:
    """One line per record; a column is a field, or what makes the text from the record."""
    for row in rows:
        if arguments.json:
            print_json(row)
        else:
            print("\t".join(plain(row[column] if isinstance(column, str) else column(row)) for column in columns))


def print_json(record: Json) -> None:
    print(json.dumps(record, ensure_ascii=False))


def plain(value: object) -> str:
    """For a terminal: nothing for None, and no character that could steer it."""
    text = "" if value is None else str(value)
    return (
        text
        if text.isprintable()
        else "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
    )


def time_of(millis: int | None) -> str:
    """In UTC, to the second."""
    if millis is None:
        return ""
    return dt.datetime.fromtimestamp(millis / 1000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def pairs_text(pairs: Mapping[str, object]) -> str:
    return ", ".join(f"{key}={value}" for key, value in pairs.items())


def counted(arguments: argparse.Namespace, rows: Iterable[Json], label: str) -> Iterator[Json]:
    """The rows, and how many there were so far: on a terminal unless they themselves are printed there."""
    shown = True if arguments.progress else (False if sys.stdout.isatty() else None)
    with Progress(label, unit="rows", shown=shown) as progress:
        for row in rows:
            progress.add(1)
            yield row


def add_list_options(command: argparse.ArgumentParser, *, example: str) -> None:
    command.add_argument("--filter", help=f"what must be true: {example}".replace("%", "%%"))
    command.add_argument("--order-by", metavar="FIELDS", help="such as 'created_at DESC, name' (default: by id)")
    add_limit(command)


def add_limit(command: argparse.ArgumentParser, default: int | None = None) -> None:
    command.add_argument("--limit", type=positive, default=default, metavar="N", help="at most so many")


def limited(rows: Iterable[Json], limit: int | None) -> Iterable[Json]:
    return rows if limit is None else islice(rows, limit)


def page_of(limit: int | None) -> int:
    """The rows of a page, where no more than `limit` are wanted."""
    return min(1000, limit or 1000)


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError("less than 1")
    return value


def pair(text: str) -> tuple[str, str]:
    """`KEY=VALUE` of an option."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def only(kind: str, pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Raises UsageError: a key has two values."""
    found: dict[str, str] = {}
    for key, value in pairs:
        if found.setdefault(key, value) != value:
            raise UsageError(f"--{kind} {key} has two values")
    return found


def number_pair(text: str) -> tuple[str, float]:
    key, value = pair(text)
    try:
        return key, float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=NUMBER") from None
