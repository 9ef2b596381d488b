"""`lineal search`: runs by a filter, or runs, models and artifacts by a part of their names."""

import argparse
import re
from collections.abc import Iterator

from lineal.cli.printing import AddCommand, Json, UsageError, add_limit, counted, limited, page_of, print_rows
from lineal.client import Client

KINDS = ("runs", "models", "artifacts")
_FILTER = re.compile(r"[<>=!]|\b(LIKE|ILIKE|IN|IS|BETWEEN)\b", re.IGNORECASE)


def add_commands(command: AddCommand) -> None:
    made = command("search", search, "Find runs by a filter; or runs, models and artifacts by a part of their names.")
    made.add_argument("text", metavar="TEXT", help="a part of a name, or a filter: \"metrics.acc > 0.9 AND params.lr = '0.1'\"")
    made.add_argument("--text", dest="as_text", action="store_true", help="TEXT is no filter, whatever it looks like")
    made.add_argument("--kind", choices=KINDS, help="only these")
    add_limit(made, default=100)


def search(client: Client, arguments: argparse.Namespace) -> None:
    if not arguments.text.strip():
        raise UsageError("say what to look for")
    is_filter = not arguments.as_text and _FILTER.search(arguments.text) is not None
    kinds = [arguments.kind] if arguments.kind else (["runs"] if is_filter else list(KINDS))
    rows = counted(arguments, _found(client, arguments, kinds, is_filter=is_filter), "found")
    print_rows(arguments, rows, ("id", lambda row: row.get("display_name") or row["name"], _about))


def _found(client: Client, arguments: argparse.Namespace, kinds: list[str], *, is_filter: bool) -> Iterator[Json]:
    """At most `--limit` of each kind."""
    page = page_of(arguments.limit)
    for kind in kinds:
        field = "display_name" if kind == "artifacts" else "name"
        filter = arguments.text if is_filter else f"{field} ILIKE '%{_escaped(arguments.text)}%'"
        if kind == "runs":
            found = client.runs(filter=filter, page_size=page, fields=None if arguments.json else "none")
        elif kind == "models":
            found = client.models(filter=filter, page_size=page)
        else:
            found = client.artifacts(filter=filter, page_size=page)
        yield from limited(found, arguments.limit)


def _escaped(text: str) -> str:
    """As plain text in a pattern in quotes: `%` and `_` are no wildcards then."""
    pattern = re.sub(r"([%_\\])", r"\\\1", text)
    return pattern.replace("\\\\", "\\\\\\\\").replace("'", "\\'")


def _about(row: Json) -> str:
    if row["id"].startswith("run_"):
        return f"{row['status'] or ''} {row['experiment_name'] or ''}".strip()
    return f"{row['last_number']} versions" if row["id"].startswith("model_") else str(row["uri"] or "")
