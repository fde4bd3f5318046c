"""`make sbom`: the bill of materials says what the lock file pins."""

import json
import re
from importlib.metadata import distribution, distributions
from typing import Any

import jsonschema
import pytest

from core.version import VERSION
from scripts import sbom
from tests.architecture.sources import ROOT

LOCK = (ROOT / "requirements" / "base.txt").read_text()
TEXT = {"type": "string", "minLength": 1}
DIGEST = {
    "type": "object",
    "required": ["alg", "content"],
    "properties": {"alg": {"const": "SHA-256"}, "content": {"pattern": "^[a-f0-9]{64}$"}},
}
LICENCE = {
    "oneOf": [
        {
            "required": ["license"],
            "properties": {"license": {"oneOf": [{"required": ["id"]}, {"required": ["name"]}]}},
        },
        {"required": ["expression"], "properties": {"expression": TEXT}},
    ]
}
# What https://cyclonedx.org/docs/1.6/json/ requires, and what this bill promises beyond.
SCHEMA = {
    "type": "object",
    "required": ["bomFormat", "specVersion", "version", "serialNumber", "metadata", "components"],
    "properties": {
        "bomFormat": {"const": "CycloneDX"},
        "specVersion": {"const": "1.6"},
        "version": {"type": "integer", "minimum": 1},
        "serialNumber": {"pattern": "^urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"},
        "components": {
            "type": "array",
            "uniqueItems": True,
            "items": {
                "type": "object",
                "required": ["type", "name", "version", "bom-ref", "purl", "licenses"],
                "properties": {
                    "type": {"const": "library"},
                    "name": TEXT,
                    "purl": {"pattern": "^pkg:pypi/[a-z0-9-]+@[^@]+$"},
                    "licenses": {"type": "array", "minItems": 1, "items": LICENCE},
                    "externalReferences": {
                        "items": {
                            "required": ["type", "url", "hashes"],
                            "properties": {"hashes": {"minItems": 1, "items": DIGEST}},
                        }
                    },
                },
            },
        },
        "dependencies": {"items": {"required": ["ref"]}},
    },
}


def _write(capsys: pytest.CaptureFixture[str], *locks: str) -> dict[str, Any]:
    assert sbom.main(locks) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_it_is_cyclonedx(capsys: pytest.CaptureFixture[str]) -> None:
    document = _write(capsys, "base")

    jsonschema.Draft7Validator(SCHEMA).validate(document)
    references = [part["bom-ref"] for part in document["components"]]
    assert len(set(references)) == len(references)
    assert document["dependencies"] == [{"ref": "gatehouse", "dependsOn": references}]
    assert document["metadata"]["component"]["version"] == VERSION


def test_it_names_exactly_what_is_pinned(capsys: pytest.CaptureFixture[str]) -> None:
    # Each entry of the lock starts a line; its hashes are indented. Conditions follow a semicolon.
    entries = re.split(r"(?m)^(?=\w)", LOCK)[1:]
    installed = {package.name.lower() for package in distributions()}
    pinned = {}
    for entry in entries:
        name, _, rest = re.sub(r"\[.*?\]", "", entry).partition("==")
        if ";" not in entry or name in installed:
            hashes = re.findall("sha256:([0-9a-f]+)", rest)
            pinned[f"pkg:pypi/{name}@{rest.split()[0]}"] = (name, rest.split()[0], hashes)

    listed = {
        part["purl"]: (
            part["name"],
            part["version"],
            [digest["content"] for digest in part["externalReferences"][0]["hashes"]],
        )
        for part in _write(capsys, "base")["components"]
    }

    assert len(pinned) > 30
    assert listed == pinned


def test_licences_come_from_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    licences = {part["name"]: part["licenses"] for part in _write(capsys, "base")["components"]}

    expression = distribution("cryptography").metadata["License-Expression"]
    assert licences["cryptography"] == [{"expression": expression}]
    assert licences["granian"] == [{"license": {"id": "BSD-3-Clause"}}]
    assert licences["certifi"] == [{"license": {"id": "MPL-2.0"}}]
    assert "unknown" not in json.dumps(licences)


def test_equal_input_gives_equal_output(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = _write(capsys, "base"), _write(capsys, "base")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767225600")
    dated = _write(capsys, "base")

    assert first == second
    assert dated["metadata"].pop("timestamp") == "2026-01-01T00:00:00+00:00"
    assert dated == first


@pytest.mark.parametrize(
    ("pinned", "message"),
    [
        ("django==1.0", "django is pinned to 1.0, but "),
        ("no-such-package==1.0", "no-such-package is pinned, but not installed: run make setup."),
    ],
)
def test_a_bill_that_would_be_wrong_is_refused(pinned: str, message: str) -> None:
    with pytest.raises(sbom.SbomError, match=message):
        sbom.make_sbom(sbom.read_pins(pinned))


def test_a_package_for_other_systems_is_left_out() -> None:
    (pin,) = sbom.read_pins("no-such-package==1.0 ; sys_platform == 'win32' \\\n    --hash=x\n")

    assert sbom.make_sbom([pin])["components"] == []
