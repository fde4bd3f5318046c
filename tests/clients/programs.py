"""Runs the backends of docs/examples in Go, Rust and Node, where their language is installed."""

import http.client
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from devtools.servers.processes import ROOT, ServerProcess, accepts_connections, free_port, program
from tests.architecture.markdown import blocks
from tests.servers.node import NODE_FOLDER

EXAMPLES = ROOT / "docs" / "examples"
PAGE = ROOT / "docs" / "verify-credentials-other-languages.md"
# Where Debian's packages librust-…-dev put the sources of crates.
CRATES = Path("/usr/share/cargo/registry")
NEEDED_CRATES = ("base64-0.13", "jsonwebtoken-8", "sha2-0.10", "tiny_http-0.12", "ureq-2")
OFFLINE = f"""
[source.crates-io]
replace-with = "debian"
[source.debian]
directory = "{CRATES}"
"""
BUILD_SECONDS = 900
Answer = tuple[int, object]


def go(folder: Path, _cache: Path) -> list[str]:
    """The command of the program in Go. Skips the test without a compiler."""
    compiler = shutil.which("go")
    if compiler is None:
        pytest.skip("Go is not installed (Debian: golang-go)")
    source, binary = EXAMPLES / "gatehouse_backend.go", folder / "backend"
    # No module and no download: it needs the standard library only.
    environment = {**os.environ, "GO111MODULE": "off", "GOFLAGS": ""}
    _build([compiler, "vet", str(source)], folder, environment)
    _build([compiler, "build", "-o", str(binary), str(source)], folder, environment)
    return [str(binary)]


def rust(folder: Path, cache: Path) -> list[str]:
    """The command of the program in Rust, built with the manifest of the page.

    Skips the test without Cargo and Debian's packages of the crates. cache: for what Cargo builds.
    """
    compiler = shutil.which("cargo")
    missing = [name for name in NEEDED_CRATES if not list(CRATES.glob(f"{name}*"))]
    if compiler is None or missing:
        pytest.skip(f"Cargo, or Debian's librust-…-dev of {', '.join(missing)}, is not installed")
    (manifest,) = (each.text for each in blocks(PAGE) if each.language == "toml")
    (folder / "Cargo.toml").write_text(manifest)
    (folder / "src").mkdir()
    shutil.copy(EXAMPLES / "gatehouse_backend.rs", folder / "src" / "main.rs")
    (folder / ".cargo").mkdir()
    (folder / ".cargo" / "config.toml").write_text(OFFLINE)
    environment = {**os.environ, "CARGO_TARGET_DIR": str(cache), "CARGO_PROFILE_DEV_DEBUG": "0"}
    _build([compiler, "build", "--offline", "--quiet"], folder, environment)
    return [str(cache / "debug" / "gatehouse-backend")]


def node(folder: Path, _cache: Path) -> list[str]:
    """The command of the program in Node, which believes Remote-Token only."""
    (folder / "node_modules").symlink_to(NODE_FOLDER / "node_modules")
    copy = folder / "remote_token.mjs"  # Node looks for packages beside the program
    shutil.copy(EXAMPLES / copy.name, copy)
    return [program("node"), str(copy)]


def _build(command: list[str], folder: Path, environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


class Backend:
    """A running program. names: its environment beside PORT."""

    def __init__(self, command: list[str], log: Path, **names: str) -> None:
        self.port = free_port()
        environment = {**os.environ, **names, "PORT": str(self.port)}
        self.process = ServerProcess(command, log, environment=environment)
        self.process.wait_until(lambda: accepts_connections(self.port))

    def ask(self, *headers: tuple[str, str]) -> Answer:
        """(status, JSON of the body or None). The same header may come twice."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.putrequest("GET", "/")
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, json.loads(body) if body else None

    def stop(self) -> None:
        self.process.stop()
