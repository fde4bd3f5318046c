"""Signals of the outbox. They report; the outbox does not depend on their receivers."""

from django.dispatch import Signal

# sender: OutboxMail. Sent after the commit.
mail_queued = Signal()
