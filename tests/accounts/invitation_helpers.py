"""Shared by the tests of invitations."""

from django.utils import timezone

from accounts.models import Invitation
from accounts.services.invitations import IssuedInvitation
from audit.models import AuditEvent

EMAIL = "new@example.com"
PHRASE = "seven quiet rivers under glass"
# Whom each may invite: rows are actors, the words are roles given.
GIVES = {
    "owner": ["owner", "admin", "editor", "viewer", "none"],
    "admin": ["editor", "viewer", "none"],
    "editor": [],
    "viewer": [],
    "none": [],
}


def token_of(issued: IssuedInvitation) -> str:
    return issued.url.rpartition("/")[2]


def path_of(issued: IssuedInvitation) -> str:
    return issued.url.removeprefix("http://localhost:8000")


def events() -> list[tuple[str, str]]:
    """(action, result) of the whole audit log."""
    return list(AuditEvent.objects.order_by("seq").values_list("action", "result"))


def states() -> list[str]:
    now = timezone.now()
    return [row.state(now) for row in Invitation.objects.order_by("pk")]


def some_transport() -> object:
    """What a server with a mail service has; nothing is sent in these tests."""
    return object()


def no_transport() -> None:
    """What a server without a mail service has."""
