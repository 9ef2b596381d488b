"""The C++ store of the reference client in a child process: bytes in, a code and bytes out. It may die, and is begun anew."""

import subprocess
from pathlib import Path
from typing import Self

SCRIPT = Path(__file__).parent / "reference" / "oracle.py"
DIED = -1
"""In the place of a code: the request ended the process."""


class Oracle:
    def __init__(self, python: str) -> None:
        self._command = [python, str(SCRIPT)]
        self._process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.kill()
        self._process.communicate()

    def reset(self) -> None:
        """An empty store."""
        self.ask("RESET", b"")

    def ask(self, method: str, request: bytes) -> tuple[int, bytes]:
        """The code, and the response's bytes or the text of the error."""
        pipe = self._process
        assert pipe.stdin is not None
        assert pipe.stdout is not None
        try:
            pipe.stdin.write(b"%s %d\n" % (method.encode(), len(request)) + request)
            pipe.stdin.flush()
            code, size = pipe.stdout.readline().split()
            return int(code), pipe.stdout.read(int(size))
        except (BrokenPipeError, ValueError):
            pipe.communicate()
            self._process = self._start()
            return DIED, b""
