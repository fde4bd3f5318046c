"""Signals of webhooks. They report; nothing depends on their receivers."""

from django.dispatch import Signal

# sender: WebhookDelivery. A delivery that someone waits for was queued. Sent after the commit.
delivery_queued = Signal()
