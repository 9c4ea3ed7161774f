"""What the services are made of as CycloneDX, and what an audit says when nobody answered it."""

import json
import re

import audit
import pytest
import sbom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator


@pytest.fixture(scope="module")
def document():
    return sbom.sbom()


def test_every_pinned_package_is_in_the_sbom(document):
    pinned = re.findall(r"^([\w.-]+)==([\w.]+)", sbom.PACKAGES.read_text(), re.MULTILINE)
    assert len(pinned) > 40
    assert [(one["name"], one["version"]) for one in document["components"]] == pinned
    assert [one["purl"] for one in document["components"]] == [f"pkg:pypi/{name}@{version}" for name, version in pinned]
    assert document["metadata"]["component"]["name"] == "clew"


def test_the_sbom_has_no_address(document):
    text = json.dumps({name: value for name, value in document.items() if name != "$schema"})
    assert "://" not in text
    assert '"url"' not in text


def test_the_sbom_is_valid_and_an_invalid_one_is_found(document):
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(json.dumps(document)) is None
    assert validator.validate_str(json.dumps({**document, "serialNumber": "7"})) is not None


def answer(*packages):
    return {"dependencies": [{"name": "a", "version": "1.0", **package} for package in packages]}


GOOD, SKIPPED = {"vulns": []}, {"skip_reason": "Dependency not found"}
BAD = {"vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}]}


def test_an_audit_without_findings_ends_with_0():
    assert audit.verdict(answer(GOOD, GOOD)) == (0, ["No known vulnerability in 2 packages."])


def test_an_audit_with_a_finding_ends_with_1_and_names_it():
    code, lines = audit.verdict(answer(GOOD, BAD, SKIPPED))
    assert code == 1
    assert lines[0] == "a 1.0: PYSEC-1, fixed in 1.1"
    assert "Not audited: 1 of 3 packages (a)." in lines


def test_an_audit_that_nobody_answered_is_no_success():
    code, lines = audit.verdict(answer(GOOD, *[SKIPPED] * 7))
    assert code == 2
    assert lines[:2] == [
        "Not audited: 7 of 8 packages (a, a, a, a, a and 2 more).",
        "The first reason: Dependency not found",
    ]
    assert lines[-1].startswith("Next: make audit")
    assert not any("No known" in line for line in lines)


def test_all_groups_are_audited():
    assert {file.stem for file in audit.FILES} >= {"run", "test", "delivery"}
