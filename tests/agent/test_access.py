"""How the agent finds a cluster and proves who it is: kubeconfig files, exec plugins, the pod's service account."""

import asyncio
import base64
import json
import ssl
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import certifi
import pytest

from agent.cluster.access import Access, find_access, from_kubeconfig, in_cluster
from agent.cluster.api import ApiError, ClusterApi, Gone
from agent.cluster.credentials import AccessError, TokenFile
from agent.cluster.events import LineTooLong, lines
from tests.agent.fake_api import FakeApi, answers
from tests.services.kubernetes import KubeCluster, kube_assets

Json = dict[str, Any]


def config(folder: Path, user: Json | None = None, *, cluster: Json | None = None, name: str = "config", **more: Any) -> Path:
    content = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "team"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://cluster:6443/", **(cluster or {})}}],
        "users": [{"name": "u", "user": user or {}}],
        **more,
    }
    file = folder / name
    file.write_text(json.dumps(content))  # JSON is YAML, too
    return file


def headers(access: Access) -> dict[str, str]:
    return asyncio.run(access.credentials.headers())


def test_the_current_context_says_where_and_who(tmp_path: Path) -> None:
    access = from_kubeconfig([config(tmp_path, {"token": "secret"})])

    assert (access.server, access.namespace) == ("https://cluster:6443", "team")
    assert headers(access) == {"Authorization": "Bearer secret"}


def test_another_context_can_be_named(tmp_path: Path) -> None:
    contexts = [
        {"name": "here", "context": {"cluster": "c", "user": "u"}},
        {"name": "there", "context": {"cluster": "d", "user": "u"}},
    ]
    clusters = [{"name": "c", "cluster": {"server": "https://c"}}, {"name": "d", "cluster": {"server": "https://d"}}]

    access = from_kubeconfig([config(tmp_path, contexts=contexts, clusters=clusters)], "there")

    assert access.server == "https://d"


def test_of_several_files_the_first_that_has_an_entry_gives_it(tmp_path: Path) -> None:
    first = config(tmp_path, {"token": "one"}, name="first", clusters=[], contexts=[])
    second = config(tmp_path, {"token": "two"}, name="second")

    access = find_access(f"{first}:{tmp_path / 'none'}:{second}", None, {})

    assert headers(access) == {"Authorization": "Bearer one"}
    assert access.server == "https://cluster:6443"


def test_paths_start_from_the_folder_of_their_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from a file\n")

    access = from_kubeconfig([config(tmp_path, {"tokenFile": "token"})])

    assert headers(access) == {"Authorization": "Bearer from a file"}


def test_a_token_file_is_kept_for_a_minute_and_read_again_when_it_was_not_accepted(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old")
    credentials = TokenFile(file)

    async def tokens() -> list[str]:
        found = [(await credentials.headers())["Authorization"]]
        file.write_text("new")
        found.append((await credentials.headers())["Authorization"])
        credentials.forget()
        return [*found, (await credentials.headers())["Authorization"]]

    assert asyncio.run(tokens()) == ["Bearer old", "Bearer old", "Bearer new"]


def plugin(folder: Path, script: str) -> Path:
    file = folder / "plugin"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file


COUNTING = """
n=$(($(cat $FILE 2>/dev/null || echo 0) + 1))
echo $n > $FILE
echo "{\\"status\\":{\\"token\\":\\"$n$1\\"$ENDS}}"
"""


@pytest.mark.parametrize(
    ("ends", "tokens"),
    [("", ["Bearer 1x", "Bearer 1x"]), (',"expirationTimestamp":"2000-01-01T00:00:00Z"', ["Bearer 1x", "Bearer 2x"])],
)
def test_a_credential_plugin_is_asked_again_when_its_token_has_ended(ends: str, tokens: list[str], tmp_path: Path) -> None:
    plugin(tmp_path, COUNTING)
    environ = [{"name": "FILE", "value": str(tmp_path / "count")}, {"name": "ENDS", "value": ends}]
    access = from_kubeconfig([config(tmp_path, {"exec": {"command": "./plugin", "args": ["x"], "env": environ}})])

    async def twice() -> list[str]:
        return [(await access.credentials.headers())["Authorization"] for _ in range(2)]

    assert asyncio.run(twice()) == tokens


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo not allowed >&2; exit 3", "failed: not allowed"),
        ("""echo '{"status":{"token":"t","expirationTimestamp":"soon"}}'""", "a wrong time"),
        ("echo nonsense", "printed no token"),
        ("echo '{}'", "printed no token"),
    ],
)
def test_a_credential_plugin_that_fails_is_named(script: str, says: str, tmp_path: Path) -> None:
    file = plugin(tmp_path, script)
    access = from_kubeconfig([config(tmp_path, {"exec": {"command": str(file)}})])

    with pytest.raises(AccessError, match=says):
        headers(access)


def test_whom_to_act_as_goes_with_every_request(tmp_path: Path) -> None:
    access = from_kubeconfig([config(tmp_path, {"token": "t", "as": "someone", "as-groups": ["a", "b"]})])

    assert access.headers == (("Impersonate-User", "someone"), ("Impersonate-Group", "a"), ("Impersonate-Group", "b"))


def test_a_pod_uses_its_service_account(tmp_path: Path) -> None:
    for name, text in (("token", "mine"), ("namespace", "kubeflow"), ("ca.crt", Path(certifi.where()).read_text())):
        (tmp_path / name).write_text(text)

    access = in_cluster({"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}, tmp_path)

    assert (access.server, access.namespace) == ("https://[fd00::1]:6443", "kubeflow")
    assert headers(access) == {"Authorization": "Bearer mine"}


def test_no_certificate_is_checked_only_where_that_is_said(tmp_path: Path) -> None:
    checked = from_kubeconfig([config(tmp_path)])
    unchecked = from_kubeconfig([config(tmp_path, cluster={"insecure-skip-tls-verify": True})])

    assert (checked.context.verify_mode, unchecked.context.verify_mode) == (ssl.CERT_REQUIRED, ssl.CERT_NONE)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"current-context": None}, "no current-context"),
        ({"current-context": "gone"}, "no 'gone' among its contexts"),
        ({"clusters": []}, "no 'c' among its clusters"),
        ({"clusters": [{"name": "c", "cluster": {}}]}, "names no server"),
        ({"users": [{"name": "u", "user": {"auth-provider": {"name": "gcp"}}}]}, "auth-provider"),
        ({"users": [{"name": "u", "user": {"client-certificate-data": "!", "client-key-data": "!"}}]}, "client-certificate"),
        ({"users": [{"name": "u", "user": {"client-certificate-data": "eA==", "client-key-data": "eA=="}}]}, "cannot be used"),
    ],
)
def test_a_kubeconfig_that_is_wrong_says_where(change: Json, says: str, tmp_path: Path) -> None:
    with pytest.raises(AccessError, match=says):
        from_kubeconfig([config(tmp_path, **change)])


def test_where_there_is_no_cluster_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="no kubeconfig"):
        find_access(str(tmp_path / "none"), None, {})
    with pytest.raises(AccessError, match="no service account"):
        in_cluster({"KUBERNETES_SERVICE_HOST": "h"}, tmp_path)


# ---- asking ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "kind"), [(410, Gone), (403, ApiError)])
def test_a_refusal_has_the_reason_of_the_server(code: int, kind: type[ApiError], tmp_path: Path) -> None:
    with FakeApi().serving() as api:
        api.fail("LIST", answers(code, "Why", "because", Retry_After="7"))
        access = from_kubeconfig([config(tmp_path, cluster={"server": api.url})])
        with pytest.raises(kind, match=f"HTTP {code} Why: because") as raised:
            asyncio.run(get(access))

    assert raised.value.wait_s == 7


async def get(access: Access) -> bytes:
    async with ClusterApi(access) as api:
        return await api.get("/apis/argoproj.io/v1alpha1/workflows")


def test_lines_are_whole_whatever_the_pieces_in_which_they_come() -> None:
    text = b'{"a":1}\n\n{"b":2}\n{"cut'

    async def split(size: int) -> list[bytes]:
        async def pieces() -> Any:
            for start in range(0, len(text), size):
                yield text[start : start + size]

        return [line async for line in lines(pieces())]

    for size in (1, 3, 7, 8, 100):
        assert asyncio.run(split(size)) == [b'{"a":1}', b'{"b":2}']


def test_a_line_without_an_end_is_given_up() -> None:
    async def endless() -> Any:
        while True:
            yield b"x" * 1_000_000

    async def read() -> None:
        async for _ in lines(endless()):
            raise AssertionError

    with pytest.raises(LineTooLong):
        asyncio.run(read())


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeCluster]:
    made = KubeCluster(tmp_path_factory.mktemp("kubernetes"), kube_assets())
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.mark.parametrize("how", ["data", "files", "plugin"])
def test_a_client_certificate_is_accepted_by_a_real_server(how: str, cluster: KubeCluster, tmp_path: Path) -> None:
    keys = cluster.folder / "keys"
    make = ["openssl", "req", "-new", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    subprocess.run(
        [*make, "-subj", "/O=system:masters/CN=me", "-keyout", str(tmp_path / "me.key"), "-out", str(tmp_path / "me.csr")],
        check=True,
        capture_output=True,
    )
    sign = ["openssl", "x509", "-req", "-in", str(tmp_path / "me.csr"), "-CA", str(keys / "server.crt")]
    sign += ["-CAkey", str(keys / "server.key"), "-CAcreateserial", "-CAserial", str(tmp_path / "serial")]
    subprocess.run([*sign, "-out", str(tmp_path / "me.crt"), "-days", "1"], check=True, capture_output=True)
    certificate, key = (tmp_path / "me.crt").read_text(), (tmp_path / "me.key").read_text()
    encoded = [base64.b64encode(text.encode()).decode() for text in (certificate, key)]
    (tmp_path / "said").write_text(json.dumps({"status": {"clientCertificateData": certificate, "clientKeyData": key}}))
    users: dict[str, Json] = {
        "data": {"client-certificate-data": encoded[0], "client-key-data": encoded[1]},
        "files": {"client-certificate": "me.crt", "client-key": "me.key"},
        "plugin": {"exec": {"command": "cat", "args": [str(tmp_path / "said")]}},
    }
    named = {"server": cluster.url, "certificate-authority": str(keys / "server.crt")}

    async def whoami() -> Json:
        async with ClusterApi(from_kubeconfig([config(tmp_path, users[how], cluster=named)])) as api:
            content = json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}).encode()
            said = await api.send("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", content, "application/json")
            return dict(json.loads(said)["status"]["userInfo"])

    assert asyncio.run(whoami())["username"] == "me"
