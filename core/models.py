"""The tables of named locks, of the cache and of the branding."""

from typing import ClassVar

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core.branding.images import Logo
from core.branding.values import MAX_NAME, MAX_SUPPORT


class CacheEntry(models.Model):
    """One cached value as JSON; see core.cache."""

    cache_key = models.CharField(max_length=255, primary_key=True)
    value = models.TextField()
    # Unix seconds; null: never.
    expires_at = models.FloatField(null=True, db_index=True)

    def __str__(self) -> str:
        return self.cache_key


class NamedLock(models.Model):
    """One row for each lock: `roles`, and the head of the audit chain.

    Locked with SELECT … FOR UPDATE on PostgreSQL. On SQLite every write transaction is IMMEDIATE,
    so only one runs at a time.
    """

    name = models.CharField(max_length=32, primary_key=True)
    seq = models.BigIntegerField(default=0)
    hash = models.CharField(max_length=64, blank=True)

    def __str__(self) -> str:
        return self.name


class Branding(models.Model):
    """What an administrator has chosen for the look of this instance: one row, or none.

    Empty fields stand for the defaults. The logo is in the database, so that backups and all nodes
    have it.
    """

    ONLY: ClassVar[int] = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=ONLY, editable=False)
    name = models.CharField(_("name"), max_length=MAX_NAME, blank=True)
    color = models.CharField(_("accent color"), max_length=7, blank=True)
    support = models.CharField(_("support address"), max_length=MAX_SUPPORT, blank=True)
    logo = models.BinaryField(_("logo"), blank=True, default=b"")
    logo_type = models.CharField(max_length=16, blank=True)
    logo_width = models.PositiveSmallIntegerField(default=0)
    logo_height = models.PositiveSmallIntegerField(default=0)
    changed_at = models.DateTimeField(_("changed"), default=timezone.now)

    class Meta:
        verbose_name = _("appearance")
        verbose_name_plural = _("appearance")

    def __str__(self) -> str:
        return self.name or "Gatehouse"

    def read_logo(self) -> Logo | None:
        """The logo, which was checked when it was stored."""
        if not self.logo:
            return None
        return Logo(bytes(self.logo), self.logo_type, self.logo_width, self.logo_height)

    def set_logo(self, logo: Logo | None) -> None:
        """Take over a checked logo, or none."""
        self.logo = logo.content if logo else b""
        self.logo_type = logo.media_type if logo else ""
        self.logo_width, self.logo_height = (logo.width, logo.height) if logo else (0, 0)
