"""The workflows on GitHub: what they run exists here, and each job may do only what it needs."""

import os
import re
import shlex
import subprocess
import tomllib

import pytest
import yaml

from clew import ladder
from clew.core.paths import ROOT

FOLDER = ROOT / ".github/workflows"
# BaseLoader, because YAML 1.1 reads the key `on` as true.
WORKFLOWS = {path.stem: yaml.load(path.read_text(), yaml.BaseLoader) for path in FOLDER.iterdir()}  # noqa: S506
JOBS = {(name, key): job for name, workflow in WORKFLOWS.items() for key, job in workflow["jobs"].items()}
STEPS = [(at, step) for at, job in JOBS.items() for step in job.get("steps", [])]
OF_THE_RUNNER = {"brew", "gh", "sudo"}
MORE_THAN_READING = {
    ("release", "images"): {"contents": "read", "packages": "write", "id-token": "write"},
    ("release", "site"): {"contents": "write"},
    ("release", "release"): {"contents": "write"},
}
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_there_are_these_workflows():
    assert WORKFLOWS.keys() == {"test", "release", "audit"}
    assert "make audit" in [step.get("run") for _, step in STEPS]
    assert "bash .ci/run" in [step.get("run") for at, step in STEPS if at[0] == "test"]
    assert WORKFLOWS["release"]["on"] == {"push": {"tags": ["v*"]}}


def test_a_job_may_only_do_what_it_needs():
    assert [workflow["permissions"] for workflow in WORKFLOWS.values()] == [{"contents": "read"}] * len(WORKFLOWS)
    assert {at: job["permissions"] for at, job in JOBS.items() if "permissions" in job} == MORE_THAN_READING


def test_nothing_is_published_before_the_tests_and_the_audit():
    jobs = WORKFLOWS["release"]["jobs"]

    def before(job):
        needed = jobs[job].get("needs", [])
        needed = [needed] if isinstance(needed, str) else needed
        return {*needed, *(earlier for one in needed for earlier in before(one))}

    for _, job in MORE_THAN_READING:
        assert {"test", "check"} <= before(job)


def targets():
    makefile = (ROOT / "Makefile").read_text()
    return {name for line in re.findall(r"^([\w%-][\w %-]*):(?!=)", makefile, re.MULTILINE) for name in line.split()}


def exists(words):
    if words[0] == "make":
        goals = [re.sub(r"^stage-\d$", "stage-%", word) for word in words[1:] if "=" not in word]
        return bool(goals) and set(goals) <= targets()
    script = words[1] if words[0] == "bash" else words[0]
    return words[0] in OF_THE_RUNNER or os.access(ROOT / script, os.X_OK)


def test_what_a_step_runs_is_here():
    for at, step in STEPS:
        for line in step.get("run", "").splitlines():
            assert exists(shlex.split(line)), (at, line)
            assert "${{" not in line, (at, line)  # a name with a quote in it would run as a command
    assert not exists(["make", "no-such-target"])
    assert not exists([".github/none.sh"])


def test_an_action_is_pinned_and_a_workflow_that_is_called_is_here():
    used = [(at, one["uses"]) for at, one in [*STEPS, *JOBS.items()] if "uses" in one]
    assert len(used) > 10
    for at, name in used:
        local = name.startswith("./") and (ROOT / name).is_file()
        assert local or re.fullmatch(r"(actions|sigstore)/[\w-]+@v\d+(\.\d+\.\d+)?", name), (at, name)


def test_every_job_has_a_deadline():
    assert [at for at, job in JOBS.items() if "uses" not in job and "timeout-minutes" not in job] == []


@pytest.mark.parametrize(("tag", "code"), [(f"v{VERSION}", 0), ("v99.0.0", 1), (VERSION, 1)])
def test_a_tag_is_the_version(tag, code):
    done = run("version.sh", GITHUB_REF_NAME=tag)
    assert done.returncode == code
    assert ("Next: git tag" in done.stdout) is bool(code)


def run(script, **environment):
    return subprocess.run(
        [ROOT / ".github" / script],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


DOCKER = r"""
echo "docker $*" >>"$CALLS"
file=; tag=
while [ $# -gt 0 ]; do case $1 in --metadata-file) file=$2;; --tag) tag=$2;; esac; shift; done
[ -z "$file" ] && exit 0
[ "${tag##*:}" = "$FAIL" ] && exit 1
printf '{\n  "containerimage.digest": "sha256:%s"\n}\n' "$(printf %s "$tag" | sha256sum | cut -c1-64)" >"$file"
"""


def publish(tmp_path, fail="", **changed):
    """Run publish.sh with a docker and a cosign that only note their arguments; return the run and the notes."""
    calls = tmp_path / "calls"
    for name, text in {"docker": DOCKER, "cosign": 'echo "cosign $*" >>"$CALLS"'}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    given = {"REGISTRY": "registry.invalid", "REPOSITORY": "Owner/Clew", "ACTOR": "someone", "TOKEN": "secret"}
    given |= {"GITHUB_REF_NAME": "v1.2.3", "CALLS": str(calls), "FAIL": fail} | changed
    done = run("publish.sh", PATH=f"{tmp_path}:{os.environ['PATH']}", **given)
    return done, calls.read_text().splitlines() if calls.exists() else []


def test_all_images_are_published_and_each_is_signed_by_its_digest(tmp_path):
    done, calls = publish(tmp_path)
    assert done.returncode == 0, done.stderr
    tags = ["1.2.3", *(f"1.2.3-{stage.slug}" for stage in ladder.STAGE_LIST)]
    published = [line.split("@") for line in done.stdout.splitlines()]
    assert [name for name, _ in published] == [f"registry.invalid/owner/clew:{tag}" for tag in tags]
    digests = [digest for _, digest in published]
    assert len(set(digests)) == len(tags)
    signed = [call for call in calls if call.startswith("cosign sign ")]
    assert signed == [f"cosign sign --yes registry.invalid/owner/clew@{digest}" for digest in digests]
    assert len([call for call in calls if call.startswith("cosign attest ")]) == len(tags)
    assert "secret" not in "".join(calls)


def test_an_image_that_was_not_built_is_not_signed_and_ends_the_release(tmp_path):
    done, calls = publish(tmp_path, fail=f"1.2.3-{ladder.STAGE_LIST[0].slug}")
    assert done.returncode != 0
    assert len([call for call in calls if call.startswith("cosign sign ")]) == 1


def test_a_missing_variable_is_named(tmp_path):
    done, calls = publish(tmp_path, REGISTRY="")
    assert (done.returncode, calls) == (2, [])
    assert done.stdout == "REGISTRY is not set.\nNext: set it as RELEASING.md says\n"
