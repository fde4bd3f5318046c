"""Base classes of all tables of single-use tokens."""

from datetime import datetime
from typing import Any, Self

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core.uuid7 import uuid7


class SingleUseQuerySet(models.QuerySet[Any]):
    """One conditional UPDATE decides which request uses a token; nothing is read before it."""

    def usable(self, now: datetime) -> Self:
        return self.filter(used_at=None, replaced_at=None, expires_at__gt=now)

    def in_state(self, state: str, now: datetime) -> Self:
        """The rows whose state() is `state`."""
        unused = models.Q(used_at=None, replaced_at=None)
        conditions = {
            "live": unused & models.Q(expires_at__gt=now),
            "used": models.Q(used_at__isnull=False),
            "replaced": models.Q(used_at=None, replaced_at__isnull=False),
            "expired": unused & models.Q(expires_at__lte=now),
        }
        return self.filter(conditions[state])

    def consume(self, digest: str, now: datetime) -> Any | None:
        """Mark the usable row with that digest as used and return it; None if there is none.

        Call inside the transaction of the effect, so that both happen or neither.
        """
        if self.usable(now).filter(digest=digest).update(used_at=now) != 1:
            return None
        return self.get(digest=digest)

    def replace(self, now: datetime) -> int:
        """Invalidate the usable rows of this queryset because a newer token replaces them."""
        return self.usable(now).update(replaced_at=now)


class SingleUseToken(models.Model):
    """Base of all single-use tokens. Only the digest of the token is stored."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    # Digest of the cookie of the requesting browser; "" without a browser.
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
