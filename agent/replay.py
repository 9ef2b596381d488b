"""Sending the objects of files to a server, as the live agent would have sent them."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from agent.kinds import translate
from agent.reading import Read, Unreadable, files, read_file
from agent.report import Report
from agent.sending import ReportSender, SendError


@dataclass(slots=True)
class Outcome:
    applied: int = 0
    failed: int = 0

    def __str__(self) -> str:
        return f"objects: {self.applied} applied, {self.failed} failed"


def reports(paths: list[str], cluster: str | None) -> Iterator[tuple[Read | Unreadable, Report | Unreadable]]:
    """Each object with its report, file by file; one object is in memory at a time beside its file."""
    for file in files(paths):
        for read in read_file(file):
            yield read, translate(read, cluster) if isinstance(read, Read) else read


def replay(paths: list[str], sender: ReportSender, cluster: str | None = None) -> Outcome:
    """Sends the report of every object, in input order. What fails is told on standard error, and the rest goes on."""
    outcome = Outcome()
    console = Console(stderr=True, highlight=False)
    named = files(paths)
    with _progress(console) as progress:
        bar = progress.add_task("replay", total=len(named))
        for file in named:
            for read, report in reports([file], cluster):
                _send(read, report, sender, outcome, progress.console)
            progress.update(bar, advance=1, description=str(outcome))
    return outcome


def _send(read: Read | Unreadable, report: Report | Unreadable, sender: ReportSender, outcome: Outcome, console: Console) -> None:
    where = f"{read.file}, document {read.index}"
    try:
        if isinstance(report, Unreadable):
            raise SendError(report.error, unreachable=False)
        receipt = sender.send(report, read.content if isinstance(read, Read) else None)
    except SendError as error:
        outcome.failed += 1
        console.print(f"{where}: {error}", markup=False, soft_wrap=True)
        return
    outcome.applied += 1
    for warning in receipt.warnings:
        console.print(f"{where}: {warning}", markup=False, soft_wrap=True)


def _progress(console: Console) -> Progress:
    """A bar over the files, only where somebody sees it."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty())
