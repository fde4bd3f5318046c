"""The tables of accounts: people, sessions, single-use tokens, mail to send, the audit log."""

import uuid
from typing import Any, ClassVar, Self

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from accounts import addresses
from accounts.passwords import normalise
from accounts.roles import OPERATORS, Role, allows, can_manage
from accounts.single_use import SingleUseToken
from accounts.uuids import uuid7

ROLE_LABELS = [
    (Role.OWNER.value, _("Owner")),
    (Role.ADMIN.value, _("Admin")),
    (Role.EDITOR.value, _("Editor")),
    (Role.VIEWER.value, _("Viewer")),
    (Role.NONE.value, _("No access")),
]


def login_column(login: str) -> tuple[str, str]:
    """Where `login` is looked up, and its stored form: address or user name."""
    key = login.strip().lower()
    return ("email" if "@" in key else "username"), key


class UserQuerySet(models.QuerySet["User"]):
    """Named filters; ordering by primary key is ordering by time of creation."""

    def with_login(self, login: str) -> Self:
        """The account whose address or user name is `login` (at most one)."""
        column, key = login_column(login)
        return self.filter(**{column: key})

    def search(self, text: str) -> Self:
        """Whose address, user name or name holds `text`; all of them for an empty text."""
        if not text:
            return self
        return self.filter(
            models.Q(email__icontains=text)
            | models.Q(username__icontains=text)
            | models.Q(name__icontains=text)
        )

    def people(self) -> Self:
        """Without the unclaimed default owner, who is no person yet."""
        return self.filter(is_claimed=True)

    def active_owners(self) -> Self:
        """Owners who can sign in now."""
        return self.people().filter(role=Role.OWNER, is_active=True)

    def manageable_by(self, actor_role: str) -> Self:
        """Those on whom an actor of that role may act."""
        roles = [role for role in Role if can_manage(Role(actor_role), role)]
        return self.filter(role__in=roles)


class UserManager(BaseUserManager["User"].from_queryset(UserQuerySet)):  # type: ignore[misc]  # from_queryset makes the class at run time
    """Default manager; people are made by accounts.services, not here."""

    def get_by_natural_key(self, username: str | None) -> "User":
        user: User = self.get(email=addresses.parse_email(username or ""))
        return user


class User(AbstractBaseUser):
    """A person's account. What he may do follows from `role` alone (CONTRACT section 4)."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    email = models.EmailField(_("email address"), unique=True, max_length=254)
    username = models.CharField(_("user name"), max_length=64, unique=True, null=True, blank=True)
    name = models.CharField(_("name"), max_length=150, blank=True)
    role = models.CharField(_("role"), max_length=8, choices=ROLE_LABELS, default=Role.VIEWER.value)
    is_active = models.BooleanField(_("active"), default=True)
    # False only for the default owner until somebody has used the set-up link.
    is_claimed = models.BooleanField(default=True, editable=False)
    email_verified_at = models.DateTimeField(_("address verified"), null=True, blank=True)
    # Every sign-in, link and token older than this mark is dead.
    not_before = models.DateTimeField(default=timezone.now, editable=False)
    # The same mark of API keys: they outlive signing out everywhere, a new role and a ban.
    keys_not_before = models.DateTimeField(default=timezone.now, editable=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    objects = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(email=Lower("email")), name="user_email_is_lower_case"
            ),
            models.CheckConstraint(
                condition=models.Q(role__in=[role.value for role in Role]),
                name="user_role_is_known",
            ),
        ]
        indexes = [
            models.Index(fields=["role", "id"], name="user_role"),
            models.Index(fields=["last_login"], name="user_last_login"),
            models.Index(fields=["created_at"], name="user_created_at"),
        ]

    def __str__(self) -> str:
        return self.email

    @property
    def rank(self) -> int:
        return Role(self.role).rank

    @property
    def is_verified(self) -> bool:
        """Has the person proved to own the address?"""
        return self.email_verified_at is not None

    @property
    def is_staff(self) -> bool:
        """Django's word for "may enter the admin panel"; derived, never stored."""
        return self.role in OPERATORS

    @property
    def is_superuser(self) -> bool:
        """Django's word for "may everything"; derived, never stored."""
        return self.role == Role.OWNER

    def has_perm(self, perm: str, obj: object = None) -> bool:
        """Django's permission check, answered from the role. `obj` does not widen it."""
        app_label, _dot, codename = perm.partition(".")
        return self.is_active and allows(Role(self.role), app_label, codename)

    def has_perms(self, perms: list[str], obj: object = None) -> bool:
        return all(self.has_perm(perm, obj) for perm in perms)

    def has_module_perms(self, app_label: str) -> bool:
        return self.is_active and allows(Role(self.role), app_label, "view_any")

    def can_manage(self, target: "User") -> bool:
        """See roles.can_manage()."""
        return can_manage(Role(self.role), Role(target.role))

    def get_full_name(self) -> str:
        return self.name or self.email

    def get_short_name(self) -> str:
        return self.name.partition(" ")[0] or self.email

    def set_password(self, raw_password: str | None) -> None:
        super().set_password(None if raw_password is None else normalise(raw_password))

    def check_password(self, raw_password: str | None) -> bool:
        return raw_password is not None and super().check_password(normalise(raw_password))

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """Binds a session to password and `not_before`: changing either ends it (ASVS 7.4)."""
        state = f"{self.password}:{self.not_before.isoformat()}"
        return salted_hmac(
            "accounts.User.session", state, secret=secret, algorithm="sha256"
        ).hexdigest()


class BrowserSession(AbstractBaseSession):
    """One signed-in device. `session_key` holds a digest: the cookie's value is never stored."""

    session_key = models.CharField(max_length=64, primary_key=True)
    public_id = models.UUIDField(_("id"), default=uuid.uuid4, unique=True, editable=False)
    # Django's field, with a name that our translation holds.
    expire_date = models.DateTimeField(_("ends"), db_index=True)
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="sessions")
    ip = models.CharField(_("network address"), max_length=45, blank=True)
    user_agent = models.CharField(_("browser"), max_length=256, blank=True)
    created_at = models.DateTimeField(_("signed in"), default=timezone.now)
    last_seen_at = models.DateTimeField(_("last seen"), default=timezone.now)

    class Meta:
        verbose_name = _("session")
        verbose_name_plural = _("sessions")
        indexes = [models.Index(fields=["user", "-last_seen_at"], name="session_of_user")]

    def __str__(self) -> str:
        return _("session %(id)s") % {"id": self.public_id}

    @classmethod
    def get_session_store_class(cls) -> Any:
        """Unused: our store names this model, and nothing goes the other way."""
        raise TypeError("use accounts.sessions.SessionStore")


class AccountToken(SingleUseToken):
    """Set-up, password reset, address verification and address change."""

    class Purpose(models.TextChoices):
        SET_UP = "set-up", _("First set-up")
        RESET_PASSWORD = "reset-password", _("Password reset")
        VERIFY_EMAIL = "verify-email", _("Address verification")
        CHANGE_EMAIL = "change-email", _("Address change")

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    purpose = models.CharField(max_length=16, choices=Purpose.choices)
    email = models.EmailField(max_length=254)

    class Meta:
        verbose_name = _("account link")
        verbose_name_plural = _("account links")
        indexes = [models.Index(fields=["user", "purpose"], name="token_of_user")]

    def __str__(self) -> str:
        return f"{self.purpose} for {self.user_id}"


class Invitation(SingleUseToken):
    """A link by which `email` gets an account of `role`; "replaced" says withdrawn, too."""

    email = models.EmailField(_("email address"), max_length=254, db_index=True)
    name = models.CharField(_("name"), max_length=150, blank=True)
    role = models.CharField(_("role"), max_length=8, choices=ROLE_LABELS)
    # Null with by_system False: the operator's account is gone, and nobody vouches any more.
    invited_by = models.ForeignKey(
        User, null=True, on_delete=models.SET_NULL, related_name="invitations"
    )
    by_system = models.BooleanField(default=False, editable=False)
    # The account made by it; the row holds that person's address and goes with him.
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="+")

    class Meta:
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")

    def __str__(self) -> str:
        return _("invitation %(id)s") % {"id": self.pk}


class AddressRequest(models.Model):
    """Somebody typed an address and asked for mail; handled off the request path.

    The page answers before anybody has looked whether the account exists, so neither the answer
    nor its time can tell (ASVS 6.3.8). The row is deleted in the transaction of its effect.
    """

    class Kind(models.TextChoices):
        MAGIC_LINK = "magic-link", _("Sign-in link")
        RESET_PASSWORD = "reset-password", _("Password reset")
        SIGN_UP = "sign-up", _("Sign-up")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    email = models.EmailField(max_length=254)
    binding = models.CharField(max_length=64, blank=True)
    language = models.CharField(max_length=8)
    ip = models.CharField(max_length=45, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    next_url = models.CharField(max_length=2000, blank=True)
    # Sealed JSON of what sign-up needs (name, password hash); "" otherwise.
    sealed_details = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["kind", "id"], name="address_request_kind")]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


class OutboxMail(models.Model):
    """A mail on its way. The row is the queue; the body is sealed, and wiped when it is sent."""

    class Status(models.TextChoices):
        QUEUED = "queued", _("Queued")
        SENDING = "sending", _("Sending")
        WAITING = "waiting", _("Waiting: no mail service")
        SENT = "sent", _("Sent")
        DEAD = "dead", _("Given up")
        EXPIRED = "expired", _("Out of date")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="mails")
    recipient = models.EmailField(_("to"), max_length=254)
    kind = models.CharField(_("kind"), max_length=32)
    subject = models.CharField(_("subject"), max_length=200)
    sealed_body = models.TextField(blank=True, editable=False)
    status = models.CharField(
        _("status"), max_length=8, choices=Status.choices, default=Status.QUEUED
    )
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt"), default=timezone.now)
    # A sender that died leaves its row in SENDING; after this time another may take it.
    lease_until = models.DateTimeField(null=True, blank=True)
    # Mail that holds a link is worthless after the link's end.
    expires_at = models.DateTimeField(_("worthless after"), null=True, blank=True)
    last_error = models.CharField(_("last error"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    sent_at = models.DateTimeField(_("sent"), null=True, blank=True)

    class Meta:
        verbose_name = _("mail")
        verbose_name_plural = _("mails")
        indexes = [
            models.Index(fields=["status", "next_attempt_at"], name="outbox_due"),
            models.Index(fields=["created_at"], name="outbox_created"),
        ]

    def __str__(self) -> str:
        return f"{self.recipient}: {self.subject}"


class AuditEvent(models.Model):
    """Who did what to whom, when, from where. Append-only; each row holds the previous hash."""

    seq = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(_("when"))
    action = models.CharField(_("action"), max_length=64)
    result = models.CharField(_("result"), max_length=8, default="success")
    # Ids, not foreign keys and not addresses: the log outlives the account and names nobody then.
    actor_id = models.UUIDField(_("actor"), null=True)
    target_id = models.UUIDField(_("target"), null=True)
    channel = models.CharField(_("channel"), max_length=8)
    ip = models.CharField(_("address"), max_length=45, blank=True)
    request_id = models.CharField(_("request id"), max_length=64, blank=True)
    detail = models.JSONField(_("detail"), default=dict)
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        verbose_name = _("audit event")
        verbose_name_plural = _("audit log")
        indexes = [
            models.Index(fields=["target_id", "-seq"], name="audit_target"),
            models.Index(fields=["actor_id", "-seq"], name="audit_actor"),
            models.Index(fields=["action", "-seq"], name="audit_action"),
            models.Index(fields=["at"], name="audit_at"),
        ]

    def __str__(self) -> str:
        return f"{self.seq} {self.action}"


class HouseLock(models.Model):
    """One row per thing of which there must be one writer: `roles`, and the audit chain's head.

    Locked with SELECT … FOR UPDATE on PostgreSQL; on SQLite every write transaction is IMMEDIATE
    and thereby already the only one.
    """

    name = models.CharField(max_length=32, primary_key=True)
    seq = models.BigIntegerField(default=0)
    hash = models.CharField(max_length=64, blank=True)

    def __str__(self) -> str:
        return self.name
