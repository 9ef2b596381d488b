"""Servers that tests start."""

import os
import sys
import time
from pathlib import Path

from tests.services.servers import free_ports, running

PARENT = """
import http.server, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open("child", "w").write(str(child.pid))
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def test_what_a_server_starts_ends_with_it(tmp_path: Path) -> None:
    (port,) = free_ports(1)

    with running([sys.executable, "-c", PARENT, str(port)], tmp_path, f"http://127.0.0.1:{port}/"):
        child = int((tmp_path / "child").read_text())
        os.kill(child, 0)

    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not Path(f"/proc/{child}").exists() or " Z " in Path(f"/proc/{child}/stat").read_text()
