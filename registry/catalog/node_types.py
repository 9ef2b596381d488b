"""Types of nodes. Built-in ones live here and in no table: an empty store has no rows.

`mlmd.*` have ML Metadata's ids 1 to 9; ours begin at 1,000,000,001, so that a user's first type is 10 as in ML Metadata.
"""

from dataclasses import dataclass

from registry.names import NodeKind


@dataclass(frozen=True)
class NodeType:
    id: int
    kind: NodeKind
    name: str


_FIRST = 1_000_000_001
_OWN = [
    (NodeKind.CONTEXT, "kf.Experiment"),
    (NodeKind.CONTEXT, "kf.ExperimentRun"),
    (NodeKind.CONTEXT, "kf.RegisteredModel"),
    (NodeKind.CONTEXT, "kf.ModelVersion"),
    (NodeKind.CONTEXT, "kf.ServingEnvironment"),
    (NodeKind.CONTEXT, "kf.InferenceService"),
    (NodeKind.EXECUTION, "kf.ServeModel"),
    (NodeKind.EXECUTION, "lineal.Run"),
    (NodeKind.EXECUTION, "lineal.Step"),
    (NodeKind.ARTIFACT, "kf.ModelArtifact"),
    (NodeKind.ARTIFACT, "kf.DocArtifact"),
    (NodeKind.ARTIFACT, "kf.DataSet"),
    (NodeKind.ARTIFACT, "kf.Metric"),
    (NodeKind.ARTIFACT, "kf.Parameter"),
    (NodeKind.ARTIFACT, "lineal.Artifact"),
    (NodeKind.ARTIFACT, "lineal.LoggedModel"),
]
_SYSTEM = [
    (NodeKind.ARTIFACT, "mlmd.Dataset"),
    (NodeKind.ARTIFACT, "mlmd.Model"),
    (NodeKind.ARTIFACT, "mlmd.Metrics"),
    (NodeKind.ARTIFACT, "mlmd.Statistics"),
    (NodeKind.EXECUTION, "mlmd.Train"),
    (NodeKind.EXECUTION, "mlmd.Transform"),
    (NodeKind.EXECUTION, "mlmd.Process"),
    (NodeKind.EXECUTION, "mlmd.Evaluate"),
    (NodeKind.EXECUTION, "mlmd.Deploy"),
]
BUILT_IN = {
    name: NodeType(first + offset, kind, name)
    for first, listed in ((1, _SYSTEM), (_FIRST, _OWN))
    for offset, (kind, name) in enumerate(listed)
}

EXPERIMENT = BUILT_IN["kf.Experiment"].id
RUN = BUILT_IN["kf.ExperimentRun"].id
MODEL = BUILT_IN["kf.RegisteredModel"].id
VERSION = BUILT_IN["kf.ModelVersion"].id
ENVIRONMENT = BUILT_IN["kf.ServingEnvironment"].id
DEPLOYMENT = BUILT_IN["kf.InferenceService"].id
SERVE = BUILT_IN["kf.ServeModel"].id
RUN_EXECUTION = BUILT_IN["lineal.Run"].id
STEP = BUILT_IN["lineal.Step"].id
MODEL_ARTIFACT = BUILT_IN["kf.ModelArtifact"].id
DOC_ARTIFACT = BUILT_IN["kf.DocArtifact"].id
DATASET = BUILT_IN["kf.DataSet"].id
ARTIFACT = BUILT_IN["lineal.Artifact"].id
LOGGED_MODEL = BUILT_IN["lineal.LoggedModel"].id
