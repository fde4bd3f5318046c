"""The names before and after a change of a profile, so that it can be undone."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models.users import User


class ProfileChange(models.Model):
    """One change. The audit log outlives accounts and holds no names; this row does neither.

    It is deleted with the account, and after settings.UNDO_WINDOW. before, after: user name, name
    and time zone, see accounts.services.users.names_of().
    """

    # The number of the audit event.
    event = models.BigIntegerField(primary_key=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="profile_changes")
    before = models.JSONField()
    after = models.JSONField()
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        verbose_name = _("change of a profile")
        verbose_name_plural = _("changes of profiles")

    def __str__(self) -> str:
        return str(self.event)
