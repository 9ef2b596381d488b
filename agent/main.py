"""The command `lineal-agent`.

Exit codes: 0 if every object was read (replay: sent; run: stopped by a signal), 1 if some were not, 2 for wrong usage or a cause
that the one line on stderr names.
"""

import argparse
import asyncio
import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from agent import backfill
from agent.reading import Unreadable
from agent.replay import replay, reports
from agent.sending import ReportSender
from agent.settings import DEFAULT_SERVER, Settings, WrongSetting, load
from agent.tokens import auth_of_file


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output went away; without this Python complains once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def translate_files(options: argparse.Namespace) -> int:
    """One JSON line per object on standard output, in input order; what cannot be read gives a line with `error`."""
    everything_was_read = True
    for _, report in reports(options.files, options.cluster):
        if isinstance(report, Unreadable):
            everything_was_read = False
            line = json.dumps(report.to_dict(), ensure_ascii=True)
        else:
            line = report.to_json(sent=False)
        sys.stdout.buffer.write(line.encode() + b"\n")
    sys.stdout.buffer.flush()
    return 0 if everything_was_read else 1


def replay_files(options: argparse.Namespace) -> int:
    with ReportSender(options.server, token=options.token, workspace=options.workspace) as sender:
        outcome = replay(options.paths, sender, options.cluster)
    print(outcome)
    return 0 if outcome.failed == 0 else 1


def backfill_runs(options: argparse.Namespace) -> int:
    api = backfill.PipelinesApi(options.kfp, auth=auth_of_file(options.kfp_token_file), namespace=options.namespace)
    try:
        with ReportSender(options.server, token=options.token, workspace=options.workspace) as sender:
            done = backfill.Done(Path(options.done))
            outcome = backfill.backfill(api, sender, done, options.since, options.cluster)
    except backfill.PipelinesError as error:
        print(f"lineal-agent: {error.args[0]}; run it again to go on", file=sys.stderr)
        return 1
    finally:
        api.close()
    print(outcome)
    return 0 if outcome.failed == 0 else 1


def run(options: argparse.Namespace) -> int:
    """Watch and send until SIGTERM."""
    from agent.cluster.access import find_access
    from agent.cluster.credentials import AccessError
    from agent.delivery.state import AgentState, InUse
    from agent.running import run_agent
    from agent.status import configure_logging

    try:
        settings = load({field.name: getattr(options, field.name) for field in dataclasses.fields(Settings)})
        configure_logging(settings.log_level)
        access = find_access(settings.kubeconfig or None, settings.context or None)
        state = AgentState(Path(settings.state_dir), server=settings.server, cluster=settings.cluster)
    except (WrongSetting, ValueError, AccessError, InUse, OSError) as problem:
        print(f"lineal-agent: {problem}", file=sys.stderr)
        return 2

    def say(address: str) -> None:
        print(f"lineal-agent: watching {access.server}, status at {address}", flush=True)

    try:
        asyncio.run(run_agent(settings, access, state, say))
    except OSError as problem:
        print(f"lineal-agent: {settings.http}: {problem}", file=sys.stderr)
        return 2
    finally:
        state.close()
    return 0


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lineal-agent", description="Kubernetes objects as runs, steps and lineage.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    translate = commands.add_parser("translate", help="print one JSON report per object")
    _add_cluster(translate)
    translate.add_argument("files", nargs="+", metavar="FILE", help="YAML, JSON or JSON lines; a folder; - is stdin")
    translate.set_defaults(run=translate_files)

    again = commands.add_parser("replay", help="send the report of every object to a server")
    _add_server(again)
    _add_cluster(again)
    again.add_argument("paths", nargs="+", metavar="PATH", help="files as for translate, or folders")
    again.set_defaults(run=replay_files)

    earlier = commands.add_parser("backfill", help="send the runs that Kubeflow Pipelines has and the cluster has not")
    _add_server(earlier)
    _add_cluster(earlier)
    backfill.add_arguments(earlier)
    earlier.set_defaults(run=backfill_runs)

    watch = commands.add_parser("run", help="watch a cluster and send what changes, until SIGTERM")
    for field in dataclasses.fields(Settings):
        flag = f"--{field.name.replace('_', '-')}"
        if isinstance(field.default, bool):
            watch.add_argument(flag, action="store_true", default=None)
        else:
            watch.add_argument(flag, type=type(field.default), default=None, metavar=field.name.upper())
    watch.set_defaults(run=run)
    return parser


def _add_server(command: argparse.ArgumentParser) -> None:
    server = os.environ.get("LINEAL_SERVER") or DEFAULT_SERVER
    command.add_argument("--server", type=_server_url, default=server, help="address (LINEAL_SERVER; default: %(default)s)")
    command.add_argument("--token", default=os.environ.get("LINEAL_TOKEN"), help="API token (LINEAL_TOKEN)")
    command.add_argument("--workspace", metavar="W", help="workspace (default: the token's)")


def _add_cluster(command: argparse.ArgumentParser) -> None:
    command.add_argument("--cluster", metavar="NAME", help="the cluster that the objects are from")


def _server_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise argparse.ArgumentTypeError(f"{value!r} is not an address like {DEFAULT_SERVER}")
    return value


if __name__ == "__main__":
    sys.exit(main())
