"""`lineal runs`, `run`, `history`, `log`."""

import argparse
import os
import time

from lineal.cli.printing import (
    AddCommand,
    UsageError,
    add_list_options,
    counted,
    limited,
    number_pair,
    only,
    page_of,
    pair,
    plain,
    print_json,
    print_rows,
)
from lineal.client import Client
from lineal.environment import user_name
from lineal.errors import LinealError
from lineal.runs import json_number


def add_commands(command: AddCommand) -> None:
    many = command("runs", runs, "List runs, newest last.")
    many.add_argument("--experiment", help="only those of this experiment, by name")
    add_list_options(many, example="\"metrics.acc > 0.9 AND params.lr = '0.1'\"")
    command("run", run, "Show one run with its metrics, params and tags.").add_argument("id", metavar="RUN")
    points = command("history", history, "Print all points of a metric.")
    points.add_argument("id", metavar="RUN")
    points.add_argument("key", metavar="METRIC")
    _add_log(command)


def _add_log(command: AddCommand) -> None:
    logged = command("log", log, "Log metrics, params and tags to a run; a new one, if none is named here or by LINEAL_RUN_ID.")
    logged.add_argument("id", metavar="RUN", nargs="?")
    logged.add_argument("--experiment", help="of a new run, by name (default: default)")
    logged.add_argument("--name", help="of a new run")
    logged.add_argument("--metric", type=number_pair, action="append", default=[], metavar="KEY=NUMBER")
    logged.add_argument("--step", type=int, default=0, help="of the metrics (default: 0)")
    logged.add_argument("--param", type=pair, action="append", default=[], metavar="KEY=VALUE")
    logged.add_argument("--tag", type=pair, action="append", default=[], metavar="KEY=VALUE")
    logged.add_argument("--status", choices=["running", "succeeded", "failed", "canceled"], help="set the run's status")


def runs(client: Client, arguments: argparse.Namespace) -> None:
    experiment = None
    if arguments.experiment is not None:
        found = next(iter(client.experiments(name=arguments.experiment)), None)
        if found is None:
            raise LinealError(f"there is no experiment {arguments.experiment!r}")
        experiment = found["id"]
    listed = client.runs(
        filter=arguments.filter,
        order_by=arguments.order_by,
        experiment_id=experiment,
        fields=None if arguments.json else "none",
        page_size=page_of(arguments.limit),
    )
    rows = counted(arguments, limited(listed, arguments.limit), "runs")
    print_rows(arguments, rows, ("id", "name", "experiment_name", "status"))


def run(client: Client, arguments: argparse.Namespace) -> None:
    found = client.get_run(arguments.id)
    if arguments.json:
        print_json(found)
        return
    for key in ("id", "name", "experiment_name", "status", "started_at", "ended_at", "user"):
        print(f"{key}: {plain(found[key])}")
    for metric in found["metrics"]:
        print(f"metrics.{plain(metric['key'])}: {metric['value']} (step {metric['step']})")
    for kind in ("params", "tags"):
        for key, value in found[kind].items():
            print(f"{kind}.{plain(key)}: {plain(value)}")


def history(client: Client, arguments: argparse.Namespace) -> None:
    points = counted(arguments, client.metric_history(arguments.id, arguments.key), "points")
    print_rows(arguments, points, ("at", "step", "value"))


def log(client: Client, arguments: argparse.Namespace) -> None:
    is_new = arguments.experiment is not None or arguments.name is not None
    if is_new and arguments.id is not None:
        raise UsageError("--experiment and --name are a new run's: name no RUN")
    params, tags = only("param", arguments.param), only("tag", arguments.tag)
    id = arguments.id or (None if is_new else os.environ.get("LINEAL_RUN_ID"))
    if id is None:
        made = client.create_run(experiment_name=arguments.experiment or "default", name=arguments.name, user=user_name())
        id = made["id"]
    now = time.time_ns() // 1_000_000
    points = [{"key": key, "value": json_number(value), "step": arguments.step, "at": now} for key, value in arguments.metric]
    if points or params or tags:
        client.log(id, metrics=points, params=params, tags=tags)
    if arguments.status is not None:
        client.update_run(id, status=arguments.status, **({} if arguments.status == "running" else {"ended_at": now}))
    print_rows(arguments, [client.get_run(id)], ("id", "name", "experiment_name", "status"))
