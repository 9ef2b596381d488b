"""A training as a person writes it: nothing in it knows whether it runs in a notebook, in a job, or in the step of a workflow.

`LINEAL_URL` says where the server is, `LINEAL_EXPERIMENT` to which experiment a run of its own belongs; in the pod of a workflow
what Argo puts into the environment (`ARGO_NODE_ID`) makes the client log to the step that the pod is.

    python training.py tumours.parquet --rate 0.01 --model tumours
"""

import argparse
import pickle
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import lineal

EPOCHS = 20
SEED = 7


def train(path: Path, rate: float, model_name: str) -> None:
    table = pq.read_table(path).to_pydict()
    labels = np.array(table.pop("benign"))
    features = np.column_stack(list(table.values()))
    seen, unseen, seen_labels, unseen_labels = train_test_split(features, labels, test_size=0.25, random_state=SEED)
    scaler = StandardScaler().fit(seen)
    model = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=rate, random_state=SEED)

    with lineal.run(name=f"rate {rate}", tags={"kind": "training"}) as run, tempfile.TemporaryDirectory() as folder:
        run.log_params({"rate": rate, "epochs": EPOCHS, "model": type(model).__name__})
        run.log_dataset(path, "tumours")
        for epoch in range(EPOCHS):
            model.partial_fit(scaler.transform(seen), seen_labels, classes=np.unique(labels))
            guessed = model.predict_proba(scaler.transform(unseen))
            accuracy = float(model.score(scaler.transform(unseen), unseen_labels))
            run.log_metrics({"accuracy": accuracy, "loss": float(log_loss(unseen_labels, guessed))}, step=epoch)
        file = Path(folder) / "model.pkl"
        file.write_bytes(pickle.dumps(make_pipeline(scaler, model)))
        files = run.log_artifact(file, "model", kind="model")
        run.register_model(model_name, files, description=f"A linear classifier, trained with rate {rate}.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("table", type=Path)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--model", required=True)
    arguments = parser.parse_args()
    train(arguments.table, arguments.rate, arguments.model)
