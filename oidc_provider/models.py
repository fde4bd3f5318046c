"""What apps were given: codes, grants and remembered consent; and how apps register themselves."""

from datetime import datetime

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from applications.models import App
from core.single_use import SingleUseToken
from core.uuid7 import uuid7


class Authentication(models.Model):
    """How and when the user authenticated, as ID tokens tell it."""

    auth_time = models.DateTimeField(editable=False)
    # Values of `amr` (RFC 8176).
    methods = models.JSONField(default=list, editable=False)
    has_second_factor = models.BooleanField(default=False, editable=False)
    # Whence the browser came: an app may be open from certain networks only.
    ip = models.CharField(max_length=45, blank=True, editable=False)

    class Meta:
        abstract = True


class AuthorizationCode(SingleUseToken, Authentication):
    """A code on its way through the browser. Only its digest is stored."""

    app = models.ForeignKey(App, on_delete=models.CASCADE, editable=False, related_name="+")
    user = models.ForeignKey(User, on_delete=models.CASCADE, editable=False, related_name="+")
    redirect_uri = models.TextField(editable=False)
    # Separated by spaces, as in tokens.
    scope = models.TextField(editable=False)
    nonce = models.CharField(max_length=512, blank=True, editable=False)
    # See requested_claims.RequestedClaims.stored().
    claims = models.JSONField(default=dict, editable=False)
    # "" if a client with a secret sent none.
    code_challenge = models.CharField(max_length=43, blank=True, editable=False)
    # `public_id` of the browser session.
    session_id = models.UUIDField(editable=False)
    # Of the grant that its redemption makes: a second redemption ends that one.
    grant_id = models.UUIDField(default=uuid7, editable=False)

    class Meta:
        verbose_name = _("authorization code")
        verbose_name_plural = _("authorization codes")

    def __str__(self) -> str:
        return str(self.pk)


class PushedRequest(SingleUseToken):
    """An authorization request that an app has sent before the browser comes (RFC 9126)."""

    app = models.ForeignKey(App, on_delete=models.CASCADE, editable=False, related_name="+")
    # By name. The browser brings none of them.
    parameters = models.JSONField(default=dict, editable=False)

    class Meta:
        verbose_name = _("pushed authorization request")
        verbose_name_plural = _("pushed authorization requests")

    def __str__(self) -> str:
        return str(self.pk)


class DeviceCode(SingleUseToken, Authentication):
    """A device that waits for its user's decision (RFC 8628). Only digests of both codes are kept.

    The fields of Authentication are empty until then.
    """

    DECISIONS = [("allowed", _("allowed")), ("denied", _("denied"))]

    app = models.ForeignKey(App, on_delete=models.CASCADE, editable=False, related_name="+")
    user = models.ForeignKey(
        User, null=True, on_delete=models.CASCADE, editable=False, related_name="+"
    )
    auth_time = models.DateTimeField(null=True, editable=False)  # type: ignore[assignment]  # null until then
    user_code = models.CharField(max_length=64, unique=True, editable=False)
    scope = models.TextField(editable=False)
    # The address from which the device asked.
    asked_from = models.CharField(max_length=45, blank=True, editable=False)
    # "" while it waits.
    decision = models.CharField(max_length=8, choices=DECISIONS, blank=True, editable=False)
    decided_at = models.DateTimeField(null=True, editable=False)
    # `public_id` of the browser session in which it was allowed.
    session_id = models.UUIDField(null=True, editable=False)
    # Seconds that the device has to wait between two questions.
    interval = models.PositiveSmallIntegerField(default=5, editable=False)
    polled_at = models.DateTimeField(null=True, editable=False)
    grant_id = models.UUIDField(default=uuid7, editable=False)

    class Meta:
        verbose_name = _("device code")
        verbose_name_plural = _("device codes")

    def __str__(self) -> str:
        return str(self.pk)


class Grant(Authentication):
    """What one sign-in has given to an app. No token is stored: see tokens.py."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    app = models.ForeignKey(App, on_delete=models.CASCADE, editable=False, related_name="grants")
    user = models.ForeignKey(
        User, on_delete=models.CASCADE, editable=False, related_name="openid_grants"
    )
    # `public_id` of the browser session that it ends with; empty with `offline_access`.
    session_id = models.UUIDField(null=True, editable=False)
    # Of the sign-in, for `sid`: the same whether or not the grant ends with the session.
    sid = models.UUIDField(editable=False)
    scope = models.TextField(_("scope"), editable=False)
    # What was asked for beside the scope, as in AuthorizationCode.
    claims = models.JSONField(default=dict, editable=False)
    seed = models.CharField(max_length=43, editable=False)
    # Of the newest refresh token. Older ones are not accepted.
    generation = models.PositiveIntegerField(default=0, editable=False)
    # When the code was made: what was revoked since then ends the grant.
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    refreshed_at = models.DateTimeField(_("last used"), editable=False)
    expires_at = models.DateTimeField(_("ends"), editable=False, db_index=True)
    ended_at = models.DateTimeField(_("ended"), null=True, editable=False)
    # When the app was to be told that the sign-in has ended; see LogoutNotice.
    told_at = models.DateTimeField(null=True, editable=False)
    end_reason = models.CharField(max_length=16, blank=True, editable=False)

    # Of its browser session, None if that is gone. Only what sql.find_grant() returns has it.
    session_end: datetime | None

    class Meta:
        verbose_name = _("sign-in to an app")
        verbose_name_plural = _("sign-ins to apps")

    def __str__(self) -> str:
        return str(self.pk)


class LogoutNotice(models.Model):
    """What an app is told of the end of a sign-in, and the last attempt; see core.queue.

    It outlives its grant and its user: a deleted account has to be signed out of apps, too.
    """

    class Status(models.TextChoices):
        QUEUED = "queued", _("Waiting")
        SENDING = "sending", _("Sending")
        DELIVERED = "done", _("Delivered")
        FAILED = "failed", _("Given up")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # Without a constraint: ending a sign-in waits for nobody who deletes an app.
    app = models.ForeignKey(
        App, on_delete=models.CASCADE, db_constraint=False, related_name="logout_notices"
    )
    user_id = models.UUIDField(editable=False)
    sid = models.UUIDField(editable=False)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.QUEUED)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(default=timezone.now)
    lease_until = models.DateTimeField(null=True, editable=False)
    last_error = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("notice of a sign-out")
        verbose_name_plural = _("notices of sign-outs")
        indexes = [models.Index(fields=["status", "next_attempt_at"], name="logout_notice_due")]

    def __str__(self) -> str:
        return str(self.pk)


class Consent(models.Model):
    """What a user has allowed an app to know. Asked again when an app wants more."""

    user = models.ForeignKey(
        User, on_delete=models.CASCADE, editable=False, related_name="openid_consents"
    )
    app = models.ForeignKey(App, on_delete=models.CASCADE, editable=False, related_name="+")
    scope = models.TextField(editable=False)
    given_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("consent")
        verbose_name_plural = _("consents")
        constraints = [
            models.UniqueConstraint(fields=["user", "app"], name="oidc_provider_one_consent")
        ]

    def __str__(self) -> str:
        return str(self.pk)


class InitialAccessToken(models.Model):
    """With it, programs register apps (RFC 7591, section 3). Only its digest is stored."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(_("name"), max_length=80)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    # Who may enter the apps that are registered with it.
    openid_role = models.CharField(_("lowest role"), max_length=8, choices=App.LEVELS)
    openid_group_ids = models.JSONField(_("only these groups"), default=list, blank=True)
    max_uses = models.PositiveSmallIntegerField(_("apps at most"))
    uses = models.PositiveSmallIntegerField(_("apps registered"), default=0, editable=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    expires_at = models.DateTimeField(_("ends"), editable=False)

    class Meta:
        verbose_name = _("registration token")
        verbose_name_plural = _("registration tokens")
        ordering = ("-created_at", "-id")

    def __str__(self) -> str:
        return self.name

    def state(self, now: datetime) -> str:
        """Return live, spent or expired."""
        if self.uses >= self.max_uses:
            return "spent"
        return "expired" if self.expires_at <= now else "live"


class Registration(models.Model):
    """How an app has registered itself. With a token of its own it reads and ends that."""

    app = models.OneToOneField(
        App, on_delete=models.CASCADE, editable=False, related_name="registration"
    )
    digest = models.CharField(max_length=64, unique=True, editable=False)
    # Of the initial access token, which may be gone.
    token_name = models.CharField(max_length=80, editable=False)
    # `token_endpoint_auth_method`, of which the app stores less.
    method = models.CharField(max_length=32, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("registration of an app")
        verbose_name_plural = _("registrations of apps")

    def __str__(self) -> str:
        return str(self.pk)
