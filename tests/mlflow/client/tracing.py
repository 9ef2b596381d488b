"""Run by a Python that has mlflow: code that traces, by itself and through a library, does its work with and without traces.

It prints how long each took and how many traces there were. The library asks a service that answers in this process.
"""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import mlflow  # type: ignore[import-not-found, unused-ignore]
import openai  # type: ignore[import-not-found, unused-ignore]

CALLS = 3
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "small",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "four"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}


class Service(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def double(number: int) -> int:
    return number * 2


def work(call: Any, url: str) -> float:
    """Seconds."""
    began = time.perf_counter()
    client = openai.OpenAI(base_url=url, api_key="none")
    with mlflow.start_run():
        for number in range(CALLS):
            call(number)
            client.chat.completions.create(model="small", messages=[{"role": "user", "content": "two and two?"}])
        mlflow.log_metric("done", 1.0)
    return time.perf_counter() - began


service = ThreadingHTTPServer(("127.0.0.1", 0), Service)
threading.Thread(target=service.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{service.server_address[1]}/v1"
mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment("traced")
plain = work(double, url)
mlflow.openai.autolog()
began = time.perf_counter()
work(mlflow.trace(double), url)
mlflow.flush_trace_async_logging(terminate=True)
print(json.dumps({"plain": plain, "traced": time.perf_counter() - began, "traces": 2 * CALLS}))
