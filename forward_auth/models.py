"""The tables of forward auth: access rules, denials, and the cookie for apps on other hosts."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import BrowserSession, User
from accounts.roles import Role
from applications.models import App
from core.uuid7 import uuid7
from forward_auth.rules.matching import Effect


class AccessRule(models.Model):
    """Who may access a host and path. The first rule by `position` that matches decides."""

    EFFECTS = [
        (Effect.ROLE.value, _("A role and above")),
        (Effect.PUBLIC.value, _("Everyone, without signing in")),
        (Effect.DENY.value, _("No one")),
    ]
    LEVELS = [
        (Role.VIEWER.value, _("Viewer")),
        (Role.EDITOR.value, _("Editor")),
        (Role.ADMIN.value, _("Admin")),
        (Role.OWNER.value, _("Owner")),
    ]

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    position = models.PositiveIntegerField(
        _("position"),
        default=100,
        help_text=_("Rules are checked in this order, starting with the lowest number."),
    )
    name = models.CharField(_("name"), max_length=80)
    is_enabled = models.BooleanField(_("in use"), default=True)
    effect = models.CharField(_("allows"), max_length=8, choices=EFFECTS)
    role = models.CharField(_("role"), max_length=8, choices=LEVELS, default=Role.VIEWER.value)
    host = models.CharField(
        _("host"), max_length=253, blank=True,
        help_text=_(
            "app.example.com, or *.example.com for every name below it. Empty: every host."
        ),
    )  # fmt: skip
    path = models.CharField(
        _("path"), max_length=500, blank=True,
        help_text=_("/api matches /api and everything below it, but not /apis. Empty: every path."),
    )  # fmt: skip
    methods = models.JSONField(_("methods"), default=list, blank=True)
    networks = models.JSONField(_("networks"), default=list, blank=True)
    # Ids of groups, not rows that refer to them: a deleted group has to leave a closed rule behind.
    group_ids = models.JSONField(_("groups"), default=list, blank=True)
    # For people: the host and path decide. A check never reads the app.
    app = models.ForeignKey(
        App, null=True, blank=True, on_delete=models.SET_NULL, verbose_name=_("app"),
        related_name="rules",
        help_text=_("The list of rules can be filtered by app. It changes nothing about the rule."),
    )  # fmt: skip
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("access rule")
        verbose_name_plural = _("access rules")
        ordering = ("position", "id")

    def __str__(self) -> str:
        return self.name


class Denial(models.Model):
    """One denied request, kept for a week and found by the short reference on the page."""

    # Eight characters of base 32, which the denied user can read out.
    reference = models.CharField(_("reference"), max_length=8, primary_key=True, editable=False)
    at = models.DateTimeField(_("when"), default=timezone.now, db_index=True)
    status = models.PositiveSmallIntegerField(_("status"))
    code = models.CharField(_("code"), max_length=32)
    why = models.CharField(_("why"), max_length=200)
    rule = models.ForeignKey(
        AccessRule, null=True, on_delete=models.SET_NULL, verbose_name=_("rule"), related_name="+"
    )
    # Of a refused sign-in to an app; the app of a request is that of its rule or address.
    app = models.ForeignKey(
        App, null=True, on_delete=models.SET_NULL, verbose_name=_("app"), related_name="+"
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
        verbose_name = _("denied request")
        verbose_name_plural = _("denied access")

    def __str__(self) -> str:
        return self.reference


class ForwardAuthCookie(models.Model):
    """A second cookie of a browser session, for apps on other hosts; it does not work on our pages.

    One for each session, deleted with it. Only a digest of its value is stored.
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
