"""A real Kubernetes API server on its own etcd, each of which can be killed and started again; no controllers, no nodes."""

import json
import shutil
import ssl
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from benchmarks.processes import Process, cpu_seconds
from tests.services.servers import free_ports, required

Json = dict[str, Any]
TOKEN = "throwaway-admin-token"
READY_S = 180.0


def kube_assets() -> Path:
    return Path(required("KUBEBUILDER_ASSETS", "the folder with the programs etcd and kube-apiserver, and kubectl"))


class KubeCluster:
    """In `folder`; `start` makes it, or goes on with what a kill left."""

    def __init__(self, folder: Path, assets: Path) -> None:
        self.folder, self._assets = folder, assets
        self._etcd_port, self._peer_port, self.port = free_ports(3)
        self.url = f"https://127.0.0.1:{self.port}"
        self._etcd: Process | None = None
        self._api: Process | None = None
        self._http: httpx.Client | None = None
        self._make_keys()

    def start(self) -> None:
        self.start_etcd()
        self.start_api()

    def stop(self) -> None:
        for process in (self._api, self._etcd):
            if process is not None:
                process.stop(9)
        if self._http is not None:
            self._http.close()

    def cpu_seconds(self) -> float:
        """Of both processes."""
        return sum(cpu_seconds(process.pid) for process in (self._api, self._etcd) if process is not None)

    # ---- faults -----------------------------------------------------------------------------------------------------

    def kill_api(self) -> None:
        assert self._api is not None
        self._api.stop(9)

    def kill_etcd(self) -> None:
        assert self._etcd is not None
        self._etcd.stop(9)

    def compact(self) -> None:
        """etcd forgets its history: whoever asks the API server for older versions, once that starts again, gets 410."""
        status = self._etcd_call("maintenance/status", {})
        self._etcd_call("kv/compaction", {"revision": status["header"]["revision"], "physical": True})

    def start_etcd(self) -> None:
        client, peer = f"http://127.0.0.1:{self._etcd_port}", f"http://127.0.0.1:{self._peer_port}"
        flags = ["--data-dir", str(self.folder / "etcd"), "--unsafe-no-fsync", "--log-level", "warn"]
        flags += ["--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer]
        flags += ["--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"]
        self._etcd = Process([str(self._assets / "etcd"), *flags], self.folder, cwd=self.folder)
        self._etcd.wait_until(self._etcd_answers, timeout_s=READY_S)

    def start_api(self) -> None:
        keys = self.folder / "keys"
        flags = ["--etcd-servers", f"http://127.0.0.1:{self._etcd_port}", "--bind-address", "127.0.0.1"]
        flags += ["--secure-port", str(self.port), "--advertise-address", "127.0.0.1", "--endpoint-reconciler-type", "none"]
        flags += ["--cert-dir", str(keys), "--tls-cert-file", str(keys / "server.crt")]
        flags += ["--tls-private-key-file", str(keys / "server.key"), "--token-auth-file", str(keys / "tokens.csv")]
        flags += [
            "--service-account-issuer",
            "https://kubernetes.default.svc",
            "--service-account-key-file",
            str(keys / "sa.key"),
        ]
        flags += ["--service-account-signing-key-file", str(keys / "sa.key"), "--service-cluster-ip-range", "10.0.0.0/24"]
        flags += ["--client-ca-file", str(keys / "server.crt"), "--authorization-mode", "RBAC"]
        flags += ["--disable-admission-plugins", "ServiceAccount", "--allow-privileged"]
        self._api = Process([str(self._assets / "kube-apiserver"), *flags], self.folder, cwd=self.folder)
        self._api.wait_until(self._api_answers, timeout_s=READY_S)

    # ---- asking -----------------------------------------------------------------------------------------------------

    @property
    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.folder / "keys" / "server.crt"))

    @property
    def http(self) -> httpx.Client:
        """As an administrator."""
        if self._http is None:
            headers = {"Authorization": f"Bearer {TOKEN}"}
            self._http = httpx.Client(base_url=self.url, headers=headers, verify=self.context, timeout=60)
        return self._http

    def call(self, method: str, path: str, content: Json | None = None, media_type: str = "application/json") -> Json:
        body = None if content is None else json.dumps(content).encode()
        answer = self.http.request(method, path, content=body, headers={"Content-Type": media_type})
        if not answer.is_success:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        return dict(answer.json())

    def kubeconfig(self) -> Path:
        file = self.folder / "kubeconfig"
        cluster = {"server": self.url, "certificate-authority": "keys/server.crt"}
        content = {
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": TOKEN}}],
        }
        file.write_text(json.dumps(content))
        return file

    def kubectl(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [str(self._assets / "kubectl"), "--kubeconfig", str(self.kubeconfig()), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)

    def install(self, crds: list[Path]) -> None:
        """CustomResourceDefinitions, until the API server serves them."""
        for file in crds:
            [content] = [one for one in yaml.safe_load_all(file.read_text()) if one]
            name = content["metadata"]["name"]
            path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}?fieldManager=test&force=true"
            self.call("PATCH", path, content, "application/apply-patch+yaml")
        names = [yaml.safe_load(file.read_text())["metadata"]["name"] for file in crds]
        done = self.kubectl("wait", "--for=condition=Established", "--timeout=120s", *(f"crd/{name}" for name in names))
        if names and done.returncode:
            raise RuntimeError(done.stderr)

    # ---- within -----------------------------------------------------------------------------------------------------

    def _make_keys(self) -> None:
        keys = self.folder / "keys"
        keys.mkdir(parents=True, exist_ok=True)
        subject = ["-subj", "/CN=kube-apiserver", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
        make = ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "30"]
        files = ["-keyout", str(keys / "server.key"), "-out", str(keys / "server.crt")]
        subprocess.run([*make, *subject, *files], check=True, capture_output=True)
        subprocess.run(["openssl", "genrsa", "-out", str(keys / "sa.key"), "2048"], check=True, capture_output=True)
        (keys / "tokens.csv").write_text(f"{TOKEN},admin,admin,system:masters\n")

    def _etcd_call(self, path: str, content: Json) -> Json:
        url = f"http://127.0.0.1:{self._etcd_port}/v3/{path}"
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(content).encode()), timeout=30) as answer:
            return dict(json.loads(answer.read()))

    def _etcd_answers(self) -> bool:
        try:
            return bool(self._etcd_call("maintenance/status", {}))
        except OSError:
            return False

    def _api_answers(self) -> bool:
        try:
            return self.http.get("/readyz", timeout=5).is_success
        except httpx.TransportError:
            return False


def kubernetes_or_skip(folder: Path) -> KubeCluster:
    if not shutil.which("openssl"):
        pytest.skip("needs openssl: on the PATH, to make the certificates of an API server")
    return KubeCluster(folder, kube_assets())
