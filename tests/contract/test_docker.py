"""What only the docker driver must withstand: Compose reads stack/compose.yaml, and not this tool alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from up import require

from clew import provision
from clew.core import processes
from clew.core.paths import STACK
from clew.stacks import composefile
from clew.stacks.composefile import COMPOSE_FILE
from clew.stacks.stack import Stack, stage_stack

FORMS = """
  FORM_DEFAULT: ${NOT_SET:-a}${EMPTY:-b}${EMPTY-c}${NOT_SET-d}
  FORM_NESTED: ${NOT_SET:-${STAGE}0${NOT_SET:-2}}
  FORM_DOLLAR: $$5 costs $STAGE and ${NOT_SET}.
"""


def as_compose_reads_it(stack: Stack, file: Path) -> dict[str, dict[str, Any]]:
    """Return Compose's own reading of the services in a file."""
    command = ["docker", "compose", "--project-directory", str(stack.folder), "--file", str(file)]
    environment = {**stack.compose_environment, "EMPTY": ""}
    ended = processes.run([*command, "config", "--format", "json"], 60, separate=True, env=environment)
    assert ended.code == 0, ended.errors
    return dict(json.loads(ended.output.replace("$$", "$"))["services"])  # it doubles each $, to be read again


@pytest.mark.parametrize("forms", [False, True], ids=["as it is", "with every form of a variable"])
def test_compose_reads_the_file_as_this_tool_does(tmp_path: Path, forms: bool) -> None:
    require("docker")
    provision.ensure_compose(print)
    stack, file = stage_stack(3), COMPOSE_FILE
    if forms:
        file = tmp_path / "compose.yaml"
        first = '  PYTHONUNBUFFERED: "1"'
        assert first in COMPOSE_FILE.read_text()
        file.write_text(COMPOSE_FILE.read_text().replace(first, first + FORMS.rstrip()))
    environment = {**stack.compose_environment, "EMPTY": ""}

    ours, theirs = composefile.read(stack.folder, environment, file), as_compose_reads_it(stack, file)

    assert set(ours) == set(theirs)
    for name, service in ours.items():
        other = theirs[name]
        assert list(service.command) == other["command"]
        assert service.environment == other.get("environment", {})
        assert service.working_dir == other.get("working_dir")
        assert service.hostname == other.get("hostname")
        assert service.ports == {port["target"]: int(port["published"]) for port in other.get("ports", [])}
        assert service.volumes == {mount["target"]: mount["source"] for mount in other["volumes"]}
        minutes, seconds = divmod(int(service.stop_seconds), 60)
        assert other["stop_grace_period"] == (f"{minutes}m" if minutes else "") + f"{seconds}s"
        assert other.get("stop_signal", "SIGTERM") == service.stop_signal
        labels = "com.docker.compose.project,com.docker.compose.service"
        assert other["logging"]["options"] == {"max-size": "20m", "max-file": "2", "labels": labels}
    assert not forms or ours["flower"].environment["FORM_NESTED"] == "302"


def test_compose_reads_the_log_stores_file() -> None:
    require("docker")
    provision.ensure_compose(print)
    command = ["docker", "compose", "--file", str(STACK / "logstore/compose.yaml"), "config", "--format", "json"]
    ended = processes.run(command, 60, separate=True)
    assert ended.code == 0, ended.errors
    services = json.loads(ended.output)["services"]
    assert set(services) == {"elasticsearch", "kibana", "setup", "shipper"}
    for service in services.values():
        assert all(Path(one["source"]).exists() for one in service.get("volumes", []) if one["target"] == "/etc/clew")
