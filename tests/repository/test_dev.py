"""dev.py for real, on a copy of what it reads.

What goes wrong is one line with cause and remedy, exit status 2, and leaves nothing half made.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import dev
from tests.repository.checkout import ROOT

SYSTEM_PYTHON = getattr(sys, "_base_executable", sys.executable)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with a space in its name: dev.py, both project files and pins of one package that no index has."""
    folder = tmp_path / "a checkout"
    (folder / "client").mkdir(parents=True)
    (folder / "requirements").mkdir()
    for file in ("dev.py", "pyproject.toml", "client/pyproject.toml"):
        shutil.copy(ROOT / file, folder / file)
    pin = f"no-such-package==1.0 --hash=sha256:{'0' * 64}\n"
    for need in dev.NEEDS_MB:
        (folder / "requirements" / f"{need}.txt").write_text(pin)
    return folder


def run(checkout: Path, *args: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`dev.py ARGS…` with an empty HOME, and no setting of the caller's but the path."""
    return started([str(checkout / "dev.py"), *args], checkout.parent, variables)


def started(argv: list[str], cwd: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "HOME": "", **variables}
    return subprocess.run([SYSTEM_PYTHON, *argv], cwd=cwd, env=env, capture_output=True, text=True, check=False)


def only_line(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that a problem is."""
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("dev.py: ")
    return lines[0]


def pretend_environment(checkout: Path) -> None:
    """An environment that looks installed, so that a command comes to the point that a test is about."""
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "python").symlink_to(SYSTEM_PYTHON)
    program = "import dev; dev.write_stamp({need: dev.fingerprint(need) for need in dev.NEEDS_MB})"
    subprocess.run([SYSTEM_PYTHON, "-c", program], cwd=checkout, check=True)


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_python_without_ensurepip_is_one_line(checkout: Path, tmp_path: Path) -> None:
    """As on a Debian without python3-venv."""
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as util\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'ensurepip' else find(name, *rest)\n"
    )

    done = run(checkout, "install", PYTHONPATH=str(tmp_path))

    assert "lacks its venv or ensurepip module; install it" in only_line(done)
    assert not (checkout / ".venv").exists()


def test_an_index_out_of_reach_is_one_line_and_leaves_no_environment(checkout: Path) -> None:
    done = run(checkout, "install", PIP_INDEX_URL=f"http://127.0.0.1:{closed_port()}/simple")

    assert "no network: the package index cannot be reached; connect, or set PIP_INDEX_URL" in only_line(done)
    assert not (checkout / ".venv").exists()


def test_an_index_named_in_pip_conf_is_used_and_its_other_settings_are_not(checkout: Path, tmp_path: Path) -> None:
    """`target` and `user` would put packages elsewhere."""
    config = tmp_path / "pip.conf"
    index = f"http://127.0.0.1:{closed_port()}/simple"
    config.write_text(f"[global]\nindex-url = {index}\nuser = true\n[install]\ntarget = {tmp_path}/elsewhere\n")

    done = run(checkout, "install", PIP_CONFIG_FILE=str(config), PIP_TARGET=str(tmp_path / "elsewhere"))

    assert "the package index cannot be reached" in only_line(done)
    assert not (tmp_path / "elsewhere").exists()


def test_a_package_without_a_file_is_one_line(checkout: Path, tmp_path: Path) -> None:
    done = run(checkout, "install", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path))

    assert "the package index has no file for this system" in only_line(done)
    assert not (checkout / ".venv").exists()


def test_an_environment_without_stamp_is_made_anew(checkout: Path, tmp_path: Path) -> None:
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "left-over").touch()

    done = run(checkout, "install", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path))

    assert "install: .venv is half made, or made elsewhere: making it anew\n" in done.stdout
    assert not (checkout / ".venv").exists()


def test_a_download_that_fails_leaves_a_good_environment_as_it_was(checkout: Path) -> None:
    pretend_environment(checkout)
    stamp = (checkout / ".venv" / "lineal-stamp.json").read_bytes()
    with (checkout / "requirements" / "dev.txt").open("a") as pins:
        pins.write(f"another-package==1.0 --hash=sha256:{'0' * 64}\n")

    done = run(checkout, "install", PIP_INDEX_URL=f"http://127.0.0.1:{closed_port()}/simple")

    assert "no network" in only_line(done)
    assert (checkout / ".venv" / "lineal-stamp.json").read_bytes() == stamp
    assert not (checkout / ".venv" / "lineal-downloads").exists()


def test_a_second_install_asks_nothing(checkout: Path) -> None:
    pretend_environment(checkout)

    done = run(checkout, "install", PIP_INDEX_URL="http://127.0.0.1:1/simple")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"install: {checkout / '.venv'} is ready\n"


def test_a_moved_checkout_gets_a_new_environment(checkout: Path, tmp_path: Path) -> None:
    """Scripts in an environment hold its absolute path."""
    pretend_environment(checkout)
    moved = checkout.rename(checkout.with_name("moved"))

    done = run(moved, "install", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path))

    assert "made elsewhere: making it anew" in done.stdout


def test_a_taken_port_is_one_line(checkout: Path) -> None:
    pretend_environment(checkout)
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"

        done = run(checkout, "serve", "--http", address)

    assert f"{address} is taken by another program; stop it, or choose another port" in only_line(done)


def test_a_read_only_checkout_is_one_line(checkout: Path) -> None:
    """Root may write anywhere, so root becomes nobody first; imports come before that, as nobody may not read them."""
    imports = "import os, sys, tomllib, venv, ensurepip, dev"
    program = f"{imports}; os.getuid() or os.setuid(65534); sys.exit(dev.main(['install']))"
    with tempfile.TemporaryDirectory() as open_to_all:  # pytest's folders are not
        Path(open_to_all).chmod(0o755)
        folder = shutil.copytree(checkout, Path(open_to_all) / "read only")
        folder.chmod(0o555)

        done = started(["-c", program], folder, {})
        folder.chmod(0o755)

    assert "read only cannot be written to, and .venv has to be made in it" in only_line(done)


def test_a_full_disk_is_one_line(checkout: Path) -> None:
    """Full for what is needed: a disk that is really full takes no test folder either."""
    text = (checkout / "dev.py").read_text("utf-8")
    (checkout / "dev.py").write_text(text.replace('"dev": 900', '"dev": 900_000_000_000'), "utf-8")

    done = run(checkout, "install")

    assert "is full" in only_line(done)
    assert not (checkout / ".venv").exists()


def test_an_unknown_command_is_one_line(checkout: Path) -> None:
    assert "there is no command 'tset'" in only_line(run(checkout, "tset"))


def test_help_lists_every_command(checkout: Path) -> None:
    done = run(checkout)

    assert done.returncode == 0
    assert not [command for command in dev.COMMANDS if f"\n  {command} " not in done.stdout]


@pytest.mark.parametrize(
    ("printed", "meaning"),
    [
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("OSError: [Errno 30] Read-only file system: 'x'", "cannot be written to"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "not the one that was pinned"),
        ("WARNING: Retrying … NameResolutionError\nERROR: No matching distribution found for x", "no network"),
        ("ERROR: No matching distribution found for x", "no file for this system"),
        ("SSLError(SSLCertVerificationError(1, 'Max retries exceeded'))", "certificate"),
        ("first\nERROR: something new\nlast", "ERROR: something new"),
    ],
)
def test_causes_are_told_apart(printed: str, meaning: str) -> None:
    assert meaning in dev.cause(printed.splitlines())


def test_the_network_settings_of_pip_reach_a_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev, "PYTHON", sys.executable)
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "http://one/simple http://two/simple")
    monkeypatch.setenv("PIP_PREFIX", "elsewhere")
    monkeypatch.setenv("PIP_NO_BINARY", ":all:")

    env = dev.network_env()

    assert env["PIP_EXTRA_INDEX_URL"] == "http://one/simple http://two/simple"
    assert env["PIP_CONFIG_FILE"] == os.devnull
    assert "PIP_PREFIX" not in env
    assert "PIP_NO_BINARY" not in env
