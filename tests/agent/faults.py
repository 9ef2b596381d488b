"""`python -m tests.agent.faults` with N and SEED in the environment: that many scenarios on a real API server.

Last line: `N of N equal`. Exit code 1 if a store differs from its replay, 2 if something is missing.
"""

import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.agent.scenarios import cluster_with, play


def main() -> int:
    number, seed = int(os.environ.get("N") or 5), os.environ.get("SEED") or "1"
    missing = [name for name in ("KUBEBUILDER_ASSETS", "LINEAL_SAMPLES") if not os.environ.get(name)]
    if missing:
        print(
            f"faults-agent: needs {', '.join(missing)}: a folder with etcd and kube-apiserver; recorded objects", file=sys.stderr
        )
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by way of every `finally`: no server stays behind
    samples = Path(os.environ["LINEAL_SAMPLES"])
    equal = 0
    with (
        tempfile.TemporaryDirectory(prefix="lineal-faults-agent.") as scratch,
        cluster_with(samples, Path(scratch) / "cluster", Path(os.environ["KUBEBUILDER_ASSETS"])) as (cluster, objects, known),
    ):
        print(f"faults-agent: {len(objects)} objects of {len({one.kind.name for one in objects})} kinds", flush=True)
        for one in range(number):
            began = time.monotonic()
            found = play(cluster, objects, known, Path(scratch) / str(one), f"{seed}/{one}")
            equal += not found.difference
            took = f"{found.events} events, {found.lists} lists, {time.monotonic() - began:.0f} s"
            print(f"faults-agent: {one + 1} of {number}, seed {seed}/{one}: {', '.join(found.faults)}: {took}", flush=True)
            for line in found.difference[:40]:
                print(f"faults-agent:   {line[:6000]}", flush=True)
    print(f"{equal} of {number} equal")
    return 0 if equal == number else 1


if __name__ == "__main__":
    sys.exit(main())
