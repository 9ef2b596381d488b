"""What can never be delivered, set aside for a person: a line of JSON each, in a file of limited size."""

import json
import time
from pathlib import Path

MAX_BYTES = 64 * 1024 * 1024
"""Then the file is renamed, in the place of the one before it."""


class DeadLetters:
    def __init__(self, folder: Path) -> None:
        self.file = folder / "dead-letters.jsonl"

    def add(self, named: dict[str, str], reason: str, report: bytes | None = None) -> None:
        """`named`: kind, namespace, name and uid of the object. Raises OSError."""
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = json.dumps({"at": at, **named, "reason": reason}, ensure_ascii=False)
        if report is not None:
            line = f'{line[:-1]}, "report": {report.decode()}}}'
        if self.file.exists() and self.file.stat().st_size > MAX_BYTES:
            self.file.replace(self.file.with_suffix(".1.jsonl"))
        with self.file.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
