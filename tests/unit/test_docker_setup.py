"""What Docker needs to run the containers, asked of a docker command that only pretends."""

import os

import pytest

from clew.provision import docker as setup

MIRROR = "http://mirror.example/debian/"


CURRENT = """
labels='{"clew.base": "'$BASE'", "clew.inputs": "'$INPUTS'"}'
case "$*" in
"image inspect --format {{json .Config.Labels}}"*) echo "$labels";;
"image inspect --format {{.Comment}}"*) echo "debuerreotype 0.16";;
*) echo 2.26;;
esac"""


@pytest.fixture
def image_files(checkout, write):
    write(checkout / "stack/Dockerfile", "FROM x\n")
    write(checkout / "stack/requirements/run.txt", "celery==5\n")
    return checkout / "stack"


def test_image_hash_changes_with_what_the_image_is_made_from(image_files, write):
    first = setup.image_inputs("debian:x")
    write(image_files / "requirements/test.txt", "pytest==9\n")
    write(image_files / "taskqueue/app.py", "")
    assert setup.image_inputs("debian:x") == first
    assert setup.image_inputs("clew-base:x") != first
    write(image_files / "requirements/run.txt", "celery==6\n")
    second = setup.image_inputs("debian:x")
    write(image_files / "Dockerfile", "FROM y\n")
    assert len({first, second, setup.image_inputs("debian:x")}) == 3


def test_no_docker_command(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    state = setup.docker_state()
    assert not state.reachable
    assert state.reasons == ("The docker command is not on this machine.",)


def test_no_docker_engine(docker, image_files):
    docker("echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    state = setup.docker_state()
    assert not state.reachable
    assert state.reasons == ("No Docker engine answers: Cannot connect to the Docker daemon",)


def test_docker_with_all_it_needs(docker, image_files, monkeypatch):
    docker(CURRENT)
    monkeypatch.setenv("BASE", setup.OWN_BASE)
    monkeypatch.setenv("INPUTS", setup.image_inputs(setup.OWN_BASE))
    state = setup.docker_state()
    assert state.base == "debian:trixie-slim"
    assert (state.version, state.compose, state.image, state.reasons) == ("2.26", "2.26", "current", ())


def test_image_of_an_older_dockerfile(docker, image_files, monkeypatch):
    docker(CURRENT)
    monkeypatch.setenv("INPUTS", "another")
    state = setup.docker_state()
    assert state.image == "outdated"
    assert state.reasons == ("The image clew-stack:latest is outdated.",)


def test_engine_without_plugins_and_images(docker, image_files):
    docker('[ "$1" = version ] && echo 20.10')
    state = setup.docker_state()
    assert state.reachable
    assert (state.version, state.compose, state.buildx, state.image) == ("20.10", "", "", "absent")
    assert len(state.reasons) == 4


def test_nothing_is_built_when_the_image_is_current(docker, image_files, monkeypatch):
    asked = docker(CURRENT)
    monkeypatch.setenv("BASE", setup.OWN_BASE)
    monkeypatch.setenv("INPUTS", setup.image_inputs(setup.OWN_BASE))
    setup.ensure_stack_image(print)
    assert all(line.startswith("image inspect") for line in asked.read_text().splitlines())


def test_outdated_image_is_built_with_its_hash(docker, image_files, monkeypatch):
    asked = docker(CURRENT)
    monkeypatch.setenv("INPUTS", "another")
    setup.ensure_stack_image(print)
    build = [line for line in asked.read_text().splitlines() if line.startswith("build ")]
    assert len(build) == 1
    assert f"--label=clew.inputs={setup.image_inputs(setup.DEBIAN_IMAGE)}" in build[0]


def test_build_that_fails_names_the_command(docker, image_files, monkeypatch):
    docker(f'[ "$1" = build ] && {{ echo "no space left"; exit 1; }}; {CURRENT}')
    monkeypatch.setenv("INPUTS", "another")
    with pytest.raises(setup.ImageUnavailable, match=r"(?s)no space left\nNext: docker build .*'--file=.*a checkout"):
        setup.ensure_stack_image(print)


def test_progress_names_the_stages_of_the_dockerfile(docker, image_files, monkeypatch, write):
    lines = ["#4 [debian-packages 1/2] FROM x", "#5 [debian-packages 2/2] RUN y", "#5 0.3 y", "#6 exporting layers"]
    write(image_files / "log", "\n".join(lines))
    docker(f'[ "$1" = build ] && cat "{image_files}/log"; {CURRENT}')
    monkeypatch.setenv("INPUTS", "another")
    said: list[str] = []
    setup.ensure_stack_image(said.append)
    assert said[1:] == ["  debian-packages", "  exporting layers"]


def test_build_passes_the_proxy_and_the_certificates(monkeypatch, tmp_path, write):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(write(tmp_path / "ca.pem", "x")))
    command = setup.build_command("debian:x")
    assert [word for word in command if "PROXY" in word] == ["--build-arg=HTTPS_PROXY"]
    assert f"--secret=id=host-ca,src={tmp_path}/ca.pem" in command


NO_PULL = 'case "$1" in pull) echo "no such host" >&2;; esac; exit 1'


def test_base_image_without_a_mirror(docker, checkout, monkeypatch):
    docker(NO_PULL)
    monkeypatch.setattr(setup, "debian_mirror", lambda: None)
    with pytest.raises(setup.ImageUnavailable, match=r"no such host.*no Debian mirror.*\nNext: sudo .* MIRROR"):
        setup.ensure_base_image(print)


def test_base_image_without_root(docker, checkout, monkeypatch):
    docker(NO_PULL)
    monkeypatch.setattr(setup, "debian_mirror", lambda: MIRROR)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(setup.ImageUnavailable, match=r"no such host.*takes root\.\nNext: sudo .*base-image\.sh'$"):
        setup.ensure_base_image(print)


def test_base_image_is_made_where_it_cannot_be_pulled(docker, checkout, monkeypatch, write):
    docker(NO_PULL)
    monkeypatch.setattr(setup, "debian_mirror", lambda: MIRROR)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    write(checkout / "stack/base-image.sh", f'#!/bin/sh\necho "$*" > "{checkout}/made"\n').chmod(0o755)
    said: list[str] = []
    assert setup.ensure_base_image(said.append) == "clew-base:trixie"
    assert (checkout / "made").read_text() == f"{MIRROR} clew-base:trixie\n"
    assert "no such host" in said[-1]


def test_plugins_where_no_engine_answers(docker, checkout):
    docker("exit 1")
    with pytest.raises(setup.ImageUnavailable, match=r"No Docker engine answers\.\nNext: "):
        setup.ensure_compose(print)


IMPORTED = """
case "$*" in
"image inspect"*debian:trixie-slim) case "$4" in *Comment*) echo "Imported from -";; *) echo an-id;; esac;;
*) exit 1;;
esac"""


def test_a_file_system_imported_under_debians_name_is_not_built_on(docker, checkout, monkeypatch, write):
    docker(IMPORTED)
    monkeypatch.setattr(setup, "debian_mirror", lambda: MIRROR)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    write(checkout / "stack/base-image.sh", "#!/bin/sh\n").chmod(0o755)
    said: list[str] = []
    assert setup.base_image() == ""
    assert setup.ensure_base_image(said.append) == "clew-base:trixie"
    assert "imported under that name" in said[0]


def test_the_base_made_here_is_used(docker):
    docker(IMPORTED.replace("*) exit 1", "*clew-base:trixie) echo an-id;;\n*) exit 1"))
    assert setup.base_image() == "clew-base:trixie"


@pytest.mark.parametrize(
    ("version", "enough"),
    [("2.20.0", True), ("v2.40.3-desktop.1", True), ("5.0.1", True), ("2.19.1", False), ("", False)],
)
def test_compose_must_know_include(version, enough):
    assert setup.new_enough(version) is enough


def test_a_compose_that_is_too_old(docker, image_files):
    docker('case "$*" in "compose version --short") echo 2.17.3;; "image inspect"*) exit 1;; *) echo 20.10;; esac')
    state = setup.docker_state()
    assert state.reasons[0] == "Docker's plugin Compose is version 2.17.3; 2.20 or newer is needed."
    assert setup.missing_plugins() == ["compose"]
