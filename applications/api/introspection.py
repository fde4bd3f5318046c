"""/api/v1/introspect: an app asks whose credential it was sent (RFC 7662)."""

from typing import Any

from django.http import QueryDict
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.parsers import FormParser
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.kept_answers import keep_answer
from api.serializers import Shape, StrictSerializer
from api.validation import validate
from applications.errors import NotForm
from applications.secret_format import MAX_CLIENT_ID_LENGTH, MAX_SECRET_LENGTH
from applications.services.client_assertions import MAX_LENGTH
from applications.services.client_authentication import require_client
from applications.services.introspection import introspect
from core.row_cache import reuse_rows
from core.web.single_values import require_single

FORM = "application/x-www-form-urlencoded"
MAX_TOKEN, MAX_HINT = 16 * 1024, 64


class Question(StrictSerializer):
    """A credential that the app was sent, and the credentials of the app if no header has them."""

    token = serializers.CharField(
        trim_whitespace=False,
        max_length=MAX_TOKEN,
        help_text="An API key, an access token, the value of the session cookie, or a token that "
        "the app was given by the OpenID provider.",
    )
    token_type_hint = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=MAX_HINT,
        help_text="Not needed: each kind of credential is recognized.",
    )
    client_ip = serializers.IPAddressField(
        required=False,
        help_text="The address from which the app was sent it. A key that is limited to networks "
        "is active only with it.",
    )
    client_id = serializers.CharField(required=False, max_length=MAX_CLIENT_ID_LENGTH)
    client_secret = serializers.CharField(
        required=False, trim_whitespace=False, max_length=MAX_SECRET_LENGTH
    )
    client_assertion_type = serializers.CharField(required=False, max_length=MAX_HINT)
    client_assertion = serializers.CharField(required=False, max_length=MAX_LENGTH)


class IntrospectionRecord(Shape):
    """What is told. Of a credential that lets nobody in, `active` alone."""

    active = serializers.BooleanField()
    token_type = serializers.CharField(
        required=False, help_text="`api_key`, `access_token`, `session` or `refresh_token`."
    )
    iss = serializers.CharField(required=False)
    sub = serializers.CharField(required=False, help_text="The id of the user.")
    username = serializers.CharField(
        required=False, help_text="Their address if they have no user name."
    )
    email = serializers.CharField(
        required=False, allow_blank=True, help_text="Empty for a service account."
    )
    email_verified = serializers.BooleanField(required=False)
    sid = serializers.CharField(
        required=False, help_text="The sign-in, as in ID tokens. Of tokens of the OpenID provider."
    )
    auth_time = serializers.IntegerField(required=False, help_text="When the user signed in.")
    name = serializers.CharField(required=False)
    role = serializers.CharField(required=False, help_text="The role that holds now.")
    groups = serializers.ListField(child=serializers.CharField(), required=False)
    scope = serializers.CharField(required=False, help_text="Scopes with a space between them.")
    client_id = serializers.CharField(required=False)
    aud = serializers.JSONField(required=False, help_text="Of an access token.")
    jti = serializers.CharField(required=False, help_text="The id of a key, token or session.")
    iat = serializers.IntegerField(required=False)
    nbf = serializers.IntegerField(required=False)
    exp = serializers.IntegerField(
        required=False, help_text="Missing if the credential has no end of its own."
    )
    external_iss = serializers.CharField(
        required=False, help_text="The issuer of an access token that is not ours."
    )


class IntrospectionView(APIView):
    """Questions of apps."""

    # The app's own credentials, which are no user's.
    authentication_classes = ()
    permission_classes = (AllowAny,)
    parser_classes = (FormParser,)

    @extend_schema(
        operation_id="introspect_credential",
        summary="Ask whose credential an app was sent",
        request={FORM: Question},
        responses=IntrospectionRecord,
    )
    def post(self, request: Request) -> Response:
        """Who a credential belongs to, and what it may do now. For apps, with their credentials.

        Client id and secret come as `Authorization: Basic`, or as fields; or the app sends a signed
        assertion (RFC 7523). Every credential that
        lets nobody in gets the same answer.
        """
        form = _form_of(request)
        # The rows say what holds now; only the last use of the secret and of a key is written.
        with reuse_rows():
            client = require_client(request._request, form)
            given = validate(Question, form)
            answer = introspect(given["token"], client.app, given.get("client_ip", ""))
        if answer is None:
            return Response({"active": False})
        if answer.is_kept and client.is_repeatable:
            keep_answer(request.META, min(answer.until, client.ends or answer.until))
        return Response(answer.claims)


def _form_of(request: Request) -> dict[str, Any]:
    """The fields of the body. Raises NotForm, RepeatedParameter."""
    if request._request.content_type != FORM and request._request.body:
        raise NotForm
    found = request.data
    if not isinstance(found, QueryDict):
        return {}
    require_single(found)
    return {str(name): str(value) for name, value in found.items()}
