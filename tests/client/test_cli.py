import json

import pytest

import lineal
from lineal.cli import main
from tests.servers import Served


@pytest.fixture
def run(server: Served) -> str:
    with lineal.Client(server.url) as client, lineal.run(experiment="cli", name="r1", client=client) as made:
        made.log_metric("loss", 0.5, step=3)
        made.log_params({"lr": 1})
    return made.id


def test_json_prints_the_servers_objects(server: Served, run: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--url", server.url, "run", run, "--json"])

    with lineal.Client(server.url) as client:
        assert json.loads(capsys.readouterr().out) == client.get_run(run)
    assert code == 0


def test_lists_are_tables_for_people(server: Served, run: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--url", server.url, "runs", "--experiment", "cli"])
    main(["--url", server.url, "history", run, "loss"])
    main(["--url", server.url, "run", run])

    text = capsys.readouterr().out
    assert f"{run}\tr1\tcli\tsucceeded" in text
    assert "\t3\t0.5" in text
    assert "params.lr: 1" in text


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["run", "run_" + "0" * 32], 1), (["runs", "--experiment", "none such"], 1)],
)
def test_a_refusal_is_one_line_and_exit_1(
    server: Served, arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--url", server.url, *arguments]) == code

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("lineal: ")
    assert captured.err.count("\n") == 1


def test_wrong_usage_is_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["nonsense"])

    assert ended.value.code == 2


def test_an_unreachable_server_is_exit_3(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("lineal.transport.RETRIES", 1)

    assert main(["--url", "http://127.0.0.1:9", "runs"]) == 3
    assert "cannot be reached" in capsys.readouterr().err
