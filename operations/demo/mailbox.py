"""The mail service of a demo: it sends nothing, and refuses one mailbox."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from mail.outbox import Examined, MailFailed, Message, deliver_due


class DemoTransport:
    """Takes each mail and drops it. refused: the address of a mailbox that does not exist."""

    refused = ""

    def send(self, message: Message) -> None:
        if message.recipient == self.refused:
            raise MailFailed("550 5.1.1 no such mailbox here", is_permanent=True)

    def examine(self, message: Message | None = None) -> Examined:
        return Examined(("a demo sends no mail",))


_transport = DemoTransport()


def transport() -> DemoTransport:
    """What settings.MAIL_TRANSPORT names while the story is played."""
    return _transport


@contextmanager
def demo_mail(*, refused: str) -> Iterator[None]:
    """Inside the block, deliver() gives all mail to the transport above."""
    configured, settings.MAIL_TRANSPORT = settings.MAIL_TRANSPORT, f"{__name__}.transport"
    _transport.refused = refused
    # The refused mailbox is no problem that anyone has to know of.
    logger = logging.getLogger("gatehouse.outbox")
    was_disabled, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = was_disabled
        settings.MAIL_TRANSPORT = configured


def deliver() -> None:
    """Deliver what waits in the outbox, so that the worker of a server finds nothing to send."""
    while deliver_due():
        pass
