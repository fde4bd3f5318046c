"""Identities of users at external providers and in the directory, and providers switched off."""

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core.uuid7 import uuid7


class ExternalIdentity(models.Model):
    """An identity at a provider, looked up by provider, issuer and subject, never by email.

    The issuer belongs to the key: another issuer under the same provider id may assign the same
    subject to another person (OpenID Connect Core 1.0, section 5.7).
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="identities"
    )
    # The id of a configured provider, or "ldap".
    provider = models.CharField(_("provider"), max_length=40)
    # The provider's stable identifier of the user: `sub`, `tid:oid`, entryUUID.
    subject = models.CharField(_("subject"), max_length=255)
    # Provider.issuer when the identity was created; "" for vendors with a single issuer.
    issuer = models.CharField(_("issuer"), max_length=255, blank=True)
    # As last reported by the provider; displayed, never used for lookups.
    email = models.CharField(_("address at the provider"), max_length=254, blank=True)
    # The account's address if the provider has stopped reporting it: no link is mailed there.
    former_email = models.CharField(max_length=254, blank=True, editable=False)
    # As last reported by the provider; the account's name follows unless the user changed it.
    name = models.CharField(max_length=150, blank=True, editable=False)
    # Reason and time of the last role decision; see federation.role_mapping.Decision.
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


class PausedProvider(models.Model):
    """A configured provider, or the directory, that is switched off: no one signs in through it.

    Only the settings can add a provider; a row here takes one away. See federation.paused.
    """

    # The id of a configured provider, or "ldap".
    provider = models.CharField(_("provider"), max_length=40, primary_key=True)
    paused_at = models.DateTimeField(_("switched off"), default=timezone.now, editable=False)

    def __str__(self) -> str:
        return self.provider
