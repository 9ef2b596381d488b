"""gRPC's server reflection: tools such as grpcurl ask which services and messages there are. Open to all, as documents are."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from google.protobuf import descriptor_pb2
from google.protobuf.message import DecodeError

from registry.api.mlmd import descriptors
from registry.api.mlmd.descriptors import Service

NOT_FOUND, INVALID_ARGUMENT = 5, 3


def services() -> tuple[Service, Service]:
    """Reflection itself, under both of its names."""
    return descriptors.reflection()


def _served() -> list[Service]:
    return [descriptors.service(), descriptors.health(), *services()]


def handler(asked: Service) -> Callable[[Iterable[bytes], Any], Iterator[bytes]]:
    """Answers a stream of questions, one each."""
    method = asked.methods["ServerReflectionInfo"]

    def handle(requests: Iterable[bytes], _context: Any) -> Iterator[bytes]:
        for raw in requests:
            response: Any = method.response()
            try:
                request: Any = method.request.FromString(raw)
            except (DecodeError, UnicodeDecodeError):
                _refuse(response, INVALID_ARGUMENT, "this is no ServerReflectionRequest")
            else:
                _answer(response, request)
            yield response.SerializeToString()

    return handle


def _answer(response: Any, request: Any) -> None:
    response.valid_host = request.host
    response.original_request.CopyFrom(request)
    match request.WhichOneof("message_request"):
        case "list_services":
            for one in _served():
                response.list_services_response.service.add(name=one.name)
        case "file_by_filename":
            _write_file(response, lambda pool: pool.FindFileByName(request.file_by_filename))
        case "file_containing_symbol":
            _write_file(response, lambda pool: _file_of(pool, request.file_containing_symbol))
        case None:
            _refuse(response, INVALID_ARGUMENT, "the request asks nothing")
        case _:
            _refuse(response, NOT_FOUND, "there are no extensions")


def _file_of(pool: Any, symbol: str) -> Any:
    """A method is found by its service: not every protobuf has methods in its pool. Raises KeyError."""
    try:
        return pool.FindFileContainingSymbol(symbol)
    except KeyError:
        service, _, method = symbol.rpartition(".")
        found = pool.FindServiceByName(service)
        if method not in found.methods_by_name:
            raise
        return found.file


def _refuse(response: Any, code: int, text: str) -> None:
    response.error_response.error_code = code
    response.error_response.error_message = text


def _write_file(response: Any, find: Callable[[Any], Any]) -> None:
    """The first file that is found, and all that it imports."""
    for one in _served():
        try:
            found = find(one.pool)
        except KeyError:
            continue
        files, waiting = dict[str, bytes](), [found]
        while waiting:
            file = waiting.pop(0)
            if file.name not in files:
                made = descriptor_pb2.FileDescriptorProto()
                file.CopyToProto(made)
                files[file.name] = made.SerializeToString()
                waiting += file.dependencies
        response.file_descriptor_response.file_descriptor_proto.extend(files.values())
        return
    _refuse(response, NOT_FOUND, "no such file or symbol")
