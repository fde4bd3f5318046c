"""The tables of apps and of their secrets.

Who may enter an app is not here, but in what refers to it: access rules.
"""

import secrets
import string
from datetime import datetime

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.roles import Role
from applications.addresses import initials_of, split_address
from core.uuid7 import uuid7

CLIENT_ID_LENGTH = 20
# The kind of an app that gets tokens for itself, by client credentials.
SERVICE = "service"
# How an app proves to be itself: by a secret, or by an assertion that it signs.
SECRET, ASSERTION = "secret", "private_key_jwt"
# What `sub` says of a person: OpenID Connect Core, section 8.
PUBLIC, PAIRWISE = "public", "pairwise"


def make_client_id() -> str:
    """A new public name of an app, such as `app_k3v…`."""
    letters = string.ascii_lowercase + string.digits
    return "app_" + "".join(secrets.choice(letters) for _ in range(CLIENT_ID_LENGTH))


class App(models.Model):
    """A web app of the team. One model for apps behind a proxy and for OpenID clients.

    No check of a proxy reads it: rules hold the hosts and paths that decide. The fields of OpenID
    Connect say who may sign in to the app, because there no path could.
    """

    PROXIES = [
        ("nginx", "nginx"),
        ("caddy", "Caddy"),
        ("traefik", "Traefik"),
        ("haproxy", "HAProxy"),
        ("backend", _("none: its backend verifies tokens")),
    ]

    # How the app gets tokens through OpenID Connect; "" for not at all.
    OPENID_KINDS = [
        ("web", _("web app with a server: it keeps a secret")),
        ("spa", _("single-page app: no secret, only PKCE")),
        ("native", _("desktop or phone app: no secret, only PKCE")),
        (SERVICE, _("program: signs nobody in, and acts as a service account")),
    ]
    AUTHENTICATION = [
        (SECRET, _("by a secret")),
        (ASSERTION, _("by a key of its own (private_key_jwt)")),
    ]
    SUBJECT_TYPES = [
        (PUBLIC, _("the same in every app")),
        (PAIRWISE, _("another one in each app (pairwise)")),
    ]
    ALGORITHMS = [("ES256", "ES256"), ("RS256", "RS256")]
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
        help_text=_("Apps are listed in this order, starting with the lowest number."),
    )
    name = models.CharField(_("name"), max_length=80)
    # With a secret it says which app asks. A column of its own, so that an app that comes from
    # another system keeps the name that its configuration has.
    client_id = models.CharField(
        _("client id"), max_length=255, unique=True, default=make_client_id, editable=False
    )
    slug = models.SlugField(
        _("short name"), max_length=50, unique=True,
        help_text=_("Lower-case letters, digits and hyphens. Empty: made from the name."),
    )  # fmt: skip
    url = models.CharField(
        _("address"), max_length=500,
        help_text=_("As in the browser, for example https://wiki.example.com."),
    )  # fmt: skip
    # Of the address, to find the app of a request.
    host = models.CharField(_("host"), max_length=253, db_index=True, editable=False)
    description = models.CharField(
        _("description"), max_length=200, blank=True,
        help_text=_("One sentence that the people who use it understand."),
    )  # fmt: skip
    initials = models.CharField(
        _("initials"), max_length=2, blank=True,
        help_text=_("One or two characters instead of a logo. Empty: from the name."),
    )  # fmt: skip
    is_listed = models.BooleanField(
        _("on the account page"), default=True,
        help_text=_("Those who may open it find it on their account page."),
    )  # fmt: skip
    proxy = models.CharField(_("proxy"), max_length=8, choices=PROXIES, blank=True)
    upstream = models.CharField(
        _("where the proxy reaches it"), max_length=200, blank=True,
        help_text=_("Host and port, for example 127.0.0.1:9000."),
    )  # fmt: skip
    openid_kind = models.CharField(
        _("kind for OpenID Connect"), max_length=8, choices=OPENID_KINDS, blank=True,
        help_text=_("Empty: it does not."),
    )  # fmt: skip
    redirect_uris = models.JSONField(
        _("redirect URIs"), default=list, blank=True,
        help_text=_(
            "Where people return after the sign-in: one address on each line, exactly as the app "
            "sends it."
        ),
    )  # fmt: skip
    logout_uris = models.JSONField(
        _("addresses after signing out"), default=list, blank=True,
        help_text=_("Where people return after signing out: one address on each line."),
    )  # fmt: skip
    # Names of OpenID Connect Back-Channel and Front-Channel Logout 1.0.
    backchannel_logout_uri = models.CharField(
        _("told of the end of a sign-in at"), max_length=500, blank=True,
        help_text=_(
            "Gatehouse posts a logout token there when a sign-in ends, whoever ends it. Empty: the "
            "app is not told."
        ),
    )  # fmt: skip
    frontchannel_logout_uri = models.CharField(
        _("loaded when people sign out"), max_length=500, blank=True,
        help_text=_(
            "For apps that know no logout tokens: the browser loads this address in a hidden frame "
            "when its user signs out here."
        ),
    )  # fmt: skip
    is_trusted = models.BooleanField(
        _("part of the team"), default=False,
        help_text=_("People are not asked whether the app may know who they are."),
    )  # fmt: skip
    openid_role = models.CharField(
        _("lowest role"), max_length=8, choices=LEVELS, default=Role.VIEWER.value,
        help_text=_("Who may sign in to the app: people with this role or a higher one."),
    )  # fmt: skip
    # "" for JWT_ALGORITHM.
    id_token_algorithm = models.CharField(
        _("signature of ID tokens"), max_length=8, choices=ALGORITHMS, blank=True,
        help_text=_("Empty: that of this server. Choose RS256 for apps that know no other."),
    )  # fmt: skip
    signed_userinfo = models.BooleanField(
        _("signed answers of userinfo"), default=False,
        help_text=_("The userinfo endpoint answers with a signed token instead of JSON."),
    )  # fmt: skip
    subject_type = models.CharField(
        _("ids of people"), max_length=8, choices=SUBJECT_TYPES, default=PUBLIC,
        help_text=_(
            "What the app is told as “sub”. With another one in each app, apps cannot compare whom "
            "they know."
        ),
    )  # fmt: skip
    # Ids of users, as text.
    openid_people = models.JSONField(
        _("only these people"), default=list, blank=True,
        help_text=_("Email addresses, one on each line. Empty: everyone with the role."),
    )  # fmt: skip
    openid_second_factor = models.BooleanField(
        _("only with a second factor"), default=False,
        help_text=_("People have to sign in with a passkey, or with a code of a second factor."),
    )  # fmt: skip
    # Ids of groups, as in access rules: a deleted group leaves a closed app behind.
    openid_group_ids = models.JSONField(_("groups"), default=list, blank=True)
    openid_networks = models.JSONField(
        _("only from these networks"), default=list, blank=True,
        help_text=_(
            "Where people have to be when they sign in: one network on each line, such as "
            "10.0.0.0/8. Empty: anywhere."
        ),
    )  # fmt: skip
    openid_hours = models.JSONField(
        _("only at these hours"), default=list, blank=True,
        help_text=_(
            "One span on each line, such as mon-fri 08:00-18:00, in the time zone of this server. "
            "At its end, sign-ins to the app end, too. Empty: at any time."
        ),
    )  # fmt: skip
    allows_device_flow = models.BooleanField(
        _("sign-in by a code on another device"), default=False,
        help_text=_("For devices and programs without a browser: people enter a code here."),
    )  # fmt: skip
    requires_pushed_requests = models.BooleanField(
        _("only pushed requests"), default=False,
        help_text=_("Sign-ins have to begin with a request that the app itself has sent (PAR)."),
    )  # fmt: skip
    client_authentication = models.CharField(
        _("proves to be itself"), max_length=16, choices=AUTHENTICATION, default=SECRET,
        help_text=_("With a key of its own, the app keeps the private key, and no secret works."),
    )  # fmt: skip
    # Public JWKs.
    client_keys = models.JSONField(
        _("public keys"), default=list, blank=True,
        help_text=_("A JSON Web Key Set. Or enter where the app publishes it."),
    )  # fmt: skip
    client_keys_url = models.CharField(
        _("address of the public keys"), max_length=500, blank=True,
        help_text=_("Starts with https://. Gatehouse fetches the keys from there."),
    )  # fmt: skip
    # Names; deleting a scope takes it out here.
    custom_scopes = models.JSONField(
        _("scopes of your own"), default=list, blank=True,
        help_text=_("Which of the scopes that you have made the app may ask for."),
    )  # fmt: skip
    # The id of a service account, as text; it stays when the account is deleted.
    service_account = models.CharField(
        _("acts as"), max_length=36, blank=True,
        help_text=_("The service account of a program. Its tokens say what this account may do."),
    )  # fmt: skip
    # By a program, not by an owner: RFC 7591.
    is_self_registered = models.BooleanField(_("registered itself"), default=False, editable=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("app")
        verbose_name_plural = _("apps")
        ordering = ("position", "id")

    def __str__(self) -> str:
        return self.name

    @property
    def is_openid_client(self) -> bool:
        """Whether it may ask the endpoints of OpenID Connect."""
        return bool(self.openid_kind)

    @property
    def signs_people_in(self) -> bool:
        """Whether people may sign in to it by OpenID Connect."""
        return self.openid_kind not in ("", SERVICE)

    @property
    def is_public_client(self) -> bool:
        """Whether it cannot keep a secret (RFC 6749, section 2.1)."""
        return self.openid_kind in ("spa", "native")

    @property
    def path(self) -> str:
        """The path of its address; "" at the root of its host."""
        return split_address(self.url).path

    @property
    def mark(self) -> str:
        """One or two characters in place of a logo."""
        return self.initials or initials_of(self.name)


class CustomScope(models.Model):
    """A scope that an owner has made, for the API of an app. It opens no claim about anyone."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # It never changes, because tokens, consent and the configuration of apps hold it.
    name = models.CharField(_("name"), max_length=60, unique=True)
    description = models.CharField(_("description"), max_length=200)
    # Without one, only the app that was given a token may ask about it.
    audience = models.ForeignKey(
        App, null=True, blank=True, on_delete=models.SET_NULL, related_name="+",
        verbose_name=_("API"),
    )  # fmt: skip
    is_public = models.BooleanField(_("in discovery"), default=True)
    # What was allowed before belonged to an earlier scope of the same name.
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("scope")
        verbose_name_plural = _("scopes")
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class AppSecret(models.Model):
    """A secret by which an app proves to be itself. Only a digest is stored."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="secrets")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    # The last characters of the secret, by which people recognize it.
    ending = models.CharField(max_length=4, editable=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    # Null until a newer secret replaces it.
    expires_at = models.DateTimeField(_("ends"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)
    # Saved at most once a minute.
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True)

    class Meta:
        verbose_name = _("app secret")
        verbose_name_plural = _("app secrets")
        ordering = ("-created_at", "-id")

    def __str__(self) -> str:
        return f"…{self.ending}"

    def state(self, now: datetime) -> str:
        """Return live, revoked or expired."""
        if self.revoked_at:
            return "revoked"
        return "expired" if self.expires_at and self.expires_at <= now else "live"


class UsedAssertion(models.Model):
    """An assertion that an app has sent, until it expires by itself: it is accepted once."""

    digest = models.CharField(max_length=64, primary_key=True, editable=False)
    expires_at = models.DateTimeField(_("ends"), editable=False, db_index=True)

    class Meta:
        verbose_name = _("used assertion")
        verbose_name_plural = _("used assertions")

    def __str__(self) -> str:
        return self.digest[:8]
