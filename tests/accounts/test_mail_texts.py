"""Each mail in each language: complete as plain text, and in the language of its reader."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.conf import settings as configured
from django.test import Client
from django.utils import timezone

from accounts.models import User
from core.branding import current
from core.branding.current import Brand
from mail.models import OutboxMail
from mail.outbox import enqueue_mail
from tests.conftest import PASSWORD, MakeUser, text_of

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
FOLDER = Path(configured.BASE_DIR) / "templates" / "mail"
KINDS = sorted(file.stem for file in FOLDER.glob("*.txt") if file.stem != "base")
WITH_LINK = {"change-email", "invitation", "magic-link", "reset-password", "verify-email"}
URL = "http://localhost:8000/magic-link/abc"


class Line(NamedTuple):
    """What ends, in the reminders."""

    person: str
    role: str
    then: str
    ends_at: datetime


def context_of(kind: str) -> dict[str, Any]:
    now = timezone.now()
    line = Line("Anna", "editor", "viewer", now)
    more = {"url": URL, "expires_at": now + timedelta(minutes=10)} if kind in WITH_LINK else {}
    if kind == "approval-asked":
        more = {"url": URL, "does": "Disable the account of %(name)s", "until": now}
    return more | {
        "asker": "Olga Owner",
        "disables": True,
        "due_at": now,
        "inviter": "Olga Owner",
        "line": line,
        "lines": (line,),
        "left": 1,
        "name": "backup script",
        "new_email": "new@example.com",
        "page": "http://localhost:8000/account/keys",
        "phase": "soon",
        "provider": "Google",
        "review_id": "1",
        "scopes": "read",
        "shown": "gth_abc",
        "undecided": 2,
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("language", ["en", "de"])
def test_the_plain_text_is_complete(
    kind: str,
    language: str,
    viewer: User,
    mails: Callable[[], list[OutboxMail]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    brand = Brand(name="Example & Co", support="help@example.com")
    monkeypatch.setattr(current, "_cached", (brand, float("inf")))

    enqueue_mail(
        kind=kind, recipient=viewer.email, user=viewer, language=language, context=context_of(kind)
    )

    (mail,) = mails()
    text = text_of(mail)
    assert mail.subject
    assert "\n" not in mail.subject
    assert not [mark for mark in ("{{", "{%", "&amp;", "&#", "None") if mark in text]
    assert text.endswith("help@example.com\n\nExample & Co, http://localhost:8000\n")
    paragraphs = text.split("\n\n")
    assert len(paragraphs) >= 3
    if kind in WITH_LINK:
        # What it is for, the link, how long it lasts, and what to do if it was someone else.
        assert len(paragraphs) == 6
        assert paragraphs[1].endswith(f":\n{URL}")
        assert "10" in paragraphs[2]
        assert "Example & Co" in paragraphs[0]


def test_a_mail_is_in_the_language_of_the_account_before_that_of_the_request(
    make_user: MakeUser, mails: Callable[[], list[OutboxMail]], settings: Any
) -> None:
    german = make_user("viewer", "gerda@example.com", language="de")
    new = make_user("viewer", "nina@example.com")
    for user, language in ((german, "en"), (new, "de"), (new, "")):
        enqueue_mail(
            kind="password-changed", recipient=user.email, user=user, language=language, context={}
        )
    assert [mail.subject for mail in mails()] == [
        "Ihr Passwort hat sich geändert",
        "Ihr Passwort hat sich geändert",
        "Your password has changed",
    ]


def test_the_first_sign_in_sets_the_language_and_the_user_changes_it(viewer: User) -> None:
    browser = Client(headers={"accept-language": "de-AT"})
    browser.post("/sign-in", {"login": viewer.email, "password": PASSWORD})
    viewer.refresh_from_db()
    assert viewer.language == "de"

    other = Client(headers={"accept-language": "en"})
    other.post("/sign-in", {"login": viewer.email, "password": PASSWORD})
    viewer.refresh_from_db()
    assert viewer.language == "de"

    fields = {"name": "Vera", "username": "", "time_zone": ""}
    assert other.post("/account/", {**fields, "language": "en"}).status_code == 303
    viewer.refresh_from_db()
    assert viewer.language == "en"
    assert other.post("/account/", {**fields, "language": "xx"}).status_code == 400
    assert other.post("/account/", fields).status_code == 303
    viewer.refresh_from_db()
    assert viewer.language == "en"


def test_an_invitation_is_in_the_language_of_the_inviter(
    owner: User, mails: Callable[[], list[OutboxMail]]
) -> None:
    browser = Client(headers={"accept-language": "de"})
    browser.post("/sign-in", {"login": owner.email, "password": PASSWORD})
    fields = {"email": "ian@example.com", "name": "", "role": "viewer", "days": "7"}
    assert browser.post("/admin/accounts/invitation/add/", fields).status_code == 200
    (mail,) = [mail for mail in mails() if mail.kind == "invitation"]
    assert "Einladung" in text_of(mail)
