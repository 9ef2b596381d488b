"""One record, many doors: what one has told, all others read."""

from pathlib import Path

from tests.behaviour.story import Reader, Seen, Story
from tests.mlflow.peers import run_client, seen
from tests.mlmd.door import Door


def both(said: Seen, read: Seen) -> tuple[Seen, Seen]:
    """Of what both have a word for."""
    common = said.keys() & read.keys()
    return {name: said[name] for name in common}, {name: read[name] for name in common}


def test_a_run_is_read_as_it_was_told(story: Story, reader: Reader) -> None:
    said, read = both(story.run, reader.run(story))

    assert said == read
    assert said


def test_a_version_is_read_as_it_was_told(story: Story, reader: Reader) -> None:
    said, read = both(story.version, reader.version(story))

    assert said == read
    assert said.keys() >= {"model", "number"}


def test_what_was_deployed_leads_back_to_the_data_that_was_read(story: Story, reader: Reader) -> None:
    said, read = both(story.lineage, reader.lineage(story))

    assert said == read
    assert said


def test_a_workflow_that_the_agent_reported_opens_in_mlflows_client_and_its_metrics_are_searched(
    told: dict[str, Story], door: Door, mlflow_python: Path, tmp_path: Path
) -> None:
    story = told["agent"]

    shown = seen(run_client(mlflow_python, "reported.py", door.served.url, tmp_path, story.hex, "train/metrics/acc"))

    assert shown["run"] == [story.run["name"], "FINISHED", {"lr": "0.1"}, {"train/metrics/acc": 0.9}]
    assert shown["found"] == [story.hex]
    assert shown["missed"] == []
