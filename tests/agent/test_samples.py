"""Every sample object is translated, validates, and two runs agree. Needs LINEAL_SAMPLES, the folder of samples."""

import json
import os
from pathlib import Path

import jsonschema
import pytest

from agent.kinds import translate
from agent.reading import Read, files, read_file
from agent.report import Report
from agent.schema import report_schema

if "LINEAL_SAMPLES" not in os.environ:
    pytest.skip(
        "needs LINEAL_SAMPLES: a folder of recorded Kubernetes objects, which are not in this repository", allow_module_level=True
    )

KUBERNETES = Path(os.environ["LINEAL_SAMPLES"]) / "k8s"
FOLDERS = ("argo", "kfp-v1", "kfp-v2", "compressed", "watch", "katib", "kserve", "training", "scheduled")
SAMPLES = files([str(KUBERNETES / folder) for folder in FOLDERS])
VALIDATOR = jsonschema.Draft202012Validator(report_schema())


def lines(file: str) -> list[str]:
    reports = [translate(read) if isinstance(read, Read) else read for read in read_file(file)]
    assert all(isinstance(report, Report) for report in reports)
    return [report.to_json() for report in reports if isinstance(report, Report)]


@pytest.mark.parametrize("file", SAMPLES, ids=lambda file: str(Path(file).relative_to(KUBERNETES)))
def test_a_sample_is_translated_validates_and_gives_the_same_bytes_again(file: str) -> None:
    shown = lines(file)

    assert shown
    assert shown == lines(file)
    for line in shown:
        VALIDATOR.validate(json.loads(line))


def test_compressed_samples_give_the_report_of_the_plain_object() -> None:
    def tasks(file: str) -> object:
        [line] = lines(str(KUBERNETES / file))
        report = json.loads(line)
        return report["tasks"], report.get("edges")

    plain = tasks("kfp-v2/loops-static-and-dynamic.yaml")

    assert tasks("compressed/loops-static-and-dynamic.gzip.json") == plain
    assert tasks("compressed/loops-static-and-dynamic.zstd.json") == plain
    assert tasks("compressed/dag-nested-zxlc2.gzip.json") == tasks("argo/dag-nested-zxlc2.yaml")
