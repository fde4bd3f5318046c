"""Users: the account, its names and its role."""

import logging
from collections.abc import Collection
from datetime import datetime
from typing import Any, ClassVar, Self
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.hashers import (
    UNUSABLE_PASSWORD_PREFIX,
    check_password,
    get_hasher,
)
from django.db import models
from django.db.models.functions import Concat, Lower, StrIndex
from django.db.models.lookups import GreaterThan
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from accounts.actors import ANONYMOUS_ID, is_anonymous
from accounts.passwords import normalise
from accounts.roles import ADMIN_ROLES, Role, allows, can_manage
from core.row_cache import rows_here
from core.text import email_addresses
from core.text.plain_text import trim
from core.uuid7 import uuid7

logger = logging.getLogger(__name__)

# (name of the group, end) each.
Memberships = tuple[tuple[str, datetime | None], ...]
ROLE_LABELS = [
    (Role.OWNER.value, _("Owner")),
    (Role.ADMIN.value, _("Admin")),
    (Role.EDITOR.value, _("Editor")),
    (Role.VIEWER.value, _("Viewer")),
    (Role.NONE.value, _("No access")),
]


class Kind(models.TextChoices):
    """What an account stands for. A service account has no address, no password, and keys only."""

    PERSON = "person", _("Person")
    SERVICE = "service", _("Service account")


def login_column(login: str) -> tuple[str, str]:
    """(field, stored form) under which `login`, an address or a user name, is looked up."""
    key = trim(login)
    if "@" not in key:
        return "username", key.lower()
    try:
        return "email", email_addresses.parse_email(key)
    except email_addresses.AddressError:
        return "email", key.lower()  # matches no account, because stored addresses are valid


class UserQuerySet(models.QuerySet["User"]):
    """Named filters. Ordering by primary key orders by time of creation."""

    def with_login(self, login: str) -> Self:
        """The account whose address or user name is `login` (at most one)."""
        column, key = login_column(login)
        return self.filter(**{column: key})

    def search(self, text: str) -> Self:
        """Accounts whose address, user name or name contains `text`; all for an empty text.

        A domain is found in either form: `münchen.de` and `xn--mnchen-3ya.de` are the same.
        """
        if not text:
            return self
        found = models.Q()
        for form in email_addresses.search_forms(text):
            # Not `icontains`, for which PostgreSQL converts each row to upper case.
            place = StrIndex("search_text", Lower(models.Value(form)))
            found |= models.Q(GreaterThan(place, 0))
        return self.filter(found)

    def with_address(self, text: str) -> Self | None:
        """The account whose whole address is `text`, found by an index; None if there is none.

        For searches, which then need not read every name. Others whose address ends with it are
        not what was typed.
        """
        exactly = self.with_login(text)
        return exactly if "@" in text and exactly.exists() else None

    def found_ids(self, text: str, most: int) -> list[UUID]:
        """The ids of the newest accounts that search() finds, `most` at most.

        In this order the database reads only the index that covers the search.
        """
        return list(self.search(text).order_by("-pk").values_list("pk", flat=True)[:most])

    def people(self) -> Self:
        """Without service accounts, and the default owner while it has not been set up."""
        return self.filter(kind=Kind.PERSON, setup_completed=True)

    def service_accounts(self) -> Self:
        """Accounts of programs; see accounts.services.service_accounts."""
        return self.filter(kind=Kind.SERVICE)

    def by_partial_index(self) -> Self:
        """Service accounts, found by their index: SQLite takes it for a condition without values.

        Not together with select_related("responsible"), which would leave out deleted people.
        """
        return self.service_accounts().filter(responsible__isnull=False)

    def without_responsible(self, now: datetime) -> Self:
        """Service accounts for which nobody answers.

        The person is deleted, disabled or expired, and so is everyone in the responsible group.
        """
        able = self.model.all_objects.filter(
            models.Q(expires_at=None) | models.Q(expires_at__gt=now), is_active=True
        )
        person = able.filter(pk=models.OuterRef("responsible_id"))
        team = able.filter(
            models.Q(memberships__until=None) | models.Q(memberships__until__gt=now),
            kind=Kind.PERSON,
            memberships__group=models.OuterRef("responsible_group_id"),
        )
        return self.by_partial_index().exclude(models.Exists(person) | models.Exists(team))

    def active_owners(self) -> Self:
        """Owners who can sign in now, and whose access has no end."""
        endless = self.filter(expires_at=None, role_until=None)
        return endless.people().filter(role=Role.OWNER, is_active=True)

    def ended(self, now: datetime) -> Self:
        """Accounts whose end, or the end of their role, has passed and is not written down yet."""
        is_expired = models.Q(is_active=True, expires_at__lte=now)
        return self.filter(is_expired | models.Q(role_until__lte=now))

    def ends_before(self, end: datetime) -> Self:
        """Accounts whose access or role ends before `end`, or has ended and is not written down."""
        return self.filter(models.Q(expires_at__lt=end) | models.Q(role_until__lt=end))

    def manageable_by(self, actor_role: str) -> Self:
        """Accounts that an actor with that role may manage; see roles.can_manage()."""
        roles = [role for role in Role if can_manage(Role(actor_role), role)]
        return self.filter(role__in=roles)


class UserManager(BaseUserManager["User"].from_queryset(UserQuerySet)):  # type: ignore[misc]  # from_queryset makes the class at run time
    """The default manager. It hides the built-in anonymous user (see accounts.actors).

    Create users through accounts.services.users, not here.
    """

    def get_queryset(self) -> UserQuerySet:
        found: UserQuerySet = super().get_queryset()
        return found.exclude(pk=ANONYMOUS_ID)

    def get_by_natural_key(self, username: str | None) -> "User":
        user: User = self.get(email=email_addresses.parse_email(username or ""))
        return user


class User(AbstractBaseUser):
    """A user account. What the user may do follows from `role` alone (CONTRACT section 4)."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(
        _("kind"), max_length=8, choices=Kind.choices, default=Kind.PERSON, editable=False
    )
    # Of a service account: its user name. It has no @, so no mail, login or claim can match it.
    email = models.EmailField(_("email address"), unique=True, max_length=254)
    username = models.CharField(_("user name"), max_length=64, unique=True, null=True, blank=True)
    name = models.CharField(_("name"), max_length=150, blank=True)
    role = models.CharField(_("role"), max_length=8, choices=ROLE_LABELS, default=Role.VIEWER.value)
    # Set by an administrator: no provider or directory changes the role.
    role_locked = models.BooleanField(
        _("keep this role"),
        default=False,
        help_text=_("No sign-in through a provider or directory changes it."),
    )
    is_active = models.BooleanField(_("active"), default=True)
    # The account may act until then, and the role lasts until then. Each check computes what holds
    # from the row and the clock; the worker writes it down later. See from_db().
    expires_at = models.DateTimeField(_("access ends"), null=True, blank=True)
    role_until = models.DateTimeField(_("role ends"), null=True, blank=True)
    # The role that follows; "" exactly if the role has no end.
    role_after = models.CharField(
        _("role afterwards"), max_length=8, choices=ROLE_LABELS, blank=True, default=""
    )
    # Who answers for a service account. The id of a deleted person stays, as in the audit log: a
    # deletion must not write rows of other accounts, whose locks it does not hold.
    responsible = models.ForeignKey(
        "self",
        verbose_name=_("responsible person"),
        null=True,
        blank=True,
        db_constraint=False,
        on_delete=models.DO_NOTHING,
        related_name="service_accounts",
    )
    # Of a service account, beside the person: everyone in this group answers for it, too. No
    # foreign key, for the same reason: the id of a deleted group stays, and undo brings it back.
    responsible_group_id = models.UUIDField(null=True, blank=True, editable=False)
    # Pages and mails show times in it; see core.text.time_zones.
    time_zone = models.CharField(_("time zone"), max_length=64, blank=True, default="")
    # Mails are written in it; the first sign-in sets it. "" for LANGUAGE_CODE.
    language = models.CharField(_("language"), max_length=8, blank=True, default="")
    # False only for the default owner, until its set-up link has been used.
    setup_completed = models.BooleanField(default=True, editable=False)
    email_verified_at = models.DateTimeField(_("address verified"), null=True, blank=True)
    # Every session, link and token issued before this time is invalid.
    credentials_valid_from = models.DateTimeField(default=timezone.now, editable=False)
    # The same for API keys, which stay valid after a global sign-out, a new role and a ban.
    keys_valid_from = models.DateTimeField(default=timezone.now, editable=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    # What search() reads: one column instead of three.
    search_text = models.GeneratedField(
        expression=Lower(
            Concat("email", models.Value("\n"), "username", models.Value("\n"), "name")
        ),
        output_field=models.TextField(),
        db_persist=True,
        editable=False,
    )

    # The stored role if it has ended; "" otherwise.
    ended_role: str = ""
    # Set by load_groups() for lists; see all_memberships().
    loaded_memberships: Memberships | None = None

    objects = UserManager()
    all_objects: ClassVar[models.Manager["User"]] = models.Manager()

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
            models.CheckConstraint(
                condition=models.Q(role_until=None, role_after="")
                | models.Q(role_until__isnull=False, role_after__in=[role.value for role in Role]),
                name="user_role_after_its_end",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    kind="person",
                    email__contains="@",
                    responsible=None,
                    responsible_group_id=None,
                )
                | models.Q(
                    ~models.Q(email__contains="@"),
                    kind="service",
                    username=models.F("email"),
                    username__isnull=False,
                    responsible__isnull=False,
                    password__startswith=UNUSABLE_PASSWORD_PREFIX,
                    last_login=None,
                    email_verified_at=None,
                    setup_completed=True,
                ),
                name="user_kind",
            ),
            models.CheckConstraint(
                condition=models.Q(kind="person")
                | ~models.Q(role="owner") & ~models.Q(role_after="owner"),
                name="user_service_is_no_owner",
            ),
        ]
        indexes = [
            models.Index(fields=["role", "id"], name="user_role"),
            models.Index(fields=["last_login", "-id"], name="user_last_login"),
            models.Index(fields=["created_at"], name="user_created_at"),
            # The worker looks for what has ended every few seconds.
            models.Index(
                fields=["expires_at"],
                condition=models.Q(expires_at__isnull=False),
                name="user_expires_at",
            ),
            models.Index(
                fields=["role_until"],
                condition=models.Q(role_until__isnull=False),
                name="user_role_until",
            ),
            models.Index(
                fields=["id"],
                condition=models.Q(responsible__isnull=False),
                name="user_service_accounts",
            ),
            models.Index(
                fields=["role", "id"],
                condition=models.Q(responsible__isnull=False),
                name="user_service_role",
            ),
            # The rare states, which the filters of lists would look for in every row.
            models.Index(
                fields=["id"], condition=models.Q(email_verified_at=None), name="user_unverified"
            ),
            models.Index(fields=["id"], condition=models.Q(is_active=False), name="user_disabled"),
            models.Index(
                fields=["id"], condition=models.Q(setup_completed=False), name="user_not_set_up"
            ),
            # Covers search(): a fifth of the size of the whole rows.
            models.Index(fields=["id", "search_text", "kind"], name="user_search_text"),
        ]

    def __str__(self) -> str:
        return self.email

    @classmethod
    def from_db(
        cls, db: str | None, field_names: Collection[str], values: Collection[Any], **options: Any
    ) -> "User":
        """The row as of now: once `role_until` has passed, `role` is the one that follows.

        So code that loads a user reads the current role without waiting for the worker. Read
        no role with values(), and let no query decide by it: it would see the stored one.
        """
        user: User = super().from_db(db, field_names, values, **options)
        user.after_load()
        return user

    def after_load(self) -> None:
        """See from_db(); core.sql.instance() calls it as well."""
        if "role" not in self.__dict__ or self.role_until is None:
            return
        if self.role_until <= timezone.now():
            self.ended_role, self.role = self.role, self.role_after

    def is_expired(self, now: datetime) -> bool:
        """Whether the access of the account has ended by itself."""
        return self.expires_at is not None and self.expires_at <= now

    def next_end(self, now: datetime) -> datetime | None:
        """When the access or the role ends by itself, whichever is first; None if neither does."""
        ends = [end for end in (self.expires_at, self.role_until) if end is not None and end > now]
        return min(ends, default=None)

    def all_memberships(self) -> Memberships:
        """The name of the group and the end of each membership, also of those that have ended."""
        if self.loaded_memberships is not None:
            return self.loaded_memberships
        kept = rows_here()
        found: Memberships | None = None if kept is None else kept.get(("groups", self.pk))
        if found is None:
            found = tuple(self.memberships.values_list("group__name", "until"))
            if kept is not None:
                kept["groups", self.pk] = found
        return found

    @property
    def group_names(self) -> list[str]:
        """The groups that the person is in now, in alphabetical order."""
        now = timezone.now()
        held = {name for name, end in self.all_memberships() if end is None or end > now}
        return sorted(held)

    @property
    def rank(self) -> int:
        return Role(self.role).rank

    @property
    def is_built_in(self) -> bool:
        """Whether this is the built-in anonymous user."""
        return is_anonymous(self.pk)

    @property
    def is_service(self) -> bool:
        """Whether this is a service account."""
        return self.kind == Kind.SERVICE

    @property
    def address(self) -> str | None:
        """The email address; None for a service account, which has none."""
        return None if self.is_service else self.email

    @property
    def is_verified(self) -> bool:
        """Whether the user has shown that the address is theirs."""
        return self.email_verified_at is not None

    @property
    def is_staff(self) -> bool:
        """Whether the user may open the admin. Derived from the role, never stored."""
        return self.role in ADMIN_ROLES

    @property
    def is_superuser(self) -> bool:
        """Whether the user has all permissions. Derived from the role, never stored."""
        return self.role == Role.OWNER

    def has_perm(self, perm: str, obj: object = None) -> bool:
        """Django's permission check, answered from the role; `obj` makes no difference."""
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
        """The time to store as issued for a credential that is issued `now`.

        Never before `credentials_valid_from` and `keys_valid_from`, which may have been set by a
        node whose clock is ahead.
        """
        return max(now, self.credentials_valid_from, self.keys_valid_from)

    def get_full_name(self) -> str:
        return self.email if self.is_service else self.name or self.email

    def get_short_name(self) -> str:
        return self.email if self.is_service else self.name.partition(" ")[0] or self.email

    def set_password(self, raw_password: str | None) -> None:
        super().set_password(None if raw_password is None else normalise(raw_password))

    def check_password(self, raw_password: str | None) -> bool:
        """Whether the password is right. False, with a logged error, for an unreadable hash.

        Changes nothing: a new hash would end the sessions of the user. A sign-in replaces a hash of
        another scheme; see services.passwords.find_by_password().
        """
        if raw_password is None:
            return False
        try:
            return any(check_password(form, self.password) for form in self._forms_of(raw_password))
        except (ValueError, TypeError, LookupError, AssertionError):
            logger.exception("the stored password of %s cannot be read", self.pk)
            return False

    def _forms_of(self, raw: str) -> list[str]:
        """The forms of a password that may have been hashed: other systems do not normalise."""
        normalised = normalise(raw)
        is_own = self.password.startswith(f"{get_hasher().algorithm}$")
        if is_own or raw == normalised or not self.has_usable_password():
            return [normalised]
        return [raw, normalised]

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """Bind a session to the password and `credentials_valid_from`.

        Changing either ends the session (ASVS 7.4).
        """
        state = f"{self.password}:{self.credentials_valid_from.isoformat()}"
        return salted_hmac(
            "accounts.User.session", state, secret=secret, algorithm="sha256"
        ).hexdigest()
