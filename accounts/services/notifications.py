"""Mails that notify users of changes to their account (ASVS 6.3.7)."""

from accounts.models import User
from core.text import email_addresses
from mail.outbox import enqueue_mail


def tell(user: User, kind: str, **context: str | int) -> None:
    """Enqueue a mail of `kind` in the caller's transaction, unless the address is a placeholder."""
    if not email_addresses.is_placeholder(user.email):
        enqueue_mail(kind=kind, recipient=user.email, user=user, context=context)
