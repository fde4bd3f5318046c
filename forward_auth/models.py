"""The tables of forward auth: rules, and what was refused."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import BrowserSession, User
from accounts.roles import Role
from core.uuid7 import uuid7


class AccessRule(models.Model):
    """Who may pass at a host and path. The first rule by `position` that fits decides."""

    class Effect(models.TextChoices):
        ROLE = "role", _("A role and above")
        PUBLIC = "public", _("Everybody, without signing in")
        DENY = "deny", _("Nobody")

    LEVELS = [
        (Role.VIEWER.value, _("Viewer")),
        (Role.EDITOR.value, _("Editor")),
        (Role.ADMIN.value, _("Admin")),
        (Role.OWNER.value, _("Owner")),
    ]

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    position = models.PositiveIntegerField(
        _("position"), default=100, help_text=_("Rules are asked from the lowest number on.")
    )
    name = models.CharField(_("name"), max_length=80)
    is_enabled = models.BooleanField(_("in use"), default=True)
    effect = models.CharField(_("lets in"), max_length=8, choices=Effect.choices)
    role = models.CharField(_("role"), max_length=8, choices=LEVELS, default=Role.VIEWER.value)
    host = models.CharField(
        _("host"), max_length=253, blank=True,
        help_text=_("app.example.com, or *.example.com for all below. Empty: every host."),
    )  # fmt: skip
    path = models.CharField(
        _("path"), max_length=500, blank=True,
        help_text=_("/api fits /api and all below, not /apis. Empty: every path."),
    )  # fmt: skip
    methods = models.JSONField(_("methods"), default=list, blank=True)
    networks = models.JSONField(_("networks"), default=list, blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("access rule")
        verbose_name_plural = _("access rules")
        ordering = ("position", "id")

    def __str__(self) -> str:
        return self.name


class Denial(models.Model):
    """One refusal, kept for a week, found by the short reference on the page."""

    # Eight characters of base 32, as the refused person reads it out.
    reference = models.CharField(_("reference"), max_length=8, primary_key=True, editable=False)
    at = models.DateTimeField(_("when"), default=timezone.now, db_index=True)
    status = models.PositiveSmallIntegerField(_("status"))
    code = models.CharField(_("code"), max_length=32)
    why = models.CharField(_("why"), max_length=200)
    rule = models.ForeignKey(
        AccessRule, null=True, on_delete=models.SET_NULL, verbose_name=_("rule"), related_name="+"
    )
    user = models.ForeignKey(
        User, null=True, on_delete=models.SET_NULL, verbose_name=_("person"), related_name="+"
    )
    credential = models.CharField(_("credential"), max_length=8, blank=True)
    host = models.CharField(_("host"), max_length=253, blank=True)
    path = models.CharField(_("path"), max_length=500, blank=True)
    method = models.CharField(_("method"), max_length=20, blank=True)
    ip = models.CharField(_("network address"), max_length=45, blank=True)
    count = models.PositiveIntegerField(_("times"), default=1)

    class Meta:
        verbose_name = _("refusal")
        verbose_name_plural = _("refusals")

    def __str__(self) -> str:
        return self.reference


class ForwardAuthCookie(models.Model):
    """A second key to a browser session, for apps on other hosts; worth nothing on our own pages.

    One for each session, gone with it. `digest`: the cookie's value is never stored.
    """

    session = models.OneToOneField(
        BrowserSession,
        primary_key=True,
        on_delete=models.CASCADE,
        editable=False,
        related_name="gate_cookie",
    )
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("cookie of apps")
        verbose_name_plural = _("cookies of apps")

    def __str__(self) -> str:
        return str(self.pk)
