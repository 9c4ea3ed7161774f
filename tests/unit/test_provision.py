"""Set-up without services and without network: what is found, decided and said."""

import ast
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import bootstrap
from clew import provision
from clew.core.errors import ClewError

needs_apt = pytest.mark.skipif(not shutil.which("apt-get"), reason="apt's own parser reads the sources")
MIRROR = "http://mirror.example/debian/"


def silent(text: str) -> None:
    pass


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """An empty checkout, whose path holds a space, in place of this one."""
    root = tmp_path / "a checkout"
    root.mkdir()
    places = {"ROOT": root, "STACK": root / "stack", "CLEW": root / ".clew", "CACHE": root / ".clew/cache"}
    for name, place in places.items():
        monkeypatch.setattr(provision, name, place)
    monkeypatch.setattr(bootstrap, "ROOT", str(root))
    monkeypatch.delenv("CLEW_COMMAND", raising=False)
    return root


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """A docker command that writes down what it is asked and then runs the given shell lines."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def install(lines: str) -> Path:
        program = folder / "docker"
        program.write_text(f'#!/bin/sh\necho "$*" >> "{tmp_path}/asked"\n{lines}\n')
        program.chmod(0o755)
        (tmp_path / "asked").touch()
        return tmp_path / "asked"

    return install


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


# Debian's mirror, from the machine's apt sources


def mirror_of(folder: Path, **sources: str) -> str | None:
    for name, text in sources.items():
        write(folder / "parts" / name.replace("_", "."), text)
    (folder / "state/lists/partial").mkdir(parents=True)
    places = {"Dir::Etc::sourcelist": "/dev/null", "Dir::Etc::sourceparts": folder / "parts"}
    options = [f"-o{name}={place}" for name, place in {**places, "Dir::State": folder / "state"}.items()]
    return provision.debian_mirror(*options)


DEB822 = """\
Types: deb deb-src
# the archive
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""


@needs_apt
@pytest.mark.parametrize(
    "text",
    [
        "deb http://mirror.example/debian trixie main",
        "deb http://mirror.example/debian/ trixie main contrib non-free-firmware",
        "deb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg] http://mirror.example/debian bookworm main",
        "# deb http://other.example/debian trixie main\ndeb http://mirror.example/debian trixie main # ours",
        "deb http://security.example/debian-security trixie-security main\n"
        "deb http://mirror.example/debian stable main",
        "deb cdrom:[Debian 13]/ trixie main\ndeb http://mirror.example/debian trixie main",
        "deb http://vendor.example/longer/path/apt trixie main\ndeb http://mirror.example/debian trixie main",
    ],
)
def test_mirror_in_one_line_format(tmp_path, text):
    assert mirror_of(tmp_path, sources_list=text + "\n") == MIRROR


@needs_apt
def test_mirror_in_deb822_format(tmp_path):
    assert mirror_of(tmp_path, debian_sources=DEB822) == MIRROR


@needs_apt
@pytest.mark.parametrize(
    "text",
    [
        DEB822.replace("Types: deb deb-src", "Enabled: no\nTypes: deb"),
        DEB822.replace("http://mirror.example/debian\nSuites: bookworm bookworm-updates", "x:/y\nSuites: noble"),
        "Types: deb\nURIs: http://archive.example/ubuntu\nSuites: noble noble-updates\nComponents: main universe\n",
    ],
    ids=["disabled", "other release", "ubuntu"],
)
def test_no_mirror_in_deb822_format(tmp_path, text):
    assert mirror_of(tmp_path, system_sources=text) is None


@needs_apt
@pytest.mark.parametrize(
    "text",
    [
        "",
        "# deb http://mirror.example/debian trixie main",
        "deb cdrom:[Debian 13]/ trixie main",
        "deb http://archive.example/ubuntu noble main",
    ],
    ids=["empty", "commented", "disc", "ubuntu"],
)
def test_no_mirror_in_one_line_format(tmp_path, text):
    assert mirror_of(tmp_path, sources_list=text + "\n") is None


def test_no_mirror_without_apt(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provision.debian_mirror() is None


@pytest.mark.parametrize("suite", ["bookworm-updates", "bookworm-security", "bookworm-backports", "noble"])
def test_only_the_archive_itself_is_picked(suite):
    assert provision.pick_mirror(f"{suite}\tmain\t{MIRROR}") is None
    assert provision.pick_mirror(f"bookworm\tcontrib\t{MIRROR}") is None
    assert provision.pick_mirror(f"{suite}\tmain\thttp://other.example/\nbookworm\tmain\t{MIRROR}") == MIRROR


def test_mirror_list_of_a_cloud_image(tmp_path):
    mirrors = write(tmp_path / "debian.list", f"# nearest first\n{MIRROR}\tpriority:1\nhttp://far.example/debian\n")
    assert provision.plain_mirror(f"mirror+file:{mirrors}/") == MIRROR
    assert provision.plain_mirror(MIRROR) == MIRROR


# Packages, from a package source made here


@pytest.fixture
def source(tmp_path):
    """A package source in a folder: clew-outer needs clew-inner."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        pytest.skip("needs apt-get and dpkg-deb")
    folder = tmp_path / "source"
    index = ""
    for name, needs in (("clew-outer", "Depends: clew-inner\n"), ("clew-inner", "")):
        control = f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: x <x@x>\nDescription: x\n{needs}"
        write(tmp_path / name / "DEBIAN/control", control)
        write(tmp_path / name / "usr/share" / name, name)
        folder.mkdir(exist_ok=True)
        deb = folder / f"{name}.deb"
        subprocess.run(["dpkg-deb", "--build", tmp_path / name, deb], check=True, capture_output=True)
        content = deb.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        index += f"{control}Filename: ./{deb.name}\nSize: {len(content)}\nSHA256: {digest}\n\n"
    write(folder / "Packages", index)
    return write(tmp_path / "own.list", f"deb [trusted=yes] copy:{folder} ./\n")


@pytest.mark.parametrize(("dependencies", "unpacked"), [(True, {"clew-outer", "clew-inner"}), (False, {"clew-outer"})])
def test_unpacks_a_package(checkout, source, dependencies, unpacked):
    target = checkout / ".clew/cache/debs/it"
    provision.unpack_debs(["clew-outer"], target, "advice", dependencies=dependencies, sources=source)
    assert {path.name for path in (target / "usr/share").iterdir()} == unpacked
    assert [path.name for path in target.parent.iterdir()] == ["it"]


def test_says_which_package_is_not_there(checkout, source):
    target = checkout / "it"
    with pytest.raises(ClewError, match=r"(?s)clew-nowhere.*\nNext: sudo line$"):
        provision.unpack_debs(["clew-nowhere"], target, "sudo line", dependencies=False, sources=source)
    assert not target.exists()


@needs_apt
def test_says_that_there_is_no_network(checkout, tmp_path, monkeypatch):
    monkeypatch.setenv("CLEW_COMMAND", "make stage-3 up")
    closed = write(tmp_path / "closed.list", "deb [trusted=yes] http://127.0.0.1:9/ ./\n")
    with pytest.raises(ClewError, match=r"(?s)no network\?.*127\.0\.0\.1.*\nNext: make stage-3 up$"):
        provision.unpack_debs(["nginx"], checkout / "it", "sudo line", dependencies=True, sources=closed)


def test_wrapper_brings_the_libraries(tmp_path):
    tree = tmp_path / "unpacked here"
    program = write(tree / "usr/sbin/prog", '#!/bin/sh\necho "$LD_LIBRARY_PATH|$*|$$"\n')
    program.chmod(0o755)
    write(tree / "usr/lib/x86_64-linux-gnu/libx.so.1", "")
    wrapper = provision.write_wrapper(tree, "prog")
    process = subprocess.Popen([wrapper, "-p", "a b"], stdout=subprocess.PIPE, text=True)
    libraries = tree / "usr/lib/x86_64-linux-gnu"
    assert process.communicate()[0] == f"{libraries}|-p a b|{process.pid}\n"


@pytest.mark.parametrize("ensure", [provision.ensure_nginx, provision.ensure_redis])
def test_machine_without_a_known_package_manager(checkout, monkeypatch, ensure):
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    with pytest.raises(ClewError, match=r"not on this machine\.\nNext: .*install.*nginx.*redis"):
        ensure(silent)
    assert not (checkout / ".clew").exists()


@pytest.mark.parametrize(("tool", "line"), [("dnf", "sudo dnf install nginx"), ("apk", "sudo apk add nginx")])
def test_install_line_fits_the_machine(monkeypatch, tool, line):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}" if name == tool else None)
    assert provision.install_line().startswith(line)


def test_install_line_of_a_mac(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert provision.install_line() == "brew install nginx redis"


def test_unpacked_program_is_found(checkout, monkeypatch):
    monkeypatch.setenv("PATH", str(checkout))
    program = write(checkout / ".clew/cache/debs/valkey-server/valkey-server", "")
    program.chmod(0o755)
    assert provision.find_redis() in {program, Path("/usr/sbin/redis-server")}


# Commands and locks


def test_command_gives_code_and_output():
    lines: list[str] = []
    code, text = provision.run(
        ["sh", "-c", "echo out; echo $X >&2; exit 3"], 10, on_line=lines.append, env={"X": "err"}
    )
    assert (code, text, lines) == (3, "out\nerr", ["out", "err"])


def test_command_that_is_not_there():
    code, text = provision.run(["/nonexistent/tool"], 10)
    assert code == 127
    assert "/nonexistent/tool" in text


def test_command_past_its_deadline_ends_with_its_children():
    started = time.monotonic()
    code, text = provision.run(["sh", "-c", "sleep 31.4159 & echo $!; wait"], 0.3)
    assert code != 0
    assert "stopped after" in text
    assert time.monotonic() - started < 5
    child = Path("/proc", text.split()[0], "cmdline")
    assert not child.exists() or b"31.4159" not in child.read_bytes()


def test_second_caller_waits_and_gives_up_at_the_deadline(checkout):
    said: list[str] = []
    with provision.one_at_a_time("it", silent):
        second = provision.one_at_a_time("it", said.append, 0.3)
        with pytest.raises(ClewError, match=r"Another command has held .*\nNext: fuser"), second:
            pass
        with provision.one_at_a_time("something else", silent, 0.3):
            pass
    assert len(said) == 1
    with provision.one_at_a_time("it", said.append, 0.3):
        pass
    assert len(said) == 1


def test_child_keeps_the_lock(checkout):
    with provision.one_at_a_time("it", silent) as lock:
        _, child = provision.run(["sh", "-c", "sleep 30 >/dev/null 2>&1 & echo $!"], 10, pass_fds=[lock])
    try:
        with pytest.raises(ClewError), provision.one_at_a_time("it", silent, 0.3):
            pass
    finally:
        os.kill(int(child), signal.SIGKILL)
    with provision.one_at_a_time("it", silent, 10):
        pass


def test_error_ends_with_what_to_type():
    error = ClewError("It is broken.", "make doctor")
    assert str(error) == "It is broken.\nNext: make doctor"
    assert (error.message, error.next_step) == ("It is broken.", "make doctor")


@pytest.mark.parametrize(
    ("code", "writable", "step"),
    [(28, True, "df -h ."), (13, True, "sudo chown -R"), (30, False, "cp -r ")],
    ids=["disk full", "belongs to root", "read-only"],
)
def test_what_to_do_when_nothing_can_be_written(checkout, monkeypatch, code, writable, step):
    monkeypatch.setattr(os, "access", lambda path, mode: writable)
    error = provision.not_writable(checkout / ".venv", OSError(code, os.strerror(code)))
    assert error.next_step.startswith(step)
    assert os.strerror(code) in error.message


# Docker

CURRENT = 'case "$*" in "image inspect"*) echo "{\\"clew.inputs\\": \\"$INPUTS\\"}";; *) echo 2.26;; esac'


@pytest.fixture
def image_files(checkout):
    write(checkout / "stack/Dockerfile", "FROM x\n")
    write(checkout / "stack/requirements/run.txt", "celery==5\n")
    return checkout / "stack"


def test_image_hash_changes_with_what_the_image_is_made_from(image_files):
    first = provision.image_inputs()
    write(image_files / "requirements/test.txt", "pytest==9\n")
    write(image_files / "taskqueue/app.py", "")
    assert provision.image_inputs() == first
    write(image_files / "requirements/run.txt", "celery==6\n")
    second = provision.image_inputs()
    write(image_files / "Dockerfile", "FROM y\n")
    assert len({first, second, provision.image_inputs()}) == 3


def test_no_docker_command(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    state = provision.docker_state()
    assert not state.reachable
    assert state.reasons == ("The docker command is not on this machine.",)


def test_no_docker_engine(docker, image_files):
    docker("echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    state = provision.docker_state()
    assert not state.reachable
    assert state.reasons == ("No Docker engine answers: Cannot connect to the Docker daemon",)


def test_docker_with_all_it_needs(docker, image_files, monkeypatch):
    docker(CURRENT)
    monkeypatch.setenv("INPUTS", provision.image_inputs())
    state = provision.docker_state()
    assert state.base_image
    assert (state.version, state.compose, state.image, state.reasons) == ("2.26", "2.26", "current", ())


def test_image_of_an_older_dockerfile(docker, image_files, monkeypatch):
    docker(CURRENT)
    monkeypatch.setenv("INPUTS", "another")
    state = provision.docker_state()
    assert state.image == "outdated"
    assert state.reasons == ("The image clew-stack:latest is outdated.",)


def test_engine_without_plugins_and_images(docker, image_files):
    docker('[ "$1" = version ] && echo 20.10')
    state = provision.docker_state()
    assert state.reachable
    assert (state.version, state.compose, state.buildx, state.image) == ("20.10", "", "", "absent")
    assert len(state.reasons) == 4


def test_nothing_is_built_when_the_image_is_current(docker, image_files, monkeypatch):
    asked = docker(CURRENT)
    monkeypatch.setenv("INPUTS", provision.image_inputs())
    provision.ensure_stack_image(silent)
    assert all(line.startswith("image inspect") for line in asked.read_text().splitlines())


def test_outdated_image_is_built_with_its_hash(docker, image_files, monkeypatch):
    asked = docker(CURRENT)
    monkeypatch.setenv("INPUTS", "another")
    provision.ensure_stack_image(silent)
    build = [line for line in asked.read_text().splitlines() if line.startswith("build ")]
    assert len(build) == 1
    assert f"--label=clew.inputs={provision.image_inputs()}" in build[0]


def test_build_that_fails_names_the_command(docker, image_files, monkeypatch):
    docker(f'[ "$1" = build ] && {{ echo "no space left"; exit 1; }}; {CURRENT}')
    monkeypatch.setenv("INPUTS", "another")
    with pytest.raises(
        provision.ImageUnavailable, match=r"(?s)no space left\nNext: docker build .*'--file=.*a checkout"
    ):
        provision.ensure_stack_image(silent)


def test_progress_names_the_stages_of_the_dockerfile(docker, image_files, monkeypatch):
    lines = ["#4 [debian-packages 1/2] FROM x", "#5 [debian-packages 2/2] RUN y", "#5 0.3 y", "#6 exporting layers"]
    write(image_files / "log", "\n".join(lines))
    docker(f'[ "$1" = build ] && cat "{image_files}/log"; {CURRENT}')
    monkeypatch.setenv("INPUTS", "another")
    said: list[str] = []
    provision.ensure_stack_image(said.append)
    assert said[1:] == ["  debian-packages", "  exporting layers"]


def test_build_passes_the_proxy_and_the_certificates(monkeypatch, tmp_path):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(write(tmp_path / "ca.pem", "x")))
    command = provision.build_command("abc")
    assert [word for word in command if "PROXY" in word] == ["--build-arg=HTTPS_PROXY"]
    assert f"--secret=id=host-ca,src={tmp_path}/ca.pem" in command


NO_PULL = 'case "$1" in pull) echo "no such host" >&2;; esac; exit 1'


def test_base_image_without_a_mirror(docker, checkout, monkeypatch):
    docker(NO_PULL)
    monkeypatch.setattr(provision, "debian_mirror", lambda: None)
    with pytest.raises(provision.ImageUnavailable, match=r"no such host.*no Debian mirror.*\nNext: sudo .* MIRROR"):
        provision.ensure_base_image(silent)


def test_base_image_without_root(docker, checkout, monkeypatch):
    docker(NO_PULL)
    monkeypatch.setattr(provision, "debian_mirror", lambda: MIRROR)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(provision.ImageUnavailable, match=r"no such host.*takes root\.\nNext: sudo .*base-image\.sh'$"):
        provision.ensure_base_image(silent)


def test_base_image_is_made_where_it_cannot_be_pulled(docker, checkout, monkeypatch):
    docker(NO_PULL)
    monkeypatch.setattr(provision, "debian_mirror", lambda: MIRROR)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    write(checkout / "stack/base-image.sh", f'#!/bin/sh\necho "$*" > "{checkout}/made"\n').chmod(0o755)
    said: list[str] = []
    provision.ensure_base_image(said.append)
    assert (checkout / "made").read_text() == f"{MIRROR} debian:trixie-slim\n"
    assert "no such host" in said[-1]


def test_plugins_where_no_engine_answers(docker, checkout):
    docker("exit 1")
    with pytest.raises(provision.ImageUnavailable, match=r"No Docker engine answers\.\nNext: "):
        provision.ensure_compose(silent)


# The stamps of bootstrap.py


@pytest.fixture
def installed(checkout):
    """An environment in which `run` is installed."""
    write(checkout / "stack/requirements/run.txt", "celery==5\n")
    write(checkout / "stack/requirements/test.txt", "pytest==9\n")
    write(checkout / "python3.11", "")
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/bin/python").symlink_to(checkout / "python3.11")
    (checkout / ".venv/made").write_bytes(bootstrap.stamp(b""))
    (checkout / ".venv/made-run").write_bytes(bootstrap.stamp(b"celery==5\n"))
    return checkout


def test_nothing_to_do(installed, monkeypatch):
    monkeypatch.setattr(bootstrap, "set_up", lambda groups: pytest.fail("there was nothing to do"))
    bootstrap.main(["run"])
    bootstrap.main([])


def test_other_group_is_missing(installed):
    assert bootstrap.missing(["run", "test"]) == ["test"]


def test_changed_requirements_are_installed_again(installed):
    write(installed / "stack/requirements/run.txt", "celery==6\n")
    assert bootstrap.missing(["run"]) == ["run"]
    assert bootstrap.is_made()


def test_half_made_environment_is_made_anew(installed):
    (installed / ".venv/made").unlink()
    assert bootstrap.missing(["run"]) == ["run"]
    assert not bootstrap.is_made()


def test_python_that_vanished(installed):
    (installed / "python3.11").unlink()
    assert not bootstrap.is_made()


def test_python_that_was_replaced(installed):
    (installed / ".venv/bin/python").unlink()
    (installed / ".venv/bin/python").symlink_to(write(installed / "python3.13", ""))
    assert not bootstrap.is_made()


def test_checkout_that_moved(installed, monkeypatch):
    moved = installed.rename(installed.parent / "moved")
    monkeypatch.setattr(bootstrap, "ROOT", str(moved))
    (moved / ".venv/bin/python").unlink()
    (moved / ".venv/bin/python").symlink_to(write(installed / "python3.11", ""))
    assert not bootstrap.is_made()


def test_interrupted_package_is_forgotten(installed):
    packages = installed / ".venv/lib/python3.11/site-packages"
    write(packages / "whole-1.dist-info/RECORD", "")
    write(packages / "half-1.dist-info/METADATA", "")
    bootstrap.forget_unfinished_packages()
    assert [path.name for path in packages.iterdir()] == ["whole-1.dist-info"]


def test_unknown_group(checkout):
    with pytest.raises(SystemExit, match=r"No such group: nope\.\nNext: python3 stack/bootstrap\.py run"):
        bootstrap.main(["run", "nope"])


@pytest.mark.parametrize(
    ("printed", "cause"),
    [
        ("WARNING: Retrying (Retry(total=0\nERROR: No matching distribution found for celery", "no network"),
        ("ERROR: No matching distribution found for numpy==2", "no ready-made package"),
        ("SSLError CERTIFICATE_VERIFY_FAILED\nWARNING: Retrying (", "PIP_CERT"),
        ("ERROR: something new", "Installing failed.\nERROR: something new"),
    ],
)
def test_cause_of_a_failed_install(printed, cause):
    error = bootstrap.failure("Installing", printed, "make test")
    assert cause in error.message
    assert "WARNING" not in error.message
    assert error.next_step == "make test"


def test_older_pythons_can_read_the_version_check():
    ast.parse(Path(bootstrap.__file__).read_text(), feature_version=(3, 7))
