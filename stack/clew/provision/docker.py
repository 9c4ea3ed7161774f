"""What Docker needs to run the nine containers: an engine, its plugins, the base image and the image."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from clew.core import paths
from clew.core.errors import ClewError
from clew.core.processes import Result, run, tail
from clew.provision.checkout import Say, again, one_at_a_time
from clew.provision.debian import DEBIAN_KEYRING, debian_mirror, plain_mirror, unpack_debs

BASE_IMAGE = "debian:trixie-slim"
IMAGE = "clew-stack:latest"
INPUTS_LABEL = "clew.inputs"
IMAGE_INPUTS = ("Dockerfile", "requirements/run.txt")

BUILD_STEP = re.compile(r"#\d+ (?:\[([a-z-]+) +\d+/\d+\]|(exporting layers))")


class ImageUnavailable(ClewError):
    """Docker cannot run the nine containers here; the local driver can run the same nine programs."""


ASK_ENGINE = ("version", "--format", "{{.Server.Version}}")


@dataclass(frozen=True)
class DockerState:
    version: str = ""  # of the engine
    compose: str = ""
    buildx: str = ""
    base_image: bool = False
    image: str = "absent"  # or "outdated", or "current"
    reasons: tuple[str, ...] = ()  # one sentence for each thing that is missing

    @property
    def reachable(self) -> bool:
        return bool(self.version)


def engine_version() -> str:
    """Return the version of the Docker engine that answers here, nothing when none does."""
    answer = _docker(*ASK_ENGINE)
    return answer.output.strip() if answer.code == 0 else ""


def docker_state() -> DockerState:
    if not shutil.which("docker"):
        return DockerState(reasons=("The docker command is not on this machine.",))
    with ThreadPoolExecutor() as pool:
        asked = {
            "engine": pool.submit(_docker, *ASK_ENGINE),
            "compose": pool.submit(_docker, "compose", "version", "--short"),
            "buildx": pool.submit(_docker, "buildx", "version"),
        }
        base_image = pool.submit(image_labels, BASE_IMAGE)
        image = pool.submit(image_state)
    engine, compose, buildx = (question.result() for question in asked.values())
    if engine.code != 0:
        return DockerState(reasons=(f"No Docker engine answers: {tail(engine.errors, 1)}",))
    state = DockerState(
        version=engine.output.strip(),
        compose=compose.output.strip() if compose.code == 0 else "",
        buildx=buildx.output.strip() if buildx.code == 0 else "",
        base_image=base_image.result() is not None,
        image=image.result(),
    )
    return replace(state, reasons=tuple(_reasons(state)))


def _reasons(state: DockerState) -> Iterator[str]:
    if not state.compose:
        yield "Docker's plugin Compose v2 is missing."
    if state.image != "current":
        yield f"The image {IMAGE} is {state.image}."
        if not state.buildx:
            yield "Docker's plugin buildx is missing, which builds it."
        if not state.base_image:
            yield f"The image {BASE_IMAGE} is absent, which it is built on."


def image_state() -> str:
    labels = image_labels(IMAGE)
    if labels is None:
        return "absent"
    return "current" if labels.get(INPUTS_LABEL) == image_inputs() else "outdated"


def _docker(*arguments: str, seconds: float = 5) -> Result:
    """Ask Docker. An answer takes 0.2 s, but a busy engine must not be taken for a dead one."""
    return run(["docker", *arguments], seconds, separate=True)


def image_labels(image: str) -> dict[str, str] | None:
    # A busy engine can take seconds over this, and an image taken for absent would be made anew.
    answer = _docker("image", "inspect", "--format", "{{json .Config.Labels}}", image, seconds=30)
    return json.loads(answer.output) or {} if answer.code == 0 else None


def image_inputs() -> str:
    """The content the image is made from, as one hash."""
    digest = hashlib.sha256()
    for name in IMAGE_INPUTS:
        content = (paths.STACK / name).read_bytes()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def ensure_compose(say: Say) -> None:
    """Docker's plugins Compose v2 and buildx, from the system's package source where they are missing."""
    if not missing_plugins():
        return
    if _docker("version").code != 0:
        raise ImageUnavailable("No Docker engine answers.", "docker info")
    with one_at_a_time("packages", say):
        if plugins := missing_plugins():
            say(f"Fetching Docker's {' and '.join(plugins)} for ~/.docker/cli-plugins (once; about 10 s)")
            _fetch_plugins(plugins)
    if left := missing_plugins():
        raise ImageUnavailable(f"Docker does not accept its plugins {' and '.join(left)}.", "docker info")


def missing_plugins() -> list[str]:
    return [name for name in ("compose", "buildx") if _docker(name, "version").code != 0]


def _fetch_plugins(plugins: Sequence[str]) -> None:
    """Each is a single file that runs on any release; Debian packages them from trixie on."""
    advice = "sudo apt-get install docker-compose-v2 docker-buildx"
    mirror = debian_mirror()
    if mirror:
        packages = [f"docker-{name}" for name in plugins]
        advice = f"DRIVER=local {again('make stage-0 up')}"
    elif shutil.which("apt-get"):
        packages = ["docker-compose-v2" if name == "compose" else "docker-buildx" for name in plugins]
    else:
        raise ImageUnavailable(f"Docker has no {' and '.join(plugins)} here.", "docker compose version")
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "cli-plugins"
    tree = paths.CACHE / "debs" / "docker-plugins"
    try:
        sources = _trixie_sources(mirror) if mirror else None
        unpack_debs(packages, tree, advice, dependencies=False, sources=sources)
        folder.mkdir(parents=True, exist_ok=True)
        for name in plugins:
            shutil.move(next(tree.rglob(f"cli-plugins/docker-{name}")), folder / f"docker-{name}")
    except OSError as error:
        raise ImageUnavailable(f"Cannot write {error.filename}: {error.strerror}.", advice) from error
    except ClewError as error:
        raise ImageUnavailable(error.message, error.next_step) from error
    finally:
        shutil.rmtree(tree, ignore_errors=True)


def _trixie_sources(mirror: str) -> Path:
    path = paths.CACHE / "trixie.list"
    path.parent.mkdir(parents=True, exist_ok=True)
    options = f"[signed-by={DEBIAN_KEYRING}] " if DEBIAN_KEYRING.exists() else ""
    path.write_text(f"deb {options}{mirror} trixie main\n")
    return path


def ensure_base_image(say: Say) -> None:
    if image_labels(BASE_IMAGE) is not None:
        return
    say(f"Pulling {BASE_IMAGE}")
    ran = run(["docker", "pull", "--quiet", BASE_IMAGE], 180)
    if ran.code == 0:
        return
    problem = f"Docker cannot pull {BASE_IMAGE} ({tail(ran.output, 1)})"
    by_hand = f"sudo '{paths.STACK / 'base-image.sh'}'"
    mirror = debian_mirror()
    if mirror is None:
        message = f"{problem}, and this machine's apt configuration names no Debian mirror to make it from."
        raise ImageUnavailable(message, f"{by_hand} MIRROR   (MIRROR: the address of a Debian mirror)")
    if os.geteuid() != 0:
        raise ImageUnavailable(f"{problem}; making it from Debian's packages takes root.", by_hand)
    say(f"{problem}; making it from Debian's packages instead (once, about 45 s)")
    with one_at_a_time("base-image", say):
        if image_labels(BASE_IMAGE) is None:
            ran = run([paths.STACK / "base-image.sh", plain_mirror(mirror), BASE_IMAGE], 900)
            if ran.code != 0:
                raise ImageUnavailable(f"{BASE_IMAGE} could not be made:\n{tail(ran.output)}", by_hand)


def ensure_stack_image(say: Say) -> None:
    """The image of all nine containers, built when it is absent or its Dockerfile or requirements changed."""
    inputs = image_inputs()
    if (image_labels(IMAGE) or {}).get(INPUTS_LABEL) == inputs:
        return
    ensure_compose(say)
    ensure_base_image(say)
    say(f"Building {IMAGE} (once, about a minute; all stages share it)")
    shown: set[str] = set()

    def show(line: str) -> None:
        step = BUILD_STEP.match(line)
        name = step and (step[1] or step[2])
        if name and name not in shown:
            shown.add(name)
            say(f"  {name}")

    command = build_command(inputs)
    ran = run(command, 1800, on_line=show, env={"DOCKER_BUILDKIT": "1"})
    if ran.code != 0:
        raise ImageUnavailable(f"{IMAGE} could not be built:\n{tail(ran.output, 6)}", shlex.join(command))


def build_command(inputs: str) -> list[str]:
    command = ["docker", "build", "--progress=plain", f"--label={INPUTS_LABEL}={inputs}", f"--tag={IMAGE}"]
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"):
        if os.environ.get(name):
            command.append(f"--build-arg={name}")
    if authorities := host_authorities():
        command.append(f"--secret=id=host-ca,src={authorities}")
    return [*command, f"--file={paths.STACK / 'Dockerfile'}", str(paths.STACK)]


def host_authorities() -> Path | None:
    """The certificates this machine trusts; a proxy's own one may be among them."""
    candidates = (
        os.environ.get("SSL_CERT_FILE", ""),
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/cert.pem",
    )
    return next((Path(name) for name in candidates if name and Path(name).is_file()), None)
