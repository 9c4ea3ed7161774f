"""Swarm's stack file follows from stack/compose.yaml and the overlay."""

from __future__ import annotations

import pytest
import yaml

from clew.core.errors import ClewError
from clew.core.paths import STACK
from clew.stacks import composefile
from clew.swarm import stackfile
from clew.swarm.cluster import swarm_stack

IMAGE = "sha256:" + "a" * 64
ENVIRONMENT = swarm_stack(3).compose_environment


@pytest.fixture
def described():
    """The stack file as Docker reads it."""
    return yaml.safe_load(stackfile.text_of(stackfile.stack_file(IMAGE, ENVIRONMENT)))


def altered(tmp_path, monkeypatch, old, new):
    text = composefile.COMPOSE_FILE.read_text()
    assert old in text
    path = tmp_path / "compose.yaml"
    path.write_text(text.replace(old, new))
    read = composefile.content
    monkeypatch.setattr(composefile, "content", lambda environment: read(environment, path))
    return stackfile.stack_file(IMAGE, ENVIRONMENT)


def test_every_service_of_compose_is_there_and_runs_the_same_command(described):
    services = composefile.read(STACK, ENVIRONMENT)
    like = {"fastapi-server": "fastapi-server-1", "celery-worker": "celery-worker-1"}
    assert {name.rstrip("-123") for name in services} == set(described["services"])
    for name, service in described["services"].items():
        assert tuple(service["command"]) == services[like.get(name, name)].command
        assert service["image"] == IMAGE


def test_the_limits_and_rights_of_compose_are_kept(described):
    for service in described["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["user"] == "10001:10001"
        assert service["init"] is True
        assert service["deploy"]["resources"]["limits"] == {"memory": "512M", "pids": 200}
        assert {"type": "tmpfs", "target": "/tmp"} in service["volumes"]  # noqa: S108


def test_no_service_needs_a_folder_of_a_machine_or_a_virtual_address(described):
    for service in described["services"].values():
        assert all(isinstance(one, dict) or not one.startswith((".", "/")) for one in service["volumes"])
        assert service["deploy"]["endpoint_mode"] == "dnsrr"
        assert all(port["mode"] == "host" for port in service.get("ports", []))


def test_each_task_of_a_service_has_a_name_of_its_own_and_two_workers_never_the_same_one(described):
    for name in ("fastapi-server", "celery-worker"):
        assert described["services"][name]["environment"]["SERVICE_NAME"] == name + "-{{.Task.Slot}}"
    assert described["services"]["celery-worker"]["deploy"]["update_config"]["order"] == "stop-first"


def test_only_nginx_is_reached_from_outside_and_redis_is_where_its_data_is(described):
    with_ports = {name for name, service in described["services"].items() if "ports" in service}
    assert with_ports == {"nginx-loadbalancer", "flower"}
    assert described["networks"] == {"inside": {"internal": True, "driver": "overlay"}, "edge": {"driver": "overlay"}}
    redis = described["services"]["redis-broker"]
    assert redis["deploy"]["placement"] == {"constraints": ["node.labels.clew.redis == yes"]}
    assert "redis-data:/data" in redis["volumes"] and "redis-data" in described["volumes"]


def test_a_password_s_volume_becomes_a_secret(tmp_path, monkeypatch):
    old = "      - redis-data:/data\n"
    found = altered(tmp_path, monkeypatch, old, f"{old}      - secrets-cli:/secrets/cli\n")
    assert found["secrets"]["cli-redis-password"] == {"file": "secrets/cli-redis-password"}
    own = {one["source"]: one for one in found["services"]["redis-broker"]["secrets"]}
    assert own["cli-redis-password"] == {
        "source": "cli-redis-password",
        "target": "/secrets/cli/redis-password",
        "uid": "10001",
        "gid": "10001",
        "mode": 0o400,
    }
    assert not any("secrets" in name for name in found["volumes"])


def test_a_key_of_compose_that_is_not_known_is_not_lost_without_a_word(tmp_path, monkeypatch):
    with pytest.raises(ClewError, match="has oom_score_adj, of which") as error:
        altered(tmp_path, monkeypatch, "  init: true\n", "  init: true\n  oom_score_adj: 1\n")
    assert "stackfile.py" in error.value.next_step


def test_an_overlay_that_names_no_service_is_refused(tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("services: {web: {x-like: fastapi-server-9}}")
    with pytest.raises(ClewError, match=r"like 'fastapi-server-9', which is not in stack/compose\.yaml"):
        stackfile.stack_file(IMAGE, ENVIRONMENT, overlay)


def test_a_dollar_reaches_the_service():
    assert yaml.safe_load(stackfile.text_of({"a": ["$x"]})) == {"a": ["$$x"]}


def test_nginx_s_own_file_of_the_swarm_fits_the_one_that_it_replaces():
    """The sed of stage.Dockerfile must find its line, and the variable must be the one that upstream.conf sets."""
    assert "proxy_pass http://fastapi_servers;" in (STACK / "nginx/proxy.conf").read_text()
    assert (
        'map "" $fastapi_servers { default tasks.fastapi-server:8000; }' in (STACK / "swarm/upstream.conf").read_text()
    )
    assert "http://$fastapi_servers;" in (STACK / "swarm/stage.Dockerfile").read_text()


def test_each_service_has_every_password_file_that_it_is_told_of_and_redis_has_one_of_each_role(described):
    for name, service in described["services"].items():
        told = {value for key, value in service.get("environment", {}).items() if key.endswith("_FILE")}
        told = {value for value in told if value.startswith("/secrets/")}
        assert told <= {one["target"] for one in service["secrets"]}, name
        assert {one["source"] for one in service["secrets"]} <= set(described["secrets"])
    roles = {one["target"] for one in described["services"]["redis-broker"]["secrets"]}
    assert roles == {f"/secrets/{role}/redis-password" for role in ("api", "worker", "flower", "metrics", "operator")}
