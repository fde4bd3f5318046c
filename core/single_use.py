"""What works once: the base of every table of single-use secrets."""

from datetime import datetime
from typing import Any, Self

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core.uuid7 import uuid7


class SingleUseQuerySet(models.QuerySet[Any]):
    """One conditional UPDATE decides who uses a token; nothing is read before it is written."""

    def usable(self, now: datetime) -> Self:
        return self.filter(used_at=None, replaced_at=None, expires_at__gt=now)

    def consume(self, digest: str, now: datetime) -> Any | None:
        """Mark the usable row with that digest used and return it; None when nobody wins it.

        Call inside the transaction of the effect, so that both happen or neither.
        """
        if self.usable(now).filter(digest=digest).update(used_at=now) != 1:
            return None
        return self.get(digest=digest)

    def replace(self, now: datetime) -> int:
        """Kill what is still usable here because a newer one has been issued."""
        return self.usable(now).update(replaced_at=now)


class SingleUseToken(models.Model):
    """Base of everything that works once: only the digest of the secret is kept."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    # Digest of the cookie of the browser that asked; "" when no browser did.
    binding = models.CharField(max_length=64, blank=True, editable=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    expires_at = models.DateTimeField(_("ends"))
    used_at = models.DateTimeField(_("used"), null=True, blank=True)
    replaced_at = models.DateTimeField(_("replaced"), null=True, blank=True)

    objects = SingleUseQuerySet.as_manager()

    class Meta:
        abstract = True

    def state(self, now: datetime) -> str:
        """live, used, replaced or expired."""
        if self.used_at:
            return "used"
        if self.replaced_at:
            return "replaced"
        return "live" if self.expires_at > now else "expired"
