"""An empty server for each of upstream's tests, ours on one database or MLflow's own, and which routes the test has called.

Databases on servers are made once and emptied in between: a schema on MariaDB takes seconds.
"""

import json
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import sqlalchemy as sa
from starlette.types import ASGIApp, Receive, Scope, Send

from registry.settings import Settings
from registry.tables import metadata
from tests.mlflow.peers import mlflow_server
from tests.servers import serving


class Fresh:
    """`database`: SQLAlchemy URL of a database of its own; empty: SQLite, a file for each server."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._running = ExitStack()
        self._routes: set[str] = set()

    def start(self) -> str:
        """The URL of a server with nothing in it; the one before is stopped."""
        self.stop()
        folder = self._running.enter_context(
            tempfile.TemporaryDirectory(prefix="lineal-conformance.", ignore_cleanup_errors=True)
        )
        served = self._running.enter_context(serving(Settings(data_dir=folder, db=self._database), self._recording))
        return served.url

    def stop(self) -> None:
        self._running.close()
        if self._database:
            _empty(self._database)

    def called(self) -> list[str]:
        """Since the last time."""
        found, self._routes = sorted(self._routes), set()
        return found

    def _recording(self, app: ASGIApp) -> ASGIApp:
        async def recorded(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                self._routes.add(f"{scope['method']} {scope['path']}")
            await app(scope, receive, send)

        return recorded


class Upstream:
    """MLflow's own server in the place of ours, on SQLite."""

    def __init__(self, python: str) -> None:
        self._python = python
        self._running = ExitStack()

    def start(self) -> str:
        self.stop()
        folder = tempfile.TemporaryDirectory(prefix="lineal-conformance.", ignore_cleanup_errors=True)
        return self._running.enter_context(mlflow_server(self._python, Path(self._running.enter_context(folder))))

    def stop(self) -> None:
        self._running.close()

    def called(self) -> list[str]:
        """Nobody has noted it."""
        return []


def _empty(url: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        known = set(sa.inspect(connection).get_table_names())
        for table in reversed(metadata.sorted_tables):
            if table.name in known:
                connection.execute(table.delete())
    engine.dispose()


@contextmanager
def controlled(fresh: Fresh | Upstream) -> Iterator[str]:
    """The URL at which another process asks for servers, `/fresh`, and for what has been called since: `/routes`."""

    class Control(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = {"url": fresh.start()} if self.path == "/fresh" else {"routes": fresh.called()}
            body = json.dumps(found).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Control)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        fresh.stop()


def folder_of(upstream: Path) -> Path:
    """Where `tests` can be imported from. Raises FileNotFoundError: it is not upstream's `tests` folder."""
    if upstream.name != "tests" or not (upstream / "tracking" / "test_rest_tracking.py").is_file():
        raise FileNotFoundError(f"{upstream} is not upstream's tests/ folder: it has no tracking/test_rest_tracking.py")
    return upstream.parent
