"""What the outbox tells others; past tense, never part of the flow."""

from django.dispatch import Signal

# sender: OutboxMail. Sent after the commit.
mail_queued = Signal()
