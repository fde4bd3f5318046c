"""A magic link, requested on the sign-in page and read from the mail."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client

from accounts.actors import SYSTEM
from accounts.models import User
from magiclinks.services import handle_link_requests, issue_link
from mail.models import OutboxMail
from tests.conftest import path_in

Ask = Callable[..., str]


@pytest.fixture
def ask_link(mails: Callable[[], list[OutboxMail]]) -> Ask:
    """ask_link(browser, email, **fields) -> path of the mailed link, "" when no mail came."""

    def ask(browser: Client, email: str, **fields: str) -> str:
        before = len(mails())
        answer = browser.post("/magic-link", {"email": email, **fields})
        assert answer.status_code == 200, answer.content
        handle_link_requests()
        return path_in(mails()[-1]) if len(mails()) > before else ""

    return ask


@pytest.fixture
def issued_path(db: None) -> Callable[[User], str]:
    """issued_path(user) -> path of a link that an administrator issued."""

    def issue(user: User, lifetime: timedelta = timedelta(hours=1)) -> str:
        issued = issue_link(user, actor=SYSTEM, lifetime=lifetime, source="command")
        return issued.url.removeprefix("http://localhost:8000")

    return issue
