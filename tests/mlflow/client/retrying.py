"""Writers that log batches to runs of their own, each as MLflow's client does it, which tries again by itself. Until stdin ends.

Arguments: the server's URL, how many, a file. That gets a line for each batch that was acknowledged, and at the end one with what
was tried again, by status (`0`: no answer).
"""

import collections
import itertools
import json
import sys
import threading
from pathlib import Path
from typing import Any

import mlflow.exceptions  # type: ignore[import-not-found, unused-ignore]
import urllib3.util.retry
from mlflow.entities import Metric  # type: ignore[import-not-found, unused-ignore]
from mlflow.tracking import MlflowClient  # type: ignore[import-not-found, unused-ignore]

POINTS = 20
url, writers, journal = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
over, lock = threading.Event(), threading.Lock()
again: collections.Counter[int] = collections.Counter()
increment: Any = urllib3.util.retry.Retry.increment


def counted(retry: Any, method: Any = None, url: Any = None, response: Any = None, *given: Any, **named: Any) -> Any:
    again[0 if response is None else response.status] += 1
    return increment(retry, method, url, response, *given, **named)


setattr(urllib3.util.retry.Retry, "increment", counted)  # noqa: B010  (its type says what it may be called with)


def tell(**line: Any) -> None:
    with lock, journal.open("a") as file:
        file.write(json.dumps(line) + "\n")


def write(experiment: str) -> None:
    client = MlflowClient(url)
    for turn in itertools.count():
        try:
            run = client.create_run(experiment, run_name=f"run {turn}").info.run_id
        except mlflow.exceptions.MlflowException:  # a create is not sent again by itself: it may be there
            if over.is_set():
                return
            continue
        for batch in range(5):
            steps = range(batch * POINTS, (batch + 1) * POINTS)
            client.log_batch(run, metrics=[Metric("loss", step / 7, 1_000 + step, step) for step in steps])
            tell(run=run, steps=list(steps))
            if over.is_set():
                return


def guarded(experiment: str) -> None:
    try:
        write(experiment)
    except BaseException as error:
        tell(failure=f"{type(error).__name__}: {error}")
        raise


experiment = MlflowClient(url).create_experiment(f"retrying {journal.name}")
threads = [threading.Thread(target=guarded, args=(experiment,)) for _ in range(writers)]
for thread in threads:
    thread.start()
sys.stdin.read()
over.set()
for thread in threads:
    thread.join()
tell(again=dict(again))
