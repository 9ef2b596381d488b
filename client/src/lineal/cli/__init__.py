"""`lineal`: the command line. `--json` prints the server's objects, one per line.

Exit codes: 0 done, 1 the server or the disk refused, 2 wrong usage, 3 the server cannot be reached, 130 Ctrl-C.
"""

from lineal.cli.command import main, parser

__all__ = ["main", "parser"]
