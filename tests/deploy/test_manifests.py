"""The manifests in deploy/: what they let the agent do, which names they give, and that a real API server takes them."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import registry.main
from agent.kinds import KINDS
from agent.settings import Settings, load, variable_of
from registry import settings as server_settings
from tests.repository.checkout import ROOT
from tests.services.kubernetes import KubeCluster, kube_assets

Json = dict[str, Any]
FOLDERS = ("base", "overlays/mark-persisted", "overlays/lease", "overlays/pipelines")
READ = {"get", "list", "watch"}


def rendered(folder: str) -> list[Json]:
    command = [str(kube_assets() / "kubectl"), "kustomize", str(ROOT / "deploy" / folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def of_kind(objects: list[Json], *kinds: str) -> list[Json]:
    return [one for one in objects if one["kind"] in kinds]


def rules(objects: list[Json]) -> Iterator[tuple[str, str, str]]:
    """Group, resource and verb."""
    for role in of_kind(objects, "Role", "ClusterRole"):
        for rule in role["rules"]:
            yield from ((g, r, v) for g in rule["apiGroups"] for r in rule["resources"] for v in rule["verbs"])


def container(objects: list[Json], name: str) -> Json:
    [found] = [one for one in of_kind(objects, "Deployment") if one["metadata"]["name"] == name]
    [only] = found["spec"]["template"]["spec"]["containers"]
    return dict(only)


def test_the_base_lets_the_agent_read_and_nothing_else() -> None:
    assert {verb for _, _, verb in rules(rendered("base"))} == READ


def test_the_agent_may_read_every_kind_that_it_knows() -> None:
    allowed = set(rules(rendered("base")))

    assert not {(kind.group, kind.plural, verb) for kind in KINDS for verb in READ} - allowed


def test_no_manifest_but_one_lets_the_agent_write_to_what_it_watches() -> None:
    writing = {folder: {rule for rule in rules(rendered(folder)) if rule[2] not in READ} for folder in FOLDERS}

    assert writing == {
        "base": set(),
        "overlays/mark-persisted": {("argoproj.io", "workflows", "patch")},
        "overlays/lease": {("coordination.k8s.io", "leases", verb) for verb in ("create", "update")},
        "overlays/pipelines": set(),
    }


def test_every_overlay_that_there_is_is_looked_at() -> None:
    found = {str(file.parent.relative_to(ROOT / "deploy")) for file in (ROOT / "deploy").rglob("kustomization.yaml")}

    assert found == set(FOLDERS)


def test_services_have_the_names_labels_and_ports_by_which_kubeflow_finds_them() -> None:
    services = {one["metadata"]["name"]: one for one in of_kind(rendered("base"), "Service")}
    ports = {name: [(port["name"], port["port"]) for port in one["spec"]["ports"]] for name, one in services.items()}

    assert services["model-registry-service"]["metadata"]["labels"]["component"] == "model-registry"
    assert services["metadata-grpc-service"]["metadata"]["labels"]["component"] == "metadata-grpc-server"
    assert ports == {
        "lineal": [("http-api", 8080)],
        "model-registry-service": [("http-api", 8080)],
        "metadata-grpc-service": [("grpc-api", 8080)],
    }


def test_for_kubeflow_pipelines_the_names_ports_and_environment_are_those_of_ml_metadatas_server() -> None:
    objects = rendered("overlays/pipelines")
    services = {one["metadata"]["name"]: one["spec"]["ports"] for one in of_kind(objects, "Service")}
    [names] = [one for one in of_kind(objects, "ConfigMap") if one["metadata"]["name"] == "metadata-grpc-configmap"]

    found = {name: [(port["name"], port["port"], port["targetPort"]) for port in ports] for name, ports in services.items()}

    assert found["metadata-grpc-service"] == [("grpc-api", 8080, "grpc-api")]
    assert found["metadata-envoy-service"] == [("md-envoy", 9090, "http-api")]
    assert names["data"] == {"METADATA_GRPC_SERVICE_HOST": "metadata-grpc-service", "METADATA_GRPC_SERVICE_PORT": "8080"}


def test_for_kubeflow_pipelines_the_door_is_open_in_platform_mode_and_only_to_the_pods_of_profiles() -> None:
    objects = rendered("overlays/pipelines")
    environ = {one["name"]: one["value"] for one in container(objects, "lineal-server")["env"]}
    [policy] = [one for one in of_kind(objects, "NetworkPolicy") if one["metadata"]["name"] == "lineal-server"]

    settings = server_settings.load({}, environ)

    assert (settings.anonymous_mlmd, settings.mlmd_platform) == ("contributor@install", True)
    sources = {port["port"]: rule["from"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}
    profiles = {"namespaceSelector": {"matchLabels": {"app.kubernetes.io/part-of": "kubeflow-profile"}}}
    allowed = [profiles, {"podSelector": {}}]
    assert sources == {"http-api": allowed, "grpc-api": allowed}  # by grpc-web both are this door


@pytest.mark.parametrize("folder", FOLDERS)
def test_selectors_and_ports_name_what_is_there(folder: str) -> None:
    objects = rendered(folder)
    pods = [one["spec"]["template"] for one in of_kind(objects, "Deployment")]
    selectors = [one["spec"]["selector"] for one in of_kind(objects, "Service")]
    selectors += [one["spec"]["podSelector"]["matchLabels"] for one in of_kind(objects, "NetworkPolicy")]
    selectors += [one["spec"]["selector"]["matchLabels"] for one in of_kind(objects, "PodDisruptionBudget")]
    named = {port["name"] for pod in pods for one in pod["spec"]["containers"] for port in one["ports"]}
    wanted = {port["targetPort"] for one in of_kind(objects, "Service") for port in one["spec"]["ports"]}

    assert all(any(selector.items() <= pod["metadata"]["labels"].items() for pod in pods) for selector in selectors)
    assert wanted <= named


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_agents_settings_are_settings(folder: str) -> None:
    environ = {one["name"]: one["value"] for one in container(rendered(folder), "lineal-agent")["env"]}
    known = {variable_of(field.name) for field in dataclasses.fields(Settings)}

    settings = load({}, environ)

    assert set(environ) <= known
    assert settings.mark_persisted == (folder == "overlays/mark-persisted")
    assert bool(settings.lease) == (folder == "overlays/lease")


def test_the_servers_flags_are_flags() -> None:
    arguments = registry.main.parser().parse_args(container(rendered("base"), "lineal-server")["args"])

    given = {field.name: getattr(arguments, field.name) for field in dataclasses.fields(server_settings.Settings)}
    assert server_settings.load(given, {}).port == 8080


def test_every_container_is_locked_down() -> None:
    for one in of_kind(rendered("base"), "Deployment"):
        pod = one["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        for part in (*pod.get("initContainers", []), *pod["containers"]):
            own = part["securityContext"]
            assert (own["allowPrivilegeEscalation"], own["readOnlyRootFilesystem"]) == (False, True)
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert part["resources"]["limits"]["memory"]


def test_the_first_token_is_made_once(tmp_path: Path) -> None:
    [server] = [one for one in of_kind(rendered("base"), "Deployment") if one["metadata"]["name"] == "lineal-server"]
    [first] = server["spec"]["template"]["spec"]["initContainers"]
    script = first["command"][-1].replace("/var/lib/lineal", str(tmp_path))
    environ = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "LINEAL_DATA_DIR": str(tmp_path)}

    tokens = []
    for _ in range(2):
        subprocess.run(["sh", "-euc", script], env=environ, check=True, timeout=120)
        tokens.append((tmp_path / "first-token").read_text())

    assert tokens[0].strip()
    assert tokens[0] == tokens[1]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeCluster]:
    made = KubeCluster(tmp_path_factory.mktemp("kubernetes"), kube_assets())
    try:
        made.start()
        made.call("POST", "/api/v1/namespaces", {"metadata": {"name": "kubeflow"}})
        yield made
    finally:
        made.stop()


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_real_api_server_takes_them(folder: str, cluster: KubeCluster) -> None:
    done = cluster.kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "-k", str(ROOT / "deploy" / folder))

    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == len(rendered(folder))


def test_the_readme_names_every_overlay() -> None:
    text = (ROOT / "deploy" / "README.md").read_text()

    assert all(f"`{folder}`" in text for folder in FOLDERS[1:])
    assert "kubectl apply -k deploy/base" in text
