"""People: the account, its names, its role."""

import logging
from datetime import datetime
from typing import ClassVar, Self

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models.functions import Concat, Lower
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from accounts import addresses
from accounts.anonymous import ANONYMOUS_ID, is_anonymous
from accounts.passwords import normalise
from accounts.plain_text import trim
from accounts.roles import OPERATORS, Role, allows, can_manage
from accounts.uuids import uuid7

logger = logging.getLogger(__name__)

ROLE_LABELS = [
    (Role.OWNER.value, _("Owner")),
    (Role.ADMIN.value, _("Admin")),
    (Role.EDITOR.value, _("Editor")),
    (Role.VIEWER.value, _("Viewer")),
    (Role.NONE.value, _("No access")),
]


def login_column(login: str) -> tuple[str, str]:
    """Where `login` is looked up, and its stored form: address or user name."""
    key = trim(login)
    if "@" not in key:
        return "username", key.lower()
    try:
        return "email", addresses.parse_email(key)
    except addresses.AddressError:
        return "email", key.lower()  # which is nobody's


class UserQuerySet(models.QuerySet["User"]):
    """Named filters; ordering by primary key is ordering by time of creation."""

    def with_login(self, login: str) -> Self:
        """The account whose address or user name is `login` (at most one)."""
        column, key = login_column(login)
        return self.filter(**{column: key})

    def search(self, text: str) -> Self:
        """Whose address, user name or name holds `text`; all of them for an empty text.

        A domain is found in either form: `münchen.de` and `xn--mnchen-3ya.de` are the same.
        """
        if not text:
            return self
        found = models.Q()
        for form in addresses.search_forms(text):
            found |= models.Q(searched__icontains=form)
        return self.filter(found)

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
    """Default manager, blind for the built-in anonymous user (see accounts.anonymous).

    People are made by accounts.services, not here.
    """

    def get_queryset(self) -> UserQuerySet:
        found: UserQuerySet = super().get_queryset()
        return found.exclude(pk=ANONYMOUS_ID)

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
    # An operator decided: no provider or directory changes the role.
    role_is_kept = models.BooleanField(
        _("keep this role"),
        default=False,
        help_text=_("No sign-in through a provider or directory changes it."),
    )
    is_active = models.BooleanField(_("active"), default=True)
    # False only for the default owner until somebody has used the set-up link.
    is_claimed = models.BooleanField(default=True, editable=False)
    email_verified_at = models.DateTimeField(_("address verified"), null=True, blank=True)
    # Every sign-in, link and token older than this mark is dead.
    not_before = models.DateTimeField(default=timezone.now, editable=False)
    # The same mark of API keys: they outlive signing out everywhere, a new role and a ban.
    keys_not_before = models.DateTimeField(default=timezone.now, editable=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    # What search() looks for a text in: once in each row instead of three times.
    searched = models.GeneratedField(
        expression=Concat("email", models.Value("\n"), "username", models.Value("\n"), "name"),
        output_field=models.TextField(),
        db_persist=True,
        editable=False,
    )

    objects = UserManager()
    everyone: ClassVar[models.Manager["User"]] = models.Manager()

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
            # All that search() reads: a fifth of what the whole rows are.
            models.Index(fields=["id", "searched"], name="user_searched"),
        ]

    def __str__(self) -> str:
        return self.email

    @property
    def rank(self) -> int:
        return Role(self.role).rank

    @property
    def is_built_in(self) -> bool:
        """Is this the anonymous user, who is no person?"""
        return is_anonymous(self.pk)

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

    def issue_time(self, now: datetime) -> datetime:
        """When a credential counts as issued that is issued `now`: never before the marks.

        They may have been set by a node whose clock is ahead.
        """
        return max(now, self.not_before, self.keys_not_before)

    def get_full_name(self) -> str:
        return self.name or self.email

    def get_short_name(self) -> str:
        return self.name.partition(" ")[0] or self.email

    def set_password(self, raw_password: str | None) -> None:
        super().set_password(None if raw_password is None else normalise(raw_password))

    def check_password(self, raw_password: str | None) -> bool:
        """Is it this person's? Not when what is stored of it cannot be read."""
        if raw_password is None:
            return False
        try:
            return super().check_password(normalise(raw_password))
        except (ValueError, TypeError, LookupError, AssertionError):
            logger.exception("the stored password of %s cannot be read", self.pk)
            return False

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """Binds a session to password and `not_before`: changing either ends it (ASVS 7.4)."""
        state = f"{self.password}:{self.not_before.isoformat()}"
        return salted_hmac(
            "accounts.User.session", state, secret=secret, algorithm="sha256"
        ).hexdigest()
