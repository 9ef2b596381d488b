"""A katib-db-manager for tests: the service's name and messages, and its one table without namespaces, in memory."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc

from agent.fetching.katib_db import SERVICE, messages
from agent.values import utc


class Table:
    """Rows (trial, time, metric, value); `asked`: the requests that came."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str, str]] = []
        self.asked: list[tuple[str, str, str]] = []
        self.fails = False

    def log(self, trial: str, metric: str, *values: tuple[str, str]) -> None:
        """`values`: (time, value)."""
        self.rows += [(trial, at, metric, value) for at, value in values]

    def get(self, request: Any, context: grpc.ServicerContext) -> Any:
        if self.fails:
            context.abort(grpc.StatusCode.UNAVAILABLE, "the database is away")
        self.asked.append((request.trial_name, request.start_time, request.end_time))
        reply = messages()["GetObservationLogReply"]()
        for trial, at, metric, value in self.rows:
            moment = utc(at) or at
            inside = (not request.start_time or moment >= request.start_time) and (
                not request.end_time or moment <= request.end_time
            )
            if trial == request.trial_name and inside and request.metric_name in ("", metric):
                entry = reply.observation_log.metric_logs.add(time_stamp=at)
                entry.metric.name, entry.metric.value = metric, value
        return reply

    def report(self, request: Any, _context: grpc.ServicerContext) -> Any:
        for entry in request.observation_log.metric_logs:
            self.rows.append((request.trial_name, entry.time_stamp, entry.metric.name, entry.metric.value))
        return messages()["ReportObservationLogReply"]()

    def delete(self, request: Any, _context: grpc.ServicerContext) -> Any:
        self.rows = [row for row in self.rows if row[0] != request.trial_name]
        return messages()["DeleteObservationLogReply"]()


@contextmanager
def serving(table: Table) -> Iterator[str]:
    """Its address while the block runs."""
    known = messages()
    methods = {"GetObservationLog": table.get, "ReportObservationLog": table.report, "DeleteObservationLog": table.delete}
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            call,
            request_deserializer=known[f"{name}Request"].FromString,
            response_serializer=known[f"{name}Reply"].SerializeToString,
        )
        for name, call in methods.items()
    }
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()
