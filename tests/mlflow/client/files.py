"""Run by a Python that has mlflow: its own client logs, lists, loads and deletes files, and prints what it saw as JSON."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import matplotlib as mpl  # type: ignore[import-not-found, unused-ignore]

mpl.use("agg")
import matplotlib.pyplot as plt  # type: ignore[import-not-found, unused-ignore]
import mlflow  # type: ignore[import-not-found, unused-ignore]
import numpy as np  # type: ignore[import-not-found, unused-ignore]
from mlflow.artifacts import download_artifacts, load_dict, load_image, load_text  # type: ignore[import-not-found, unused-ignore]
from mlflow.exceptions import MlflowException  # type: ignore[import-not-found, unused-ignore]
from mlflow.store.artifact.artifact_repository_registry import (  # type: ignore[import-not-found, unused-ignore]
    get_artifact_repository,
)

seen: dict[str, Any] = {}
mlflow.set_tracking_uri(sys.argv[1])
large = bytes(range(256)) * 24_576  # 6 MiB: two parts of an upload in parts
work = Path(tempfile.mkdtemp())

with mlflow.start_run() as run:
    mlflow.log_text("some words", "notes/read me.txt")
    mlflow.log_dict({"a": [1, 2]}, "config/c.json")
    mlflow.log_dict({"a": [1, 2]}, "config/c.yaml")
    mlflow.log_figure(plt.figure(), "figures/one.png")
    mlflow.log_image(np.zeros((4, 4, 3), dtype=np.uint8), "images/black.png")
    mlflow.log_image(np.zeros((4, 4, 3), dtype=np.uint8), key="steps", step=3)
    (work / "deep" / "er").mkdir(parents=True)
    (work / "large.bin").write_bytes(large)
    (work / "deep" / "er" / "ünï ☃.txt").write_text("snow", "utf-8")
    (work / "empty").touch()
    mlflow.log_artifacts(str(work), "tree")
    mlflow.log_artifact(str(work / "empty"))

id = run.info.run_id
seen["top"] = sorted(file.path for file in mlflow.MlflowClient().list_artifacts(id))
seen["tree"] = [(file.path, file.is_dir, file.file_size) for file in mlflow.MlflowClient().list_artifacts(id, "tree")]
seen["images"] = len(mlflow.MlflowClient().list_artifacts(id, "images"))
seen["no folder"] = mlflow.MlflowClient().list_artifacts(id, "empty")
seen["text"] = load_text(f"{run.info.artifact_uri}/notes/read me.txt")
seen["dict"] = load_dict(f"{run.info.artifact_uri}/config/c.json")
seen["yaml"] = load_text(f"{run.info.artifact_uri}/config/c.yaml")
seen["image"] = load_image(f"{run.info.artifact_uri}/images/black.png").size
seen["large"] = Path(download_artifacts(f"{run.info.artifact_uri}/tree/large.bin")).read_bytes() == large
loaded = Path(download_artifacts(f"{run.info.artifact_uri}/tree"))
seen["snow"] = (loaded / "deep" / "er" / "ünï ☃.txt").read_text("utf-8")
try:
    download_artifacts(f"{run.info.artifact_uri}/nothing.txt")
except (MlflowException, OSError) as error:
    seen["nothing"] = type(error).__name__
get_artifact_repository(run.info.artifact_uri).delete_artifacts("tree/deep")
get_artifact_repository(run.info.artifact_uri).delete_artifacts("empty")
seen["left"] = sorted(file.path for file in mlflow.MlflowClient().list_artifacts(id, "tree") if not file.is_dir)
print(json.dumps(seen))
