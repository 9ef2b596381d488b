"""Everything a person does in a checkout: `python3 dev.py COMMAND`. The Makefile's recipes are calls of this file.

Standard library only and one whole file, because it makes the environment that everything else is imported from:
`.venv`, private to the checkout. A stamp in it holds the hashes of what was installed, so a second run asks no network
and installs nothing. The stamp is written last and removed first: an environment without one is half made, and the next
run makes it anew.

What a person can mend (no venv module, no network, a full disk, a read-only folder, a taken port) is a `Problem`: one
line, exit status 2.
"""

from __future__ import annotations

import configparser
import contextlib
import errno
import glob
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = str(BIN / "python")
STAMP = VENV / "lineal-stamp.json"
DOWNLOADS = VENV / "lineal-downloads"
SERVE_AT = "127.0.0.1:8080"

# What `check` runs, in this order: a title and the arguments of the environment's Python.
CHECKS: list[tuple[str, tuple[str, ...]]] = [
    ("ruff check", ("-m", "ruff", "check")),
    ("ruff format --check", ("-m", "ruff", "format", "--check")),
    ("mypy", ("-m", "mypy")),
    ("import contracts", ("-c", "from importlinter.cli import lint_imports_command as main; main()")),
    ("alembic check", ("-m", "registry.main", "migrate", "--check")),
    ("SDL up to date", ("-m", "registry.main", "sdl", "--check")),
    ("OpenAPI up to date", ("-m", "registry.main", "openapi", "--check")),
    ("docs", ("-m", "pytest", "-q", "tests/repository/test_dependencies.py", "tests/repository/test_docs.py")),
]

# What a command may need installed: a file in requirements/, and the megabytes that its downloads and files take.
NEEDS_MB = {"dev": 900, "demo": 1100}

# Clients with an environment of their own, `.venv.<name>`.
APART = ("mlmd", "mlmd-new", "bench", "mlflow2")

# Environments whose packages say that they need a newer libc than they use: which tags pip may take there on Linux.
NEWER_LIBC = {"mlmd-new": ("manylinux_2_39", "manylinux_2_28", "manylinux_2_17", "manylinux2014")}

# pip's settings about the network are the user's and are kept. All others (target, user, constraint, no-binary…) would
# put packages elsewhere or change which they are: neither the environment's nor those of pip.conf reach our installs.
NETWORK_SETTINGS = {"index_url", "extra_index_url", "find_links", "no_index", "trusted_host", "cert", "client_cert"} | {
    "proxy",
    "timeout",
    "default_timeout",
    "retries",
    "cache_dir",
    "no_cache_dir",
    "keyring_provider",
}


class Problem(Exception):
    """Something the person at the keyboard can mend; the text is one line with cause and remedy."""


# ---- commands -------------------------------------------------------------------------------------------------------


def install(args: Sequence[str]) -> int:
    """Make the environment: `install [dev|demo|mlmd|mlmd-new|bench|mlflow2]…`, `dev` when nothing is named."""
    for need in args or ["dev"]:
        if need not in {*NEEDS_MB, *APART}:
            raise Problem(f"there is nothing called {need!r} to install; there is {', '.join((*NEEDS_MB, *APART))}")
    for need in args or ["dev"]:
        if need in APART:
            ensure("dev")
            ensure_apart(need)
        else:
            ensure(need)
    say(f"install: {VENV} is ready")
    return 0


def check(_: Sequence[str]) -> int:
    """Run every check: style, types, import contracts, generated files, documents."""
    ensure("dev")
    failed = []
    for title, argv in CHECKS:
        say(f"check: {title}")
        if subprocess.run([PYTHON, *argv], cwd=ROOT, env=child_env(), check=False).returncode:
            failed.append(title)
    say(f"check: failed: {', '.join(failed)}" if failed else f"check: ok, {len(CHECKS)} checks")
    return 1 if failed else 0


def test(args: Sequence[str]) -> int:
    """Run the tests; whatever follows goes to pytest: `test tests/storage -k digest`."""
    ensure("dev")
    workers = (
        [] if any(arg.startswith(("-n", "--numprocesses", "--pdb")) for arg in args) else ["-n", "auto", "--dist", "loadfile"]
    )
    return become(["-m", "pytest", *workers, *args])


def serve(args: Sequence[str]) -> int:
    """Start a server of this checkout; whatever follows goes to `lineal-server serve`."""
    http = SERVE_AT
    for position, arg in enumerate(args):
        if arg == "--http" and position + 1 < len(args):
            http = args[position + 1]
        elif arg.startswith("--http="):
            http = arg.partition("=")[2]
    refuse_taken(http)
    ensure("dev")
    given = any(arg.split("=")[0] in {"--http", "--help", "-h"} for arg in args)
    return become(["-m", "registry.main", "serve", *args, *([] if given else ["--http", SERVE_AT])])


def demo(args: Sequence[str]) -> int:
    """Run the tour through the whole system (DATA=folder of Kubernetes objects, KEEP=1 leaves it running)."""
    ensure("demo")
    return become(["examples/demo", *args])


def demo_cluster(args: Sequence[str]) -> int:
    """Play the examples on a throwaway Kubernetes API server (needs KUBEBUILDER_ASSETS, LINEAL_SAMPLES)."""
    ensure("dev")
    return become(["-m", "examples.cluster", *args])


def fuzz(args: Sequence[str]) -> int:
    """Send generated requests to every operation of a running server (SEED=n: which)."""
    ensure("dev")
    return become(["-m", "tests.fuzz.run", *args])


def faults(args: Sequence[str]) -> int:
    """Kill and cut off real servers under load (N=5 kills DB=sqlite|postgres|mariadb|all; needs PG_BIN, MARIADBD_BIN)."""
    ensure("dev")
    os.environ["MLFLOW_PYTHON"] = os.environ.get("MLFLOW_PYTHON") or ensure_apart("bench")
    return become(["-m", "tests.faults", *args])


def faults_agent(args: Sequence[str]) -> int:
    """Kill agent, API server, etcd and our server (N=5 scenarios SEED=1; needs KUBEBUILDER_ASSETS, LINEAL_SAMPLES)."""
    ensure("dev")
    return become(["-m", "tests.agent.faults", *args])


def bench(args: Sequence[str]) -> int:
    """Measure this checkout beside its peer (CASE=glob DB=sqlite|postgres REPEATS=3 PROFILE=1; needs PG_BIN for postgres)."""
    ensure("dev")
    ensure_apart("bench")
    os.environ["MLMD_PYTHON"] = os.environ.get("MLMD_PYTHON") or ensure_apart("mlmd")
    return become(["-m", "benchmarks", *args])


def conformance_mlmd(args: Sequence[str]) -> int:
    """Run ML Metadata's own tests against our server (DB=…; needs LINEAL_TEST_POSTGRES, LINEAL_TEST_MARIADB)."""
    ensure("dev")
    for variable, name in (("MLMD_PYTHON", "mlmd"), ("MLMD_NEW_PYTHON", "mlmd-new")):
        os.environ[variable] = os.environ.get(variable) or ensure_apart(name)
    return become(["-m", "tests.mlmd.conformance", *args])


def differential_mlmd(args: Sequence[str]) -> int:
    """Send the same requests to ML Metadata's C++ store and to our server, and compare (N=500 sequences, SEED=1)."""
    ensure("dev")
    os.environ["MLMD_PYTHON"] = os.environ.get("MLMD_PYTHON") or ensure_apart("mlmd")
    return become(["-m", "tests.mlmd.differential", *args])


def differential_mlflow(_: Sequence[str]) -> int:
    """Ask MLflow's own server and ours the same, and compare (N=2 random programs besides, SEED=1; MLFLOW_PYTHON has mlflow)."""
    ensure("dev")
    os.environ["MLFLOW_PYTHON"] = os.environ.get("MLFLOW_PYTHON") or ensure_apart("bench")
    return become(["-m", "tests.mlflow.differential"])


def conformance_mlflow(args: Sequence[str]) -> int:
    """Run MLflow's own live-server tests against this checkout (TESTS=upstream's tests/ folder DB=sqlite,postgresql,mariadb)."""
    if not os.environ.get("TESTS"):
        print("conformance mlflow: missing: TESTS (upstream's tests/ folder, docs/doors/mlflow.md says which)", file=sys.stderr)
        return 3
    ensure("dev")
    os.environ["MLFLOW_PYTHON"] = os.environ.get("MLFLOW_PYTHON") or ensure_apart("bench")
    return become(["-m", "tests.conformance.mlflow", *args])


def show_help(_: Sequence[str]) -> int:
    """Show this list."""
    say("python3 dev.py COMMAND [ARGUMENT…], or: make COMMAND [ARGS='…']\n")
    for name, command in COMMANDS.items():
        say(f"  {name:<21}{(command.__doc__ or '').strip()}")
    return 0


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "help": show_help,
    "install": install,
    "check": check,
    "test": test,
    "serve": serve,
    "demo": demo,
    "demo-cluster": demo_cluster,
    "fuzz": fuzz,
    "faults": faults,
    "faults-agent": faults_agent,
    "bench": bench,
    "conformance-mlmd": conformance_mlmd,
    "differential-mlmd": differential_mlmd,
    "differential-mlflow": differential_mlflow,
    "conformance-mlflow": conformance_mlflow,
}


def refuse_taken(http: str) -> None:
    host, _, port = http.rpartition(":")
    if not port.isdigit():
        return  # the server's own parser explains
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), int(port)))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise Problem(
                    f"{http} is taken by another program; stop it, or choose another port: dev.py serve --http {host}:0"
                ) from None


def become(argv: Sequence[str]) -> int:
    """Go on as the environment's Python with these arguments, so that signals and the exit status are its own."""
    env = child_env()
    for name in ("DATA", "LINEAL_SAMPLES", "TESTS"):  # folders are meant from where the person stands
        if env.get(name):
            env[name] = str(Path(env[name]).absolute())
    os.chdir(ROOT)
    sys.stdout.flush()
    if os.name != "nt":
        os.execve(PYTHON, [PYTHON, *argv], env)
    return subprocess.run([PYTHON, *argv], env=env, check=False).returncode


def child_env() -> dict[str, str]:
    """The caller's environment with `.venv` first, and without what would make Python look elsewhere."""
    env = {name: value for name, value in os.environ.items() if name not in {"PYTHONHOME", "PYTHONPATH"}}
    if not env.get("HOME", "-"):
        del env["HOME"]  # an empty HOME means the current folder to some programs
    env["VIRTUAL_ENV"] = str(VENV)
    env["PATH"] = str(BIN) + os.pathsep + env.get("PATH", os.defpath)
    return env


# ---- the environment ------------------------------------------------------------------------------------------------


def ensure(need: str) -> None:
    """Have `requirements/<need>.txt` and our two distributions installed. Does nothing when they are."""
    if installed().get(need) == fingerprint(need):
        return
    refuse_unfit(need)
    with locked():
        have = installed()  # another call may have done it meanwhile
        if have.get(need) == fingerprint(need):
            return
        fresh = not have
        try:
            if fresh:
                make_environment()
            fetch(need)
            STAMP.unlink(missing_ok=True)
            place(need)
            write_stamp(have | {need: fingerprint(need)})
        finally:
            if STAMP.exists():
                shutil.rmtree(DOWNLOADS, ignore_errors=True)
            else:
                shutil.rmtree(VENV, ignore_errors=True)


def ensure_apart(name: str) -> str:
    """Have `requirements/<name>.txt` in an environment of its own, `.venv.<name>`, and give its Python.

    Such packages must not meet our versions, nor we theirs.
    """
    pins, venv = ROOT / "requirements" / f"{name}.txt", ROOT / f".venv.{name}"
    stamp, digest = venv / "lineal-stamp", hashlib.sha256(pins.read_bytes()).hexdigest()
    python = str(venv / BIN.name / "python")
    if stamp.exists() and stamp.read_text("utf-8") == digest:
        return python
    env = network_env() | {"TMPDIR": str(venv)}
    options = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", str(pins)]
    total = len(re.findall(r"^[\w.-]+(?:\[[\w,-]+])?==", pins.read_text("utf-8"), re.MULTILINE))
    with locked():
        shutil.rmtree(venv, ignore_errors=True)
        run_step(f"making .venv.{name}", [PYTHON, "-m", "venv", str(venv)], child_env())
        if name in NEWER_LIBC and sys.platform == "linux":
            options += ["--target", glob.glob(str(venv / "lib" / "python*" / "site-packages"))[0]]  # noqa: PTH207 - as text
            options += [part for tag in NEWER_LIBC[name] for part in ("--platform", f"{tag}_{platform.machine()}")]
        run_step(f"filling .venv.{name}", [python, "-m", "pip", "install", *options], env, count="Collecting ", total=total)
        stamp.write_text(digest, "utf-8")
    return python


def installed() -> dict[str, str]:
    """What the stamp says, by need; empty without a usable environment (none, half made, made for another folder)."""
    try:
        stamp = json.loads(STAMP.read_text("utf-8"))
        usable = stamp["root"] == str(ROOT) and os.access(PYTHON, os.X_OK)
        return dict(stamp["installed"]) if usable else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def write_stamp(have: dict[str, str]) -> None:
    part = STAMP.with_suffix(".part")
    part.write_text(json.dumps({"root": str(ROOT), "installed": have}, indent=1), "utf-8")
    part.replace(STAMP)


def fingerprint(need: str) -> str:
    """Of the pins and of what an editable install takes from our project files (names, scripts, packages)."""
    import tomllib  # not in the Pythons that main() turns away

    digest = hashlib.sha256((ROOT / "requirements" / f"{need}.txt").read_bytes())
    for file in (ROOT / "pyproject.toml", ROOT / "client" / "pyproject.toml"):
        data = tomllib.loads(file.read_text("utf-8"))
        parts = [data["build-system"], data["project"], data["tool"]["hatch"]]
        digest.update(json.dumps(parts, sort_keys=True).encode())
    return digest.hexdigest()


def refuse_unfit(need: str) -> None:
    """Say what would stop an install before anything is touched."""
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise Problem(
            f"{sys.executable} lacks its venv or ensurepip module; "
            "install it (Debian, Ubuntu: apt install python3-venv) and run this again"
        )
    if not os.access(ROOT, os.W_OK):
        raise Problem(f"{ROOT} cannot be written to, and .venv has to be made in it; use a copy of the folder that you own")
    free_mb = shutil.disk_usage(ROOT).free // 1_000_000
    if free_mb < NEEDS_MB[need]:
        raise Problem(f"the disk of {ROOT} is full: {free_mb} MB free, {NEEDS_MB[need]} MB needed; make room and run this again")


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """One install at a time; a second caller waits."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with (ROOT / ".venv.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("install: another call is installing, waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make_environment() -> None:
    if VENV.exists():
        say("install: .venv is half made, or made elsewhere: making it anew")
        shutil.rmtree(VENV)
    python = (
        getattr(sys, "_base_executable", None) or sys.executable
    )  # not the Python of an environment that may be the one just removed
    run_step("making .venv", [python, "-m", "venv", str(VENV)], child_env())


def fetch(need: str) -> None:
    """Download first: without a network this fails while nothing has been changed."""
    DOWNLOADS.mkdir(exist_ok=True)
    pins = ROOT / "requirements" / f"{need}.txt"
    total = len(re.findall(r"^[\w.-]+(?:\[[\w,-]+])?==", pins.read_text("utf-8"), re.MULTILINE))
    argv = [
        "download",
        "--require-hashes",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--dest",
        str(DOWNLOADS),
        "-r",
        str(pins),
    ]
    run_step("fetching packages", [PYTHON, "-m", "pip", *argv], network_env(), count="Collecting ", total=total)


def place(need: str) -> None:
    """Install what was downloaded, then our own two distributions, editable. Asks no network."""
    pip = [PYTHON, "-m", "pip", "--isolated", "install", "--no-index", "--no-deps", "--disable-pip-version-check"]
    env = child_env() | {"PIP_CONFIG_FILE": os.devnull, "TMPDIR": str(DOWNLOADS)}
    pins = ROOT / "requirements" / f"{need}.txt"
    run_step("installing packages", [*pip, "--require-hashes", "--find-links", DOWNLOADS.as_uri(), "-r", str(pins)], env)
    run_step("installing Lineal", [*pip, "--no-build-isolation", "-e", str(ROOT), "-e", str(ROOT / "client")], env)


def network_env() -> dict[str, str]:
    """The environment of a download: of the user's pip settings, in variables or files, only those for the network."""
    env = child_env()
    kept = {"retries": "2"}
    for file in pip_files(env):
        parser = configparser.RawConfigParser()
        with contextlib.suppress(configparser.Error, UnicodeDecodeError):  # pip would not read it either
            parser.read(file, "utf-8")
        for section in ("global", "install", "download"):
            kept.update(parser.items(section) if parser.has_section(section) else ())
    kept.update((name[4:].lower(), value) for name, value in env.items() if name.startswith("PIP_"))
    kept = {name.replace("-", "_"): value for name, value in kept.items()}
    kept["retries"] = max(kept["retries"], "1")  # with none pip does not say that it had no connection
    return {
        **{name: value for name, value in env.items() if not name.startswith("PIP_")},
        **{f"PIP_{name.upper()}": value for name, value in kept.items() if name in NETWORK_SETTINGS},
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "TMPDIR": str(DOWNLOADS),
    }


def pip_files(env: dict[str, str]) -> list[str]:
    """Pip's configuration files, the one that overrides last (of one that says `user`, `config list` is silent)."""
    argv = [PYTHON, "-m", "pip", "config", "debug"]
    listed = subprocess.run(argv, env=env, capture_output=True, text=True, check=False).stdout
    kind, found = "", []
    for line in listed.splitlines():
        if line.endswith(", exists: True"):
            found.append((kind == "env", line.strip().removesuffix(", exists: True")))
        elif not line.startswith(" "):
            kind = line.rstrip(":")
    return [file for _, file in sorted(found, key=lambda item: item[0])]


# ---- running a step -------------------------------------------------------------------------------------------------


def run_step(title: str, argv: Sequence[str], env: dict[str, str], *, count: str = "\0", total: int = 0) -> None:
    """Run a command; a failure is a `Problem`. Shows the seconds and how many lines of `total` start with `count`."""
    lines: list[str] = []
    with (
        progress(title, lambda: sum(line.startswith(count) for line in lines), total),
        subprocess.Popen(
            argv,
            env=env,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                lines.append(line.strip())  # noqa: PERF401 - the progress line counts them as they come
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise Problem(f"{title} failed: {cause(lines)}")


@contextlib.contextmanager
def progress(title: str, done: Callable[[], int], total: int) -> Iterator[None]:
    """On a terminal one line that changes every half second; elsewhere a line every ten."""
    terminal, start, over = sys.stdout.isatty(), time.monotonic(), threading.Event()

    def line() -> str:
        amount = f", {min(done(), total)} of {total}" if total else ""
        return f"install: {title}{amount}, {time.monotonic() - start:.0f} s"

    def tick() -> None:
        while not over.wait(0.5 if terminal else 10):
            sys.stdout.write(f"\r\x1b[K{line()}" if terminal else f"{line()}\n")
            sys.stdout.flush()

    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    try:
        yield
    finally:
        over.set()
        ticker.join()
        say(("\r\x1b[K" if terminal else "") + line())


NO_NETWORK = (
    r"Connection(Error| refused| reset)|NewConnectionError|Max retries|NameResolutionError|name resolution|ProxyError"
    r"|[Tt]ime(d |-)?out|Network is unreachable|connection broken|Remote end closed"
)

# A sign in the output of a failed step, and what it means. The first that is found counts.
CAUSES = (
    (r"No space left on device|Errno 28|Disk quota exceeded", "the disk is full; make room and run this again"),
    (
        r"Read-only file system|Permission denied",
        "a folder cannot be written to; use a copy of the checkout that you own",
    ),
    (
        r"DO NOT MATCH THE HASHES",
        "a downloaded file is not the one that was pinned; look at the mirror or proxy in between",
    ),
    (r"SSLError|CERTIFICATE_VERIFY", "the package index shows a certificate that is not trusted; set PIP_CERT"),
    (NO_NETWORK, "no network: the package index cannot be reached; connect, or set PIP_INDEX_URL, and run this again"),
    (
        r"No matching distribution",
        "the package index has no file for this system; use CPython 3.11 or set PIP_INDEX_URL",
    ),
)


def cause(output: Sequence[str]) -> str:
    """Why a step failed, from what it printed; its last line when nothing is known about it."""
    text = "\n".join(output)
    for sign, meaning in CAUSES:
        if re.search(sign, text):
            return meaning
    errors = [line for line in output if line.startswith("ERROR")] or [line for line in output if line]
    return errors[-1] if errors else "it printed nothing"


def say(text: str) -> None:
    print(text, flush=True)


# ---- starting -------------------------------------------------------------------------------------------------------


def with_newer_python() -> None:
    """Go on with a newer Python when this one is too old and another is on the PATH."""
    if sys.version_info >= (3, 11):  # noqa: UP036 - this file is started by whatever python3 is
        return
    found = next(filter(None, map(shutil.which, ("python3.11", "python3.12", "python3.13", "python3.14"))), None)
    if found is None or os.environ.get("LINEAL_DEV_REPEATED"):
        raise Problem(f"this is Python {sys.version.split()[0]}, 3.11 or later is needed; install it and run: python3.11 dev.py")
    os.execve(found, [found, __file__, *sys.argv[1:]], {**os.environ, "LINEAL_DEV_REPEATED": "1"})


def stop(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(143)  # lets ensure() clean up


def main(argv: Sequence[str]) -> int:
    signal.signal(signal.SIGTERM, stop)
    try:
        with_newer_python()
        name, rest = (argv[0], argv[1:]) if argv else ("help", [])
        command = COMMANDS.get("help" if name in {"-h", "--help"} else name)
        if command is None:
            raise Problem(f"there is no command {name!r}; there is {', '.join(COMMANDS)}")
        return command(rest)
    except Problem as problem:
        print(f"dev.py: {problem}", file=sys.stderr)
    except OSError as error:
        print(f"dev.py: {cause([str(error)])}", file=sys.stderr)
    except KeyboardInterrupt:
        print("dev.py: interrupted", file=sys.stderr)
        return 130
    return 2


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
