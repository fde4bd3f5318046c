"""Every page of Gatehouse that a test can open, by a name."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

from django.http import HttpResponse
from django.test import Client

from accounts.models import User
from accounts.services.invitations import invite
from accounts.services.passwords import start_reset
from accounts.services.verification import mail_verification
from magiclinks import services as links
from mail.models import OutboxMail
from tests.conftest import text_of

BrowserOf = Callable[[User], Client]
PUBLIC = {
    "sign in": "/sign-in",
    "sign in after a dead link": "/sign-in?notice=link-expired",
    "sign up": "/sign-up",
    "forgot password": "/password/forgot",
    "ask for a link": "/magic-link",
    "not found": "/nothing-here",
}
OWN = {
    "account": "/account/",
    "change password": "/account/password",
    "change address": "/account/email",
    "service accounts": "/account/service-accounts",
    "delete": "/account/delete",
    "sign out": "/sign-out",
    "forbidden": "/settings/workspace/users",
}


class Opened(NamedTuple):
    """A page that was opened: its name in messages, and the answer."""

    name: str
    answer: HttpResponse


def open_all(stranger: Client, browser_of: BrowserOf, owner: User, viewer: User) -> list[Opened]:
    """Every page, as a stranger or as `viewer`; needs cheap limits."""
    own = browser_of(viewer)
    return [
        *(Opened(name, stranger.get(path)) for name, path in PUBLIC.items()),
        *(Opened(name, own.get(path)) for name, path in OWN.items()),
        *_answers(stranger),
        *_secret_pages(stranger, owner, viewer),
    ]


def _answers(stranger: Client) -> list[Opened]:
    address = {"email": "somebody@example.com"}
    new = {**address, "password": "violet umbrella marathon kettle"}
    return [
        Opened("sign in refused", stranger.post("/sign-in", {"login": "x", "password": "y"})),
        Opened("sign up refused", stranger.post("/sign-up", {"email": "x", "password": "y"})),
        Opened("sign up sent", stranger.post("/sign-up", new)),
        Opened("forgot password sent", stranger.post("/password/forgot", address)),
        Opened("link sent", stranger.post("/magic-link", address)),
    ]


def _secret_pages(stranger: Client, owner: User, viewer: User) -> list[Opened]:
    link = links.issue_link(viewer, actor=owner, lifetime=timedelta(hours=1), source="operator")
    reset = start_reset(actor=owner, user=viewer)
    invitation = invite(actor=owner, email="invited@example.com")
    mail_verification(viewer, binding="", language="en")
    return [
        Opened("confirm link", stranger.get(_path(link.url))),
        Opened("choose password", stranger.get(_path(reset))),
        Opened("accept invitation", stranger.get(_path(invitation.url))),
        Opened("confirm address", stranger.get(_mailed_path())),
    ]


def _mailed_path() -> str:
    mail = OutboxMail.objects.latest("id")
    body = text_of(mail)
    found = re.search(r"(/verify-email/[\w-]+)", body)
    assert found is not None
    return found[1]


def _path(url: str) -> str:
    return "/" + url.split("/", 3)[3]
