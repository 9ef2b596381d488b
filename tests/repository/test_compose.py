"""docker-compose.yml is one that Compose accepts."""

import os
import subprocess

import pytest

from tests.repository.checkout import ROOT

COMPOSE = os.environ.get("DOCKER_COMPOSE_BIN", "")


@pytest.mark.skipif(not COMPOSE, reason="needs DOCKER_COMPOSE_BIN: the program docker-compose, which reads the file")
def test_compose_accepts_the_file() -> None:
    done = subprocess.run(
        [COMPOSE, "-f", "docker-compose.yml", "config", "-q"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
