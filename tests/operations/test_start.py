"""What a start loads: commands no pages, and a server takes requests before it has loaded them."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import URLResolver, get_resolver

from config.pages import LoadingPages, load_pages
from core.lazy import LazyFunction, LazyModule
from devtools.servers.databases import InstanceData
from devtools.servers.processes import ROOT

# Of libraries and of this project: what no command needs that works on accounts.
UNNEEDED = (
    "config.urls", "config.worker", "cryptography.x509", "django.contrib.admin.forms",
    "django.test", "drf_spectacular", "fido2", "granian", "jwt", "prometheus_client", "psycopg",
    "requests", "rest_framework.views", "segno", "tarfile", "whitenoise", "yaml",
    "accounts.admin.site", "accounts.undo.own_reversals", "applications.services.introspection",
    "forward_auth.services.denials", "operations.doctor", "scim.views", "webhooks.services.sending",
)  # fmt: skip
# A server that prepares its data needs none of these; its pages come later.
UNNEEDED_BY_SERVER = (
    "config.worker", "django.contrib.admin.forms",
    "drf_spectacular", "fido2", "jinja2.sandbox", "operations.as_code", "operations.doctor",
    "prometheus_client", "psycopg", "requests", "segno", "tarfile", "yaml", "accounts.urls",
)  # fmt: skip


@pytest.mark.parametrize(
    ("command", "unneeded"),
    [
        (("createuser", "new@example.com"), UNNEEDED),
        (("listusers",), UNNEEDED),
        (("serve", "--prepare-only"), UNNEEDED_BY_SERVER),
    ],
    ids=lambda value: value[0],
)
def test_a_command_loads_what_it_needs(
    sqlite_data: InstanceData, command: tuple[str, ...], unneeded: tuple[str, ...]
) -> None:
    """In an interpreter that has loaded nothing yet, as a person starts it."""
    if command[0] != "createuser":
        # A server of an instance without an owner makes the URL of its set-up link.
        sqlite_data.manage("createuser", "owner@example.com", "--role=owner")
    code = "import sys\nfrom manage import main\nmain()\nprint()\nprint(*sys.modules)"

    done = subprocess.run(
        [sys.executable, "-c", code, *command],
        cwd=ROOT,
        env=sqlite_data.environment(),
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    loaded = done.stdout.splitlines()[-1].split()
    assert "accounts.models" in loaded
    assert [name for name in unneeded if name in loaded] == []


def _resolvers(resolver: URLResolver) -> Iterator[URLResolver]:
    for each in resolver.url_patterns:
        if isinstance(each, URLResolver):
            yield each
            yield from _resolvers(each)


def test_the_paths_name_the_namespaces_of_their_modules() -> None:
    for each in _resolvers(get_resolver()):
        if isinstance(each.urlconf_name, str):
            app_name = getattr(each.urlconf_module, "app_name", None)
            assert (each.app_name, each.namespace) == (app_name, app_name), each


def test_every_function_that_is_loaded_later_exists() -> None:
    assert len({each.path for each in LazyFunction.every}) >= 12
    for each in LazyFunction.every:
        assert callable(each.load()), each


def test_a_lazy_module_is_the_module() -> None:
    module: Any = LazyModule("json")

    assert module.loads("[1]") == [1]
    with pytest.raises(AttributeError):
        module.no_such_name  # noqa: B018


def _answer(_environ: dict[str, Any], start: Any) -> list[bytes]:
    start("200 OK", [])
    return [b"here"]


def test_pages_wait_until_they_are_loaded_and_the_liveness_probe_does_not() -> None:
    pages, answered = LoadingPages(_answer, {"/health/live"}), threading.Event()

    def ask() -> None:
        assert pages({"PATH_INFO": "/health/ready"}, lambda *_of_start: None) == [b"here"]
        answered.set()

    asking = threading.Thread(target=ask)
    asking.start()

    assert pages({"PATH_INFO": "/health/live"}, lambda *_of_start: None) == [b"here"]
    assert not answered.is_set()
    loaded: list[bool] = []
    pages.load(then=lambda: loaded.append(answered.is_set()))
    asking.join()
    assert answered.is_set()
    # The worker begins when the pages are there, and before requests are answered.
    assert loaded == [False]


def test_a_process_that_cannot_load_its_pages_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers nothing that it could not answer rightly; the server starts another one."""
    signals: list[tuple[int, int]] = []
    ended = threading.Event()

    def note(pid: int, number: int) -> None:
        signals.append((pid, number))
        ended.set()

    def fail() -> None:
        raise RuntimeError("a module is broken")

    monkeypatch.setattr("config.pages.os.kill", note)
    pages = LoadingPages(_answer, {"/health/live"})

    pages.load(then=fail)

    assert ended.wait(60)
    assert not pages._is_loaded.is_set()
    assert len(signals) == 1


def test_loading_pages_twice_does_nothing() -> None:
    load_pages()
    before = set(sys.modules)

    load_pages()

    assert set(sys.modules) == before
