"""The tables of named locks and of the cache."""

from django.db import models


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
