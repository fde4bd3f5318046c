"""What SCIM knows of accounts and groups beside what they are."""

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Group

MAX_NAME_LENGTH, MAX_EXTERNAL_ID_LENGTH, MAX_PART_LENGTH = 254, 255, 150


class ScimUser(models.Model):
    """An account that SCIM manages. A person without a row has their address as userName.

    user_name: as it was sent; key: the same in lower case, by which it is unique and compared.
    external_id: the id at the client. has_name: the client has sent `name`; without, not even
    `name.formatted` is shown. is_primary: what the client says of the address. released_at: when it
    deleted the user. The account is disabled then, and SCIM no longer shows it; the names stay
    taken.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="scim", primary_key=True
    )
    user_name = models.CharField(_("name at the system"), max_length=MAX_NAME_LENGTH)
    key = models.CharField(max_length=MAX_NAME_LENGTH, unique=True, editable=False)
    external_id = models.CharField(
        _("external id"), max_length=MAX_EXTERNAL_ID_LENGTH, blank=True, db_index=True
    )
    given_name = models.CharField(max_length=MAX_PART_LENGTH, blank=True)
    family_name = models.CharField(max_length=MAX_PART_LENGTH, blank=True)
    has_name = models.BooleanField(default=True)
    is_primary = models.BooleanField(default=True)
    created_at = models.DateTimeField(_("managed since"), default=timezone.now, editable=False)
    released_at = models.DateTimeField(_("deleted there"), null=True, blank=True)

    class Meta:
        verbose_name = _("account managed by SCIM")
        verbose_name_plural = _("accounts managed by SCIM")

    def __str__(self) -> str:
        return str(self.pk)


class ScimGroup(models.Model):
    """A group that SCIM has made or changed. Its members are the memberships of the source `scim`.

    is_own: SCIM made the group, so it may delete it. released_at: when the client deleted it; the
    group stayed, because something depends on it or others put people into it.
    """

    group = models.OneToOneField(
        Group, on_delete=models.CASCADE, related_name="scim", primary_key=True
    )
    external_id = models.CharField(
        _("external id"), max_length=MAX_EXTERNAL_ID_LENGTH, blank=True, db_index=True
    )
    is_own = models.BooleanField(default=False)
    released_at = models.DateTimeField(_("deleted there"), null=True, blank=True)

    class Meta:
        verbose_name = _("group managed by SCIM")
        verbose_name_plural = _("groups managed by SCIM")

    def __str__(self) -> str:
        return str(self.pk)
