"""Run by a reference client's own Python, as `connect.py ADDRESS WORKSPACE`: `lineal.mlmd` in the place of a configuration."""

import json
import os
import sys

import lineal.mlmd

address, workspace = sys.argv[1:]
store = lineal.mlmd.store(address, workspace=workspace, timeout_s=30)
from ml_metadata import errors  # noqa: E402
from ml_metadata.proto import metadata_store_pb2 as pb  # noqa: E402

type_id = store.put_artifact_type(pb.ArtifactType(name="Mine"))
[made] = store.put_artifacts([pb.Artifact(type_id=type_id, uri="s3://b/k")])
os.environ |= {"LINEAL_MLMD": address, "LINEAL_WORKSPACE": workspace}
again = lineal.mlmd.store()
found = {
    "mine": [one.uri for one in again.get_artifacts()],
    "others": len(lineal.mlmd.store(workspace="default").get_artifacts_by_type("Mine")),
}
try:
    lineal.mlmd.store(token="nothing").get_artifacts()
except errors.StatusError as error:
    found["refused"] = type(error).__name__
print(json.dumps(found))
