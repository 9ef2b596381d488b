"""A Lineal server for tests: in a thread of this process, on a free port, on SQLite and local files."""

import dataclasses
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import httpx
import pytest
import uvicorn
from starlette.types import ASGIApp

from registry.api.app import create_app, open_services
from registry.api.services import Services
from registry.api.serving import config
from registry.settings import Settings


@dataclasses.dataclass(frozen=True)
class Served:
    """Where it listens, and what is behind it."""

    url: str
    services: Services


@contextmanager
def serving(settings: Settings, around: Callable[[ASGIApp], ASGIApp] = lambda app: app) -> Iterator[Served]:
    """`around`: what the application is wrapped in."""
    services = open_services(settings)
    app = around(create_app(services))
    server = uvicorn.Server(config(app, host="127.0.0.1", port=0))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("the server did not start")
        thread.join(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Served(f"http://127.0.0.1:{port}", services)
    finally:
        server.should_exit = True
        thread.join(30)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(Settings(data_dir=str(tmp_path_factory.mktemp("data")))) as served:
        yield served


@pytest.fixture(scope="module")
def http(server: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def docs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """A scratch server for the code of a document: the environment variables that lead client and agent to it."""
    with serving(Settings(data_dir=str(tmp_path_factory.mktemp("docs")))) as served:
        yield {"LINEAL_URL": served.url, "LINEAL_SERVER": served.url}
