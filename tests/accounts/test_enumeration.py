"""No response reveals who has an account: ATTACKS section 2. Both cases take the same work."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import EmailRequest, User
from accounts.services.passwords import handle_reset_requests
from accounts.services.signup import handle_sign_up_requests
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db
KNOWN, UNKNOWN = "viewer@example.com", "nobody@example.com"
FORMS = {
    "sign-up": ("/sign-up", lambda email: {"email": email, "name": "N", "password": PASSWORD}),
    "forgot": ("/password/forgot", lambda email: {"email": email}),
    "link": ("/magic-link", lambda email: {"email": email}),
    "sign-in": ("/sign-in", lambda email: {"login": email, "password": "wrong words in a row"}),
}
VARYING = re.compile(
    rb'((?:csrfmiddlewaretoken" value|data-token)=")[^"]+|viewer@example.com|nobody@example.com'
)


def ask(form: str, email: str) -> tuple[object, list[str]]:
    """What a fresh browser gets for this address, and the shapes of the queries behind it."""
    path, data = FORMS[form]
    client = Client()
    with CaptureQueriesContext(connections["default"]) as captured:
        answer = client.post(path, data(email))
    headers = {
        name: value
        for name, value in answer.items()
        if name not in ("X-Request-ID", "Content-Length")
    }
    facts = (
        answer.status_code,
        headers,
        sorted(answer.cookies),
        VARYING.sub(b"", answer.content),
    )
    return facts, [re.sub(r"'[^']*'|\d+", "?", query["sql"]) for query in captured]


@pytest.mark.parametrize("form", FORMS)
def test_a_known_and_an_unknown_address_get_the_same_answer(
    viewer: User, owner: User, form: str
) -> None:
    known, _queries = ask(form, KNOWN)
    unknown, _queries = ask(form, UNKNOWN)

    assert known == unknown


@pytest.mark.parametrize("form", ["sign-up", "forgot", "link"])
def test_both_answers_take_the_same_work(
    viewer: User, owner: User, settings: Any, form: str
) -> None:
    scopes = ("sign-up", "reset-password", "magic-link")
    limits = {scope: (3, timedelta(minutes=5)) for scope in scopes}
    settings.LIMITS = settings.LIMITS | limits
    ask(form, "warm-up@example.com")

    _answer, known = ask(form, KNOWN)
    _answer, unknown = ask(form, UNKNOWN)

    assert known == unknown
    assert known
    assert not any('FROM "accounts_user"' in query and "email" in query for query in known[:-1])


@pytest.mark.parametrize("form", FORMS)
def test_the_limit_counts_known_and_unknown_alike(viewer: User, owner: User, form: str) -> None:
    def statuses(email: str, address: str) -> list[tuple[int, bool]]:
        path, data = FORMS[form]
        client = Client(REMOTE_ADDR=address)
        answers = [client.post(path, data(email)) for _try in range(10)]
        return [(answer.status_code, "Retry-After" in answer) for answer in answers]

    known = statuses(KNOWN, "192.0.2.1")

    assert known == statuses(UNKNOWN, "192.0.2.2")
    assert known[-1] == (429, True)


def test_the_owner_of_a_taken_address_gets_a_mail(
    viewer: User, owner: User, mails: Callable[[], list]
) -> None:
    ask("sign-up", KNOWN)
    ask("sign-up", UNKNOWN)

    assert handle_sign_up_requests() == 2

    assert [(mail.kind, mail.recipient) for mail in mails()] == [
        ("account-exists", KNOWN),
        ("verify-email", UNKNOWN),
    ]
    viewer.refresh_from_db()
    assert viewer.check_password(PASSWORD)
    assert not EmailRequest.objects.exists()


def test_a_reset_mail_is_sent_only_to_an_existing_account(
    viewer: User, mails: Callable[[], list]
) -> None:
    ask("forgot", KNOWN)
    ask("forgot", UNKNOWN)

    assert handle_reset_requests() == 2

    assert [(mail.kind, mail.recipient) for mail in mails()] == [("reset-password", KNOWN)]


@pytest.mark.parametrize(
    "typed",
    [
        "a@evil.com,viewer@example.com",
        "viewer@example.com\r\nBcc: a@evil.com",
        '"a@evil"@example.com',
        "viewer@example.com<a@evil.com>",
        "viewer\uff20example.com",
    ],
)
@pytest.mark.parametrize("form", ["sign-up", "forgot", "link"])
def test_odd_addresses_make_no_mail_and_no_account(
    viewer: User, owner: User, form: str, typed: str
) -> None:
    path, data = FORMS[form]

    answer = Client().post(path, data(typed))

    assert answer.status_code == 400
    assert not EmailRequest.objects.exists()
    assert User.objects.count() == 2


@pytest.mark.parametrize("form", ["sign-up", "forgot", "link"])
def test_several_addresses_in_one_field_are_rejected_and_mail_no_one(
    viewer: User, owner: User, mails: Callable[[], list], form: str
) -> None:
    path, data = FORMS[form]

    def refused(email: str) -> tuple[int, bytes]:
        answer = Client().post(path, data("") | {"email": ["a@evil.com", email]})
        return answer.status_code, VARYING.sub(b"", answer.content)

    known, unknown = refused(KNOWN), refused(UNKNOWN)

    assert known[0] == 400
    assert known == unknown
    assert not EmailRequest.objects.exists()
    assert mails() == []
    assert User.objects.count() == 2
