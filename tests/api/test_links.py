"""Requests for a sign-in link over the API."""

from collections.abc import Callable

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.models import EmailRequest, User
from magiclinks.models import LoginLink
from magiclinks.services import handle_link_requests
from mail.models import OutboxMail
from tests.api.calls import call, problem
from tests.conftest import text_of

pytestmark = pytest.mark.django_db


def test_the_response_is_the_same_for_every_address(
    stranger: Client, viewer: User, mails: Callable[[], list[OutboxMail]], settings: Settings
) -> None:
    settings.ALLOW_REGISTRATION = False
    known = call(stranger, "POST", "auth/magic-link", {"email": " Viewer@example.com"})
    unknown = call(stranger, "POST", "auth/magic-link", {"email": "nobody@example.com"})
    assert LoginLink.objects.count() == 0
    handle_link_requests()

    assert (known.status_code, unknown.status_code) == (202, 202)
    assert known.content == unknown.content
    assert [mail.recipient for mail in mails()] == ["viewer@example.com"]
    assert "http://localhost:8000/" in text_of(mails()[0])
    assert LoginLink.objects.get().binding == ""


def test_a_link_redirects_only_to_own_pages(stranger: Client, viewer: User) -> None:
    body = {"email": viewer.email, "next": "/account/"}

    assert call(stranger, "POST", "auth/magic-link", body).status_code == 202
    assert EmailRequest.objects.get().next_url == "/account/"
    for bad in ("https://evil.example/", "//evil.example", "/\\evil.example", "account"):
        answer = call(stranger, "POST", "auth/magic-link", {**body, "next": bad})
        assert problem(answer) == (402, "record_invalid")
        assert list(answer.json()["errors"]) == ["next"]


def test_requests_for_links_are_limited(stranger: Client, settings: Settings) -> None:
    maximum, _window = settings.LIMITS["magic-link"]
    body = {"email": "nobody@example.com"}
    for _number in range(maximum):
        assert call(stranger, "POST", "auth/magic-link", body).status_code == 202

    answer = call(stranger, "POST", "auth/magic-link", {"email": "NOBODY@example.com"})

    assert problem(answer) == (429, "rate_limited")
    assert int(answer["Retry-After"]) >= 1


def test_magic_links_can_be_switched_off(stranger: Client, settings: Settings) -> None:
    settings.ALLOW_MAGIC_LINK_LOGIN = False

    answer = call(stranger, "POST", "auth/magic-link", {"email": "nobody@example.com"})

    assert problem(answer) == (403, "forbidden")
    assert not EmailRequest.objects.exists()
