"""Mails about second factors: every change is told to the person (ASVS 6.3.7)."""

from accounts.models import User
from accounts.outbox import enqueue_mail
from accounts.services.identities import PLACEHOLDER_DOMAIN


def tell(user: User, kind: str, **context: str | int) -> None:
    """Write a mail of `kind` in the caller's transaction, unless nobody would ever get it."""
    if not user.email.endswith(f"@{PLACEHOLDER_DOMAIN}"):
        enqueue_mail(kind=kind, recipient=user.email, user=user, context=context)
