"""Who an account is at a provider or in the directory."""

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core.uuid7 import uuid7


class ExternalIdentity(models.Model):
    """Who somebody is at a provider: found by provider, issuer and subject, never by address.

    The issuer is part of who it is: another issuer at the same place in the settings may give the
    same subject to somebody else (TRAPS 30).
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="identities"
    )
    # The id of a configured provider, or "ldap".
    provider = models.CharField(_("provider"), max_length=40)
    # The provider's own lasting name of the person: `sub`, `tid:oid`, entryUUID.
    subject = models.CharField(_("subject"), max_length=255)
    # Provider.authority when the identity was made; "" for vendors of whom there is one.
    issuer = models.CharField(_("issuer"), max_length=255, blank=True)
    # As the provider told it last; shown, never looked up.
    email = models.CharField(_("address at the provider"), max_length=254, blank=True)
    # The account's address that the provider told and tells no more: no link goes there.
    former_email = models.CharField(max_length=254, blank=True, editable=False)
    # As the provider told it last; the account's name follows it unless the person chose another.
    name = models.CharField(max_length=150, blank=True, editable=False)
    # The last decision about the role, see federation.role_mapping.Decision: why, and when.
    role_reason = models.CharField(_("reason of the role"), max_length=300, blank=True)
    role_decided_at = models.DateTimeField(_("role decided"), null=True, blank=True)
    created_at = models.DateTimeField(_("connected"), default=timezone.now, editable=False)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True)

    class Meta:
        verbose_name = _("identity at a provider")
        verbose_name_plural = _("identities at providers")
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "issuer", "subject"], name="identity_of_issuer_once"
            )
        ]
        indexes = [
            models.Index(fields=["user", "provider"], name="identity_of_user"),
            models.Index(fields=["issuer", "subject"], name="identity_of_issuer"),
        ]

    def __str__(self) -> str:
        return f"{self.subject} of {self.provider}"
