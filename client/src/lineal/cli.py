"""`lineal`: the command line. `--json` prints the server's objects, one per line.

Exit codes: 0 done, 1 the server refused, 2 wrong usage, 3 the server cannot be reached.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from lineal.client import Client
from lineal.errors import ApiError, LinealError, Unreachable


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    try:
        with Client(arguments.url, token=arguments.token, workspace=arguments.workspace) as client:
            arguments.run(client, arguments)
    except ApiError as error:
        print(f"lineal: {error}", file=sys.stderr)
        return 1
    except Unreachable as error:
        print(f"lineal: {error}", file=sys.stderr)
        return 3
    except LinealError as error:
        print(f"lineal: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 0
    return 0


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="lineal", description="Reads and changes what a Lineal server keeps.")
    root.add_argument("--url", help="address of the server (default: LINEAL_URL, else http://127.0.0.1:8080)")
    root.add_argument("--token", help="API token (default: LINEAL_TOKEN)")
    root.add_argument("--workspace", help="workspace (default: LINEAL_WORKSPACE, else the token's)")
    commands = root.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[Client, argparse.Namespace], None], help: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=help, description=help)
        made.add_argument("--json", action="store_true", help="one JSON object per line")
        made.set_defaults(run=run)
        return made

    command("experiments", experiments, "List experiments.")
    runs_ = command("runs", runs, "List runs, newest last.")
    runs_.add_argument("--experiment", help="only those of this experiment, by name")
    run_ = command("run", run, "Show one run with its metrics, params and tags.")
    run_.add_argument("id")
    history_ = command("history", history, "Print all points of a metric.")
    history_.add_argument("id")
    history_.add_argument("key")
    return root


def experiments(client: Client, arguments: argparse.Namespace) -> None:
    _print(arguments, client.experiments(), ("id", "name", "lifecycle"))


def runs(client: Client, arguments: argparse.Namespace) -> None:
    experiment = None
    if arguments.experiment is not None:
        found = next(iter(client.experiments(name=arguments.experiment)), None)
        if found is None:
            raise LinealError(f"there is no experiment {arguments.experiment!r}")
        experiment = found["id"]
    listed = client.runs(experiment_id=experiment, fields=None if arguments.json else "none")
    _print(arguments, listed, ("id", "name", "experiment_name", "status"))


def run(client: Client, arguments: argparse.Namespace) -> None:
    found = client.get_run(arguments.id)
    if arguments.json:
        _print(arguments, [found], ())
        return
    for key in ("id", "name", "experiment_name", "status", "started_at", "ended_at", "user"):
        print(f"{key}: {'' if found[key] is None else found[key]}")
    for metric in found["metrics"]:
        print(f"metrics.{metric['key']}: {metric['value']} (step {metric['step']})")
    for kind in ("params", "tags"):
        for key, value in found[kind].items():
            print(f"{kind}.{key}: {value}")


def history(client: Client, arguments: argparse.Namespace) -> None:
    _print(arguments, client.metric_history(arguments.id, arguments.key), ("at", "step", "value"))


def _print(arguments: argparse.Namespace, rows: Iterable[dict[str, Any]], columns: Sequence[str]) -> None:
    for row in rows:
        if arguments.json:
            print(json.dumps(row, ensure_ascii=False))
        else:
            print("\t".join("" if row[column] is None else str(row[column]) for column in columns))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
