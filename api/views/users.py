"""/api/v1/users: user management, for administrators. Services of accounts do all writes."""

import uuid
from functools import partial
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.group_names import MAX_NAME_LENGTH
from accounts.models import ROLE_LABELS, Group, Kind, User, UserQuerySet
from accounts.passwords import MAX_PASSWORD_LENGTH
from accounts.roles import Role
from accounts.services import passwords, users
from accounts.services.account_changes import change_account, changed_profile
from accounts.services.groups.reading import find_group, in_group, load_groups
from accounts.services.ranks import require_rank
from accounts.services.users import Profile
from api.pagination import (
    KeysetPagination,
    PageQuery,
    SearchPagination,
    filters_of,
    paginate,
)
from api.permissions import HasRole, HasScope, RecentlyAuthenticated, Scope, auth_of
from api.serializers import (
    EndsOnce,
    ExactMoment,
    IssuedLinkRecord,
    ResetLinkRecord,
    Seconds,
    StrictSerializer,
    UserRecord,
    page_of,
    record,
)
from api.validation import refuse_fields, time_until, validate
from core.errors import Forbidden, NotFound, RecordInvalid
from magiclinks.models import LoginLink
from magiclinks.services import MAX_LIFETIME, MIN_LIFETIME, issue_link

ADMIN = (HasScope(Scope.USERS), HasRole(Role.ADMIN))
SENSITIVE = (*ADMIN, RecentlyAuthenticated())
# Administrators must be able to disable an account at once.
CHANGE = (
    *ADMIN,
    RecentlyAuthenticated(unless=lambda request: request.data == {"is_active": False}),
)
SEARCH_MAX_LENGTH = 254


class UserQuery(PageQuery):
    """Filters of the list of users."""

    q = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=SEARCH_MAX_LENGTH,
        help_text="Part of an email address, user name or name; a complete address or id finds its "
        "user alone.",
    )
    search = serializers.CharField(
        required=False, allow_blank=True, max_length=SEARCH_MAX_LENGTH, help_text="The same as `q`."
    )
    kind = serializers.ChoiceField(
        Kind.choices, default=Kind.PERSON, help_text="`service`: service accounts, not people."
    )
    role = serializers.ChoiceField(ROLE_LABELS, required=False)
    group = serializers.CharField(
        required=False,
        max_length=MAX_NAME_LENGTH,
        help_text="Name or id of a group: only people who are in it now.",
    )
    is_active = serializers.BooleanField(required=False)
    is_verified = serializers.BooleanField(required=False)
    created_after = serializers.DateTimeField(
        source="created_at__gte", required=False, help_text="At or after this time."
    )
    created_before = serializers.DateTimeField(
        source="created_at__lt", required=False, help_text="Before this time."
    )
    ends_before = serializers.DateTimeField(
        required=False, help_text="The access or the role ends before this time."
    )


class NewUser(StrictSerializer):
    """An account to create. No mail is sent."""

    email = serializers.CharField(max_length=254)
    name = serializers.CharField(default="", allow_blank=True, max_length=150)
    username = serializers.CharField(default=None, allow_blank=True, allow_null=True, max_length=64)
    role = serializers.ChoiceField(
        ROLE_LABELS,
        default=Role.VIEWER.value,
        help_text="Below your own; owners may give any role.",
    )
    password = serializers.CharField(
        default=None,
        allow_null=True,
        trim_whitespace=False,
        max_length=MAX_PASSWORD_LENGTH,
        help_text="Without one the user signs in with a link, or sets one after a reset.",
    )
    is_verified = serializers.BooleanField(
        default=False, help_text="True: you confirm that the address belongs to the user."
    )
    role_until = serializers.DateTimeField(
        default=None, allow_null=True, help_text="The role ends then, and `role_after` follows."
    )
    role_after = serializers.ChoiceField(
        ROLE_LABELS, default="", allow_blank=True, help_text="A lower role; with `role_until`."
    )
    expires_at = serializers.DateTimeField(
        default=None, allow_null=True, help_text="The access of the account ends then."
    )


class UserChange(StrictSerializer):
    """The fields to change; missing ones stay. All changes happen, or none."""

    email = serializers.CharField(
        required=False,
        allow_null=True,
        max_length=254,
        help_text="The new address is unverified. A change ends sign-ins, tokens and API keys.",
    )
    name = serializers.CharField(required=False, allow_blank=True, max_length=150)
    username = serializers.CharField(
        required=False,
        allow_blank=True,
        allow_null=True,
        max_length=64,
        help_text="Null: no user name.",
    )
    role = serializers.ChoiceField(
        ROLE_LABELS,
        required=False,
        help_text="A change ends the user's sign-ins and tokens. API keys stay, within what the "
        "new role allows.",
    )
    is_active = serializers.BooleanField(
        required=False,
        help_text="False disables the account and ends its sign-ins, tokens and API keys for good.",
    )
    is_verified = serializers.BooleanField(
        required=False, help_text="True: you confirm the address. It cannot be undone."
    )
    role_until = serializers.DateTimeField(
        required=False,
        allow_null=True,
        help_text="The role ends then, and `role_after` follows. `role` without it has no end.",
    )
    role_after = serializers.ChoiceField(
        ROLE_LABELS, required=False, allow_blank=True, help_text="A lower role; with `role_until`."
    )
    expires_at = serializers.DateTimeField(
        required=False, allow_null=True, help_text="The access ends then. Null: never."
    )
    responsible_id = serializers.UUIDField(
        required=False,
        allow_null=True,
        help_text="The person who answers for a service account from now on.",
    )
    responsible_group_id = serializers.UUIDField(
        required=False,
        allow_null=True,
        help_text="The group whose people answer for a service account, too. Null: none.",
    )


class NewLink(EndsOnce):
    """When the link ends."""

    span_field = "lifetime"
    lifetime = Seconds(shortest=MIN_LIFETIME, longest=MAX_LIFETIME)

    expires_at = ExactMoment(
        required=False,
        help_text="In 1 minute to 24 hours; after `MAGIC_LINK_OPERATOR_EXPIRY` by default.",
    )


class NewPassword(StrictSerializer):
    """The password to set; without it a reset starts."""

    password = serializers.CharField(
        required=False, trim_whitespace=False, max_length=MAX_PASSWORD_LENGTH
    )


class UsersView(APIView):
    """Users."""

    required_permissions = {"GET": ADMIN, "POST": SENSITIVE}
    held_methods = ("POST",)

    @extend_schema(
        operation_id="list_users",
        summary="List users",
        parameters=[UserQuery],
        responses=page_of(UserRecord),
    )
    def get(self, request: Request) -> Response:
        """All people who match every filter, newest first; service accounts with `kind`."""
        filters = filters_of(UserQuery, request)
        by = SearchPagination if filters.get("q") or filters.get("search") else KeysetPagination
        return paginate(request, _found(filters), UserRecord, by, prepare=load_groups)

    @extend_schema(
        operation_id="create_user",
        summary="Create an account",
        request=NewUser,
        responses={201: UserRecord},
    )
    def post(self, request: Request) -> Response:
        """Create an account with a role below yours; owners may give any role."""
        given = validate(NewUser, request.data, extra_check=_check_new)
        user = users.create_user(
            actor=auth_of(request).user,
            email=given["email"],
            role=given["role"],
            name=given["name"],
            username=given["username"] or None,
            password=given["password"],
            verified=given["is_verified"],
            source="api",
            expires_at=given["expires_at"],
            role_until=given["role_until"],
            role_after=given["role_after"],
        )
        location = f"{settings.PUBLIC_URL}/api/v1/users/{user.pk}"
        return Response(record(UserRecord, user), status=201, headers={"Location": location})


class UserView(APIView):
    """A user."""

    required_permissions = {"GET": ADMIN, "PATCH": CHANGE, "DELETE": SENSITIVE}
    held_methods = ("PATCH", "DELETE")

    @extend_schema(operation_id="get_user", summary="Read an account", responses=UserRecord)
    def get(self, request: Request, user_id: uuid.UUID) -> Response:
        """Return one account."""
        return Response(record(UserRecord, find_user(user_id)))

    @extend_schema(
        operation_id="change_user",
        summary="Change an account",
        request=UserChange,
        responses=UserRecord,
    )
    def patch(self, request: Request, user_id: uuid.UUID) -> Response:
        """Change an account whom you may manage, or your own name and user name.

        If one field is refused, none is changed. The record may be sent back with its other fields
        as they are. Everything except `"is_active": false` alone
        requires recent authentication.
        """
        user = find_user(user_id)
        actor = auth_of(request).user
        if actor.pk != user.pk:
            require_rank(actor, user)
        changes = validate(
            UserChange,
            request.data,
            partial=True,
            current=record(UserRecord, user),
            extra_check=partial(_check_changes, user),
        )
        change_account(actor=actor, user=user, changes=changes)
        return Response(record(UserRecord, find_user(user_id)))

    @extend_schema(
        operation_id="delete_user", summary="Delete an account", request=None, responses={204: None}
    )
    def delete(self, request: Request, user_id: uuid.UUID) -> Response:
        """Delete an account permanently, with all its data.

        Delete your own account with `DELETE me`, which requires a confirmation.
        """
        user = find_user(user_id)
        refuse_fields(request)
        if user.pk == auth_of(request).user.pk:
            raise Forbidden(_("Delete your own account with DELETE /api/v1/me."))
        users.delete_user(actor=auth_of(request).user, user=user)
        return Response(status=204)


class UserLinkView(APIView):
    """Sign-in links of a user."""

    required_permissions = {"POST": SENSITIVE}
    held_methods = ("POST",)

    @extend_schema(
        operation_id="issue_magic_link",
        summary="Issue a sign-in link",
        request=NewLink,
        responses={201: IssuedLinkRecord},
    )
    def post(self, request: Request, user_id: uuid.UUID) -> Response:
        """Issue a link that signs the user in once. Ends their older links."""
        user = find_user(user_id)
        require_rank(auth_of(request).user, user)
        given = validate(NewLink, request.data)
        if "expires_at" in given:
            time_until(given["expires_at"], shortest=MIN_LIFETIME, longest=MAX_LIFETIME)
        source = LoginLink.Source.API
        link = issue_link(
            user,
            actor=auth_of(request).user,
            lifetime=given.get("lifetime", settings.MAGIC_LINK_OPERATOR_EXPIRY),
            expires_at=given.get("expires_at"),
            source=source,
        )
        return Response({"url": link.url, "expires_at": link.expires_at}, status=201)


class UserPasswordView(APIView):
    """The password of a user."""

    required_permissions = {"POST": SENSITIVE}
    held_methods = ("POST",)

    @extend_schema(
        operation_id="set_user_password",
        summary="Set a password, or start a reset",
        request=NewPassword,
        responses={
            200: OpenApiResponse(ResetLinkRecord, "A reset has started; this link leads to it."),
            204: OpenApiResponse(description="The password is set."),
        },
    )
    def post(self, request: Request, user_id: uuid.UUID) -> Response:
        """Set `password`; without it, remove the old one and mail the user a reset link.

        Both end all sign-ins, tokens and API keys of the user.
        """
        user, actor = find_user(user_id), auth_of(request).user
        require_rank(actor, user)
        if user.pk == actor.pk:
            raise Forbidden(_("Change your own password on your account page."))
        given = validate(NewPassword, request.data)
        if "password" in given:
            passwords.set_password(actor=actor, user=user, new=given["password"])
            return Response(status=204)
        return Response({"url": passwords.start_reset(actor=actor, user=user)})


def find_user(user_id: uuid.UUID) -> User:
    """Return any user; administrators see all of them. Raises NotFound."""
    user: User | None = User.objects.filter(pk=user_id).first()
    if user is None:
        raise NotFound
    return user


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
    profile = changed_profile(user, given)
    users.check_profile(find_user(user.pk), Profile(**profile))


def _found(filters: dict[str, Any]) -> UserQuerySet:
    """Return the users that match all filters."""
    texts = [filters.pop(name, "") for name in ("q", "search")]
    if "is_verified" in filters:
        filters["email_verified_at__isnull"] = not filters.pop("is_verified")
    ends_before, group = filters.pop("ends_before", None), filters.pop("group", None)
    found: UserQuerySet = User.objects.filter(**filters)
    if group is not None:
        found = in_group(found, _group(group), timezone.now())
    if ends_before is not None:
        found = found.ends_before(ends_before)
    for text in filter(None, texts):
        found = _searched(found, text)
    return found


def _group(text: str) -> Group:
    """Raises RecordInvalid."""
    try:
        return find_group(text)
    except NotFound as error:
        raise RecordInvalid({"group": [error.message]}) from None


def _searched(found: UserQuerySet, text: str) -> UserQuerySet:
    try:
        return found.filter(pk=uuid.UUID(text))
    except ValueError:
        exactly = found.with_address(text)
        return found.search(text) if exactly is None else exactly
