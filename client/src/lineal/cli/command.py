"""The parser of the whole command, and what becomes of errors. Each noun's module adds its own commands."""

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence

from lineal.cli import comparing, experiments, files, lineage, models, runs, searching
from lineal.cli.printing import UsageError
from lineal.client import Client
from lineal.errors import LinealError, Unreachable

TRIES = 6
"""About six seconds: a person waits for the answer."""


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code; wrong usage that the parser sees ends the process with 2."""
    arguments = parser().parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal may not have every letter
    try:
        with Client(
            arguments.url, token=arguments.token, workspace=arguments.workspace, progress=True if arguments.progress else None
        ) as client:
            client.transport.tries = TRIES
            arguments.run(client, arguments)
        sys.stdout.flush()
    except UsageError as error:
        return _refused(error, 2)
    except Unreachable as error:
        return _refused(error, 3)
    except LinealError as error:
        return _refused(error, 1)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has enough; without this Python complains once more when it flushes at exit.
        _drop_output()
    except OSError as error:
        _drop_output()
        return _refused(f"{error.filename or 'the output'}: {error.strerror or error}", 1)
    except UnicodeEncodeError as error:
        return _refused(f"{error.object!r} is no text", 2)
    return 0


def _drop_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _refused(error: LinealError | str, code: int) -> int:
    print(f"lineal: {error}", file=sys.stderr)
    return code


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(
        prog="lineal",
        description="Reads and changes what a Lineal server keeps.",
        epilog="Exit codes: 0 done, 1 refused, 2 wrong usage, 3 the server cannot be reached, 130 Ctrl-C.",
    )
    root.add_argument("--url", help="address of the server (default: LINEAL_URL, else http://127.0.0.1:8080)")
    root.add_argument("--token", help="API token (default: LINEAL_TOKEN)")
    root.add_argument("--workspace", help="workspace (default: LINEAL_WORKSPACE, else the token's)")
    commands = root.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[Client, argparse.Namespace], None], help: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=help, description=help)
        made.add_argument("--json", action="store_true", help="one JSON object per line")
        made.add_argument("--progress", action="store_true", help="show progress where there is no terminal, too")
        made.set_defaults(run=run)
        return made

    for noun in (experiments, runs, models, comparing, lineage, searching, files):
        noun.add_commands(command)
    return root
