"""The command `lineal-agent`.

Exit codes: 0 if every object was read (replay: sent), 1 if some were not, 2 for wrong usage.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

from agent.reading import Unreadable
from agent.replay import replay, reports
from agent.sending import ReportSender

DEFAULT_SERVER = "http://127.0.0.1:8080"


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
            line = report.to_json()
        sys.stdout.buffer.write(line.encode() + b"\n")
    sys.stdout.buffer.flush()
    return 0 if everything_was_read else 1


def replay_files(options: argparse.Namespace) -> int:
    with ReportSender(options.server, token=options.token, workspace=options.workspace) as sender:
        outcome = replay(options.paths, sender, options.cluster)
    print(outcome)
    return 0 if outcome.failed == 0 else 1


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lineal-agent", description="Kubernetes objects as runs, steps and lineage.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    translate = commands.add_parser("translate", help="print one JSON report per object")
    _add_cluster(translate)
    translate.add_argument("files", nargs="+", metavar="FILE", help="YAML, JSON or JSON lines; a folder; - is stdin")
    translate.set_defaults(run=translate_files)

    again = commands.add_parser("replay", help="send the report of every object to a server")
    server = os.environ.get("LINEAL_SERVER") or DEFAULT_SERVER
    again.add_argument("--server", type=_server_url, default=server, help="address (LINEAL_SERVER; default: %(default)s)")
    again.add_argument("--token", default=os.environ.get("LINEAL_TOKEN"), help="API token (LINEAL_TOKEN)")
    again.add_argument("--workspace", metavar="W", help="workspace (default: the token's)")
    _add_cluster(again)
    again.add_argument("paths", nargs="+", metavar="PATH", help="files as for translate, or folders")
    again.set_defaults(run=replay_files)
    return parser


def _add_cluster(command: argparse.ArgumentParser) -> None:
    command.add_argument("--cluster", metavar="NAME", help="the cluster that the objects are from")


def _server_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise argparse.ArgumentTypeError(f"{value!r} is not an address like {DEFAULT_SERVER}")
    return value


if __name__ == "__main__":
    sys.exit(main())
