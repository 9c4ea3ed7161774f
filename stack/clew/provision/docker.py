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
from clew.provision.platforms import install_line

DEBIAN_IMAGE = "debian:trixie-slim"
OWN_BASE = "clew-base:trixie"  # made here where nothing can be pulled; never under Debian's name
IMAGE = "clew-stack:latest"
BASE_LABEL = "clew.base"
INPUTS_LABEL = "clew.inputs"
IMAGE_INPUTS = ("Dockerfile", "requirements/run.txt")
COMPOSE_MINIMUM = (2, 20)  # the first with `include`

BUILD_STEP = re.compile(r"#\d+ (?:\[([a-z-]+) +\d+/\d+\]|(exporting layers))")
ASK_ENGINE = ("version", "--format", "{{.Server.Version}}")
ASK_COMPOSE = ("compose", "version", "--short")


class ImageUnavailable(ClewError):
    """Docker cannot run the nine containers here; the local driver can run the same nine programs."""


@dataclass(frozen=True)
class DockerState:
    """What Docker has on this machine; a version or name is empty where there is none."""

    version: str = ""  # of the engine
    compose: str = ""
    buildx: str = ""
    base: str = ""  # the name of the image to build on
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
    """Return what Docker has here. The questions are asked at the same time, because each takes 0.2 s."""
    if not shutil.which("docker"):
        return DockerState(reasons=("The docker command is not on this machine.",))
    with ThreadPoolExecutor() as pool:
        engine_asked = pool.submit(_docker, *ASK_ENGINE)
        compose = pool.submit(compose_version)
        buildx = pool.submit(_docker, "buildx", "version")
        base = pool.submit(base_image)
        image = pool.submit(image_state)
    engine = engine_asked.result()
    if engine.code != 0:
        return DockerState(reasons=(f"No Docker engine answers: {tail(engine.errors, 1)}",))
    state = DockerState(
        version=engine.output.strip(),
        compose=compose.result(),
        buildx=buildx.result().output.strip() if buildx.result().code == 0 else "",
        base=base.result(),
        image=image.result(),
    )
    return replace(state, reasons=tuple(_reasons(state)))


def _reasons(state: DockerState) -> Iterator[str]:
    if not state.compose:
        yield "Docker's plugin Compose is missing."
    elif not new_enough(state.compose):
        wanted = ".".join(map(str, COMPOSE_MINIMUM))
        yield f"Docker's plugin Compose is version {state.compose}; {wanted} or newer is needed."
    if state.image != "current":
        yield f"The image {IMAGE} is {state.image}."
        if not state.buildx:
            yield "Docker's plugin buildx, which builds it, is missing."
        if not state.base:
            yield "There is no base image here to build it on."


def image_state() -> str:
    """Return whether the image of the nine containers is `absent`, `outdated` or `current`."""
    labels = image_labels(IMAGE)
    if labels is None:
        return "absent"
    base = labels.get(BASE_LABEL, "")
    return "current" if base and labels.get(INPUTS_LABEL) == image_inputs(base) else "outdated"


def _docker(*arguments: str, seconds: float = 5) -> Result:
    """Ask Docker. An answer takes 0.2 s, but a busy engine must not be taken for a dead one."""
    return run(["docker", *arguments], seconds, separate=True)


def image_labels(image: str) -> dict[str, str] | None:
    """Return an image's labels, None when it is absent."""
    answer = _inspect(image, "{{json .Config.Labels}}")
    return json.loads(answer.output) or {} if answer.code == 0 else None


def _inspect(image: str, fields: str) -> Result:
    # A busy engine can take seconds over this, and an image taken for absent would be built again.
    return _docker("image", "inspect", "--format", fields, image, seconds=30)


def base_image() -> str:
    """Return the name of the image to build on that is here, nothing when none is.

    An image that was imported under Debian's name on this machine is not Debian's, so it is not used.
    """
    if is_here(DEBIAN_IMAGE) and not is_imported(DEBIAN_IMAGE):
        return DEBIAN_IMAGE
    return OWN_BASE if is_here(OWN_BASE) else ""


def is_here(image: str) -> bool:
    return _inspect(image, "{{.Id}}").code == 0


def is_imported(image: str) -> bool:
    """Tell whether an image is here that `docker import` made; it leaves that as the image's comment."""
    answer = _inspect(image, "{{.Comment}}")
    return answer.code == 0 and answer.output.strip().lower().startswith("imported from")


def image_inputs(base: str) -> str:
    """Return one hash of what the image is made from: the base image's name and the content of two files."""
    digest = hashlib.sha256(f"{base}\n".encode())
    for name in IMAGE_INPUTS:
        content = (paths.STACK / name).read_bytes()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def compose_version() -> str:
    """Return the version of Docker's plugin Compose, nothing where there is none."""
    answer = _docker(*ASK_COMPOSE)
    return answer.output.strip() if answer.code == 0 else ""


def new_enough(compose: str) -> bool:
    """Tell whether a version of Compose, like `2.26.1-4` or `v2.20.0`, knows `include`."""
    numbers = re.findall(r"\d+", compose)[:2]
    return tuple(map(int, numbers)) >= COMPOSE_MINIMUM


def ensure_compose(say: Say) -> None:
    """Fetch Docker's plugins Compose and buildx from the system's package source where they are missing or too old.

    Raises:
        ImageUnavailable: they cannot be had here, or no engine answers.
    """
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
    """Return which of Compose and buildx are missing or too old."""
    there = {"compose": new_enough(compose_version()), "buildx": _docker("buildx", "version").code == 0}
    return [name for name, usable in there.items() if not usable]


def _fetch_plugins(plugins: Sequence[str]) -> None:
    """Unpack plugins for this user. Each is a single file that runs on any release; Debian has them from trixie on."""
    advice = install_line("docker-plugins")
    mirror = debian_mirror()
    if mirror:
        packages = [f"docker-{name}" for name in plugins]
        advice = f"DRIVER=local {again('make stage-0 up')}"
    elif shutil.which("apt-get"):
        packages = ["docker-compose-v2" if name == "compose" else "docker-buildx" for name in plugins]
    else:
        raise ImageUnavailable(f"Docker's {' and '.join(plugins)} is missing or too old.", advice)
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
    """Write an apt source list that has only Debian 13; return its path."""
    path = paths.CACHE / "trixie.list"
    path.parent.mkdir(parents=True, exist_ok=True)
    options = f"[signed-by={DEBIAN_KEYRING}] " if DEBIAN_KEYRING.exists() else ""
    path.write_text(f"deb {options}{mirror} trixie main\n")
    return path


def ensure_base_image(say: Say) -> str:
    """Return the name of the image to build on: the one that is here, else pulled, else made here.

    Raises:
        ImageUnavailable: it can be neither pulled nor made.
    """
    if base := base_image():
        return base
    if is_imported(DEBIAN_IMAGE):
        say(f"The {DEBIAN_IMAGE} on this machine is a file system that was imported under that name; it is not used")
    say(f"Pulling {DEBIAN_IMAGE}")
    pulled = run(["docker", "pull", "--quiet", DEBIAN_IMAGE], 180)
    if pulled.code == 0:
        return DEBIAN_IMAGE
    problem = f"Docker cannot pull {DEBIAN_IMAGE} ({tail(pulled.output, 1)})"
    script = paths.STACK / "base-image.sh"
    by_hand = f"sudo {shlex.quote(str(script))}"
    mirror = debian_mirror()
    if mirror is None:
        message = f"{problem}, and this machine's apt configuration names no Debian mirror to make a base image from."
        raise ImageUnavailable(message, f"{by_hand} MIRROR   (MIRROR: the address of a Debian mirror)")
    if os.geteuid() != 0:
        raise ImageUnavailable(f"{problem}; making {OWN_BASE} from Debian's packages takes root.", by_hand)
    say(f"{problem}; making {OWN_BASE} from Debian's packages instead (once, about 45 s)")
    with one_at_a_time("base-image", say):
        if not is_here(OWN_BASE):
            # It unmounts and removes what it made before it ends.
            made = run([script, plain_mirror(mirror), OWN_BASE], 900, grace=15)
            if made.code != 0:
                raise ImageUnavailable(f"{OWN_BASE} could not be made:\n{tail(made.output)}", by_hand)
    return OWN_BASE


def ensure_stack_image(say: Say) -> None:
    """Build the image of all nine containers when it is absent, or its base, Dockerfile or requirements changed.

    Raises:
        ImageUnavailable: it cannot be built here.
    """
    if image_state() == "current":
        return
    ensure_compose(say)
    base = ensure_base_image(say)
    say(f"Building {IMAGE} (once, about a minute; all stages share it)")
    shown: set[str] = set()

    def show(line: str) -> None:
        step = BUILD_STEP.match(line)
        name = step and (step[1] or step[2])
        if name and name not in shown:
            shown.add(name)
            say(f"  {name}")

    build(build_command(base), IMAGE, show)


def build(command: Sequence[str], image: str, on_line: Say = lambda _: None) -> None:
    """Run the command that builds an image.

    Raises:
        ImageUnavailable: it failed.
    """
    built = run(command, 1800, on_line=on_line, env={"DOCKER_BUILDKIT": "1"})
    if built.code != 0:
        raise ImageUnavailable(f"{image} could not be built:\n{tail(built.output, 6)}", shlex.join(command))


def build_command(
    base: str, image: str = IMAGE, dockerfile: Path | None = None, context: Path | None = None
) -> list[str]:
    """Return the command that builds an image on `base`, without a `dockerfile` and `context` the one of all nine.

    Its labels say what it was made from.
    """
    labels = {BASE_LABEL: base, INPUTS_LABEL: image_inputs(base)} if image == IMAGE else {BASE_LABEL: base}
    command = ["docker", "build", "--progress=plain", f"--build-arg=BASE={base}", f"--tag={image}"]
    command += [f"--label={name}={value}" for name, value in labels.items()]
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"):
        if os.environ.get(name):
            command.append(f"--build-arg={name}")
    if authorities := host_authorities():
        command.append(f"--secret=id=host-ca,src={authorities}")
    return [*command, f"--file={dockerfile or paths.STACK / 'Dockerfile'}", str(context or paths.STACK)]


def host_authorities() -> Path | None:
    """Return the file of certificate authorities that this machine trusts; a proxy's own may be one of them."""
    candidates = (
        os.environ.get("SSL_CERT_FILE", ""),
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/cert.pem",
    )
    return next((Path(name) for name in candidates if name and Path(name).is_file()), None)
