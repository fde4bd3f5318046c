"""/api/v1/me: the account, sign-ins and data of the caller."""

import uuid
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import BrowserSession, User
from accounts.passwords import MAX_PASSWORD_LENGTH
from accounts.rate_limits import check_rate_limit
from accounts.services import sessions
from accounts.services.privacy import delete_own_account, export_own_data
from accounts.services.users import Profile, check_profile, edit_profile
from accounts.sessions.link_binding import device_name
from accounts.sessions.reauthentication import password_is_enough
from api.kept_answers import keep_own
from api.models import TokenFamily
from api.pagination import single_page
from api.permissions import AuthContext, HasScope, RecentlyAuthenticated, Scope, auth_of
from api.serializers import (
    Export,
    OwnRecord,
    SessionRecord,
    StrictSerializer,
    example,
    page_of,
    record,
)
from api.tokens import refresh_tokens
from api.validation import refuse_fields, validate
from core.errors import Forbidden, NotFound, RecordInvalid
from core.row_cache import reuse_rows


class OwnProfileChange(StrictSerializer):
    """The fields that users may change themselves."""

    name = serializers.CharField(required=False, allow_blank=True, max_length=150)
    username = serializers.CharField(
        required=False,
        allow_blank=True,
        allow_null=True,
        max_length=64,
        help_text="Null: no user name.",
    )
    language = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=8,
        help_text="Of mails: `en` or `de`. Empty: that of the request that causes them.",
    )
    time_zone = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=64,
        help_text="A name of the IANA database, such as `Europe/Berlin`. Empty: that of the "
        "server.",
    )


class OwnDeletion(StrictSerializer):
    """Confirms the deletion."""

    password = serializers.CharField(
        required=False,
        trim_whitespace=False,
        max_length=MAX_PASSWORD_LENGTH,
        help_text="The current password.",
    )
    proof = serializers.CharField(
        required=False,
        trim_whitespace=False,
        max_length=MAX_PASSWORD_LENGTH,
        help_text="For an account without a password: its email address.",
    )


class MeView(APIView):
    """Own account."""

    required_permissions = {
        "GET": (HasScope(Scope.READ),),
        "PATCH": (HasScope(Scope.WRITE),),
        # The password in the body is sufficient for an account without a second factor.
        "DELETE": (
            HasScope(Scope.WRITE),
            RecentlyAuthenticated(unless=lambda request: password_is_enough(auth_of(request).user)),
        ),
    }

    @extend_schema(operation_id="get_me", summary="Read your account", responses=OwnRecord)
    def get(self, request: Request) -> Response:
        """Return your account and its role."""
        auth = auth_of(request)
        with reuse_rows():
            keep_own(request._request, auth)
            return Response(record(OwnRecord, auth.user))

    @extend_schema(
        operation_id="change_me",
        summary="Change your account",
        request=OwnProfileChange,
        responses=OwnRecord,
        examples=example({"name": "Anna Berg", "language": "de", "time_zone": "Europe/Berlin"}),
    )
    def patch(self, request: Request) -> Response:
        """Change your names, language and time zone.

        Address and password are changed on their own pages.
        """
        user = auth_of(request).user
        given = validate(
            OwnProfileChange,
            request.data,
            partial=True,
            current=record(OwnRecord, user),
            extra_check=lambda names: check_profile(
                user, Profile(**{name: value or "" for name, value in names.items()})
            ),
        )
        if given:
            profile = Profile(**{name: value or "" for name, value in given.items()})
            user = edit_profile(actor=user, user=user, profile=profile)
        return Response(record(OwnRecord, user))

    @extend_schema(
        operation_id="delete_me",
        summary="Delete your account",
        request=OwnDeletion,
        responses={204: None},
    )
    def delete(self, request: Request) -> Response:
        """Delete your account permanently, with all its data.

        Not allowed with an API key, for the last owner, or if `ALLOW_ACCOUNT_DELETION` is off.
        Send the password; without a second factor it replaces the recent authentication.
        """
        if auth_of(request).key is not None:
            raise Forbidden(_("An API key cannot delete its account."))
        given = validate(OwnDeletion, request.data)
        proof = given.get("password") or given.get("proof")
        if not proof:
            raise RecordInvalid({"password": [_("This field is required.")]})
        user = auth_of(request).user
        check_rate_limit(request._request, "sign-in", user.email)
        delete_own_account(user=user, proof=proof)
        return Response(status=204)


class OwnSessionsView(APIView):
    """The sign-ins of the caller."""

    required_permissions = {"GET": (HasScope(Scope.READ),)}

    @extend_schema(
        operation_id="list_my_sessions",
        summary="List your sign-ins",
        responses=page_of(SessionRecord),
    )
    def get(self, request: Request) -> Response:
        """Signed-in browsers and programs, last seen first, at most 200 of each."""
        return single_page(request, session_records(auth_of(request).user, auth_of(request)))


class OwnSessionView(APIView):
    """A sign-in of the caller."""

    required_permissions = {"DELETE": (HasScope(Scope.WRITE),)}

    @extend_schema(
        operation_id="end_my_session",
        summary="End one of your sign-ins",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, session_id: uuid.UUID) -> Response:
        """Sign out one of your browsers or programs."""
        refuse_fields(request)
        user = auth_of(request).user
        try:
            sessions.end_own_session(user, session_id)
        except NotFound:
            refresh_tokens.end_family(actor=user, user=user, family_id=session_id)
        return Response(status=204)


class OwnExportView(APIView):
    """The stored data of the caller."""

    required_permissions = {"GET": (HasScope(Scope.READ), RecentlyAuthenticated())}

    @extend_schema(operation_id="export_my_data", summary="Export your data", responses=Export)
    def get(self, request: Request) -> Response:
        """Return everything that is stored about you, without secrets."""
        return Response(export_own_data(auth_of(request).user))


def session_records(user: User, auth: AuthContext) -> list[dict[str, Any]]:
    """The sign-ins of `user`, last seen first. auth: of the request, to mark its own sign-in."""
    current = str(auth.session_id)
    found = [_browser_record(row, current) for row in sessions.own_sessions(user)]
    found += [_program_record(row, current) for row in refresh_tokens.own_families(user)]
    return sorted(found, key=lambda each: each["last_seen_at"], reverse=True)


def _browser_record(row: BrowserSession, current: str) -> dict[str, Any]:
    return record(
        SessionRecord,
        row,
        id=row.public_id,
        kind="browser",
        device=device_name(row.user_agent),
        expires_at=min(row.expire_date, row.created_at + settings.SESSION_ABSOLUTE_TIMEOUT),
        is_current=str(row.public_id) == current,
    )


def _program_record(row: TokenFamily, current: str) -> dict[str, Any]:
    return record(
        SessionRecord,
        row,
        kind="tokens",
        device=device_name(row.user_agent),
        last_seen_at=row.rotated_at,
        is_current=str(row.pk) == current,
    )
