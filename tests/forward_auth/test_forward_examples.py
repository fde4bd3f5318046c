"""The files in deploy/forward-auth as text, and as their programs read them."""

import re
import subprocess
from pathlib import Path

import pytest

from devtools.servers.processes import program
from forward_auth.decisions import IDENTITY
from tests.forward_auth.echo import EchoApp
from tests.forward_auth.proxies import EXAMPLES, STARTS

NAMES = {name.lower() for name in IDENTITY}


def test_every_example_forwards_every_identity_header() -> None:
    for name in ("nginx.conf", "Caddyfile", "traefik.yaml", "gatehouse.lua"):
        text = (EXAMPLES / name).read_text().lower()
        assert {each for each in NAMES if each not in text} == set(), name


def test_the_traefik_example_handles_the_same_headers() -> None:
    """Traefik itself is not run here: the file is compared with the others as text."""
    text = (EXAMPLES / "traefik.yaml").read_text()
    copied = re.search(r"authResponseHeaders:\n((?: +- .*\n)+)", text)
    assert copied is not None
    names = {name.lower() for name in re.findall(r"- (\S+)", copied.group(1))}

    assert names == NAMES
    assert "middlewares: [gatehouse-strip, no-upgrade, gatehouse-ask]" in text
    assert "middlewares: [gatehouse-strip, only-websocket, gatehouse-ask]" in text
    assert "trustForwardHeader: false" in text
    stripped = {name.lower() for name in re.findall(r'^ +([\w.-]+): ""$', text, re.MULTILINE)}
    spellings = {name.replace("-", sign) for name in NAMES for sign in "-_."}
    assert spellings <= stripped
    assert {"x-original-url", "x-original-method"} <= stripped
    said = ["x_original_url", "x_original_method", "x_real_ip", "http2-settings", "upgrade"]
    said += [f"x_forwarded_{word}" for word in ("uri", "method", "host", "proto", "for")]
    assert set(said) <= stripped


@pytest.mark.parametrize("name", list(STARTS))
def test_the_program_validates_its_example(name: str, tmp_path: Path) -> None:
    app = EchoApp()
    proxied_app = STARTS[name]("127.0.0.1:8000", app.port, tmp_path)
    proxied_app.process.stop()
    app.stop()

    assert (
        re.findall(r"(?i)\[(?:warn|warning|alert|emerg|error)\].*", proxied_app.process.output())
        == []
    )


def test_the_caddy_example_is_formatted() -> None:
    command = [program("caddy"), "fmt", str(EXAMPLES / "Caddyfile")]
    done = subprocess.run(command, capture_output=True, text=True)

    assert done.stdout == (EXAMPLES / "Caddyfile").read_text()
