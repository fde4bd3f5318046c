"""/api/v1/auth/token*: sign in, refresh, sign out, and tokens for the signed-in browser."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from accounts.passwords import MAX_PASSWORD_LENGTH
from accounts.services.passwords import MAX_LOGIN_LENGTH
from accounts.services.sessions import end_sessions
from accounts.sessions.store import SIGNED_IN_AT
from api.authentication import authenticate, check_csrf, require_same_origin, session_of
from api.authorization_header import parse_authorization
from api.errors import NotAuthenticated, NotJson
from api.permissions import Scope
from api.serializers import OwnRecord, StrictSerializer, example, record
from api.tokens import refresh_tokens
from api.tokens.jwt import MAX_BYTES, looks_like_token
from api.tokens.password_grant import sign_in_by_password
from api.tokens.refresh_tokens import TokenPair
from api.validation import validate

JSON = "application/json"


class TokenText(serializers.CharField):
    """A token. Only JSON strings are accepted, no numbers."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class PasswordGrant(StrictSerializer):
    """The credentials. `username` and `login` are aliases of `email`."""

    email = serializers.CharField(
        required=False, max_length=MAX_LOGIN_LENGTH, help_text="The email address or user name."
    )
    username = serializers.CharField(required=False, max_length=MAX_LOGIN_LENGTH)
    login = serializers.CharField(required=False, max_length=MAX_LOGIN_LENGTH)
    password = serializers.CharField(trim_whitespace=False, max_length=MAX_PASSWORD_LENGTH)
    otp = serializers.CharField(
        default="", allow_blank=True, max_length=64, help_text="The code of the second factor."
    )
    refresh_cookie = serializers.BooleanField(
        default=False,
        help_text="True: the refresh token is sent as an HttpOnly cookie, not in the body.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        names = (attrs.get(name) for name in ("email", "username", "login"))
        attrs["login"] = next((name for name in names if name), "")
        if not attrs["login"]:
            missing = self.fields["email"].error_messages["required"]
            raise serializers.ValidationError({"email": [missing]})
        return attrs


class SessionGrant(StrictSerializer):
    """How the tokens are returned."""

    refresh_cookie = serializers.BooleanField(
        default=False,
        help_text="True: the refresh token is sent as an HttpOnly cookie, not in the body.",
    )


class RefreshGrant(StrictSerializer):
    """The newest refresh token."""

    refresh = TokenText(
        required=False, max_length=MAX_BYTES, help_text="Without it the cookie is used."
    )


class Revocation(RefreshGrant):
    """The sign-ins to end."""

    everywhere = serializers.BooleanField(
        default=False, help_text="True: sign out all browsers and programs of the user."
    )


class TokenPairSerializer(serializers.Serializer[Any]):
    """An access token and its refresh token."""

    access = serializers.CharField(help_text="For the header `Authorization: Bearer …`.")
    refresh = serializers.CharField(
        required=False, help_text="Opaque; works once. Missing if it is sent as a cookie."
    )
    token_type = serializers.CharField(help_text="Always `Bearer`.")
    expires_in = serializers.IntegerField(help_text="Seconds until the access token expires.")
    refresh_expires_in = serializers.IntegerField(
        help_text="Seconds until the sign-in ends. Refreshing does not extend it."
    )
    user = OwnRecord()


class TokenView(APIView):
    """Sign-in by password."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(
        operation_id="create_token",
        summary="Sign in",
        request=PasswordGrant,
        examples=example({"email": "anna@example.com", "password": "correct horse battery staple"}),
        responses=TokenPairSerializer,
    )
    def post(self, request: Request) -> Response:
        """Get tokens for a password.

        401 `bad_credentials` does not reveal whether the account exists. After a correct password:
        401 `otp_required` and `otp_invalid`, 403 `email_unverified` or why the account may not act.
        """
        given = validate(PasswordGrant, request.data)
        pair = sign_in_by_password(
            request._request, given["login"], given["password"], given["otp"]
        )
        return _answer(pair, in_cookie=given["refresh_cookie"])


class RefreshView(APIView):
    """Refresh of tokens."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(
        operation_id="refresh_token",
        summary="Refresh tokens",
        request=RefreshGrant,
        responses=TokenPairSerializer,
    )
    def post(self, request: Request) -> Response:
        """Exchange a refresh token for the next pair. Each refresh token works once.

        If the response is lost, send the same token again: it returns the same successor until
        that one is used. After that, a used token ends the whole sign-in, because someone has a
        copy.
        """
        text = _refresh_token(request.data)
        if text is not None:
            return _answer(refresh_tokens.refresh(text), in_cookie=False)
        return _answer(refresh_tokens.refresh(_cookie(request._request)), in_cookie=True)


class RevocationView(APIView):
    """Sign-out of programs."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(
        operation_id="revoke_token",
        summary="Sign out",
        request=Revocation,
        examples=example({"refresh": "…"}),
        responses={204: None},
    )
    def post(self, request: Request) -> Response:
        """End the sign-ins of the refresh token, cookie and access token in the request.

        An unknown or ended token is not an error (RFC 7009). With `everywhere` the credential must
        be valid.
        """
        http, given = request._request, validate(Revocation, request.data)
        text = given.get("refresh")
        if given["everywhere"]:
            user = _authenticated_user(http, text)
            end_sessions(actor=user, user=user)
        else:
            _end_each(http, text)
        answer = Response(status=204)
        if settings.REFRESH_COOKIE_NAME in http.COOKIES:
            answer.delete_cookie(settings.REFRESH_COOKIE_NAME, samesite="Strict")
        return answer


class SessionTokenView(APIView):
    """Tokens for the signed-in browser."""

    # post() authenticates the session itself: no other credential counts here, and this one counts
    # even if REQUIRE_API_KEY_AND_TOKEN excludes sessions.
    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(
        operation_id="create_token_for_session",
        summary="Get tokens for the signed-in browser",
        request=SessionGrant,
        responses=TokenPairSerializer,
    )
    def post(self, request: Request) -> Response:
        """Get tokens that end with the browser session. Needs its cookie and `X-CSRF-Token`.

        The session must have authenticated in the last 15 minutes, else 403 `confirmation_needed`.
        Later requests that need recent authentication check it on that session.
        """
        http = request._request
        auth = session_of(http)
        if auth is None or auth.browser_session is None:
            raise NotAuthenticated
        check_csrf(http)
        # Tokens can be moved to other devices, like API keys, so they require the same.
        auth.require_recent_authentication()
        given = validate(SessionGrant, request.data)
        signed_in_at = datetime.fromisoformat(http.session[SIGNED_IN_AT])
        pair = refresh_tokens.start_by_session(auth.user, auth.browser_session, signed_in_at)
        return _answer(pair, in_cookie=given["refresh_cookie"])


def _refresh_token(data: Any) -> str | None:
    """Return `refresh` of a body, or None. Raises RecordInvalid.

    A text in the format of a token skips the serializer, which takes as long as the refresh.
    """
    text = data["refresh"] if isinstance(data, dict) and data.keys() == {"refresh"} else None
    if isinstance(text, str) and looks_like_token(text):
        return text
    found: str | None = validate(RefreshGrant, data).get("refresh")
    return found


def _answer(pair: TokenPair, *, in_cookie: bool) -> Response:
    """Respond with the pair; the refresh token is in the cookie or in the body."""
    content: dict[str, Any] = {"access": pair.access}
    if not in_cookie:
        content["refresh"] = pair.refresh
    content |= {
        "token_type": "Bearer",
        "expires_in": pair.expires_in,
        "refresh_expires_in": pair.refresh_expires_in,
        "user": record(OwnRecord, pair.family.user),
    }
    answer = Response(content)
    if in_cookie:
        answer.set_cookie(
            settings.REFRESH_COOKIE_NAME,
            pair.refresh,
            max_age=pair.refresh_expires_in,
            secure=settings.IS_HTTPS,
            httponly=True,
            samesite="Strict",
        )
    return answer


def _cookie(request: HttpRequest) -> str:
    """Return the refresh token of the cookie, if a page of ours sent the request.

    Raises NotAuthenticated, CsrfFailed, NotJson.
    """
    text = request.COOKIES.get(settings.REFRESH_COOKIE_NAME)
    if not text:
        raise NotAuthenticated
    require_same_origin(request)
    if request.content_type != JSON:
        raise NotJson  # a form of another site cannot send this type, even without a body
    return text


def _end_each(request: HttpRequest, text: str | None) -> None:
    """End the families of all tokens in the request. Raises NotAuthenticated without any."""
    cookie = _cookie(request) if settings.REFRESH_COOKIE_NAME in request.COOKIES else None
    header = request.META.get("HTTP_AUTHORIZATION")
    bearer = None if header is None else parse_authorization(header)[1]
    texts = [found for found in (text, cookie, bearer) if found is not None]
    if not texts:
        raise NotAuthenticated
    for family in filter(None, map(refresh_tokens.family_of, texts)):
        refresh_tokens.sign_out(family)


def _authenticated_user(request: HttpRequest, text: str | None) -> User:
    """Return the user of the refresh token, the cookie, or any other valid credential.

    Raises the error of an invalid credential.
    """
    if text is None and request.COOKIES.get(settings.REFRESH_COOKIE_NAME):
        text = _cookie(request)
    if text is not None:
        return refresh_tokens.user_of(text)
    auth = authenticate(request)
    auth.require_scope(Scope.WRITE)
    return auth.user
