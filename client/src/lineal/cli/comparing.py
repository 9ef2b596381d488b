"""`lineal compare`: runs, or versions, side by side."""

import argparse
import re
from collections.abc import Callable, Iterable

from lineal.cli.printing import AddCommand, Json, UsageError, plain, print_json
from lineal.client import Client


def add_commands(command: AddCommand) -> None:
    made = command("compare", compare, "Show runs, or versions of models, side by side.")
    made.add_argument("ids", nargs="+", metavar="ID", help="run_…; or mv_…, models:/NAME/NUMBER, models:/NAME@ALIAS")
    made.add_argument("--baseline", metavar="ID", help="what differences are against (default: the first)")
    made.add_argument("--only-different", action="store_true", help="leave out what is the same for all")


def compare(client: Client, arguments: argparse.Namespace) -> None:
    wanted = [*arguments.ids, *([] if arguments.baseline is None else [arguments.baseline])]
    of_runs = {bool(re.fullmatch("(run_)?[0-9a-f]{32}", id)) for id in wanted}
    if len(of_runs) > 1:
        raise UsageError("runs are compared with runs, versions with versions")
    if of_runs == {True}:
        ids = ["run_" + id.removeprefix("run_") for id in wanted]
        ask: Callable[..., Json] = client.compare_runs
    else:
        ids = [id if re.fullmatch("mv_[0-9]+", id) else str(client.get_record(id)["id"]) for id in wanted]
        ask = client.compare_versions
    items, baseline = ids[: len(arguments.ids)], ids[-1] if arguments.baseline is not None else None
    if len(set(items)) < 2 or len(set(items)) < len(items):
        raise UsageError("at least two are compared, each once")
    found = ask(items, baseline=baseline, only_different=arguments.only_different)
    if arguments.json:
        print_json(found)
    else:
        _print_table(_rows(found))


def _rows(found: Json) -> Iterable[list[str]]:
    items = found["items"]
    yield ["", *(item["name"] for item in items)]
    yield ["id", *(item["id"] + (" (baseline)" if item["id"] == found["baseline"] else "") for item in items)]
    if any(item["status"] for item in items):
        yield ["status", *(item["status"] or "" for item in items)]
    for metric in found["metrics"]:
        yield [f"metrics.{metric['key']}", *(_cell(cell) for cell in metric["cells"])]
    for kind in ("params", "tags"):
        for row in found[kind]:
            yield [f"{kind}.{row['key']}", *("-" if value is None else value for value in row["values"])]


def _cell(cell: Json) -> str:
    """The value, how far it is from the baseline, and whether that is good."""
    if cell["value"] is None:
        return "-"
    delta = "" if not cell["delta"] else f" ({cell['delta']:+.6g})"
    verdict = f" {cell['verdict']}" if cell["verdict"] in {"better", "worse"} else ""
    return f"{cell['value']}{delta}{verdict}{' *' if cell['best'] else ''}"


def _print_table(rows: Iterable[list[str]]) -> None:
    table = [[plain(text) for text in row] for row in rows]
    widths = [max(len(row[place]) for row in table) for place in range(len(table[0]))]
    for row in table:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
