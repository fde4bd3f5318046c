"""Non-ASCII names in headers, by the fast path and by Django."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.test import RequestFactory

from accounts.models import User
from core.invalidation.data_version import current_data_version
from forward_auth.authentication import FastPathUnsupported
from forward_auth.checker import Checker
from forward_auth.decisions import as_wsgi, from_wsgi
from forward_auth.wsgi import FastPath
from tests.api.keys import made


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["Anna", "Vera Müller", "Łukasz", "愛", "Ada\r\nX-Evil: 1"])
@pytest.mark.parametrize("path", ["/auth/check", "/auth/forward"])
def test_fast_path_and_django_encode_names_alike(
    make_user: Callable[..., User], path: str, name: str
) -> None:
    user = make_user("viewer", "vera@example.com", name=name)
    asked = {"x-original-url": "https://app.example.com/", "x-original-method": "GET",
             "x-api-key": made(user).text}  # fmt: skip
    shown = " ".join(name.split())

    assert _name(_Unknowing(current_data_version), path, asked) == shown
    assert _name(Checker(current_data_version), path, asked) == shown


class _Unknowing(Checker):
    """Leaves everything to Django."""

    def check(self, environ: Any) -> Any:
        raise FastPathUnsupported


def _name(checker: Checker, path: str, asked: dict[str, str]) -> str:
    environ = RequestFactory().get(path, headers=asked).environ
    said: dict[str, str] = {}

    def start(_status: str, headers: list[tuple[str, str]], *_more: Any) -> None:
        said.update(headers)

    list(FastPath(WSGIHandler(), checker)(environ, start))
    return said["Remote-Name"]


@pytest.mark.parametrize("text", ["", "Anna", "Müller", "Łukasz", "愛", "\xe9"])
def test_encoded_text_can_be_decoded(text: str) -> None:
    assert from_wsgi(as_wsgi(text)) == text


def test_text_that_was_not_encoded_is_unchanged() -> None:
    assert (from_wsgi("M\xfcller"), from_wsgi("Łukasz")) == ("Müller", "Łukasz")
