"""The tables of named locks, and of the counters."""

from django.db import models


class CacheEntry(models.Model):
    """One cached value as JSON; see core.cache."""

    cache_key = models.CharField(max_length=255, primary_key=True)
    value = models.TextField()
    # Unix seconds; null = no end.
    expires_at = models.FloatField(null=True, db_index=True)

    def __str__(self) -> str:
        return self.cache_key


class NamedLock(models.Model):
    """One row per thing of which there must be one writer: `roles`, and the audit chain's head.

    Locked with SELECT … FOR UPDATE on PostgreSQL; on SQLite every write transaction is IMMEDIATE
    and thereby already the only one.
    """

    name = models.CharField(max_length=32, primary_key=True)
    seq = models.BigIntegerField(default=0)
    hash = models.CharField(max_length=64, blank=True)

    def __str__(self) -> str:
        return self.name
