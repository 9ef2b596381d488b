"""The history of a trial's metrics from katib-db-manager: gRPC `api.v1.beta1.DBManager`, which keeps it while the trial exists.

The messages are written down here, so that no generated module and no package of Katib is needed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from agent.report import Observed
from agent.values import is_zero_time, storable, utc

PACKAGE = "api.v1.beta1"
SERVICE = f"{PACKAGE}.DBManager"
TIMEOUT_S = 10.0
MAX_BYTES = 32 * 1024 * 1024
MAX_POINTS = 20_000
_SECOND = len("2026-01-01T00:00:00")
"""Of a time, what comes before the fraction."""

_TEXT, _MESSAGE = descriptor_pb2.FieldDescriptorProto.TYPE_STRING, descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
_ONE, _MANY = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL, descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
_FIELDS: dict[str, tuple[tuple[str, str | None], ...]] = {
    "Metric": (("name", None), ("value", None)),
    "MetricLog": (("time_stamp", None), ("metric", "Metric")),
    "ObservationLog": (("metric_logs", "MetricLog*"),),
    "ReportObservationLogRequest": (("trial_name", None), ("observation_log", "ObservationLog")),
    "ReportObservationLogReply": (),
    "GetObservationLogRequest": (("trial_name", None), ("metric_name", None), ("start_time", None), ("end_time", None)),
    "GetObservationLogReply": (("observation_log", "ObservationLog"),),
    "DeleteObservationLogRequest": (("trial_name", None),),
    "DeleteObservationLogReply": (),
}
"""By message: fields in the order of their numbers, with the message they hold (`*`: many of them), None for text."""


@cache
def messages() -> dict[str, Any]:
    """The message classes by name, in a pool of their own."""
    file = descriptor_pb2.FileDescriptorProto(name="katib/api.proto", package=PACKAGE, syntax="proto3")
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for number, (field, holds) in enumerate(fields, 1):
            many = holds is not None and holds.endswith("*")
            label = _MANY if many else _ONE
            entry = message.field.add(name=field, number=number, label=label, type=_TEXT if holds is None else _MESSAGE)
            if holds is not None:
                entry.type_name = f".{PACKAGE}.{holds.rstrip('*')}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in _FIELDS}


class KatibDbError(Exception):
    """The history could not be read; the text says why, for a person."""


class KatibDb:
    """One connection, made with the first call. Safe to use from several threads."""

    def __init__(self, address: str) -> None:
        options = (("grpc.max_receive_message_length", MAX_BYTES), ("grpc.enable_retries", 0))
        self._channel = grpc.insecure_channel(address, options=options)
        known = messages()
        self._get = self._channel.unary_unary(
            f"/{SERVICE}/GetObservationLog",
            request_serializer=known["GetObservationLogRequest"].SerializeToString,
            response_deserializer=known["GetObservationLogReply"].FromString,
        )

    def close(self) -> None:
        self._channel.close()

    def history(self, trial: str, start: str, end: str) -> tuple[Observed, ...]:
        """What was logged for trials of that name between the two times (RFC 3339, UTC), by time.

        The table knows no namespaces: trials of one name in two of them are told apart by their times alone. Kubernetes cuts
        the times of objects to whole seconds: all of the last second counts.

        Raises KatibDbError: the service did not answer, or too much.
        """
        found = []
        for entry in self._logs(trial, start, _next_second(end)):
            at = utc(entry.time_stamp)
            if at is not None and at[:_SECOND] <= end[:_SECOND] and entry.metric.name:
                found.append(Observed(storable(entry.metric.name), at, storable(entry.metric.value)))
        return tuple(sorted(found, key=lambda one: one.at.removesuffix("Z")))

    def untimed(self, trial: str, at: str) -> tuple[Observed, ...]:
        """What was logged without a time for trials of that name, in the order of the table, as if it were of the time `at`.

        Katib's collectors give Go's zero time to lines that begin with none.

        Raises KatibDbError: as `history`.
        """
        logs = [entry for entry in self._logs(trial, "", "") if is_zero_time(entry.time_stamp) and entry.metric.name]
        return tuple(Observed(storable(entry.metric.name), at, storable(entry.metric.value)) for entry in logs)

    def _logs(self, trial: str, start: str, end: str) -> Sequence[Any]:
        request = messages()["GetObservationLogRequest"](trial_name=trial, start_time=start, end_time=end)
        with _explained():
            reply = self._get(request, timeout=TIMEOUT_S)
        logs: Sequence[Any] = reply.observation_log.metric_logs
        if len(logs) > MAX_POINTS:
            raise KatibDbError(f"the log of {trial} has {len(logs)} values, more than {MAX_POINTS}")
        return logs


def _next_second(moment: str) -> str:
    """Of a time in UTC as `utc` gives it."""
    return (datetime.fromisoformat(moment[:_SECOND]) + timedelta(seconds=1)).isoformat() + "Z"


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except grpc.RpcError as error:
        raise KatibDbError(" ".join(str(error).split())[:300]) from error
