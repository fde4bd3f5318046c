"""The defaults of DRF: what a view of another app accepts and rejects without more."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.test import Client
from django.urls import path
from django.utils import timezone
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from pytest_django import Settings
from rest_framework import exceptions, serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from accounts.roles import Role
from api.authentication import APIKeyAuthentication
from api.permissions import HasRole, HasScope, RecentlyAuthenticated
from api.serializers import StrictModelSerializer, StrictSerializer
from api.tokens import refresh_tokens
from config.urls import urlpatterns as own_urls
from moderation.models import Violation
from tests.accounts.anonymous_mode import switch_on
from tests.api.calls import problem
from tests.api.keys import made

pytestmark = pytest.mark.django_db
JSON = "application/json"


class Silent(APIView):
    """Declares nothing."""

    def get(self, request: Request) -> Response:
        return Response({"seen": True})


class Declared(APIView):
    """Declares GET and POST; PUT is forgotten."""

    required_permissions = {
        "GET": [HasScope("read")],
        "POST": [HasScope("write"), HasRole("editor"), RecentlyAuthenticated],
    }

    def get(self, request: Request) -> Response:
        return Response({"email": request.user.email})

    def post(self, request: Request) -> Response:
        return Response(request.data)

    def put(self, request: Request) -> Response:
        return Response({"seen": True})


class Contradictory(APIView):
    """Its second attribute would replace the first."""

    required_permissions = {"GET": [HasRole("owner")]}
    permission_classes = [HasScope("read")]

    def get(self, request: Request) -> Response:
        return Response({"seen": True})


class ByClasses(APIView):
    """Lists DRF permissions."""

    permission_classes = [HasRole("admin"), HasScope("users"), RecentlyAuthenticated]

    def get(self, request: Request) -> Response:
        return Response({"seen": True})


class Open(APIView):
    """Open to everyone; a wrong credential is refused all the same."""

    permission_classes = [AllowAny]

    def get(self, request: Request) -> Response:
        return Response({"user": request.user and request.user.email})


class KeysOnly(APIView):
    """Takes API keys alone, but ignores no other credential."""

    authentication_classes = [APIKeyAuthentication]
    permission_classes = [HasScope("read")]

    def get(self, request: Request) -> Response:
        return Response({"email": request.user.email})


class Limited(APIView):
    """Its changes count as the action `message`."""

    permission_classes = [HasRole("viewer"), HasScope("read")]
    throttle_scope = "message"

    def get(self, request: Request) -> Response:
        return Response({})

    def post(self, request: Request) -> Response:
        return Response({}, status=201)


class Failing(APIView):
    """Raises the exception that the path names."""

    permission_classes = [AllowAny]
    KINDS: ClassVar[dict[str, Callable[[], Exception]]] = {
        "validation": lambda: serializers.ValidationError({"title": ["Too long."]}),
        "throttled": lambda: exceptions.Throttled(wait=7),
        "denied": lambda: exceptions.PermissionDenied("Not on Sundays."),
        "django": lambda: PermissionDenied(),
        "unauthenticated": lambda: exceptions.NotAuthenticated(),
        "failed": lambda: exceptions.AuthenticationFailed(),
        "own": lambda: TeaPot(),
    }

    def get(self, request: Request, kind: str) -> Response:
        error = self.KINDS[kind]()
        raise error


class NamedSerializer(StrictSerializer):
    name = serializers.CharField()


class LineSerializer(StrictSerializer):
    text = serializers.CharField()


class BookSerializer(StrictSerializer):
    id = serializers.IntegerField(read_only=True)
    title = serializers.CharField(max_length=5)
    owner = NamedSerializer()
    lines = LineSerializer(many=True)


class UserSerializer(StrictModelSerializer):
    class Meta:
        model, fields, read_only_fields = User, ["email", "name"], ["email"]


class Strict(APIView):
    """Reads with DRF's own calls."""

    permission_classes = [HasRole("editor"), HasScope("write")]
    serializer_class: ClassVar[type[serializers.Serializer[Any]]] = BookSerializer

    def post(self, request: Request) -> Response:
        serializer = self.serializer_class(data=request.data)
        serializer.is_valid(raise_exception=True)
        return Response(serializer.validated_data)


class TeaPot(exceptions.APIException):
    """An error of an app."""

    status_code = 418
    default_code = "tea_pot"
    default_detail = "I am a tea pot."


urlpatterns = [
    path("api/v1/silent", Silent.as_view()),
    path("api/v1/declared", Declared.as_view()),
    path("api/v1/contradictory", Contradictory.as_view()),
    path("api/v1/by-classes", ByClasses.as_view()),
    path("api/v1/open", Open.as_view()),
    path("api/v1/keys-only", KeysOnly.as_view()),
    path("api/v1/limited", Limited.as_view()),
    path("api/v1/strict", Strict.as_view()),
    path("api/v1/strict-model", Strict.as_view(serializer_class=UserSerializer)),
    path("api/v1/failing/<str:kind>", Failing.as_view()),
    *own_urls,
]


@pytest.fixture(autouse=True)
def _urls(settings: Settings) -> None:
    settings.ROOT_URLCONF = __name__


def bearer(user: User) -> dict[str, str]:
    return {"authorization": f"Bearer {access(user)}"}


def access(user: User) -> str:
    return refresh_tokens.start_by_password(user, timezone.now()).access


def key(user: User, *scopes: str) -> dict[str, str]:
    return {"x-api-key": made(user, scopes=list(scopes) or ["read"]).text}


def get(place: str, headers: dict[str, str] | None = None, client: Client | None = None) -> Any:
    return (client or Client()).get(f"/api/v1/{place}", headers=headers or {})


def post(place: str, headers: dict[str, str], body: bytes = b"{}", **more: str) -> Any:
    kind = more.get("content_type", JSON)
    return Client().generic("POST", f"/api/v1/{place}", body, content_type=kind, headers=headers)


def test_a_view_without_permissions_denies_every_request(owner: User, browser_of: Any) -> None:
    assert problem(get("silent")) == (401, "not_authenticated")
    assert get("silent")["WWW-Authenticate"] == "Bearer"
    for headers in (bearer(owner), key(owner, "users", "read")):
        assert problem(get("silent", headers)) == (403, "forbidden")
    assert problem(get("silent", client=browser_of(owner))) == (403, "forbidden")


def test_a_view_with_contradictory_permissions_denies_every_request(owner: User) -> None:
    with pytest.raises(ImproperlyConfigured, match="Contradictory: permission_classes replaces"):
        get("contradictory", bearer(owner))


def test_every_kind_of_credential_authenticates(viewer: User, browser_of: Any) -> None:
    for headers in (bearer(viewer), key(viewer)):
        assert get("declared", headers).json() == {"email": viewer.email}
    answer = get("declared", client=browser_of(viewer))
    assert answer.json() == {"email": viewer.email}
    assert len(answer["X-CSRF-Token"]) == 64


def test_a_method_without_an_entry_is_not_served(owner: User) -> None:
    answer = Client().put("/api/v1/declared", headers=bearer(owner))

    assert problem(answer) == (405, "method_not_allowed")
    assert answer["Allow"] == "GET, POST"


def test_a_method_that_is_not_served_comes_before_the_credential(viewer: User) -> None:
    wrong = {"x-api-key": made(viewer).text[:-6] + "000000"}

    assert problem(Client().delete("/api/v1/declared", headers=wrong)) == (
        405,
        "method_not_allowed",
    )
    assert problem(get("declared", wrong)) == (403, "api_key_invalid")


@pytest.mark.parametrize("place", ["declared", "open", "keys-only"])
def test_a_wrong_credential_is_never_ignored(viewer: User, place: str) -> None:
    good, wrong = key(viewer), {"authorization": "Bearer a.b.c"}

    assert problem(get(place, good | wrong)) == (401, "token_invalid")
    assert problem(get(place, bearer(viewer) | {"x-api-key": "gth_x"})) == (403, "api_key_invalid")
    assert problem(get(place, good | {"authorization": "Negotiate x"})) == (401, "token_invalid")


@pytest.mark.parametrize("place", ["declared", "open", "keys-only"])
def test_two_credentials_must_belong_to_one_user(
    viewer: User, editor: User, browser_of: Any, place: str
) -> None:
    assert problem(get(place, key(viewer) | bearer(editor))) == (401, "token_invalid")
    assert problem(get(place, key(viewer), browser_of(editor))) == (401, "token_invalid")
    assert get(place, key(viewer) | bearer(viewer)).status_code == 200


def test_two_credentials_allow_what_both_allow(editor: User) -> None:
    both = key(editor, "read") | bearer(editor)

    assert post("declared", bearer(editor)).status_code == 200
    assert problem(post("declared", both)) == (403, "forbidden")
    assert get("declared", both).status_code == 200


def test_role_and_scope(viewer: User, editor: User) -> None:
    assert problem(post("declared", bearer(viewer))) == (403, "forbidden")
    assert problem(post("declared", key(editor, "read"))) == (403, "forbidden")
    assert post("declared", key(editor, "read", "write")).status_code == 200


def test_an_open_view_still_authenticates_the_caller(viewer: User) -> None:
    assert get("open").json() == {"user": None}
    assert get("open", bearer(viewer)).json() == {"user": viewer.email}


def test_a_view_for_keys_accepts_only_keys(viewer: User, browser_of: Any) -> None:
    assert problem(get("keys-only", bearer(viewer))) == (401, "not_authenticated")
    assert problem(get("keys-only", client=browser_of(viewer))) == (401, "not_authenticated")
    assert get("keys-only", key(viewer)).status_code == 200


def test_the_description_names_the_credentials_that_a_view_takes() -> None:
    with GENERATOR_STATS.silence():
        paths = SchemaGenerator(urlconf=__name__).get_schema(request=None, public=True)["paths"]

    def schemes(name: str) -> list[str]:
        return [scheme for each in paths[f"/api/v1/{name}"]["get"]["security"] for scheme in each]

    assert schemes("declared") == ["bearer", "apiKey", "basic", "session"]
    assert schemes("keys-only") == ["apiKey", "basic"]
    assert "put" not in paths["/api/v1/declared"]
    assert paths["/api/v1/by-classes"]["get"]["x-role"] == "admin"
    assert "security" not in paths["/api/v1/open"]["get"]


def test_permission_classes_with_arguments(
    owner: User, editor: User, browser_of: Any, at_time: Any
) -> None:
    browser = browser_of(owner)
    assert get("by-classes", bearer(owner)).status_code == 200
    assert problem(get("by-classes")) == (401, "not_authenticated")
    assert problem(get("by-classes", key(owner, "read"))) == (403, "forbidden")
    assert problem(get("by-classes", bearer(editor))) == (403, "forbidden")
    at_time(timedelta(minutes=16))
    assert problem(get("by-classes", client=browser)) == (403, "confirmation_needed")


def test_key_and_token_may_be_required_together(
    viewer: User, browser_of: Any, settings: Settings
) -> None:
    settings.REQUIRE_API_KEY_AND_TOKEN = True

    for headers in ({}, key(viewer), bearer(viewer)):
        answer = get("declared", headers)
        assert problem(answer) == (401, "not_authenticated")
        assert "Send an API key and an access token" in answer.json()["detail"]
    assert problem(get("declared", client=browser_of(viewer))) == (401, "not_authenticated")
    assert get("declared", key(viewer) | bearer(viewer)).status_code == 200
    assert get("open").status_code == 200


def test_a_change_by_session_needs_the_csrf_token(editor: User, browser_of: Any) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = browser_of(editor).cookies
    token = strict.get("/api/v1/declared")["X-CSRF-Token"]

    def send(**headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return strict.post("/api/v1/declared", {}, content_type=JSON, headers=named)

    assert problem(send()) == (403, "csrf_failed")
    assert send(x_csrf_token=token).status_code == 200


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        (JSON, b"{", (400, "malformed")),
        (JSON, b'{"a": 1, "a": 2}', (400, "malformed")),
        ("text/plain", b"{}", (415, "unsupported_media_type")),
        (JSON, b'"' + b"x" * 300_000 + b'"', (413, "too_large")),
    ],
    ids=["broken", "repeated name", "plain", "long"],
)
def test_bodies_are_strict_json(editor: User, kind: str, body: bytes, expected: Any) -> None:
    assert problem(post("declared", bearer(editor), body, content_type=kind)) == expected
    # Without permission, nothing about the body is revealed.
    assert problem(post("declared", {}, body, content_type=kind)) == (401, "not_authenticated")


def test_a_repeated_parameter_and_a_page_are_refused(viewer: User) -> None:
    headers = bearer(viewer)

    assert problem(get("declared?a=1&a=2", headers)) == (400, "repeated_parameter")
    assert problem(get("declared", headers | {"accept": "text/html"})) == (406, "not_acceptable")
    assert get("declared?format=api", headers).status_code == 200


def test_a_view_that_names_an_action_is_limited(viewer: User, settings: Settings) -> None:
    settings.ACTIONS = {"message": {"user": (2, timedelta(minutes=1))}}
    headers = bearer(viewer) | {"user-agent": "Mozilla/5.0 (X11) Firefox/130.0"}
    assert [post("limited", headers).status_code for _number in range(2)] == [201, 201]

    answer = post("limited", headers)
    assert problem(answer) == (429, "rate_limited")
    assert int(answer["Retry-After"]) > 0
    assert Violation.objects.filter(user=viewer, type="message").count() == 1
    assert get("limited", headers).status_code == 200


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("validation", (402, "record_invalid")),
        ("throttled", (429, "rate_limited")),
        ("denied", (403, "forbidden")),
        ("django", (403, "forbidden")),
        ("unauthenticated", (401, "not_authenticated")),
        ("failed", (401, "token_invalid")),
        ("own", (418, "tea_pot")),
    ],
)
def test_exceptions_of_drf_are_problem_documents(kind: str, expected: tuple[int, str]) -> None:
    answer = get(f"failing/{kind}")

    assert problem(answer) == expected
    if kind == "validation":
        assert answer.json()["errors"] == {"title": ["Too long."]}
    if kind == "throttled":
        assert answer["Retry-After"] == "7"
    if kind == "denied":
        assert answer.json()["detail"] == "Not on Sundays."


def test_a_page_of_another_site_does_not_act_as_the_anonymous_user(settings: Settings) -> None:
    switch_on(settings, Role.EDITOR)
    forms = ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"})

    assert post("declared", {}).status_code == 200
    for headers in forms:
        assert problem(post("declared", headers)) == (403, "csrf_failed")
        assert get("declared", headers).status_code == 200


def test_a_serializer_refuses_fields_that_it_does_not_have(editor: User) -> None:
    body = {
        "title": "x" * 9,
        "titel": "x",
        "id": 7,
        "owner": {"name": "x", "role": "owner"},
        "lines": [{"text": "x"}, {"text": "y", "txet": "z"}],
    }
    headers = bearer(editor)

    answer = post("strict", headers, json.dumps(body).encode())

    assert problem(answer) == (402, "record_invalid")
    assert answer.json()["errors"] == {
        "title": ["Ensure this field has no more than 5 characters."],
        "titel": ["There is no such field. Did you mean “title”?"],
        "id": ["This field is read-only."],
        "owner.role": ["There is no such field."],
        "lines.1.txet": ["There is no such field. Did you mean “text”?"],
    }
    body = {"title": "x", "owner": {"name": "x"}, "lines": [{"text": "x"}]}
    assert post("strict", headers, json.dumps(body).encode()).json() == body
    model = b'{"name": "x", "is_superuser": true, "email": "x@example.com"}'
    assert post("strict-model", headers, model).json()["errors"] == {
        "is_superuser": ["There is no such field."],
        "email": ["This field is read-only."],
    }
