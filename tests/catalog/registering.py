"""What the tests of models, versions, targets and deployments make first; names are random, the database is the module's."""

from registry.catalog.actors import Actor
from registry.catalog.model_creation import RegisteredModel
from registry.catalog.models import create_model
from registry.catalog.run_creation import create_run
from registry.catalog.version_reads import ModelVersion
from registry.catalog.versions import create_version
from registry.db.runner import Runner
from registry.names import new_run_hex


def some_name(word: str) -> str:
    return f"{word} {new_run_hex()}"


def new_model(runner: Runner, actor: Actor) -> RegisteredModel:
    return runner.write(lambda session: create_model(session, actor, some_name("model"), now=1))


def new_version(runner: Runner, actor: Actor, model: int) -> ModelVersion:
    return runner.write(lambda session: create_version(session, actor, model, now=1))


def new_run(runner: Runner, actor: Actor) -> str:
    hex = new_run_hex()
    runner.write(lambda session: create_run(session, actor, now=1000, experiment=None, hex=hex))
    return hex
