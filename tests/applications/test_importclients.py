"""Clients of authentik, Keycloak and Authelia become apps: exactly, once, and never more open."""

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from accounts.models import User
from accounts.roles import Role
from applications.importing import authelia
from applications.importing.client import ImportedClient, ImportFileError
from applications.models import App, AppSecret
from applications.services.apps import values_of
from applications.services.secrets import app_of_credentials
from audit.models import AuditEvent
from core.errors import Forbidden
from forward_auth.models import AccessRule
from operations.importing.clients import ImportOptions, import_clients
from operations.importing.sources import MAX_YAML

pytestmark = pytest.mark.django_db
FOLDER = Path(__file__).parent / "clients_of_others"
WIKI_SECRET = "kZ3v9QmB1xTn7LrW5cYp8HsJ2dFg6AeU"
GRAFANA_SECRET = "a" * 64 + "B7" * 32
PLAIN_SECRET = "insecure-but-long-enough-secret"
SECRETS = (WIKI_SECRET, GRAFANA_SECRET, PLAIN_SECRET, "pbkdf2", "8b1d2f40c7")
DEFAULTS = {
    **values_of(App()),
    "openid_kind": "web",
    "id_token_algorithm": "RS256",
    "is_listed": False,
}


@pytest.fixture(autouse=True)
def is_https(settings: Settings) -> None:
    settings.IS_HTTPS = True


class Said(NamedTuple):
    out: str
    err: str
    failure: str


def run(*arguments: str) -> Said:
    """The command, whether it fails or not. No secret is in anything that it says or records."""
    out, err, failure = io.StringIO(), io.StringIO(), ""
    try:
        call_command("importclients", *arguments, stdout=out, stderr=err)
    except CommandError as error:
        failure = str(error)
    said = Said(out.getvalue(), err.getvalue(), failure)
    recorded = json.dumps(list(AuditEvent.objects.values_list("detail", flat=True)))
    stored = str(list(App.objects.values())) + str(list(AppSecret.objects.values()))
    for text in (*said, recorded, stored):
        assert [secret for secret in SECRETS if secret in text] == []
    return said


def sample(name: str, source: str) -> tuple[str, ...]:
    return str(FOLDER / name), "--from", source


def as_file(folder: Path, content: str, source: str) -> tuple[str, ...]:
    file = folder / f"{source}.export"
    file.write_text(content)
    return str(file), "--from", source


def realm(folder: Path, *clients: dict[str, Any], **values: Any) -> tuple[str, ...]:
    return as_file(folder, json.dumps({"clients": clients, **values}), "keycloak")


def stored() -> dict[str, dict[str, Any]]:
    """What differs from an app with defaults, by the client id."""
    return {
        app.client_id: {
            name: value for name, value in values_of(app).items() if DEFAULTS[name] != value
        }
        for app in App.objects.all()
    }


KEYCLOAK = {
    "wiki": {
        "name": "Team wiki",
        "slug": "team-wiki",
        "url": "https://wiki.example.com/start",
        "description": "Pages of the team",
        "position": 10,
        "is_listed": True,
        "redirect_uris": ["https://wiki.example.com/callback"],
        "logout_uris": ["https://wiki.example.com/bye", "https://wiki.example.com/callback"],
        "backchannel_logout_uri": "https://wiki.example.com/backchannel",
        "is_trusted": True,
        "id_token_algorithm": "ES256",
        "signed_userinfo": True,
        "requires_pushed_requests": True,
    },
    "board": {
        "name": "board",
        "slug": "board",
        "url": "https://board.example.com",
        "position": 20,
        "openid_kind": "",
    },
    "phone": {
        "name": "phone",
        "slug": "phone",
        "url": "http://127.0.0.1",
        "position": 30,
        "openid_kind": "native",
        "redirect_uris": ["com.example.phone:/done", "http://127.0.0.1/done"],
        "is_trusted": True,
        "openid_role": "owner",
    },
}


def test_a_realm_of_keycloak_becomes_apps() -> None:
    said = run(*sample("realm.json", "keycloak"))

    assert stored() == KEYCLOAK
    assert said.failure == ""
    assert said.out.splitlines() == [
        "wiki: created, with its secret",
        "    directAccessGrantsEnabled: no app may ask for passwords",
        "    protocolMappers: claims are those of docs/openid-provider.md",
        "    roles: the app gets its role and groups from the claim groups instead",
        "board: created",
        "    implicitFlowEnabled: there is no implicit flow; the app has to use the code",
        (
            "    redirect_uris: “https://board.example.com/*” is no address that can be stored: "
            "no # and no *, at most 500 ASCII characters."
        ),
        (
            "    redirect_uris: “javascript:alert(1)” has to start with https://, or with a scheme "
            "such as com.example.app:/."
        ),
        "    redirect_uris: none can be used. Enter each address exactly",
        "    kind: nobody can sign in to it until an owner has chosen what it is",
        "    client_secret: it is not readable there. Make a new one on the page of the app",
        "phone: created",
        "    pkce.code.challenge.method: the app has to send PKCE with S256",
        (
            "    entry: only owners may enter, because it has a sign-in flow of its own "
            "(authenticationFlowBindingOverrides)"
        ),
        "backend: left out: it only verifies tokens (bearerOnly): see docs/verify-tokens.md",
        "https://saml.example.com: left out: it speaks saml, not OpenID Connect",
        "3 created, 0 exist already, 2 left out, 0 wrong.",
    ]
    wiki = App.objects.get(client_id="wiki")
    assert app_of_credentials("wiki", WIKI_SECRET) == wiki
    assert list(AppSecret.objects.values_list("app_id", "ending")) == [(wiki.pk, "")]
    rows = AuditEvent.objects.order_by("seq").values_list("action", "target_id", "channel")
    assert list(rows)[:2] == [
        ("sso:app:create", wiki.pk, "command"),
        ("sso:app:secret-import", wiki.pk, "command"),
    ]
    assert len(rows) == 4
    assert not AccessRule.objects.exists()


def test_a_second_run_changes_nothing_and_says_so() -> None:
    run(*sample("realm.json", "keycloak"))
    App.objects.filter(client_id="wiki").update(openid_role="admin")
    before = (list(App.objects.values()), AuditEvent.objects.count(), AppSecret.objects.count())

    said = run(*sample("realm.json", "keycloak"))

    assert (
        list(App.objects.values()), AuditEvent.objects.count(), AppSecret.objects.count()
    ) == before  # fmt: skip
    assert said.out.splitlines()[0] == "wiki: exists already"
    assert said.out.splitlines()[-1] == "0 created, 3 exist already, 2 left out, 0 wrong."
    assert said.failure == "Nothing was created: every client exists already or is left out."


@pytest.mark.parametrize(
    ("name", "source", "failure"),
    [
        ("realm.json", "keycloak", ""),
        ("lists.json", "authentik", ""),
        ("configuration.yml", "authelia", "Nothing was changed."),
    ],
)
def test_a_dry_run_says_the_same_and_writes_nothing(name: str, source: str, failure: str) -> None:
    dry = run(*sample(name, source), "--dry-run")

    tables = (App, AppSecret, AccessRule, AuditEvent)
    assert [table.objects.count() for table in tables] == [0, 0, 0, 0]
    assert dry.failure.endswith(failure)
    assert bool(dry.failure) is bool(failure)
    done = run(*sample(name, source))
    assert dry.out.replace("would be created", "created") == done.out


def test_a_configuration_of_authelia_becomes_apps() -> None:
    said = run(*sample("configuration.yml", "authelia"))

    assert stored() == {
        "grafana": {
            "name": "Grafana",
            "slug": "grafana",
            "url": "https://grafana.example.com",
            "position": 10,
            "redirect_uris": ["https://grafana.example.com/login/generic_oauth"],
            "openid_second_factor": True,
        },
        "files": {
            "name": "Files",
            "slug": "files",
            "url": "https://files.example.com",
            "position": 20,
            "redirect_uris": ["https://files.example.com/cb"],
            "is_trusted": True,
            "requires_pushed_requests": True,
            "signed_userinfo": True,
        },
        "lab": {
            "name": "lab",
            "slug": "lab",
            "url": "https://lab.example.com",
            "position": 30,
            "openid_kind": "spa",
            "redirect_uris": ["https://lab.example.com/cb"],
            "openid_role": "owner",
            "openid_second_factor": True,
        },
    }
    assert said.out.splitlines() == [
        "grafana: created",
        "    client_secret: it is not readable there. Make a new one on the page of the app",
        "files: created, with its secret",
        "    scopes: other scopes than openid, profile, email, groups and offline_access",
        "lab: created",
        "    require_pkce: the app has to send PKCE with S256",
        (
            "    entry: only owners may enter, because authorization_policy “scientists” admits "
            "only some people"
        ),
        "broken: wrong: redirect_uris has to be a list of texts",
        (
            "access_control: 2 rules are not imported. Write access rules in their order, see "
            "docs/forward-auth-rules.md."
        ),
        "3 created, 0 exist already, 0 left out, 1 wrong.",
    ]
    assert said.failure == (
        f"1 client is wrong in {FOLDER / 'configuration.yml'}. The others were imported."
    )
    assert app_of_credentials("files", PLAIN_SECRET) == App.objects.get(client_id="files")


def test_providers_of_authentik_become_apps_and_rules() -> None:
    said = run(*sample("lists.json", "authentik"))

    shown = stored()
    proxied = {name: shown.pop(name) for name in list(shown) if name.startswith("app_")}
    assert shown == {
        "gRaFaNa123": {
            "name": "Grafana",
            "slug": "grafana",
            "url": "https://grafana.example.com",
            "description": "Dashboards",
            "position": 10,
            "is_listed": True,
            "redirect_uris": ["https://grafana.example.com/login/generic_oauth"],
            "logout_uris": ["https://grafana.example.com/logout"],
            "backchannel_logout_uri": "https://grafana.example.com/backchannel",
            "is_trusted": True,
        },
        "chat": {
            "name": "Chat",
            "slug": "chat",
            "url": "https://chat.example.com",
            "position": 20,
            "openid_kind": "spa",
            "redirect_uris": ["https://chat.example.com/cb"],
            "id_token_algorithm": "",
            "openid_role": "owner",
        },
    }
    assert [(each["name"], each["url"], each.get("upstream")) for each in proxied.values()] == [
        ("Whoami", "https://whoami.example.com", "10.0.0.5:8080"),
        ("Printer", "https://printer.example.com", None),
    ]
    rules = AccessRule.objects.values_list("app__name", "effect", "role", "host", "path")
    assert list(rules) == [
        ("Whoami", "role", "viewer", "whoami.example.com", ""),
        ("Printer", "role", "owner", "printer.example.com", ""),
    ]
    assert said.out.splitlines() == [
        "Grafana (gRaFaNa123): created, with its secret",
        "    redirect_uris: “https://.*\\.example\\.com/cb” is a pattern; enter each address",
        "Chat (chat): created",
        "    signing_key: ID tokens are never signed with the secret (HS256)",
        "    entry: only owners may enter, because policies, groups or users are bound to it",
        "Whoami (behind a proxy): created",
        "    skip_path_regex: no path is open without signing in",
        "Printer (behind a proxy): created",
        "    entry: only owners may enter, because it has an authorization flow of its own",
        (
            "Everything (behind a proxy): left out: it protects a whole domain: protect each app "
            "of it, see docs/apps.md"
        ),
        "4 created, 0 exist already, 1 left out, 0 wrong.",
    ]
    assert app_of_credentials("gRaFaNa123", GRAFANA_SECRET) is not None
    again = run(*sample("lists.json", "authentik"))
    assert again.out.splitlines()[-1] == "0 created, 4 exist already, 1 left out, 0 wrong."
    assert (App.objects.count(), AccessRule.objects.count()) == (4, 2)


def test_without_policies_in_the_file_nobody_but_owners_enters(tmp_path: Path) -> None:
    lists = json.loads((FOLDER / "lists.json").read_text())
    del lists["bindings"]

    run(*as_file(tmp_path, json.dumps(lists), "authentik"), "--role", "editor")

    assert set(App.objects.filter(openid_kind__gt="").values_list("openid_role", flat=True)) == {
        "owner"
    }
    assert set(AccessRule.objects.values_list("role", flat=True)) == {"owner"}


def test_an_earlier_rule_that_may_decide_about_an_app_is_named() -> None:
    AccessRule.objects.create(name="All apps", effect="public", host="*.example.com", position=1)

    said = run(*sample("lists.json", "authentik"))

    note = "    access rules: “All apps” comes first, and may decide about it"
    assert said.out.splitlines().count(note) == 2


class _Authentik(BaseHTTPRequestHandler):
    """Pages of one record each, for whoever has the token."""

    lists: dict[str, list[Any]] = {}
    asked: list[str] = []

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.asked.append(self.path)
        found = self.lists.get(parts.path.removeprefix("/api/v3"), [])
        page = int(parse_qs(parts.query)["page"][0])
        following = page + 1 if page < len(found) else 0
        is_allowed = self.headers["Authorization"] == "Bearer a-token-of-the-tests"
        self.send_response(200 if is_allowed else 403)
        self.end_headers()
        answer = {"pagination": {"next": following}, "results": found[page - 1 : page]}
        self.wfile.write(json.dumps(answer if is_allowed else {"detail": "Token invalid"}).encode())

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def authentik_url() -> Iterator[str]:
    lists = json.loads((FOLDER / "lists.json").read_text())
    _Authentik.lists = {
        "/core/applications/": lists["applications"],
        "/providers/oauth2/": lists["oauth2"]["results"],
        "/providers/proxy/": lists["proxy"],
        "/policies/bindings/": lists["bindings"],
        "/flows/instances/": lists["flows"],
    }
    _Authentik.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Authentik)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_authentik_is_read_through_its_api(
    authentik_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = (authentik_url, "--from", "authentik")
    monkeypatch.delenv("AUTHENTIK_TOKEN", raising=False)
    assert run(*arguments).failure == ("Set AUTHENTIK_TOKEN to an API token, or add --token-stdin.")
    monkeypatch.setenv("AUTHENTIK_TOKEN", "a-wrong-token")
    refused = run(*arguments).failure
    assert "refuses" in refused
    assert "a-wrong-token" not in refused
    assert not App.objects.exists()

    monkeypatch.setattr("sys.stdin", io.StringIO("a-token-of-the-tests\n"))
    by_api = run(*arguments, "--token-stdin")

    assert by_api.failure == ""
    App.objects.all().delete()
    AccessRule.objects.all().delete()
    assert by_api.out == run(*sample("lists.json", "authentik")).out
    assert any("superuser_full_list=true" in path for path in _Authentik.asked)


def test_only_authentik_has_an_address() -> None:
    said = run("https://keycloak.example.com/realm.json", "--from", "keycloak")

    assert said.failure == "Only authentik is read from an address. Export a file."


def test_options_choose_role_address_and_secrets(tmp_path: Path) -> None:
    client = {
        "clientId": "tool", "publicClient": False, "secret": WIKI_SECRET,
        "redirectUris": ["/cb", "com.example.tool:/cb"],
        "attributes": {"oauth2.device.authorization.grant.enabled": "true"},
    }  # fmt: skip
    arguments = realm(tmp_path, client)

    said = run(*arguments)
    assert said.out.splitlines()[0] == (
        "tool: wrong: url: no address is known; add --url tool=https://…"
    )
    assert not App.objects.exists()
    assert run(*arguments, "--url", "tol=x").failure.endswith("has no client 'tol'.")
    said = run(
        *arguments, "--url", "tool=https://tool.example.com", "--role", "editor",
        "--without-secrets", "--json",
    )  # fmt: skip

    app = App.objects.get()
    assert (app.url, app.openid_role, app.redirect_uris, app.openid_kind) == (
        "https://tool.example.com", "editor", [], "web"
    )  # fmt: skip
    assert not AppSecret.objects.exists()
    assert json.loads(said.out) == {
        "done": True, "created": 1, "exists": 0, "left_out": 0, "wrong": 0, "remarks": [],
        "clients": [{
            "client": "tool", "client_id": "tool", "outcome": "created", "app": "tool",
            "secret_carried_over": False, "message": "",
            "notes": [
                "redirectUris: “/cb” is relative, and there is no rootUrl",
                ("redirect_uris: “com.example.tool:/cb”: only a desktop or phone app can have such "
                "an address"),
                "client_secret: none is carried over. Make a new one on the page of the app",
            ],
        }],
    }  # fmt: skip


URI = "https://a.example.com/cb"


@pytest.mark.parametrize(
    ("fields", "kind", "note"),
    [
        ({"enabled": False}, "", "enabled: it is disabled there"),
        ({"standardFlowEnabled": False}, "", "standardFlowEnabled: it does not use"),
        ({"clientAuthenticatorType": "client-jwt"}, "", "jwks: enter the public keys"),
        ({"secret": "short"}, "web", "client_secret: It is shorter than 20 characters"),
        ({"serviceAccountsEnabled": True}, "web", "serviceAccountsEnabled: make a service"),
        ({"clientAuthenticatorType": "client-x509"}, "web", "clientAuthenticatorType: client-x509"),
    ],
)
def test_what_keycloak_restricts_stays_closed(
    tmp_path: Path, fields: dict[str, Any], kind: str, note: str
) -> None:
    said = run(*realm(tmp_path, {"clientId": "a", "redirectUris": [URI], **fields}))

    assert App.objects.get().openid_kind == kind
    assert note in said.out
    assert not AppSecret.objects.exists()


def test_a_realm_with_a_flow_of_its_own_and_a_client_that_asks(tmp_path: Path) -> None:
    client = {"clientId": "a", "redirectUris": [URI], "consentRequired": True}

    run(*realm(tmp_path, client, browserFlow="only finance"))

    app = App.objects.get()
    assert (app.openid_role, app.is_trusted) == ("owner", False)


@pytest.mark.parametrize(
    ("source", "content", "failure"),
    [
        ("keycloak", "{", "the file is no JSON in line 1"),
        ("keycloak", "[" * 100_000, "the file is no JSON"),
        ("keycloak", '{"realm": "team"}', "the export has no clients: export one realm"),
        ("authentik", '{"oauth2": []}', "the file has no “applications”"),
        ("authentik", '{"applications": [1], "oauth2": [], "proxy": []}', "applications has to be"),
        ("authelia", "a: [", "the file is no YAML in line 1"),
        ("authelia", "[" * 100_000, "the file is no YAML"),
        ("authelia", "a: !!python/object/apply:os.system [id]", "the file is no YAML"),
        ("authelia", "server: {}", "the file has no identity_providers.oidc.clients"),
        ("authelia", "#" * (MAX_YAML + 1), "the file is larger than 1 MiB"),
        ("authelia", "a: &a x\nb: [" + "*a," * 201 + "]", "more than 200 aliases"),
        ("keycloak", '{"clients": []}', "has no clients. Nothing was created"),
    ],
)
def test_a_file_that_is_none_is_named(
    tmp_path: Path, source: str, content: str, failure: str
) -> None:
    arguments = as_file(tmp_path, content, source)

    said = run(*arguments)

    assert failure in said.failure
    assert said.failure.startswith(arguments[0])
    assert (App.objects.count(), AuditEvent.objects.count()) == (0, 0)


def test_merge_keys_cannot_grow_without_bound() -> None:
    lines = ["a0: &a0 {k: v}"]
    for number in range(1, 9):
        keys = ", ".join([f"*a{number - 1}"] * 9)
        lines.append(f"a{number}: &a{number} {{<<: [{keys}], k{number}: v}}")

    with pytest.raises(ImportFileError, match="merge keys"):
        authelia.parse("\n".join(lines))


def test_a_wrong_client_is_named_with_its_field_and_stops_no_other(tmp_path: Path) -> None:
    good = {"clientId": "good", "redirectUris": [URI], "publicClient": True}
    arguments = realm(
        tmp_path,
        {"clientId": "a b", "redirectUris": [URI]},
        {"clientId": "typed", "redirectUris": {"a": 1}},
        {"redirectUris": [URI]},
        {"clientId": "esc\x1b[2J", "publicClient": "perhaps"},
        good,
        good,
    )

    dry = run(*arguments, "--dry-run")
    said = run(*arguments)

    assert dry.out.replace("would be created", "created") == said.out
    assert dry.failure == f"4 clients are wrong in {arguments[0]}. Nothing was changed."
    assert [line for line in said.out.splitlines() if not line.startswith(" ")] == [
        "a b: wrong: client_id: at most 255 characters of ASCII, and no space",
        "typed: wrong: redirectUris has to be a list of texts",
        "client 3: wrong: clientId is missing",
        "esc�[2J: wrong: publicClient has to be true or false",
        "good: created",
        "good: exists already",
        "1 created, 1 exist already, 0 left out, 4 wrong.",
    ]
    assert said.failure == f"4 clients are wrong in {arguments[0]}. The others were imported."
    assert App.objects.get().client_id == "good"


def test_only_owners_import(admin: User) -> None:
    client = ImportedClient("a", "a", addresses=(URI,), kind="spa", redirect_uris=(URI,))

    with pytest.raises(Forbidden):
        import_clients([client], actor=admin, options=ImportOptions(role=Role.VIEWER))

    assert (App.objects.count(), AuditEvent.objects.count()) == (0, 0)
