"""The table behind the cache of an instance without Redis."""

from django.db import models


class CacheEntry(models.Model):
    """One cached value as JSON; see config.cache."""

    cache_key = models.CharField(max_length=255, primary_key=True)
    value = models.TextField()
    # Unix seconds; null = no end.
    expires_at = models.FloatField(null=True, db_index=True)

    def __str__(self) -> str:
        return self.cache_key
