"""A bill of materials of the Python packages that Gatehouse runs with: CycloneDX 1.6, JSON.

`python -m scripts.sbom base ldap > sbom.cdx.json` reads requirements/base.txt and ldap.txt, which
pin versions and hashes, and the licences from what is installed. It needs no package itself, and
equal input gives equal output. Exits with 1 if a pinned package is not installed in its version.
"""

import argparse
import json
import os
import re
import sys
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from core.version import VERSION

ROOT = Path(__file__).resolve().parents[1]
PIN = re.compile(r"(?m)^(?P<name>[\w.-]+)(?:\[.*?\])?==(?P<version>[^\s;]+)(?P<rest>(?:.*\\\n)*.*)")
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
# Of https://spdx.org/licenses/, as far as packages name them outside of License-Expression.
SPDX = {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "MIT", "MPL-2.0"}
CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}


class SbomError(Exception):
    """The bill would be incomplete. The text says what to do."""


@dataclass(frozen=True, slots=True)
class Pin:
    """An entry of a lock file. is_conditional: it is for some systems only."""

    name: str
    version: str
    hashes: tuple[str, ...]
    is_conditional: bool

    @property
    def purl(self) -> str:
        """https://github.com/package-url/purl-spec, type pypi."""
        return f"pkg:pypi/{re.sub(r'[-_.]+', '-', self.name).lower()}@{self.version}"


def read_pins(lock: str) -> list[Pin]:
    """The packages of a lock file as pip reads it."""
    return [
        Pin(
            found["name"],
            found["version"],
            tuple(HASH.findall(found["rest"])),
            ";" in found["rest"].partition("\n")[0],
        )
        for found in PIN.finditer(lock)
    ]


def make_sbom(pins: Sequence[Pin]) -> dict[str, Any]:
    """The document. Raises SbomError."""
    found = [(pin, package) for pin in pins if (package := _installed(pin)) is not None]
    components = [_component(pin, package) for pin, package in found]
    application = {
        "type": "application",
        "bom-ref": "gatehouse",
        "name": "gatehouse",
        "version": VERSION,
        "licenses": [{"license": {"id": "MIT"}}],
    }
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": application},
        "components": components,
        "dependencies": [
            {"ref": "gatehouse", "dependsOn": [part["bom-ref"] for part in components]}
        ],
    }
    # The number is that of the contents; the time is only known if the build sets it.
    number = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(document))
    if os.environ.get("SOURCE_DATE_EPOCH"):
        built = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC)
        document["metadata"] = {"timestamp": built.isoformat(), "component": application}
    return {**document, "serialNumber": f"urn:uuid:{number}"}


def _installed(pin: Pin) -> Distribution | None:
    """The package, or None if it is for other systems. Raises SbomError."""
    try:
        package = distribution(pin.name)
    except PackageNotFoundError:
        if pin.is_conditional:
            return None
        raise SbomError(f"{pin.name} is pinned, but not installed: run make setup.") from None
    if package.version != pin.version:
        raise SbomError(
            f"{pin.name} is pinned to {pin.version}, but {package.version} is installed: run make "
            "setup."
        )
    return package


def _component(pin: Pin, package: Distribution) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": pin.purl,
        "name": pin.name,
        "version": pin.version,
        "purl": pin.purl,
        "licenses": list(_licences(package)),
        # One of these files was installed: which one depends on the system.
        "externalReferences": [
            {
                "type": "distribution",
                "url": pin.purl,
                "hashes": [{"alg": "SHA-256", "content": digest} for digest in pin.hashes],
            }
        ],
    }
    if package.metadata["Summary"]:
        component["description"] = package.metadata["Summary"]
    return component


def _licences(package: Distribution) -> Iterator[dict[str, Any]]:
    metadata = package.metadata
    expression, text = metadata["License-Expression"], (metadata["License"] or "").strip()
    if expression:
        yield {"expression": expression}
        return
    if text in SPDX:
        yield {"license": {"id": text}}
        return
    prefix = "License :: OSI Approved :: "
    given = metadata.get_all("Classifier") or []
    names = [line.removeprefix(prefix) for line in given if line.startswith(prefix)]
    for name in names or [text.partition("\n")[0] or "unknown"]:
        known = CLASSIFIERS.get(name)
        yield {"license": {"id": known} if known else {"name": name}}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the document to standard output; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("locks", nargs="*", default=["base"], help="files of requirements/")
    names = parser.parse_args(arguments).locks
    locks = [(ROOT / "requirements" / f"{name}.txt").read_text() for name in names]
    # A package that several files pin is one component.
    pins = {pin.purl: pin for lock in locks for pin in read_pins(lock)}
    try:
        document = make_sbom(sorted(pins.values(), key=lambda pin: pin.purl))
    except SbomError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
