"""An Authentik of the tests, and the command against it."""

import io
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from django.core.management import call_command

from tests.federation.authentik.double import TOKEN, AuthentikDouble

APP = "https://gate.example.com"


class Said(NamedTuple):
    """What a run wrote."""

    out: str
    err: str

    @property
    def variables(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self.out.splitlines())


Run = Callable[..., Said]


@pytest.fixture
def authentik() -> Iterator[AuthentikDouble]:
    """Fails a test in which the command broke the contract."""
    double = AuthentikDouble()
    yield double
    double.stop()
    assert double.faults == []


@pytest.fixture
def run(authentik: AuthentikDouble, settings) -> Run:
    """run("--dry-run") -> Said; with the token unless other credentials are given."""
    settings.PUBLIC_URL = APP

    def start(*options: str, url: str = "", app: str = APP) -> Said:
        who = () if {"--token", "--token-file", "--username"} & set(options) else ("--token", TOKEN)
        out, err = io.StringIO(), io.StringIO()
        arguments = [url or authentik.url, app, *who, *options]
        try:
            call_command("setup_authentik", *arguments, stdout=out, stderr=err)
        finally:
            assert TOKEN not in out.getvalue() + err.getvalue()
        return Said(out.getvalue(), err.getvalue())

    return start
