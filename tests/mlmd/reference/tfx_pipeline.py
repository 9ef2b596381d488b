"""Run by a Python with TFX (requirements/mlmd-new.txt), as `tfx_pipeline.py PORT FOLDER RUNS`: a local pipeline of two steps.

Of the client's C++ part, which is not loaded, TFX wants the names of the system's types.
"""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace


def simple_types() -> tuple[bytes, bytes, int]:
    from ml_metadata.simple_types.proto import simple_types_pb2

    made = simple_types_pb2.SimpleTypes()
    for name in ("Dataset", "Model", "Metrics", "Statistics"):
        made.artifact_types.add(name=f"mlmd.{name}")
    for name in ("Train", "Transform", "Process", "Evaluate", "Deploy"):
        made.execution_types.add(name=f"mlmd.{name}")
    return made.SerializeToString(), b"", 0


extension = ModuleType("ml_metadata.metadata_store.pywrap.metadata_store_extension")
extension.metadata_store = SimpleNamespace(LoadSimpleTypes=simple_types)  # type: ignore[attr-defined]
sys.modules[extension.__name__] = extension

from ml_metadata.proto import metadata_store_pb2 as pb  # noqa: E402
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter  # noqa: E402
from tfx.dsl.component.experimental.decorators import component  # noqa: E402
from tfx.orchestration.local.local_dag_runner import LocalDagRunner  # noqa: E402
from tfx.orchestration.pipeline import Pipeline  # noqa: E402
from tfx.types import artifact, system_artifacts  # noqa: E402


class Rows(artifact.Artifact):  # type: ignore[misc]
    TYPE_NAME = "Rows"
    TYPE_ANNOTATION = system_artifacts.Dataset
    PROPERTIES = {"span": artifact.Property(type=artifact.PropertyType.INT)}  # noqa: RUF012  (TFX reads it so)


class Fit(artifact.Artifact):  # type: ignore[misc]
    TYPE_NAME = "Fit"
    TYPE_ANNOTATION = system_artifacts.Model


@component  # type: ignore[untyped-decorator]
def Generate(rows: OutputArtifact[Rows], count: Parameter[int] = 3):  # type: ignore[no-untyped-def]  # noqa: ANN201, N802  (a component)
    Path(rows.uri, "data.txt").write_text("x" * count)


@component  # type: ignore[untyped-decorator]
def Train(rows: InputArtifact[Rows], fit: OutputArtifact[Fit]):  # type: ignore[no-untyped-def]  # noqa: ANN201, N802
    Path(fit.uri, "model.txt").write_text(str(len(Path(rows.uri, "data.txt").read_text())))


def main(port: int, folder: str, count: int) -> None:
    for _ in range(count):
        generate = Generate(count=7)
        train = Train(rows=generate.outputs["rows"])
        where = pb.MetadataStoreClientConfig(host="127.0.0.1", port=port)
        made = Pipeline("taxi", folder, components=[generate, train], enable_cache=True, metadata_connection_config=where)
        LocalDagRunner().run(made)


main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
