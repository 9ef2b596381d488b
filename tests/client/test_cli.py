"""The command line: each command as a process, what it prints, what it refuses, and its exit codes."""

import hashlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import lineal
from lineal.cli import main
from tests.servers import Served

DATA = bytes(range(256)) * 8000


@dataclass(frozen=True)
class Stock:
    """What the server holds: two runs; the first read a dataset and wrote a model, which has two versions."""

    runs: list[str]
    dataset: dict[str, Any]
    artifact: dict[str, Any]
    versions: list[dict[str, Any]]


@pytest.fixture(scope="module")
def stock(server: Served, tmp_path_factory: pytest.TempPathFactory) -> Stock:
    path = tmp_path_factory.mktemp("stock") / "model.bin"
    path.write_bytes(DATA)
    with lineal.Client(server.url) as client:
        with lineal.run(experiment="cli", name="r1", client=client) as first:
            first.log_metric("loss", 0.5, step=3)
            first.log_params({"lr": 1, "same": "x"})
            dataset = first.log_dataset("s3://lake/rows", "rows", version="1")
            artifact = first.log_artifact(path, kind="model")
            versions = [first.register_model("churn", artifact, alias="champion") for _ in range(2)]
        with lineal.run(experiment="cli", name="r2", client=client) as second:
            second.log_metric("loss", 0.25, step=3)
            second.log_params({"lr": 2, "same": "x"})
            second.use(artifact)
    return Stock([first.id, second.id], dataset, artifact, versions)


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


Cli = Callable[..., Done]


@pytest.fixture(scope="module")
def cli(server: Served) -> Cli:
    """`lineal` as a process."""

    def run(*arguments: str, **environ: str) -> Done:
        command = [sys.executable, "-m", "lineal.cli", *arguments]
        env = {**os.environ, "LINEAL_URL": server.url, **environ}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
        return Done(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def here(server: Served, capsys: pytest.CaptureFixture[str]) -> Cli:
    """`lineal` in this process."""

    def run(*arguments: str) -> Done:
        code = main(["--url", server.url, *arguments])
        return Done(code, *capsys.readouterr())

    return run


def test_lists_print_the_servers_objects(server: Served, stock: Stock, cli: Cli) -> None:
    with lineal.Client(server.url) as client:
        assert cli("experiments", "--json").records == list(client.experiments())
        assert cli("runs", "--json").records == list(client.runs())
        assert cli("run", stock.runs[0], "--json").records == [client.get_run(stock.runs[0])]
        assert cli("history", stock.runs[0], "loss", "--json").records == list(client.metric_history(stock.runs[0], "loss"))
        assert cli("models", "--json").records == list(client.models())
        assert cli("versions", "churn", "--json").records == list(client.versions())


def test_lists_are_tables_for_people(stock: Stock, here: Cli) -> None:
    text = "".join(
        here(*command).out
        for command in (
            ["runs", "--experiment", "cli"],
            ["history", stock.runs[0], "loss"],
            ["run", stock.runs[0]],
            ["models"],
            ["versions", "churn"],
        )
    )

    assert f"{stock.runs[0]}\tr1\tcli\tsucceeded\n" in text
    assert "\t3\t0.5\n" in text
    assert "params.lr: 1\n" in text
    assert "\tchurn\t2\tchampion=2\n" in text
    assert f"{stock.versions[1]['id']}\tchurn\t2\t\tchampion\t{stock.runs[0]}\t" in text


def test_runs_are_filtered_ordered_and_limited(stock: Stock, here: Cli) -> None:
    found = here("runs", "--filter", "experiment = 'cli'", "--order-by", "metrics.loss", "--limit", "1", "--json")
    none = here("runs", "--filter", "metrics.loss > 0.5")

    assert [run["id"] for run in found.records] == [stock.runs[1]]
    assert (none.code, none.out) == (0, "")


def test_a_mistake_in_a_filter_is_named_by_line_and_column(here: Cli) -> None:
    done = here("runs", "--filter", "metrics.loss >")

    assert (done.code, done.out) == (1, "")
    assert "line 1" in done.err or "column" in done.err


def test_runs_are_compared(stock: Stock, cli: Cli, here: Cli) -> None:
    whole = cli("compare", *stock.runs, "--json").records[0]
    text = here("compare", *stock.runs, "--only-different", "--baseline", stock.runs[1]).out

    assert [cell["value"] for cell in whole["metrics"][0]["cells"]] == [0.5, 0.25]
    assert f"{stock.runs[1]} (baseline)" in text
    assert "0.5 (+0.25)" in text
    assert "params.lr" in text
    assert "params.same" not in text


def test_versions_are_compared(stock: Stock, here: Cli) -> None:
    done = here("compare", "models:/churn/1", "models:/churn@champion", "--json")

    assert [item["id"] for item in done.records[0]["items"]] == [version["id"] for version in stock.versions]


def test_lineage_is_a_tree(stock: Stock, cli: Cli, here: Cli) -> None:
    graph = cli("lineage", stock.artifact["id"], "--upstream", "--json").records[0]
    up = here("lineage", "models:/churn/1", "--upstream").out.splitlines()
    down = here("lineage", stock.artifact["id"], "--downstream", "--depth", "1").out.splitlines()

    assert {stock.dataset["id"], stock.runs[0]} <= {node["id"] for node in graph["nodes"]}
    assert up[1] == "comes from"
    assert [(line.find("─"), line.rpartition("  ")[2]) for line in up] == [
        (-1, stock.versions[0]["id"]),
        (-1, "comes from"),
        (1, stock.artifact["id"]),
        (4, stock.runs[0]),
        (7, stock.dataset["id"]),
        (1, f"{stock.runs[0]} (see above)"),
    ]
    assert "went into" in down
    assert any(line.endswith(stock.runs[1]) for line in down)
    assert not any(stock.dataset["id"] in line for line in down)


def test_an_alias_is_shown_moved_and_taken_away(stock: Stock, cli: Cli) -> None:
    moved = cli("alias", "churn", "shadow", "1", "--reason", "test", "--json")
    shown = cli("alias", "churn", "shadow", "--json")
    deleted = cli("alias", "churn", "shadow", "--delete", "--json")
    gone = cli("alias", "churn", "shadow")

    assert moved.records[0]["id"] == shown.records[0]["id"] == stock.versions[0]["id"]
    assert deleted.records[0]["from_version"] == stock.versions[0]["id"]
    assert (gone.code, gone.err) == (1, "lineal: nobody holds alias 'shadow' of churn\n")


def test_a_file_is_pushed_to_a_run_and_pulled_back(stock: Stock, cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_bytes(DATA)

    pushed = cli("push", str(path), "--run", stock.runs[1], "--kind", "doc", "--json")
    pulled = cli("pull", f"{stock.runs[1]}/report.html", str(tmp_path / "got"), "--json", "--progress")

    assert pushed.records[0]["digest"] == hashlib.sha256(DATA).hexdigest()
    assert Path(pulled.records[0]["path"]).read_bytes() == DATA
    assert "fetching report.html [####################] 100% 2.0 MB of 2.0 MB" in pulled.err


def test_a_folder_is_pushed_as_a_version_and_pulled_back(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "b.bin").write_bytes(DATA)

    pushed = cli("push", str(folder), "--model", "pushed", "--alias", "new", "--stage", "Staging", "--tag", "a=b", "--json")
    pulled = cli("pull", "models:/pushed@new", str(tmp_path / "got"))

    [version] = pushed.records
    assert (version["number"], version["aliases"], version["stage"], version["tags"]) == (1, ["new"], "Staging", {"a": "b"})
    assert pulled.code == 0
    assert (tmp_path / "got" / "a" / "b.bin").read_bytes() == DATA
    assert pulled.err == ""


def test_a_version_is_registered_of_an_output(stock: Stock, cli: Cli, here: Cli) -> None:
    made = cli("register", "from output", "model.bin", "--run", stock.runs[0], "--json")
    by_id = here("register", "from output", stock.artifact["id"], "--json")
    no_run = here("register", "from output", "model.bin")

    assert made.records[0]["artifact_id"] == by_id.records[0]["artifact_id"] == stock.artifact["id"]
    assert (no_run.code, "--run" in no_run.err) == (2, True)


def test_a_run_is_logged_from_the_shell(server: Served, cli: Cli) -> None:
    made = cli("log", "--experiment", "shell", "--name", "n", "--param", "lr=0.1", "--json").records[0]
    done = cli("log", "--metric", "acc=0.5", "--step", "2", "--tag", "a=b=c", "--status", "failed", LINEAL_RUN_ID=made["id"])

    with lineal.Client(server.url) as client:
        found = client.get_run(made["id"])
    assert done.out == f"{made['id']}\tn\tshell\tfailed\n"
    assert (found["params"], found["tags"], found["metrics"][0]["step"]) == ({"lr": "0.1"}, {"a": "b=c"}, 2)


def test_search_is_by_filter_or_by_a_part_of_the_name(stock: Stock, cli: Cli, here: Cli) -> None:
    by_filter = cli("search", "metrics.loss < 0.3", "--json")
    by_name = here("search", "HUR", "--json")
    files = here("search", "model.b", "--kind", "artifacts")

    assert [row["id"] for row in by_filter.records] == [stock.runs[1]]
    assert [row["name"] for row in by_name.records] == ["churn"]
    assert files.out.startswith(f"{stock.artifact['id']}\tmodel.bin\t")


@pytest.mark.parametrize("name", ["50%", "a_b", "it's", "back\\slash", "x = 1", 'say "so"'])
def test_search_takes_every_character_as_it_is(server: Served, here: Cli, name: str) -> None:
    with lineal.Client(server.url) as client:
        wanted = client.create_run(experiment_name="names", name=f"run {name} end")["id"]
        client.create_run(experiment_name="names", name="run 50 aXb its back/slash x=1 end")

        found = here("search", "--text", name, "--kind", "runs", "--json")

        assert [row["id"] for row in found.records] == [wanted]
        client.delete_run(wanted)


def test_names_cannot_steer_a_terminal(server: Served, here: Cli) -> None:
    with lineal.Client(server.url) as client:
        run = client.create_run(experiment_name="names", name="\x1b[2Jgone\nrun_x")["id"]

    assert f"{run}\t\\x1b[2Jgone\\nrun_x\tnames" in here("runs", "--experiment", "names").out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["run", "run_" + "0" * 32], 1),
        (["runs", "--experiment", "none such"], 1),
        (["versions", "none such"], 1),
        (["pull", "models:/none such/1", "nowhere"], 1),
        (["pull", "what", "nowhere"], 1),
        (["push", "nothing there", "--model", "m"], 1),
        (["push", "nothing there"], 2),
        (["push", "x", "--run", "run_" + "0" * 32, "--alias", "a"], 2),
        (["compare", "run_" + "0" * 32], 2),
        (["compare", "run_" + "0" * 32, "mv_1"], 2),
        (["alias", "churn", "champion", "first"], 2),
        (["alias", "churn", "champion", "--delete", "--expected", "1"], 2),
        (["log", "--param", "lr=1", "--param", "lr=2"], 2),
        (["push", ".", "--model", "churn", "--tag", "a=1", "--tag", "a=2"], 2),
        (["search", "\udcff"], 2),
        (["search", " "], 2),
    ],
)
def test_a_refusal_is_one_line_and_changes_nothing(stock: Stock, here: Cli, arguments: list[str], code: int) -> None:
    done = here(*arguments)

    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("lineal: ")
    assert done.err.count("\n") == 1
    assert not Path("nowhere").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["log", "--metric", "acc"],
        ["log", "--metric", "acc=high"],
        ["runs", "--limit", "0"],
        ["lineage", "x", "--depth=51"],
    ],
)
def test_wrong_usage_is_exit_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert "usage: lineal" in capsys.readouterr().err


def test_an_unreachable_server_is_exit_3(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("lineal.cli.command.TRIES", 1)

    assert main(["--url", "http://127.0.0.1:9", "runs"]) == 3
    assert "cannot be reached" in capsys.readouterr().err


def test_an_address_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--url", "localhost:8080", "runs"]) == 1
    assert "no address of a server" in capsys.readouterr().err


def test_ctrl_c_is_exit_130() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        process = subprocess.Popen([sys.executable, "-m", "lineal.cli", "--url", url, "runs"], stderr=subprocess.PIPE, text=True)
        connection, _ = silent.accept()
        with connection:
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)

    assert (process.returncode, errors) == (130, "")


def test_a_full_disk_is_one_line_and_exit_1(server: Served, stock: Stock) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "lineal.cli", "--url", server.url, "runs", "--json"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60)

    assert (done.returncode, done.stderr) == (1, "lineal: the output: No space left on device\n")


def test_letters_that_the_terminal_does_not_have_are_escaped(cli: Cli) -> None:
    done = cli("log", "--experiment", "caf\u00e9", PYTHONIOENCODING="ascii")

    assert (done.code, done.err) == (0, "")
    assert "\tcaf\\xe9\t" in done.out


def test_a_reader_that_has_enough_is_no_error(server: Served, stock: Stock) -> None:
    command = f"{shlex.quote(sys.executable)} -m lineal.cli --url {server.url} runs --json"
    done = subprocess.run(f"{command} | true", shell=True, capture_output=True, text=True, check=False, timeout=60)

    assert done.stderr == ""


def test_an_alias_moves_only_from_the_version_that_was_expected(stock: Stock, cli: Cli) -> None:
    first = cli("alias", "churn", "guarded", "1", "--expected", "none", "--json")
    late = cli("alias", "churn", "guarded", "2", "--expected", "none")
    moved = cli("alias", "churn", "guarded", "2", "--expected", "1", "--json")
    cli("alias", "churn", "guarded", "--delete")

    assert [result.code for result in (first, late, moved)] == [0, 1, 0]
    assert "(412)" in late.err
    assert moved.records[0]["number"] == 2
