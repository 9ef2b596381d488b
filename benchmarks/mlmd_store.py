"""Run by ML Metadata's own Python, as `mlmd_store.py FILE PORT`: its C++ store on an SQLite file, behind a small gRPC server.

Bytes go to the store and back as they are. The method `/bench/Run` makes calls in this process instead, without a network: JSON
`{"method", "request" (hex), "clients", "seconds"}` gives `{"count", "seconds", "answer" (hex)}`.
"""

import json
import sys
import threading
import time
from concurrent import futures
from typing import Any

import grpc
from ml_metadata.metadata_store.pywrap.metadata_store_extension import metadata_store as cpp
from ml_metadata.proto import metadata_store_pb2 as pb

CODES = {code.value[0]: code for code in grpc.StatusCode}
config = pb.ConnectionConfig()
config.sqlite.filename_uri = sys.argv[1]
config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
store = cpp.CreateMetadataStore(config.SerializeToString(), pb.MigrationOptions().SerializeToString())
one_at_a_time = threading.Lock()
"""The store's own server has a connection for each call; this one has one, which two threads may not share."""


def ask(method: str, request: bytes) -> tuple[bytes, bytes, int]:
    with one_at_a_time:
        found: tuple[bytes, bytes, int] = getattr(cpp, method)(store, request)
    return found


def run(raw: bytes, _context: Any) -> bytes:
    given = json.loads(raw)
    request, until = bytes.fromhex(given["request"]), time.perf_counter() + given["seconds"]
    counts, answers = [0] * given["clients"], [b""] * given["clients"]

    def work(client: int) -> None:
        while time.perf_counter() < until:
            answers[client], message, code = ask(given["method"], request)
            if code:
                raise RuntimeError(message.decode())
            counts[client] += 1

    begun = time.perf_counter()
    threads = [threading.Thread(target=work, args=(client,)) for client in range(given["clients"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = time.perf_counter() - begun
    return json.dumps({"count": sum(counts), "seconds": spent, "answer": answers[0].hex()}).encode()


class Bridge(grpc.GenericRpcHandler):
    def service(self, handler_call_details: Any) -> Any:
        method = handler_call_details.method.rpartition("/")[2]
        if method == "Run":
            return grpc.unary_unary_rpc_method_handler(run)

        def handle(raw: bytes, context: Any) -> bytes:
            answer, message, code = ask(method, raw)
            if code:
                context.abort(CODES[code], message.decode(errors="replace"))
            return answer

        return grpc.unary_unary_rpc_method_handler(handle)


server = grpc.server(
    futures.ThreadPoolExecutor(8),
    options=[("grpc.max_send_message_length", 2**27), ("grpc.max_receive_message_length", 2**27)],
)
server.add_generic_rpc_handlers((Bridge(),))
server.add_insecure_port(f"127.0.0.1:{sys.argv[2]}")
server.start()
print("ready", flush=True)
server.wait_for_termination()
