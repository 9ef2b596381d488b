"""The command line of `lineal-server import`: what is imported, where to, and what is printed about it."""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.errors import InvalidArgument, Unavailable
from registry.settings import Settings

if TYPE_CHECKING:
    from registry.catalog.actors import Actor
    from registry.db.runner import Runner
    from registry.importing.job import Job

_NOWHERE = -1
"""The id of a workspace that is not there yet."""

_SHOWN = 100
"""Differences printed; the number of all of them stands behind."""

_ONLY = {
    "mlmd": ("platform",),
    "mlflow": ("artifacts", "artifacts_root", "artifacts_from", "from_workspace"),
}
"""Options that one kind of source takes and others do not."""


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("what", choices=["mlmd", "mlflow"])
    command.add_argument(
        "--from", dest="source", required=True, metavar="SOURCE", help="sqlite:///…, mysql://…, http://…, mlruns/"
    )
    command.add_argument("--workspace", default="default")
    command.add_argument("--report", default=None, metavar="FILE", help="where notes go (default: mlmd-import.txt and the like)")
    command.add_argument("--dry-run", action="store_true", help="only say what there is")
    command.add_argument("--platform", action="store_true", default=None, help="mlmd: a run's `namespace` is its workspace")
    command.add_argument(
        "--artifacts", choices=["reference", "copy"], default=None, help="mlflow: leave files where they are, or not"
    )
    command.add_argument("--artifacts-root", default=None, metavar="URL", help="mlflow: what `mlflow-artifacts:/` is there")
    command.add_argument(
        "--artifacts-from", action="append", default=None, metavar="URL", help="mlflow: a place that files may be copied from"
    )
    command.add_argument("--from-workspace", default=None, metavar="NAME", help="mlflow: the workspace there (default: default)")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Exit code 3: what was imported is not as in the source. Raises RegistryError: a source or target that cannot be used."""
    import sqlalchemy as sa

    from registry import migrate as migrations
    from registry.catalog.actors import Actor, Reach
    from registry.catalog.workspaces import bootstrap, get_or_create_workspace
    from registry.db.engine import open_database
    from registry.db.runner import Runner
    from registry.names import Role
    from storage.config import open_store

    _check(arguments)
    connected = _connected(arguments, settings)
    if arguments.dry_run:
        return _plan(arguments, settings, connected)
    Path(settings.data_dir).mkdir(parents=True, exist_ok=True)
    database = open_database(settings.db_url, statement_timeout_s=3600)
    database.hold()
    if not settings.store:  # the embedded one, which a server would make when it starts
        open_store(settings.store_url).prepare()
    migrations.upgrade(database)
    runner = Runner(database)
    now = time.time_ns() // 1_000_000
    runner.write(lambda session: bootstrap(session, now=now))
    workspace = runner.write(lambda session: get_or_create_workspace(session, arguments.workspace, now=now))
    reach = Reach.INSTALL if arguments.platform else Reach.WORKSPACE
    job = connected(runner, Actor("lineal-server import", workspace, arguments.workspace, Role.ADMIN, reach=reach))
    try:
        return _run(job)
    except sa.exc.DBAPIError as error:  # of the source's: the runner says itself what is wrong with ours
        raise Unavailable(f"the source cannot be read: {error.orig}") from error
    finally:
        runner.close()
        job.close()


def _run(job: "Job[Any]") -> int:
    state = job.run()
    for phase, written in state.written.items():
        print(f"{phase}: {written} taken over, {state.left_out.get(phase, 0)} left out")
    if job.notes:
        print(f"{job.notes} notes in {job.report}")
    wrong = list(job.verify(state))
    print(*wrong[:_SHOWN], "verified" if not wrong else f"{len(wrong)} differences", sep="\n")
    return 3 if wrong else 0


def _plan(arguments: argparse.Namespace, settings: Settings, connected: "Callable[[Runner, Actor], Job[Any]]") -> int:
    """Changes nothing: what is not there yet is as an empty store, which is made aside."""
    import tempfile

    from registry import maintenance
    from registry import migrate as migrations
    from registry.catalog.actors import Actor, Reach
    from registry.catalog.workspaces import find_workspace
    from registry.db.engine import open_database
    from registry.db.runner import Runner
    from registry.names import Role

    with tempfile.TemporaryDirectory() as folder:
        database = open_database(settings.db_url, statement_timeout_s=3600)
        is_there = (database.path is None or database.path.exists()) and migrations.current(database) is not None
        database.close()
        if is_there:
            database = maintenance.opened(settings.db_url)
        else:
            database = open_database(f"sqlite:///{folder}/empty.db")
            migrations.upgrade(database)
        runner = Runner(database)
        workspace = runner.read(lambda session: find_workspace(session, arguments.workspace)) or _NOWHERE
        reach = Reach.INSTALL if arguments.platform else Reach.WORKSPACE
        job = connected(runner, Actor("lineal-server import", workspace, arguments.workspace, Role.ADMIN, reach=reach))
        try:
            print(*job.plan(), sep="\n")
        finally:
            runner.close()
            job.close()
    return 0


def _check(arguments: argparse.Namespace) -> None:
    for what, names in _ONLY.items():
        for name in names:
            if what != arguments.what and getattr(arguments, name) is not None:
                raise InvalidArgument(f"--{name.replace('_', '-')} is of import {what}")


def _connected(arguments: argparse.Namespace, settings: Settings) -> "Callable[[Runner, Actor], Job[Any]]":
    """The source, opened before anything is written. Raises InvalidArgument, Unavailable: it is none, or does not answer."""
    report = Path(arguments.report or f"{arguments.what}-import.txt")
    if arguments.what == "mlmd":
        from registry.api.mlmd.stored import DECODING
        from registry.importing import mlmd

        source = mlmd.connect(arguments.source, DECODING)
        return lambda runner, actor: mlmd.Import(source, runner, actor, report)
    from registry.importing import mlflow

    files = mlflow.Files(
        copied=arguments.artifacts == "copy", root=arguments.artifacts_root, allowed=tuple(arguments.artifacts_from or ())
    )
    found = mlflow.connect(arguments.source, arguments.from_workspace or "default", os.environ)
    return lambda runner, actor: mlflow.Import(found, runner, actor, report, files=files, store_url=settings.store_url)
