"""Views of lists that an administrator has saved: filters, search and order under a name."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models.users import User
from core.uuid7 import uuid7


class SavedView(models.Model):
    """One view of one list. table: `accounts.user`. query: what follows `?` in the URL."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="saved_views")
    table = models.CharField(max_length=100)
    name = models.CharField(_("name"), max_length=60)
    query = models.CharField(max_length=1000)

    class Meta:
        verbose_name = _("saved view")
        verbose_name_plural = _("saved views")
        constraints = [
            models.UniqueConstraint(
                fields=["user", "table", "name"], name="saved_view_name_is_unique"
            )
        ]

    def __str__(self) -> str:
        return self.name
