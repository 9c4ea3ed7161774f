"""Swarm's stack file, made from stack/compose.yaml and stack/swarm/overlay.yaml, so that nothing is written twice.

`docker stack deploy` knows a part of Compose's syntax. Every key of a service is in one of the two lists here, so a new
one in compose.yaml cannot be lost without a word.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from clew.core.errors import ClewError
from clew.core.paths import STACK, shown
from clew.stacks import composefile

OVERLAY = STACK / "swarm" / "overlay.yaml"
LIKE = "x-like"
TAKEN = (
    "cap_drop", "command", "environment", "healthcheck", "hostname", "init", "logging", "networks", "read_only",
    "stop_grace_period", "stop_signal", "user", "working_dir",
)  # fmt: skip
LEFT_OUT = {
    "build": "the nodes get a ready image",
    "depends_on": "everything starts at once; nginx asks for addresses again and again",
    "image": "it is the stage's own",
    "labels": "they tell the containers of this machine apart",
    "ports": "the overlay's are the node's own",
    "restart": "deploy.restart_policy of the overlay",
    "security_opt": "the nodes' engines set no-new-privileges for all containers",
    "x-local-ports": "they are for the local driver",
}
CONVERTED = ("mem_limit", "pids_limit", "tmpfs", "volumes")
SECRETS = "secrets-"  # a volume of this name has the passwords of one role, which in a Swarm are secrets
SECRET_FILE = "redis-password"  # noqa: S105 - the name of the file that each role has
OWNER = {"uid": "10001", "gid": "10001", "mode": 0o400}


def stack_file(image: str, environment: Mapping[str, str], overlay: Path = OVERLAY) -> dict[str, Any]:
    """Return the stack file of a stage whose image is `image`, with variables from `environment`.

    A secret's value is in the file `secrets/NAME` next to the stack file.

    Raises:
        ClewError: compose.yaml has something that is not known here, or the overlay does not fit it.
    """
    compose = composefile.content(environment)
    extra = yaml.safe_load(overlay.read_text())["services"]
    services = {}
    for name, own in extra.items():
        like = own.get(LIKE, name)
        if like not in compose["services"]:
            raise ClewError(
                f"{shown(overlay)} has a service like {like!r}, which is not in stack/compose.yaml.",
                f"grep -n {like} stack/compose.yaml",
            )
        services[name] = _service(like, compose["services"][like], own, image)
    volumes = {_source(one) for service in services.values() for one in service["volumes"]} - {""}
    secrets = {one["source"] for service in services.values() for one in service["secrets"]}
    return {
        "version": "3.9",
        "services": services,
        "networks": {name: {**(own or {}), "driver": "overlay"} for name, own in compose["networks"].items()},
        "volumes": {name: {} for name in sorted(volumes)},
        "secrets": {name: {"file": f"secrets/{name}"} for name in sorted(secrets)},
    }


def text_of(stack: Mapping[str, Any]) -> str:
    """Return a stack file as YAML; `$` is doubled, since Docker would take it for a variable."""

    def kept(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: kept(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [kept(inner) for inner in value]
        return value.replace("$", "$$") if isinstance(value, str) else value

    return yaml.safe_dump(kept(dict(stack)), sort_keys=False, width=120)


def _service(name: str, described: Mapping[str, Any], own: Mapping[str, Any], image: str) -> dict[str, Any]:
    if unknown := sorted(described.keys() - {*TAKEN, *LEFT_OUT, *CONVERTED}):
        raise ClewError(
            f"{name} in stack/compose.yaml has {', '.join(unknown)}, of which the Swarm stack file knows nothing.",
            "edit stack/clew/swarm/stackfile.py: put it into TAKEN, or into LEFT_OUT with the reason",
        )
    volumes, secrets = _mounts(described)
    service = {
        "image": image,
        **{key: described[key] for key in TAKEN if key in described},
        "volumes": volumes,
        "secrets": secrets,
        "deploy": {"resources": {"limits": _limits(described)}},
    }
    return _merged(service, {key: value for key, value in own.items() if key != LIKE})


def _limits(described: Mapping[str, Any]) -> dict[str, Any]:
    return {"memory": str(described["mem_limit"]).upper(), "pids": int(described["pids_limit"])}


def _mounts(described: Mapping[str, Any]) -> tuple[list[Any], list[dict[str, Any]]]:
    """Return a service's volumes and secrets. The stage and stack/ are in the image, so no folder is mounted."""
    volumes: list[Any] = [
        {"type": "tmpfs", "target": one.partition(":")[0]}  # its mode is 1777, as compose.yaml wants it
        for one in described.get("tmpfs", [])
    ]
    secrets = []
    for one in described["volumes"]:
        source, target = one.split(":")[:2]
        if source.startswith(SECRETS):
            role = source.removeprefix(SECRETS)
            named = described.get("environment", {}).values()
            files = {f"{target}/{SECRET_FILE}", *(str(one) for one in named if str(one).startswith(f"{target}/"))}
            secrets += [
                {"source": f"{role}-{file.rpartition('/')[2]}", "target": file, **OWNER} for file in sorted(files)
            ]
        elif not source.startswith("."):
            volumes.append(one)
    return volumes, secrets


def _source(volume: Any) -> str:
    return volume.partition(":")[0] if isinstance(volume, str) else ""


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with what `over` has: mappings are merged, everything else is replaced."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = _merged(result[key], value) if both else value
    return result
