"""The manifests in stack/kubernetes: checked against the API's schemas and stack/compose.yaml, never scheduled here."""
# ruff: noqa: S108 - paths in containers

from __future__ import annotations

import base64
import functools
import itertools
import os
import re
import shutil
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from clew.core.paths import ROOT, STACK
from clew.ladder import STAGE_LIST
from clew.stacks import composefile
from clew.stacks.services import API_SERVERS, FLOWER, NGINX, REDIS, WORKERS
from clew.stacks.stack import stage_stack
from taskqueue import web
from taskqueue.contract import QUEUES

Doc = dict[str, Any]
VERSIONS = ("1.31.0", "1.34.0", "1.37.0")
BUILDS = ("base/shared", "base/release", "front", "overlays/blue", "overlays/green", "overlays/keda")
DEPLOYED = ("base/shared", "front", "overlays/blue", "overlays/green")
OF_KEDA = {"ScaledObject"}
COMPOSE = {NGINX: NGINX, "fastapi-server": API_SERVERS[0], REDIS: REDIS, "celery-worker": WORKERS[0], FLOWER: FLOWER}
DNS, PROMETHEUS, ANYONE = "DNS", "Prometheus", "anyone"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("kustomize") / "kubernetes"
    shutil.copytree(STACK / "kubernetes", copy, ignore=shutil.ignore_patterns("secrets"))
    subprocess.run([copy / "secrets.sh"], check=True)
    return copy


@pytest.fixture(scope="module")
def built(folder: Path) -> dict[str, list[Doc]]:
    kubectl = Path(sys.executable).with_name("kubectl")

    def build(name: str) -> list[Doc]:
        command = [kubectl, "kustomize", folder / name]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return list(yaml.load_all(done.stdout, yaml.CSafeLoader))

    with ThreadPoolExecutor() as pool:
        return dict(zip(BUILDS, pool.map(build, BUILDS), strict=True))


@pytest.fixture(scope="module")
def deployed(built: dict[str, list[Doc]]) -> list[Doc]:
    return [doc for name in DEPLOYED for doc in built[name]]


schema_contents = functools.cache(kubernetes_validate.utils.schema_contents)


@pytest.fixture
def quick_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read each schema once and not for each document."""
    monkeypatch.setattr(kubernetes_validate.utils, "schema_contents", schema_contents)


def of_kind(docs: list[Doc], *kinds: str) -> list[Doc]:
    return [doc for doc in docs if doc["kind"] in kinds]


def name_of(doc: Doc) -> str:
    return str(doc["metadata"]["name"])


def workloads(docs: list[Doc]) -> dict[str, Doc]:
    return {name_of(doc): doc for doc in of_kind(docs, "Deployment", "StatefulSet")}


def pod_of(doc: Doc) -> Doc:
    spec: Doc = doc["spec"]["template"]["spec"]
    return spec


def container_of(doc: Doc) -> Doc:
    (container,) = pod_of(doc)["containers"]
    return dict(container)


def labels_of(doc: Doc) -> Doc:
    labels: Doc = doc["spec"]["template"]["metadata"]["labels"]
    return labels


# --- the schemas ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quick_validation")
@pytest.mark.parametrize("version", VERSIONS)
def test_every_document_follows_the_schema_of(version: str, built: dict[str, list[Doc]]) -> None:
    unique = {str(doc): doc for docs in built.values() for doc in docs}.values()
    without_schema = set()
    for doc in unique:
        try:
            kubernetes_validate.validate(doc, version, strict=True)
        except kubernetes_validate.SchemaNotFoundError:
            without_schema.add(doc["kind"])
    assert without_schema == OF_KEDA
    assert len(unique) > 25


@pytest.mark.usefixtures("quick_validation")
def test_a_field_that_does_not_exist_is_found(built: dict[str, list[Doc]]) -> None:
    doc = yaml.safe_load(yaml.safe_dump(of_kind(built["base/release"], "Deployment")[0]))
    container_of(doc)["livenessProbe"]["periodSecond"] = 1
    with pytest.raises(kubernetes_validate.ValidationError, match="periodSecond"):
        kubernetes_validate.validate(doc, VERSIONS[-1], strict=True)


def test_kedas_document_has_the_fields_that_its_documentation_names(built: dict[str, list[Doc]]) -> None:
    (scaled,) = of_kind(built["overlays/keda"], *OF_KEDA)
    assert scaled["apiVersion"] == "keda.sh/v1alpha1"
    spec = scaled["spec"]
    assert spec.keys() <= {
        *("scaleTargetRef", "pollingInterval", "cooldownPeriod", "initialCooldownPeriod", "idleReplicaCount"),
        *("minReplicaCount", "maxReplicaCount", "fallback", "advanced", "triggers"),
    }
    assert spec["scaleTargetRef"].keys() <= {"apiVersion", "kind", "name", "envSourceContainerName"}
    assert spec["fallback"].keys() == {"failureThreshold", "replicas"}
    assert spec["advanced"].keys() <= {"restoreToOriginalReplicaCount", "horizontalPodAutoscalerConfig"}
    (trigger,) = spec["triggers"]
    assert trigger.keys() == {"type", "metadata"}
    assert trigger["type"] == "metrics-api"
    assert trigger["metadata"].keys() == {"url", "valueLocation", "targetValue"}
    assert all(isinstance(value, str) for value in trigger["metadata"].values())  # KEDA takes nothing else


def test_keda_asks_the_front_door_for_a_figure_that_the_api_has(
    built: dict[str, list[Doc]], monkeypatch: pytest.MonkeyPatch
) -> None:
    (scaled,) = of_kind(built["overlays/keda"], "ScaledObject")
    asked = scaled["spec"]["triggers"][0]["metadata"]
    (front,) = built["front"]
    host, path = asked["url"].removeprefix("http://").split("/", 1)
    assert host == f"{name_of(front)}.{front['metadata']['namespace']}.svc.cluster.local"
    (route,) = [route for route in web.router.routes if getattr(route, "path", "") == f"/{path}"]
    monkeypatch.setattr(web.broker, "depths", lambda: dict.fromkeys(QUEUES, 1))
    monkeypatch.setattr(web.breaker, "waiting", lambda: 7)
    assert route.endpoint()[asked["valueLocation"]] == 7


def test_keda_says_how_many_workers_there_are_and_nothing_else_does(built: dict[str, list[Doc]]) -> None:
    docs = built["overlays/keda"]
    (scaled,) = of_kind(docs, "ScaledObject")
    target = scaled["spec"]["scaleTargetRef"]
    (workers,) = [doc for doc in of_kind(docs, target["kind"]) if name_of(doc) == target["name"]]
    assert "replicas" not in workers["spec"]
    assert scaled["spec"]["minReplicaCount"] == len(WORKERS)
    assert not of_kind(docs, "HorizontalPodAutoscaler")


# --- stack/compose.yaml -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compose() -> dict[str, composefile.Service]:
    stack = stage_stack(5)
    return composefile.read(stack.folder, stack.compose_environment)


def own_environment(doc: Doc, docs: list[Doc]) -> dict[str, str]:
    """Return a container's environment in the first pod of a StatefulSet of this name."""
    container = container_of(doc)
    maps = {name_of(found): found["data"] for found in of_kind(docs, "ConfigMap")}
    found = {}
    for source in container.get("envFrom", []):
        found |= maps[source["configMapRef"]["name"]]
    for variable in container.get("env", []):
        if "valueFrom" in variable:
            assert variable["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
            found[variable["name"]] = f"{name_of(doc)}-1"
        else:
            found[variable["name"]] = variable["value"].replace("$(SERVICE_NAME)", found.get("SERVICE_NAME", ""))
    return found


@pytest.mark.parametrize("name", COMPOSE)
def test_a_pod_runs_what_compose_runs(name: str, built: dict[str, list[Doc]], compose: Any) -> None:
    docs = [*built["base/shared"], *built["base/release"]]
    doc, service = workloads(docs)[name], compose[COMPOSE[name]]
    pod, container = pod_of(doc), container_of(doc)

    assert container["args"] == list(service.command)
    assert container.get("workingDir") == service.working_dir
    assert own_environment(doc, docs) == service.environment

    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert {
        mount["mountPath"]: mount["name"]
        for mount in container["volumeMounts"]
        if "secret" in volumes.get(mount["name"], {})
    } == {folder: volume for folder, volume in service.volumes.items() if volume.startswith("secrets-")}

    ports = {port["containerPort"] for port in container["ports"]}
    assert ports == {*service.ports, *service.local_ports}
    before_stop = 5 if "lifecycle" in container else 0
    assert pod["terminationGracePeriodSeconds"] == service.stop_seconds + before_stop


def test_each_role_of_redis_has_a_secret_with_its_password(deployed: list[Doc]) -> None:
    roles = set(re.findall(r"^user (\w+) on", (STACK / "redis/users.acl").read_text(), re.MULTILINE))
    secrets = {name_of(doc): doc["data"] for doc in of_kind(deployed, "Secret")}
    assert secrets.keys() == {f"secrets-{role}" for role in roles}
    passwords = {role: base64.b64decode(secrets[f"secrets-{role}"]["redis-password"]) for role in roles}
    assert {len(password) for password in passwords.values()} == {48}
    assert len(set(passwords.values())) == len(roles)
    assert "web-password" in secrets["secrets-flower"]


def test_there_are_at_least_as_many_pods_as_compose_has(deployed: list[Doc]) -> None:
    numbers = {name: doc["spec"].get("replicas") for name, doc in workloads(deployed).items()}
    for scaler in of_kind(deployed, "HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]["name"]
        assert numbers[target] is None  # or applying the manifest would undo what the autoscaler did
        numbers[target] = scaler["spec"]["minReplicas"]
    assert numbers == {
        **{f"{NGINX}-{colour}": 2 for colour in ("blue", "green")},
        **{f"fastapi-server-{colour}": len(API_SERVERS) for colour in ("blue", "green")},
        **{REDIS: 1, "celery-worker": len(WORKERS), FLOWER: 1},
    }


def test_the_first_workers_have_the_names_that_health_asks_for(deployed: list[Doc]) -> None:
    spec = workloads(deployed)["celery-worker"]["spec"]
    first = spec["ordinals"]["start"]
    assert tuple(f"celery-worker-{first + at}" for at in range(spec["replicas"])) == WORKERS


def test_nginx_drains_with_the_signal_that_compose_sends(deployed: list[Doc], compose: Any) -> None:
    signal = compose[NGINX].stop_signal.removeprefix("SIG")
    for colour in ("blue", "green"):
        hook = container_of(workloads(deployed)[f"{NGINX}-{colour}"])["lifecycle"]["preStop"]["exec"]["command"]
        assert f"kill -{signal} " in hook[-1]


@pytest.mark.parametrize("name", DEPLOYED[-2:])
def test_nginx_asks_the_servers_of_its_own_colour(name: str, built: dict[str, list[Doc]]) -> None:
    docs = built[name]
    (service,) = of_kind(docs, "Service")
    (upstream,) = [doc["data"]["upstream.conf"] for doc in of_kind(docs, "ConfigMap") if "upstream.conf" in doc["data"]]

    def without_names(text: str) -> list[str]:
        lines = [line.split("#")[0].split() for line in text.splitlines()]
        return [" ".join(words[:1] + words[2:] if words[0] == "server" else words) for words in lines if words]

    assert upstream.count(f"server {name_of(service)}:8000 ") == len(API_SERVERS)
    assert without_names(upstream) == without_names((STACK / "nginx/upstream.conf").read_text())


def test_an_image_is_that_of_a_stage(deployed: list[Doc]) -> None:
    slugs = {stage.slug for stage in STAGE_LIST}
    for doc in workloads(deployed).values():
        name, _, tag = container_of(doc)["image"].partition(":")
        assert name == "clew-stage"
        assert tag in slugs


# --- hardening --------------------------------------------------------------------------------------------------------


def test_every_container_is_hardened_as_in_compose(deployed: list[Doc]) -> None:
    hardened = yaml.safe_load((STACK / "compose.yaml").read_text())["x-hardened"]
    user = int(hardened["user"].split(":")[0])
    assert len(workloads(deployed)) == 7
    for name, doc in workloads(deployed).items():
        pod, container = pod_of(doc), container_of(doc)
        assert pod["securityContext"]["runAsNonRoot"], name
        assert pod["securityContext"]["runAsUser"] == user, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert container["securityContext"] == {
            "readOnlyRootFilesystem": hardened["read_only"],
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": hardened["cap_drop"]},
        }, name
        assert container["resources"]["limits"]["memory"] == hardened["mem_limit"].replace("m", "Mi"), name
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}, name
        assert {"livenessProbe", "readinessProbe"} <= container.keys(), name
        assert not pod["automountServiceAccountToken"], name
        assert not pod["enableServiceLinks"], name
        assert pod["shareProcessNamespace"] == hardened["init"], name
        writable = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
        assert writable == ({"/tmp", "/data"} if name == REDIS else {"/tmp"}), name


def test_what_redis_wrote_outlives_its_pod(deployed: list[Doc]) -> None:
    spec = workloads(deployed)[REDIS]["spec"]
    (claim,) = spec["volumeClaimTemplates"]
    assert {mount["name"]: mount["mountPath"] for mount in container_of(workloads(deployed)[REDIS])["volumeMounts"]}[
        name_of(claim)
    ] == "/data"


# --- selectors --------------------------------------------------------------------------------------------------------


def matches(selector: Doc, labels: Doc) -> bool:
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        rule["operator"] == "In" and labels.get(rule["key"]) in rule["values"]
        for rule in selector.get("matchExpressions", [])
    )


def test_every_selector_finds_the_pods_that_it_is_for(deployed: list[Doc]) -> None:
    pods = {name: labels_of(doc) for name, doc in workloads(deployed).items()}

    def selected(selector: Doc) -> list[str]:
        return [name for name, labels in pods.items() if matches(selector, labels)]

    for name, doc in workloads(deployed).items():
        assert selected(doc["spec"]["selector"]) == [name]
        for spread in pod_of(doc).get("topologySpreadConstraints", []):
            assert selected(spread["labelSelector"]) == [name]
    for doc in of_kind(deployed, "PodDisruptionBudget"):
        assert selected(doc["spec"]["selector"]) == [name_of(doc)]
    for doc in of_kind(deployed, "Service"):
        found = selected({"matchLabels": doc["spec"]["selector"]})
        assert found == ([f"{NGINX}-blue"] if name_of(doc) == NGINX else [name_of(doc)])
        names = {port["name"] for port in container_of(workloads(deployed)[found[0]])["ports"]}
        assert {port["targetPort"] for port in doc["spec"]["ports"]} <= names
    for doc in of_kind(deployed, "HorizontalPodAutoscaler"):
        assert doc["spec"]["scaleTargetRef"]["name"] in workloads(deployed)
    for doc in of_kind(deployed, "StatefulSet"):
        assert doc["spec"]["serviceName"] in {name_of(service) for service in of_kind(deployed, "Service")}


def test_every_name_that_a_pod_refers_to_exists(deployed: list[Doc]) -> None:
    there = {(doc["kind"], name_of(doc)) for doc in deployed}
    assert {doc["metadata"].get("namespace") for doc in deployed if doc["kind"] != "Namespace"} == {"clew"}
    for name, doc in workloads(deployed).items():
        container, volumes = container_of(doc), {volume["name"]: volume for volume in pod_of(doc)["volumes"]}
        claims = {name_of(claim) for claim in doc["spec"].get("volumeClaimTemplates", [])}
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes.keys() | claims, name
        wanted = {("ConfigMap", source["configMapRef"]["name"]) for source in container.get("envFrom", [])}
        wanted |= {("ConfigMap", one["configMap"]["name"]) for one in volumes.values() if "configMap" in one}
        wanted |= {("Secret", one["secret"]["secretName"]) for one in volumes.values() if "secret" in one}
        assert wanted <= there, name


# --- who may connect to whom ------------------------------------------------------------------------------------------

# Of what docs/seeing/security.md lists, what a service needs. With Compose, all containers of a stack reach each other.
OUTSIDE = {DNS, PROMETHEUS, ANYONE}
NEEDED = {
    *((who, NGINX, 80) for who in OUTSIDE),  # the front door
    *((who, DNS, 53) for who in COMPOSE),
    (NGINX, "fastapi-server", 8000),
    ("fastapi-server", REDIS, 6379),
    ("celery-worker", REDIS, 6379),
    (FLOWER, REDIS, 6379),
    (PROMETHEUS, NGINX, 8081),
    (PROMETHEUS, "fastapi-server", 8000),
    (PROMETHEUS, "celery-worker", 9100),
}


def connections(docs: list[Doc]) -> set[tuple[str, str, int]]:
    """Return who may connect to whom on which port, over all pods and some that are not of the stack."""
    pods = {}
    for doc in workloads(docs).values():
        container = container_of(doc)
        ports = {port["containerPort"]: port["name"] for port in container["ports"]}
        pods[container["name"]] = ("clew", labels_of(doc), ports)
    pods |= {
        DNS: ("kube-system", {"k8s-app": "kube-dns"}, {53: "dns"}),
        PROMETHEUS: ("monitoring", {}, {9090: "http"}),
        ANYONE: ("default", {}, {443: "https"}),
    }
    policies = [doc["spec"] for doc in of_kind(docs, "NetworkPolicy")]

    def is_peer(peer: Doc, pod: str) -> bool:
        namespace, labels, _ = pods[pod]
        wanted = peer.get("namespaceSelector", {"matchLabels": {"kubernetes.io/metadata.name": "clew"}})
        return matches(wanted, {"kubernetes.io/metadata.name": namespace}) and matches(
            peer.get("podSelector", {}), labels
        )

    def allows(rules: list[Doc], side: str, other: str, port: int, name: str) -> bool:
        return any(
            (side not in rule or any(is_peer(peer, other) for peer in rule[side]))
            and any(at["port"] in (port, name) for at in rule["ports"])
            for rule in rules
        )

    def may(direction: str, side: str, pod: str, other: str, port: int, name: str) -> bool:
        namespace, labels, _ = pods[pod]
        own = [
            policy
            for policy in policies
            if namespace == "clew" and direction in policy["policyTypes"] and matches(policy["podSelector"], labels)
        ]
        return not own or any(allows(policy.get(direction.lower(), []), side, other, port, name) for policy in own)

    return {
        (source, target, port)
        for source, target in itertools.permutations(pods, 2)
        for port, name in pods[target][2].items()
        if {pods[source][0], pods[target][0]} & {"clew"}
        and may("Egress", "to", source, target, port, name)
        and may("Ingress", "from", target, source, port, name)
    }


def test_only_connections_that_a_service_needs_are_allowed(built: dict[str, list[Doc]]) -> None:
    assert connections([*built["base/shared"], *built["overlays/green"]]) == NEEDED
    page = (ROOT / "docs/seeing/security.md").read_text()
    assert all(f"| {COMPOSE[target]}:{port} |" in page for _, target, port in NEEDED if target != DNS)


def test_without_the_first_policy_everything_could_reach_flower(built: dict[str, list[Doc]]) -> None:
    docs = [doc for doc in [*built["base/shared"], *built["overlays/green"]] if name_of(doc) != "nothing"]
    assert (ANYONE, FLOWER, 5555) in connections(docs)


# --- the scripts ------------------------------------------------------------------------------------------------------


def test_passwords_are_new_each_time_and_nobody_else_may_read_them(folder: Path) -> None:
    secrets = folder / "base/shared/secrets"
    files = [path for path in secrets.rglob("*") if path.is_file()]
    before = [path.read_text() for path in files]
    subprocess.run([folder / "secrets.sh"], check=True)
    assert not set(before) & {path.read_text() for path in files}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert "stack/kubernetes/base/shared/secrets/" in (ROOT / ".gitignore").read_text().splitlines()


LINES = """\
{"ts":1,"hop":"nginx","correlation_id":"$ID"}
{"ts": 1, "hop": "routes", "correlation_id": "$ID"}
{"ts": 1, "hop": "task-service", "correlation_id": "$ID"}
{"ts": 1, "hop": "queue-service", "correlation_id": "$ID"}
{"ts": 1, "correlation_id": "$ID", "hop": "worker"}
"""


def check(tmp_path: Path, lines: str) -> subprocess.CompletedProcess[str]:
    """Run check.sh with a curl that keeps the ID that it sends, and a kubectl that has `lines` as the pods' logs."""
    programs = {
        "curl": f'for word; do case $word in "X-Request-ID: "*) echo "${{word#*: }}" >{tmp_path}/id;; esac; done',
        "kubectl": f'sed "s/\\$ID/$(cat {tmp_path}/id)/" {tmp_path}/lines',
    }
    (tmp_path / "lines").write_text(lines)
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SECONDS_TO_WAIT": "0"}
    command = [STACK / "kubernetes/check.sh", "http://127.0.0.1:1"]
    return subprocess.run(command, env=path, capture_output=True, text=True, check=False, timeout=30)


def test_a_check_finds_all_five_hops(tmp_path: Path) -> None:
    done = check(tmp_path, LINES)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{(tmp_path / 'id').read_text().strip()} was handed on by all five layers.\n"


def test_a_check_names_the_hops_that_lost_the_id(tmp_path: Path) -> None:
    lost = LINES.replace('"queue-service", "correlation_id": "$ID"', '"queue-service", "correlation_id": null')
    done = check(tmp_path, lost.replace('"correlation_id": "$ID", "hop": "worker"', '"hop": "worker"'))
    assert done.returncode == 1
    assert "is not in the logs of: queue-service worker\nNext: kubectl " in done.stdout
