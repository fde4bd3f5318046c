"""/api/v1/users: people, for operators. Every write is a call of accounts.services."""

import uuid
from copy import copy
from datetime import timedelta
from functools import partial
from typing import Any, NoReturn

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.actors import Actor
from accounts.errors import Forbidden, NotFound, RecordInvalid
from accounts.locks import ROLES, house_lock, lock_people
from accounts.models import ROLE_LABELS, User, UserQuerySet
from accounts.passwords import MAX_PASSWORD_LENGTH
from accounts.roles import Role
from accounts.services import passwords, sessions, users
from accounts.services.users import Profile, require_rank
from accounts.services.verification import mark_verified
from api.access import Need, Scope
from api.pagination import PageQuery, page
from api.serializers import IssuedLinkRecord, ResetLinkRecord, UserRecord, page_of
from api.views.base import ApiView, checked, queried
from api.views.me import user_record
from magiclinks.models import LoginLink
from magiclinks.services import issue_link

OPERATOR = Need(Scope.USERS, Role.ADMIN)
SENSITIVE = Need(Scope.USERS, Role.ADMIN, is_sensitive=True)
SEARCH_MAX_LENGTH = 254
LONGEST_LIFE = 24 * 3600


class UserQuery(PageQuery):
    """Filters of the list of people."""

    q = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=SEARCH_MAX_LENGTH,
        help_text="Part of an address, a user name or a name, or a whole id.",
    )
    search = serializers.CharField(
        required=False, allow_blank=True, max_length=SEARCH_MAX_LENGTH, help_text="The same as `q`."
    )
    role = serializers.ChoiceField(ROLE_LABELS, required=False)
    is_active = serializers.BooleanField(required=False)
    is_verified = serializers.BooleanField(required=False)
    created_after = serializers.DateTimeField(required=False, help_text="This moment or later.")
    created_before = serializers.DateTimeField(required=False, help_text="Before this moment.")


class NewUser(serializers.Serializer[Any]):
    """An account to be made. No mail is sent."""

    email = serializers.CharField(max_length=254)
    name = serializers.CharField(default="", allow_blank=True, max_length=150)
    username = serializers.CharField(default=None, allow_blank=True, allow_null=True, max_length=64)
    role = serializers.ChoiceField(
        ROLE_LABELS, default=Role.VIEWER.value, help_text="Below your own; an owner gives any."
    )
    password = serializers.CharField(
        default=None,
        allow_null=True,
        trim_whitespace=False,
        max_length=MAX_PASSWORD_LENGTH,
        help_text="Without one the person signs in by link, or sets one after a reset.",
    )
    is_verified = serializers.BooleanField(
        default=False, help_text="True: you vouch that the address is the person's."
    )


class UserChange(serializers.Serializer[Any]):
    """What shall be different; what is not named stays. All of it happens, or nothing."""

    email = serializers.CharField(required=False, max_length=254, help_text="Counts as unproved.")
    name = serializers.CharField(required=False, allow_blank=True, max_length=150)
    username = serializers.CharField(
        required=False, allow_blank=True, allow_null=True, max_length=64, help_text="Null: none."
    )
    role = serializers.ChoiceField(
        ROLE_LABELS, required=False, help_text="Ends the person's sign-ins, tokens and keys."
    )
    is_active = serializers.BooleanField(
        required=False, help_text="False shuts the account and ends all its sign-ins."
    )
    is_verified = serializers.BooleanField(
        required=False, help_text="True: you vouch for the address. It cannot be taken back."
    )


class LinkWish(serializers.Serializer[Any]):
    """How the link shall be."""

    lifetime = serializers.IntegerField(
        required=False,
        min_value=60,
        max_value=LONGEST_LIFE,
        help_text="Seconds; `MAGIC_LINK_OPERATOR_EXPIRY` unless told.",
    )


class NewPassword(serializers.Serializer[Any]):
    """A password to set; without it a reset begins."""

    password = serializers.CharField(
        required=False, trim_whitespace=False, max_length=MAX_PASSWORD_LENGTH
    )


class UsersView(ApiView):
    """People."""

    needs = {"GET": OPERATOR, "POST": SENSITIVE}

    @extend_schema(
        operation_id="list_users",
        summary="List people",
        parameters=[UserQuery],
        responses=page_of(UserRecord),
    )
    def get(self, request: Request) -> Response:
        """All accounts, newest first; filters narrow the list together."""
        return page(request, _found(queried(UserQuery, request)), user_record)

    @extend_schema(
        operation_id="create_user",
        summary="Make an account",
        request=NewUser,
        responses={201: UserRecord},
    )
    def post(self, request: Request) -> Response:
        """Make an account of a role below the own one (owners: any)."""
        given = checked(NewUser, request.data, also=_check_new)
        user = users.create_user(
            actor=self.access.user,
            email=given["email"],
            role=given["role"],
            name=given["name"],
            username=given["username"] or None,
            password=given["password"],
            verified=given["is_verified"],
            source="api",
        )
        location = f"{settings.PUBLIC_URL}/api/v1/users/{user.pk}"
        return Response(user_record(user), status=201, headers={"Location": location})


class UserView(ApiView):
    """One person."""

    needs = {"GET": OPERATOR, "PATCH": SENSITIVE, "DELETE": SENSITIVE}

    def is_exempt(self, request: Request) -> bool:
        """Disabling alone, which an operator must be able to do at once."""
        return request.method == "PATCH" and request.data == {"is_active": False}

    @extend_schema(operation_id="get_user", summary="Read an account", responses=UserRecord)
    def get(self, request: Request, user_id: uuid.UUID) -> Response:
        """One account."""
        return Response(user_record(find_user(user_id)))

    @extend_schema(
        operation_id="change_user",
        summary="Change an account",
        request=UserChange,
        responses=UserRecord,
    )
    def patch(self, request: Request, user_id: uuid.UUID) -> Response:
        """Change an account of a role below the own one, or the own name and user name.

        Several fields are one act: when one of them is refused, none has changed. Nothing but
        `"is_active": false` may be sent without a fresh proof.
        """
        user = find_user(user_id)
        actor = self.access.user
        if actor.pk != user.pk:
            require_rank(actor, user)
        wanted = checked(UserChange, request.data, partial=True, also=partial(_check_changes, user))
        change_user(actor, user_id, wanted)
        return Response(user_record(find_user(user_id)))

    @extend_schema(
        operation_id="delete_user", summary="Delete an account", request=None, responses={204: None}
    )
    def delete(self, request: Request, user_id: uuid.UUID) -> Response:
        """Remove an account for good, with all that belongs to it.

        The own account goes by `DELETE me`, which wants a proof.
        """
        user = find_user(user_id)
        self._refuse_own(user, _("Delete your own account with DELETE /api/v1/me."))
        users.delete_user(actor=self.access.user, user=user)
        return Response(status=204)

    def _refuse_own(self, user: User, message: str) -> None:
        if user.pk == self.access.user.pk:
            raise Forbidden(message)


class UserLinkView(ApiView):
    """Sign-in links of one person."""

    needs = {"POST": SENSITIVE}

    @extend_schema(
        operation_id="issue_magic_link",
        summary="Get a sign-in link",
        request=LinkWish,
        responses={201: IssuedLinkRecord},
    )
    def post(self, request: Request, user_id: uuid.UUID) -> Response:
        """A link that signs the person in, once, to be handed over. Older ones of him die."""
        user = find_user(user_id)
        require_rank(self.access.user, user)
        given = checked(LinkWish, request.data)
        lifetime = settings.MAGIC_LINK_OPERATOR_EXPIRY
        if "lifetime" in given:
            lifetime = timedelta(seconds=given["lifetime"])
        source = LoginLink.Source.API
        link = issue_link(user, actor=self.access.user, lifetime=lifetime, source=source)
        return Response({"url": link.url, "expires_at": link.expires_at}, status=201)


class UserPasswordView(ApiView):
    """The password of one person."""

    needs = {"POST": SENSITIVE}

    @extend_schema(
        operation_id="set_user_password",
        summary="Set a password, or begin a reset",
        request=NewPassword,
        responses={
            200: OpenApiResponse(ResetLinkRecord, "A reset has begun; this link leads to it."),
            204: OpenApiResponse(description="The password is set."),
        },
    )
    def post(self, request: Request, user_id: uuid.UUID) -> Response:
        """With `password`: set it. Without: the old one dies and the person gets a link by mail.

        Either ends all sign-ins of the person.
        """
        user, actor = find_user(user_id), self.access.user
        require_rank(actor, user)
        if user.pk == actor.pk:
            raise Forbidden(_("Change your own password on your account page."))
        given = checked(NewPassword, request.data)
        if "password" in given:
            passwords.set_password(actor=actor, user=user, new=given["password"])
            return Response(status=204)
        return Response({"url": passwords.start_reset(actor=actor, user=user)})


class UserSessionsView(ApiView):
    """The sign-ins of one person."""

    needs = {"DELETE": OPERATOR}

    @extend_schema(
        operation_id="end_user_sessions",
        summary="Sign a person out everywhere",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, user_id: uuid.UUID) -> Response:
        """End every browser, token and key of the person that was there before."""
        sessions.end_sessions(actor=self.access.user, user=find_user(user_id))
        return Response(status=204)


def find_user(user_id: uuid.UUID) -> User:
    """Operators see everybody, as in the admin panel. Raises NotFound."""
    user: User | None = User.objects.filter(pk=user_id).first()
    if user is None:
        raise NotFound
    return user


def change_user(actor: Actor, user_id: uuid.UUID, wanted: dict[str, Any]) -> None:
    """Do all of `wanted` or nothing. Raises what the services raise, RecordInvalid."""
    with transaction.atomic():
        # First, so that every change takes its locks in the same order.
        lock_people(user_id)
        house_lock(ROLES)
        user = find_user(user_id)
        profile = _changed_profile(user, wanted)
        if wanted.get("is_verified") is False and user.is_verified:
            _refuse_unverifying(actor, user, profile)
        if profile:
            users.edit_profile(actor=actor, user=user, profile=Profile(**profile))
        _set_verified(actor, user, wanted.get("is_verified"))
        if wanted.get("role", user.role) != user.role:
            users.change_role(actor=actor, user=user, role=wanted["role"])
        if wanted.get("is_active", user.is_active) != user.is_active:
            act = users.enable_user if wanted["is_active"] else users.disable_user
            act(actor=actor, user=user)


def _check_new(given: dict[str, Any]) -> None:
    users.check_new(
        User(
            email=given.get("email", ""),
            name=given.get("name", ""),
            username=given.get("username") or None,
        ),
        given.get("password"),
    )


def _check_changes(user: User, given: dict[str, Any]) -> None:
    profile = _changed_profile(user, given)
    users.check_profile(find_user(user.pk), Profile(**profile))


def _changed_profile(user: User, wanted: dict[str, Any]) -> dict[str, str]:
    """What of address, user name and name shall be another one; "" removes."""
    given = {name: wanted[name] or "" for name in ("email", "username", "name") if name in wanted}
    return {name: value for name, value in given.items() if value != (getattr(user, name) or "")}


def _set_verified(actor: Actor, user: User, wanted: bool | None) -> None:
    if wanted is None or wanted == user.is_verified:
        return
    if wanted:
        mark_verified(actor=actor, user=user)


def _refuse_unverifying(actor: Actor, user: User, profile: dict[str, str]) -> NoReturn:
    """Raise RecordInvalid, with what is wrong with `profile`, too; Forbidden for a higher rank."""
    if actor.pk != user.pk:
        require_rank(actor, user)
    errors = {"is_verified": [_("A proved address stays proved.")]}
    try:
        users.check_profile(copy(user), Profile(**profile))
    except RecordInvalid as error:
        errors = error.errors | errors
    raise RecordInvalid(errors)


def _found(asked: dict[str, Any]) -> UserQuerySet:
    """Whom the filters leave."""
    found: UserQuerySet = User.objects.all()
    for name in ("role", "is_active"):
        if name in asked:
            found = found.filter(**{name: asked[name]})
    if "is_verified" in asked:
        found = found.filter(email_verified_at__isnull=not asked["is_verified"])
    if "created_after" in asked:
        found = found.filter(created_at__gte=asked["created_after"])
    if "created_before" in asked:
        found = found.filter(created_at__lt=asked["created_before"])
    for text in filter(None, (asked.get("q"), asked.get("search"))):
        found = _searched(found, text)
    return found


def _searched(found: UserQuerySet, text: str) -> UserQuerySet:
    try:
        return found.filter(pk=uuid.UUID(text))
    except ValueError:
        return found.search(text)
