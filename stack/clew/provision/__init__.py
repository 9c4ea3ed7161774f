"""What the drivers need on this machine, found or fetched: nginx, Redis, Docker's plugins and the images.

Nothing is installed into the system. Packages are unpacked under `.clew/cache`, with or without root: an
installed nginx or Redis would start as a service, at once and at every boot, and take ports 80 and 6379.
Only the standard library, because `bootstrap.py` uses this module before anything else is there.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from clew.core.errors import ClewError

ROOT = Path(__file__).resolve().parents[3]
STACK = ROOT / "stack"
CLEW = ROOT / ".clew"
CACHE = CLEW / "cache"

BASE_IMAGE = "debian:trixie-slim"
IMAGE = "clew-stack:latest"
INPUTS_LABEL = "clew.inputs"
IMAGE_INPUTS = ("Dockerfile", "requirements/run.txt")

BUILD_STEP = re.compile(r"#\d+ (?:\[([a-z-]+) +\d+/\d+\]|(exporting layers))")

DEBIAN_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
DEBIAN_RELEASES = {"bullseye", "bookworm", "trixie", "forky", "duke", "sid",
                   "oldstable", "stable", "testing", "unstable"}  # fmt: skip
LISTS_STAY_FRESH = 3600.0

INSTALL_LINES = {
    "apt-get": "sudo apt-get install --no-install-recommends nginx redis-server",
    "dnf": "sudo dnf install nginx valkey",
    "brew": "brew install nginx redis",
    "apk": "sudo apk add nginx redis",
    "pacman": "sudo pacman -S nginx valkey",
}

Say = Callable[[str], None]


class ImageUnavailable(ClewError):
    """Docker cannot run the nine containers here; the local driver can run the same nine programs."""


# Commands and locks


def run(
    command: Sequence[str | Path],
    seconds: float,
    *,
    on_line: Say | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    pass_fds: Sequence[int] = (),
) -> tuple[int, str]:
    """Runs a command to its end or its deadline; gives its exit code and everything it printed."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            env=None if env is None else {**os.environ, **env},
            cwd=cwd,
            pass_fds=pass_fds,
        )
    except OSError as error:
        return 127, f"{command[0]}: {error.strerror}"
    assert process.stdout is not None
    lines: list[str] = []

    def expire() -> None:
        lines.append(f"stopped after {seconds:.0f} s")
        _stop(process)

    deadline = threading.Timer(seconds, expire)
    deadline.start()
    try:
        for line in process.stdout:
            lines.append(line.rstrip())
            if on_line:
                on_line(line.rstrip())
        return process.wait(), "\n".join(lines)
    except BaseException:
        _stop(process)
        raise
    finally:
        deadline.cancel()


def _stop(process: subprocess.Popen[str]) -> None:
    """Ends a command and its children; they get five seconds to clean up."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def tail(text: str, count: int = 3) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "\n".join(lines[-count:]) or "it printed nothing"


@contextmanager
def one_at_a_time(name: str, say: Say, seconds: float = 900.0) -> Iterator[int]:
    """Holds a lock of this checkout; a child that inherits the yielded descriptor holds it to its own end."""
    path = CLEW / f"{name}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    except OSError as error:
        raise not_writable(path, error) from error
    with file:
        deadline = time.monotonic() + seconds
        told = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    message = f"Another command has held {path} for more than {seconds:.0f} s."
                    raise ClewError(message, f"fuser -v '{path}'") from None
            if not told:
                say("Another command is setting up this checkout; waiting for it")
                told = True
            time.sleep(0.1)
        yield file.fileno()


def not_writable(path: Path | str, error: OSError) -> ClewError:
    message = f"Cannot write {path}: {error.strerror}."
    if error.errno == errno.ENOSPC:
        return ClewError(message, "df -h .")
    if os.access(ROOT, os.W_OK):  # then root made .venv or .clew earlier
        return ClewError(message, f"sudo chown -R $(id -u):$(id -g) '{ROOT}'")
    return ClewError(message, f"cp -r '{ROOT}' ~/clew && cd ~/clew")


# Debian's packages, without root and without touching the system


def apt(home: Path, *arguments: str) -> list[str]:
    """An apt-get command whose lists and downloads live under `home`."""
    options = {
        "Dir::State": home / "state",
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": home / "cache",
        "Debug::NoLocking": "true",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Acquire::Retries": "1",
        "Acquire::http::Timeout": "20",
        "Acquire::https::Timeout": "20",
    }
    return ["apt-get", "-y", *(f"-o{name}={value}" for name, value in options.items()), *arguments]


def unpack_debs(
    packages: Sequence[str], target: Path, advice: str, *, dependencies: bool, sources: Path | None = None
) -> None:
    """Downloads Debian packages and unpacks them into the folder `target`.

    With `dependencies` also what they need and this machine lacks. `sources` replaces the machine's own apt
    sources; `advice` is what to type when it fails.
    """
    home = CACHE / ("apt" if sources is None else f"apt-{sources.stem}")
    own = [] if sources is None else [f"-oDir::Etc::sourcelist={sources}", "-oDir::Etc::sourceparts=-"]
    goal = ["install", "--no-install-recommends", "--download-only"] if dependencies else ["download"]
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    trouble = refresh_lists(home, own)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".part-") as part:
        archives, tree = Path(part, "archives"), Path(part, "tree")
        (archives / "partial").mkdir(parents=True)
        tree.mkdir()
        into = f"-oDir::Cache::archives={archives}"
        code, text = run(apt(home, *own, into, *goal, *packages), 300, cwd=archives)
        debs = sorted(archives.glob("*.deb"))
        if code != 0 or not debs:
            (home / "refreshed").unlink(missing_ok=True)
            if trouble:
                raise ClewError(f"A package source gives trouble (no network?): {trouble}", again(advice))
            raise ClewError(f"apt-get could not download {' '.join(packages)}:\n{tail(text)}", advice)
        for deb in debs:
            code, text = run(["dpkg", "-x", deb, tree], 60)
            if code != 0:
                raise ClewError(f"dpkg could not unpack {deb.name}:\n{tail(text)}", advice)
        tree.rename(target)


def refresh_lists(home: Path, own: Sequence[str]) -> str:
    """Brings apt's private lists up to date; gives what it complained about.

    That is no error yet: with one source out of reach the others may hold all that is needed.
    """
    refreshed = home / "refreshed"
    if refreshed.exists() and time.time() - refreshed.stat().st_mtime < LISTS_STAY_FRESH:
        return ""
    (home / "state" / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    _, text = run(apt(home, *own, "update"), 300)
    complaints = [line for line in text.splitlines() if line.startswith(("E: ", "W: Failed to fetch "))]
    if not complaints:
        refreshed.touch()
    return "".join(complaints[:1])


def again(advice: str) -> str:
    """What the person typed, where the Makefile says what that was."""
    return os.environ.get("CLEW_COMMAND") or advice


def pick_mirror(targets: str) -> str | None:
    """Debian's own archive among the lines `release<TAB>component<TAB>address` of apt's sources."""
    rows = [line.split("\t") for line in targets.splitlines()]
    archives = [
        address
        for release, component, address in rows
        if release in DEBIAN_RELEASES and component == "main" and not address.startswith("cdrom:")
    ]
    # Vendors' repositories may use Debian's release names too, but not its path.
    return max(archives, key=lambda address: "/debian" in address, default=None)


def debian_mirror(*options: str) -> str | None:
    """The address of Debian's archive as this machine's own apt configuration names it; None on Ubuntu."""
    listing = ["apt-get", "indextargets", "--no-release-info", *options]
    fields = "$(RELEASE)\t$(COMPONENT)\t$(REPO_URI)"
    code, text = run([*listing, "--format", fields, "Created-By: Packages"], 20)
    return pick_mirror(text) if code == 0 else None


def plain_mirror(address: str) -> str:
    """debootstrap knows no `mirror+file:` (Debian's cloud images use it): the first address in that file."""
    if not address.startswith("mirror+file:"):
        return address
    lines = Path("/" + address.removeprefix("mirror+file:").strip("/")).read_text().splitlines()
    return next(line.split()[0] for line in lines if line.strip() and not line.startswith("#"))


# nginx and Redis


def find_nginx() -> Path | None:
    return _find("nginx")


def find_redis() -> Path | None:
    return _find("redis-server") or _find("valkey-server")


def ensure_nginx(say: Say) -> Path:
    return find_nginx() or _fetch_program("nginx", say)


def ensure_redis(say: Say) -> Path:
    return find_redis() or _fetch_program("redis-server", say)


def _find(name: str) -> Path | None:
    path = os.environ.get("PATH", os.defpath)
    found = shutil.which(name, path=f"{path}:/usr/local/sbin:/usr/sbin:/sbin:{CACHE / 'debs' / name}")
    return Path(found) if found else None


def _fetch_program(name: str, say: Say) -> Path:
    """Unpacks the Debian package that is named like its program."""
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise ClewError(f"{name} is not on this machine.", install_line())
    target = CACHE / "debs" / name
    with one_at_a_time("packages", say):
        if found := _find(name):
            return found
        say(f"Unpacking {name} from the system's package source into .clew/cache (once; a few seconds)")
        try:
            unpack_debs([name], target, install_line(), dependencies=True)
            program = write_wrapper(target, name)
        except OSError as error:
            raise not_writable(target, error) from error
        code, text = run([program, "-v"], 10)
        if code != 0:
            shutil.rmtree(target)
            raise ClewError(f"The unpacked {name} does not run here:\n{tail(text)}", install_line())
    return program


def write_wrapper(tree: Path, name: str) -> Path:
    """A start script, so that callers need not know where the program and its libraries lie."""
    program = tree / "usr/sbin" / name
    if not program.exists():
        program = tree / "usr/bin" / name
    folders = sorted({path.parent.relative_to(tree) for path in tree.glob("**/lib/**/*.so*")})
    libraries = ":".join(f"$here/{folder}" for folder in folders)
    wrapper = tree / name
    wrapper.write_text(
        "#!/bin/sh\n"
        'here=$(cd "$(dirname "$0")" && pwd)\n'
        f'LD_LIBRARY_PATH="{libraries}" exec "$here/{program.relative_to(tree)}" "$@"\n'
    )
    wrapper.chmod(0o755)
    return wrapper


def install_line() -> str:
    if sys.platform == "darwin":
        return INSTALL_LINES["brew"]
    known = [line for tool, line in INSTALL_LINES.items() if shutil.which(tool)]
    return (known or [INSTALL_LINES["apt-get"]])[0]


# Docker


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
    return answer.stdout.strip() if answer.returncode == 0 else ""


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
    if engine.returncode != 0:
        return DockerState(reasons=(f"No Docker engine answers: {tail(engine.stderr, 1)}",))
    state = DockerState(
        version=engine.stdout.strip(),
        compose=compose.stdout.strip() if compose.returncode == 0 else "",
        buildx=buildx.stdout.strip() if buildx.returncode == 0 else "",
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


def _docker(*arguments: str, seconds: float = 5) -> subprocess.CompletedProcess[str]:
    """A question to Docker: answered in 0.2 s, but a busy engine is not to be taken for a dead one."""
    command = ["docker", *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL)
    except OSError as error:
        return subprocess.CompletedProcess(command, 127, "", str(error))
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", f"no answer within {seconds:.0f} s")


def image_labels(image: str) -> dict[str, str] | None:
    # A busy engine can take seconds over this, and an image taken for absent would be made anew.
    answer = _docker("image", "inspect", "--format", "{{json .Config.Labels}}", image, seconds=30)
    return json.loads(answer.stdout) or {} if answer.returncode == 0 else None


def image_inputs() -> str:
    """The content the image is made from, as one hash."""
    digest = hashlib.sha256()
    for name in IMAGE_INPUTS:
        content = (STACK / name).read_bytes()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def ensure_compose(say: Say) -> None:
    """Docker's plugins Compose v2 and buildx, from the system's package source where they are missing."""
    if not missing_plugins():
        return
    if _docker("version").returncode != 0:
        raise ImageUnavailable("No Docker engine answers.", "docker info")
    with one_at_a_time("packages", say):
        if plugins := missing_plugins():
            say(f"Fetching Docker's {' and '.join(plugins)} for ~/.docker/cli-plugins (once; about 10 s)")
            _fetch_plugins(plugins)
    if left := missing_plugins():
        raise ImageUnavailable(f"Docker does not accept its plugins {' and '.join(left)}.", "docker info")


def missing_plugins() -> list[str]:
    return [name for name in ("compose", "buildx") if _docker(name, "version").returncode != 0]


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
    tree = CACHE / "debs" / "docker-plugins"
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
    path = CACHE / "trixie.list"
    path.parent.mkdir(parents=True, exist_ok=True)
    options = f"[signed-by={DEBIAN_KEYRING}] " if DEBIAN_KEYRING.exists() else ""
    path.write_text(f"deb {options}{mirror} trixie main\n")
    return path


def ensure_base_image(say: Say) -> None:
    if image_labels(BASE_IMAGE) is not None:
        return
    say(f"Pulling {BASE_IMAGE}")
    code, text = run(["docker", "pull", "--quiet", BASE_IMAGE], 180)
    if code == 0:
        return
    problem = f"Docker cannot pull {BASE_IMAGE} ({tail(text, 1)})"
    by_hand = f"sudo '{STACK / 'base-image.sh'}'"
    mirror = debian_mirror()
    if mirror is None:
        message = f"{problem}, and this machine's apt configuration names no Debian mirror to make it from."
        raise ImageUnavailable(message, f"{by_hand} MIRROR   (MIRROR: the address of a Debian mirror)")
    if os.geteuid() != 0:
        raise ImageUnavailable(f"{problem}; making it from Debian's packages takes root.", by_hand)
    say(f"{problem}; making it from Debian's packages instead (once, about 45 s)")
    with one_at_a_time("base-image", say):
        if image_labels(BASE_IMAGE) is None:
            code, text = run([STACK / "base-image.sh", plain_mirror(mirror), BASE_IMAGE], 900)
            if code != 0:
                raise ImageUnavailable(f"{BASE_IMAGE} could not be made:\n{tail(text)}", by_hand)


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
    code, text = run(command, 1800, on_line=show, env={"DOCKER_BUILDKIT": "1"})
    if code != 0:
        raise ImageUnavailable(f"{IMAGE} could not be built:\n{tail(text, 6)}", shlex.join(command))


def build_command(inputs: str) -> list[str]:
    command = ["docker", "build", "--progress=plain", f"--label={INPUTS_LABEL}={inputs}", f"--tag={IMAGE}"]
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"):
        if os.environ.get(name):
            command.append(f"--build-arg={name}")
    if authorities := host_authorities():
        command.append(f"--secret=id=host-ca,src={authorities}")
    return [*command, f"--file={STACK / 'Dockerfile'}", str(STACK)]


def host_authorities() -> Path | None:
    """The certificates this machine trusts; a proxy's own one may be among them."""
    candidates = (
        os.environ.get("SSL_CERT_FILE", ""),
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/cert.pem",
    )
    return next((Path(name) for name in candidates if name and Path(name).is_file()), None)
