"""/api/v1/apps: the apps of the team. Owners change them."""

import uuid
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.roles import Role
from api.pagination import single_page
from api.permissions import HasRole, HasScope, RecentlyAuthenticated, Scope, auth_of
from api.serializers import Shape, StrictSerializer, example, page_of, record
from api.validation import (
    refuse_fields,
    refuse_unknown_parameters,
    validate,
    validate_query,
)
from applications import custom_scopes
from applications.addresses import (
    MAX_DESCRIPTION,
    MAX_GROUPS,
    MAX_INITIALS,
    MAX_NAME,
    MAX_PEOPLE,
    MAX_SLUG,
    MAX_UPSTREAM,
    MAX_URL,
    clean_app,
)
from applications.client_keys import MAX_KEYS, MAX_KEYS_URL
from applications.models import PUBLIC, SECRET, App
from applications.opening_hours import MAX_LINE, MAX_LINES
from applications.redirect_uris import MAX_URI, MAX_URIS
from applications.services import apps
from core.errors import NotFound, RecordInvalid
from core.text.networks import MAX_NETWORKS

READ = (HasScope(Scope.USERS), HasRole(Role.ADMIN))
CHANGE = (HasScope(Scope.USERS), HasRole(Role.OWNER), RecentlyAuthenticated())
MAX_POSITION = 2_000_000
PROXY_HELP = (
    "What asks Gatehouse: `nginx`, `caddy`, `traefik` or `haproxy`. `backend`: the app verifies "
    "tokens itself. Empty: not known."
)
UPSTREAM_HELP = "Host and port at which the proxy reaches it."
LISTED_HELP = "Those who may open it find it on their account page."
KIND_HELP = (
    "How it gets tokens by OpenID Connect: `web` (keeps a secret), `spa` and `native` sign people "
    "in, `service` acts as a service account. Empty: not at all."
)
REDIRECT_HELP = "Where people return after the sign-in, exactly as the app sends it."
LOGOUT_HELP = "Where people may return after signing out."
BACKCHANNEL_HELP = "Where Gatehouse posts a logout token when a sign-in to the app ends."
FRONTCHANNEL_HELP = "What the browser loads in a hidden frame when its user signs out."
TRUSTED_HELP = "People are not asked whether the app may know who they are."
ROLE_HELP = "The lowest role that may sign in to the app."
PEOPLE_HELP = "Ids of the only people who may. Empty: everyone with the role."
GROUPS_HELP = "Ids of groups: only people in one of them. Empty: everyone with the role."
NETWORKS_HELP = "Only people who sign in from one of these networks. Empty: from anywhere."
HOURS_HELP = (
    "Only at these hours, in the time zone of the server: `mon-fri 08:00-18:00`. Empty: always."
)
FACTOR_HELP = "Only people who have signed in with a second factor."
ALGORITHM_HELP = "By which its ID tokens are signed. Empty: `JWT_ALGORITHM`."
ACCOUNT_HELP = "The id of the service account that an app of the kind `service` acts as."
PUSHED_HELP = "Sign-ins have to begin with a pushed request (RFC 9126)."
DEVICE_HELP = "Devices without a browser may sign people in by a code (RFC 8628)."
PROOF_HELP = "How it proves to be itself: by a `secret`, or by `private_key_jwt` (RFC 7523)."
KEYS_HELP = "Its public keys (JWKs) for `private_key_jwt`."
KEYS_URL_HELP = "Where it publishes them, instead; starts with `https://`."
SUBJECT_HELP = (
    "Who people are to it (`sub`): `public`, the id of the account, or `pairwise`, another one in "
    "each app."
)
SCOPES_HELP = "Names of `openid-scopes` that the app may ask for."
USERINFO_HELP = "Userinfo is answered with a signed token instead of JSON."


class AppRecord(Shape):
    """An app."""

    id = serializers.UUIDField()
    client_id = serializers.CharField(
        help_text="With a secret, it says which app asks; no secret itself."
    )
    position = serializers.IntegerField(help_text="The lowest is listed first.")
    name = serializers.CharField()
    slug = serializers.CharField(help_text="Unique; in names of configuration files.")
    url = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    initials = serializers.CharField(allow_blank=True, help_text="Empty: those of the name.")
    is_listed = serializers.BooleanField(help_text=LISTED_HELP)
    proxy = serializers.CharField(allow_blank=True, help_text=PROXY_HELP)
    upstream = serializers.CharField(allow_blank=True, help_text=UPSTREAM_HELP)
    openid_kind = serializers.CharField(allow_blank=True, help_text=KIND_HELP)
    redirect_uris = serializers.ListField(child=serializers.CharField(), help_text=REDIRECT_HELP)
    logout_uris = serializers.ListField(child=serializers.CharField(), help_text=LOGOUT_HELP)
    backchannel_logout_uri = serializers.CharField(allow_blank=True, help_text=BACKCHANNEL_HELP)
    frontchannel_logout_uri = serializers.CharField(allow_blank=True, help_text=FRONTCHANNEL_HELP)
    is_trusted = serializers.BooleanField(help_text=TRUSTED_HELP)
    openid_role = serializers.CharField(help_text=ROLE_HELP)
    openid_people = serializers.ListField(child=serializers.CharField(), help_text=PEOPLE_HELP)
    openid_second_factor = serializers.BooleanField(help_text=FACTOR_HELP)
    id_token_algorithm = serializers.CharField(allow_blank=True, help_text=ALGORITHM_HELP)
    signed_userinfo = serializers.BooleanField(help_text=USERINFO_HELP)
    subject_type = serializers.CharField(help_text=SUBJECT_HELP)
    openid_group_ids = serializers.ListField(child=serializers.CharField(), help_text=GROUPS_HELP)
    openid_networks = serializers.ListField(child=serializers.CharField(), help_text=NETWORKS_HELP)
    openid_hours = serializers.ListField(child=serializers.CharField(), help_text=HOURS_HELP)
    service_account = serializers.CharField(allow_blank=True, help_text=ACCOUNT_HELP)
    client_authentication = serializers.CharField(help_text=PROOF_HELP)
    client_keys = serializers.ListField(child=serializers.JSONField(), help_text=KEYS_HELP)
    client_keys_url = serializers.CharField(allow_blank=True, help_text=KEYS_URL_HELP)
    requires_pushed_requests = serializers.BooleanField(help_text=PUSHED_HELP)
    allows_device_flow = serializers.BooleanField(help_text=DEVICE_HELP)
    custom_scopes = serializers.ListField(child=serializers.CharField(), help_text=SCOPES_HELP)
    is_self_registered = serializers.BooleanField(
        help_text="A program has registered it, and no owner has made it."
    )
    created_at = serializers.DateTimeField()


class AppFields(StrictSerializer):
    """The fields of a new app; services validate their meaning."""

    name = serializers.CharField(max_length=MAX_NAME)
    url = serializers.CharField(
        max_length=MAX_URL, help_text="As in the browser: `https://wiki.example.com`."
    )
    slug = serializers.CharField(
        default="", allow_blank=True, max_length=MAX_SLUG, help_text="Empty: made from the name."
    )
    description = serializers.CharField(default="", allow_blank=True, max_length=MAX_DESCRIPTION)
    initials = serializers.CharField(
        default="", allow_blank=True, max_length=MAX_INITIALS, help_text="Empty: from the name."
    )
    is_listed = serializers.BooleanField(default=True, help_text=LISTED_HELP)
    proxy = serializers.ChoiceField(
        [("", ""), *App.PROXIES], default="", allow_blank=True, help_text=PROXY_HELP
    )
    upstream = serializers.CharField(
        default="", allow_blank=True, max_length=MAX_UPSTREAM, help_text=UPSTREAM_HELP
    )
    openid_kind = serializers.ChoiceField(
        [("", ""), *App.OPENID_KINDS], default="", allow_blank=True, help_text=KIND_HELP
    )
    redirect_uris = serializers.ListField(
        child=serializers.CharField(max_length=MAX_URI),
        default=list,
        max_length=MAX_URIS,
        help_text=REDIRECT_HELP,
    )
    logout_uris = serializers.ListField(
        child=serializers.CharField(max_length=MAX_URI),
        default=list,
        max_length=MAX_URIS,
        help_text=LOGOUT_HELP,
    )
    backchannel_logout_uri = serializers.CharField(
        default="", allow_blank=True, max_length=MAX_URI, help_text=BACKCHANNEL_HELP
    )
    frontchannel_logout_uri = serializers.CharField(
        default="", allow_blank=True, max_length=MAX_URI, help_text=FRONTCHANNEL_HELP
    )
    is_trusted = serializers.BooleanField(default=False, help_text=TRUSTED_HELP)
    openid_role = serializers.ChoiceField(
        App.LEVELS, default=Role.VIEWER.value, help_text=ROLE_HELP
    )
    openid_people = serializers.ListField(
        child=serializers.CharField(max_length=36),
        default=list,
        max_length=MAX_PEOPLE,
        help_text=PEOPLE_HELP,
    )
    openid_second_factor = serializers.BooleanField(default=False, help_text=FACTOR_HELP)
    id_token_algorithm = serializers.ChoiceField(
        [("", ""), *App.ALGORITHMS], default="", allow_blank=True, help_text=ALGORITHM_HELP
    )
    signed_userinfo = serializers.BooleanField(default=False, help_text=USERINFO_HELP)
    subject_type = serializers.ChoiceField(
        App.SUBJECT_TYPES, default=PUBLIC, help_text=SUBJECT_HELP
    )
    openid_group_ids = serializers.ListField(
        child=serializers.CharField(max_length=36),
        default=list,
        max_length=MAX_GROUPS,
        help_text=GROUPS_HELP,
    )
    openid_networks = serializers.ListField(
        child=serializers.CharField(max_length=50),
        default=list,
        max_length=MAX_NETWORKS,
        help_text=NETWORKS_HELP,
    )
    openid_hours = serializers.ListField(
        child=serializers.CharField(max_length=MAX_LINE),
        default=list,
        max_length=MAX_LINES,
        help_text=HOURS_HELP,
    )
    service_account = serializers.CharField(
        default="", allow_blank=True, max_length=36, help_text=ACCOUNT_HELP
    )
    client_authentication = serializers.ChoiceField(
        App.AUTHENTICATION, default=SECRET, help_text=PROOF_HELP
    )
    client_keys = serializers.ListField(
        child=serializers.JSONField(), default=list, max_length=MAX_KEYS, help_text=KEYS_HELP
    )
    client_keys_url = serializers.CharField(
        default="", allow_blank=True, max_length=MAX_KEYS_URL, help_text=KEYS_URL_HELP
    )
    requires_pushed_requests = serializers.BooleanField(default=False, help_text=PUSHED_HELP)
    allows_device_flow = serializers.BooleanField(default=False, help_text=DEVICE_HELP)
    custom_scopes = serializers.ListField(
        child=serializers.CharField(max_length=custom_scopes.MAX_NAME),
        default=list,
        max_length=custom_scopes.MAX_SCOPES,
        help_text=SCOPES_HELP,
    )


class AppChange(AppFields):
    """Fields of an app to change."""

    position = serializers.IntegerField(
        required=False, min_value=0, max_value=MAX_POSITION, help_text="The lowest is listed first."
    )


class AppChangeConfirmation(serializers.Serializer[Any]):
    """Whether to change the ids by which the app knows people."""

    confirm = serializers.BooleanField(
        default=False, help_text="True: also if people get new accounts in the app by it."
    )


class AppQuery(serializers.Serializer[Any]):
    """Which apps to list."""

    is_self_registered = serializers.BooleanField(
        required=False, help_text="True: only apps that have registered themselves."
    )


class AppsView(APIView):
    """Apps."""

    required_permissions = {"GET": READ, "POST": CHANGE}

    @extend_schema(
        operation_id="list_apps",
        summary="List apps",
        parameters=[AppQuery],
        responses=page_of(AppRecord),
    )
    def get(self, request: Request) -> Response:
        """All apps, in the order of the account page. Always one page."""
        rows = App.objects.filter(**validate_query(AppQuery, request))
        return single_page(request, (record(AppRecord, row) for row in rows), AppQuery)

    @extend_schema(
        operation_id="create_app",
        summary="Add an app",
        request=AppFields,
        examples=example({"name": "Wiki", "url": "https://wiki.example.com"}),
        responses={201: AppRecord},
    )
    def post(self, request: Request) -> Response:
        """Add an app after all others. Who may enter it is a matter of access rules."""
        given = validate(AppFields, request.data, extra_check=_check)
        app = apps.create_app(actor=auth_of(request).user, app=App(**given))
        location = f"{settings.PUBLIC_URL}/api/v1/apps/{app.pk}"
        return Response(record(AppRecord, app), status=201, headers={"Location": location})


class AppView(APIView):
    """An app."""

    required_permissions = {"GET": READ, "PATCH": CHANGE, "DELETE": CHANGE}

    @extend_schema(operation_id="get_app", summary="Read an app", responses=AppRecord)
    def get(self, request: Request, app_id: uuid.UUID) -> Response:
        """Return one app."""
        return Response(record(AppRecord, find_app_by_id(app_id)))

    @extend_schema(
        operation_id="change_app",
        summary="Change an app",
        parameters=[AppChangeConfirmation],
        request=AppChange,
        examples=example({"description": "What we know."}),
        responses=AppRecord,
    )
    def patch(self, request: Request, app_id: uuid.UUID) -> Response:
        """Change the given fields. Access rules keep their hosts and paths.

        The record may be sent back with its other fields as they are. Another `subject_type` of an
        app that signs people in needs `confirm`, because people get new accounts in the app.
        """
        app = find_app_by_id(app_id)
        refuse_unknown_parameters(request, AppChangeConfirmation)
        confirmed = validate_query(AppChangeConfirmation, request)["confirm"]
        given = validate(
            AppChange,
            request.data,
            partial=True,
            current=record(AppRecord, app),
            extra_check=_check,
        )
        app = apps.edit_app(
            actor=auth_of(request).user, app=app, changes=given, confirmed=confirmed
        )
        return Response(record(AppRecord, app))

    @extend_schema(
        operation_id="delete_app", summary="Delete an app", request=None, responses={204: None}
    )
    def delete(self, request: Request, app_id: uuid.UUID) -> Response:
        """Delete an app. Its access rules stay and apply as before, without an app."""
        app = find_app_by_id(app_id)
        refuse_fields(request)
        apps.delete_app(actor=auth_of(request).user, app=app)
        return Response(status=204)


def find_app_by_id(app_id: uuid.UUID) -> App:
    """Return the app. Raises NotFound."""
    found = App.objects.filter(pk=app_id).first()
    if found is None:
        raise NotFound
    return found


def _check(given: dict[str, Any]) -> None:
    """Raise RecordInvalid with the errors of the fields."""
    errors = clean_app(given)[1]
    if errors:
        raise RecordInvalid(errors)
