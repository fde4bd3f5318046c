"""Sign-in providers: settings of each system, and what stops the start."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from accounts.roles import Role
from accounts.sign_in.methods import is_reserved
from config.environment.registry.allauth_providers import usable_ids
from config.providers import allauth_settings, auto_redirect, internal_urls, sign_in_providers
from tests.config.conftest import Load

Lines = Callable[..., list[str]]
ISSUER = "https://id.example.com/application/o/team/"
OPENID = {"OPENID_CLIENT_ID": "gate", "OPENID_CLIENT_SECRET": "s", "OPENID_ISSUER": ISSUER}
GOOGLE = {"GOOGLE_CLIENT_ID": "g", "GOOGLE_CLIENT_SECRET": "s"}


def test_without_settings_there_is_no_provider(load_env: Load) -> None:
    assert sign_in_providers(load_env().values) == ()


def test_openid_settings_of_librechat_have_its_defaults(load_env: Load) -> None:
    (provider,) = sign_in_providers(load_env(**OPENID).values)

    assert (provider.id, provider.kind, provider.label) == ("openid", "oidc", "OpenID")
    assert provider.issuer == "https://id.example.com/application/o/team"
    assert provider.scopes == ("openid", "profile", "email")
    assert provider.callback_path == "/oauth/openid/callback"
    assert provider.leeway == timedelta(minutes=5)
    assert (provider.uses_pkce, provider.uses_nonce, provider.ends_session) == (True, True, False)
    assert provider.source.allows_registration is True
    assert provider.source.default_role is Role.NONE
    assert provider.source.trusts_email is False


def test_the_secret_of_a_provider_is_not_shown(load_env: Load) -> None:
    env = load_env(**{**OPENID, "OPENID_CLIENT_SECRET": "very-secret"})

    assert "very-secret" not in repr(sign_in_providers(env.values))
    assert "very-secret" not in repr(env.describe())


def test_further_settings_of_librechat_are_used(load_env: Load) -> None:
    env = load_env(
        **OPENID,
        OPENID_SCOPE="email groups",
        OPENID_CALLBACK_URL="http://localhost:8000/signed/in",
        OPENID_BUTTON_LABEL="Example",
        OPENID_CLOCK_TOLERANCE="60",
        OPENID_EMAIL_CLAIM="mail",
        OPENID_USE_PKCE="false",
        OPENID_AUTO_REDIRECT="true",
        OPENID_REGISTRATION="false",
        TRUSTED_EMAIL_PROVIDERS="openid",
    )
    (provider,) = sign_in_providers(env.values)

    assert provider.scopes == ("openid", "email", "groups")
    assert provider.callback_path == "/signed/in"
    assert provider.label == "Example"
    assert provider.leeway == timedelta(minutes=1)
    assert provider.claims["email"] == ("mail",)
    assert provider.uses_pkce is False
    assert provider.source.trusts_email is True
    assert provider.source.allows_registration is False
    assert auto_redirect(env.values) == "openid"


def test_authentik_of_reflector_keeps_its_callback(load_env: Load) -> None:
    env = load_env(
        AUTHENTIK_ISSUER=ISSUER,
        AUTHENTIK_CLIENT_ID="reflector",
        AUTHENTIK_CLIENT_SECRET="s",
        AUTHENTIK_REFRESH_TOKEN_URL="https://id.example.com/token/",
    )
    (provider,) = sign_in_providers(env.values)

    assert (provider.id, provider.label) == ("authentik", "Authentik")
    assert provider.callback_path == "/api/auth/callback/authentik"
    assert env.problems == ()


def test_the_list_of_lobechat_gives_providers_in_order(load_env: Load) -> None:
    env = load_env(
        NEXT_AUTH_SSO_PROVIDERS="keycloak\uff0cauthentik,github",
        AUTH_KEYCLOAK_ID="a",
        AUTH_KEYCLOAK_SECRET="s",
        AUTH_KEYCLOAK_ISSUER="https://id.example.com/realms/x/.well-known/openid-configuration",
        AUTH_KEYCLOAK_LABEL="Our Keycloak",
        AUTH_AUTHENTIK_ID="b",
        AUTH_AUTHENTIK_SECRET="s",
        AUTH_AUTHENTIK_ISSUER=ISSUER,
        AUTH_GITHUB_ID="c",
        AUTH_GITHUB_SECRET="s",
        **GOOGLE,
    )
    providers = sign_in_providers(env.values)

    assert [provider.id for provider in providers] == ["keycloak", "authentik", "github", "google"]
    assert [provider.label for provider in providers][:2] == ["Our Keycloak", "Authentik"]
    assert providers[0].issuer == "https://id.example.com/realms/x"
    assert [provider.callback_path for provider in providers] == [
        "/api/auth/callback/keycloak",
        "/api/auth/callback/authentik",
        "/api/auth/callback/github",
        "/oauth/google/callback",
    ]
    assert env.problems == ()
    assert "AUTH_KEYCLOAK_SECRET" in [row.name for row in env.describe()]


def test_the_tenant_of_microsoft_sets_issuer_and_subject(load_env: Load) -> None:
    env = load_env(
        AUTH_SSO_PROVIDERS="microsoft-entra-id",
        AUTH_MICROSOFT_ENTRA_ID_ID="a",
        AUTH_MICROSOFT_ENTRA_ID_SECRET="s",
        AUTH_MICROSOFT_ENTRA_ID_TENANT_ID="1111-2222",
    )
    (provider,) = sign_in_providers(env.values)

    assert provider.issuer == "https://login.microsoftonline.com/1111-2222/v2.0"
    assert provider.options == {"subject": "tid:oid"}
    assert provider.label == "Microsoft"


def test_the_mapping_of_mage_gives_the_highest_role(load_env: Load) -> None:
    env = load_env(
        OIDC_DISCOVERY_URL=f"{ISSUER}.well-known/openid-configuration",
        OIDC_CLIENT_ID="mage",
        OIDC_CLIENT_SECRET="s",
        OIDC_ROLES_MAPPING='{"All": "Viewer", "Leads": ["Editor", "Admin"]}',
    )
    (provider,) = sign_in_providers(env.values)
    mapping = provider.source.mapping

    assert provider.issuer == ISSUER.rstrip("/")
    assert mapping.updates is False
    assert mapping.gives_owner is False
    assert mapping.decide({"id": {"user_roles": ["All", "Leads"]}}).role is Role.ADMIN
    assert mapping.decide({"id": {}, "userinfo": {"groups": ["All"]}}).role is Role.VIEWER
    assert mapping.decide({"id": {"groups": ["Others"]}}).role is None


def test_role_rules_of_librechat_are_used(load_env: Load) -> None:
    env = load_env(
        **OPENID,
        OPENID_REQUIRED_ROLE="team,guests",
        OPENID_REQUIRED_ROLE_PARAMETER_PATH="realm_access.roles",
        OPENID_REQUIRED_ROLE_TOKEN_KIND="access",
        OPENID_ADMIN_ROLE="boss",
        OPENID_ROLE_SYNC_ENABLED="true",
        OPENID_ROLE_SYNC_CLAIM="roles",
        OPENID_ROLE_SYNC_ROLE_PRIORITY="staff:editor,USER",
        OPENID_ROLE_SYNC_FALLBACK_ROLE="none",
    )
    mapping = sign_in_providers(env.values)[0].source.mapping
    access = {"realm_access": {"roles": ["guests"]}}

    assert mapping.updates is True
    assert mapping.decide({"id": access, "access": {}}).is_admitted is False
    assert mapping.decide({"id": {"roles": "boss"}, "access": access}).role is Role.ADMIN
    assert mapping.decide({"id": {"roles": ["USER", "staff"]}, "access": access}).role == "editor"
    assert mapping.decide({"id": {"roles": ["USER"]}, "access": access}).role is Role.VIEWER
    assert mapping.decide({"id": {"roles": ["x"]}, "access": access}).role is Role.NONE


def test_the_general_mapping_applies_to_cognito(load_env: Load) -> None:
    env = load_env(
        AUTH_SSO_PROVIDERS="cognito",
        AUTH_COGNITO_ID="a",
        AUTH_COGNITO_SECRET="s",
        AUTH_COGNITO_ISSUER="https://cognito-idp.eu.amazonaws.com/pool",
        SSO_ROLES_MAPPING='{"leads": "owner"}',
        UPDATE_ROLES_ON_LOGIN="1",
    )
    mapping = sign_in_providers(env.values)[0].source.mapping

    assert mapping.decide({"id": {"cognito:groups": ["leads"]}}).role is Role.OWNER
    assert (mapping.gives_owner, mapping.updates) == (True, True)


def test_social_providers_follow_the_switch_of_registration(load_env: Load) -> None:
    closed = sign_in_providers(load_env(**GOOGLE).values)[0]
    opened = sign_in_providers(load_env(**GOOGLE, ALLOW_SOCIAL_REGISTRATION="true").values)[0]

    assert closed.source.allows_registration is False
    assert opened.source.allows_registration is True
    assert opened.source.default_role is Role.VIEWER


@pytest.mark.parametrize(
    ("given", "is_open"),
    [
        ({}, True),
        ({"ALLOW_SOCIAL_REGISTRATION": "true"}, True),
        ({"ALLOW_SOCIAL_REGISTRATION": "false"}, False),
        ({"ALLOW_SOCIAL_REGISTRATION": "false", "OPENID_REGISTRATION": "true"}, True),
        ({"ALLOW_SOCIAL_REGISTRATION": "true", "OPENID_REGISTRATION": "false"}, False),
    ],
)
def test_an_explicit_false_closes_openid_registration_too(
    load_env: Load, given: dict[str, str], is_open: bool
) -> None:
    env = load_env(**OPENID, **given)

    assert sign_in_providers(env.values)[0].source.allows_registration is is_open
    if given == {"ALLOW_SOCIAL_REGISTRATION": "false"}:
        assert env.source("OPENID_REGISTRATION") == "follows ALLOW_SOCIAL_REGISTRATION=false"


def test_apples_key_is_read_from_its_file(load_env: Load, tmp_path: Path) -> None:
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(*form)
    (tmp_path / "key.p8").write_bytes(pem)
    env = load_env(
        DATA_DIR=str(tmp_path),
        APPLE_CLIENT_ID="a",
        APPLE_TEAM_ID="t",
        APPLE_KEY_ID="k",
        APPLE_PRIVATE_KEY_PATH="key.p8",
    )

    assert sign_in_providers(env.values)[0].options["certificate_key"] == pem.decode()


def test_switched_off_login_removes_every_button(load_env: Load) -> None:
    env = load_env(**OPENID, ALLOW_SOCIAL_LOGIN="false", OPENID_AUTO_REDIRECT="true")

    assert sign_in_providers(env.values) == ()
    assert auto_redirect(env.values) == ""
    assert [str(problem) for problem in env.problems] == [
        (
            "ALLOW_SOCIAL_LOGIN: is false, so openid cannot be used. Fix: remove it, or remove the "
            "providers' settings."
        )
    ]


def test_the_example_file_of_librechat_gives_no_warning(warnings: Lines) -> None:
    example = (
        "ALLOW_SOCIAL_LOGIN=false\nGOOGLE_CLIENT_ID=\nGOOGLE_CLIENT_SECRET=\n"
        "GOOGLE_CALLBACK_URL=/oauth/google/callback\nOPENID_CLIENT_ID=\nOPENID_CLIENT_SECRET=\n"
        'OPENID_ISSUER=\nOPENID_SESSION_SECRET=\nOPENID_SCOPE="openid profile email"\n'
        "OPENID_CALLBACK_URL=/oauth/openid/callback\nOPENID_REQUIRED_ROLE=\n"
        "OPENID_REQUIRED_ROLE_TOKEN_KIND=\nOPENID_REQUIRED_ROLE_PARAMETER_PATH=\n"
    )

    assert warnings(example) == []


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            {"OPENID_CLIENT_ID": "gate", "OPENID_ISSUER": ISSUER},
            (
                "OPENID_CLIENT_SECRET: is missing while OPENID_CLIENT_ID is set. Fix: set it, or "
                "remove OPENID_CLIENT_ID."
            ),
        ),
        (
            {"GOOGLE_CLIENT_ID": "g"},
            (
                "GOOGLE_CLIENT_SECRET: is missing while GOOGLE_CLIENT_ID is set. Fix: set it, or "
                "remove GOOGLE_CLIENT_ID."
            ),
        ),
        (
            {**OPENID, "OPENID_ISSUER": "http://id.example.com"},
            (
                "OPENID_ISSUER: 'http://id.example.com' is not https, so an attacker could sign "
                "in as any user. Fix: write the https:// address of the provider."
            ),
        ),
        (
            {**OPENID, "OPENID_CALLBACK_URL": "https://other.example.com/oauth/openid/callback"},
            (
                "OPENID_CALLBACK_URL: 'https://other.example.com/oauth/openid/callback' is not an "
                "address of http://localhost:8000. Fix: write only the path, or correct "
                "PUBLIC_URL."
            ),
        ),
        (
            {**OPENID, "TRUSTED_EMAIL_PROVIDERS": "google"},
            (
                "TRUSTED_EMAIL_PROVIDERS: names 'google', which is not a configured provider. Fix: "
                "write one of openid, ldap."
            ),
        ),
        (
            {**OPENID, "OPENID_ROLE_SYNC_ENABLED": "true"},
            (
                "OPENID_ROLE_SYNC_CLAIM: is missing while OPENID_ROLE_SYNC_ENABLED is true. Fix: "
                "set it, for example to roles."
            ),
        ),
        (
            {"AUTH_SSO_PROVIDERS": "wechat"},
            (
                "AUTH_SSO_PROVIDERS: names 'wechat', which does not support OpenID Connect. Fix: "
                "remove it from the list."
            ),
        ),
        (
            {"AUTH_SSO_PROVIDERS": "a/b"},
            (
                "AUTH_SSO_PROVIDERS: names 'a/b', which cannot be part of an address. Fix: write "
                "letters, digits and hyphens."
            ),
        ),
    ],
)
def test_an_invalid_provider_stops_the_start(
    faults: Lines, given: dict[str, str], line: str
) -> None:
    assert faults(**given) == [line]


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("OIDC_ROLES_MAPPING", "{not json", "is not JSON"),
        ("OIDC_ROLES_MAPPING", '["Admin"]', "is not a JSON object"),
        ("OIDC_ROLES_MAPPING", '{"a": "Boss"}', "'Boss' is not a role"),
        ("SSO_ROLES_MAPPING", '{"a": []}', "gives 'a' something that is not a role"),
        ("OPENID_ROLE_SYNC_ROLE_PRIORITY", "ADMIN", "would let a claim make administrators"),
        ("OPENID_ROLE_SYNC_ROLE_PRIORITY", "x:owner", "would let a claim make administrators"),
        ("OPENID_ROLE_SYNC_FALLBACK_ROLE", "admin", "would let a claim make administrators"),
        ("OPENID_CALLBACK_URL", "/admin/x", "is the path of another page"),
        ("OPENID_CALLBACK_URL", "//evil.example/x", "has no plain path"),
        ("OPENID_ISSUER", "https://login.microsoftonline.com/common/v2.0", "of all tenants"),
    ],
)
def test_an_unreadable_value_is_reported_once(
    faults: Lines, name: str, text: str, what: str
) -> None:
    (line,) = faults(**{name: text})

    assert line.startswith(f"{name}: ")
    assert what in line


@pytest.mark.parametrize(
    "name",
    ["passkey", "Passkey", "ldap", "password", "totp", "magic-link", "magiclink", "provider", "jwt",
     "remembered-browser", "recovery-code", "set-up", "invitation", "second-factor", "operator"],
)  # fmt: skip
def test_no_openid_provider_has_the_id_of_a_sign_in_method(faults: Lines, name: str) -> None:
    prefix = f"AUTH_{name.upper().replace('-', '_')}"
    given = {f"{prefix}_ID": "gate", f"{prefix}_SECRET": "s", f"{prefix}_ISSUER": ISSUER}

    assert faults(AUTH_SSO_PROVIDERS=name, **given) == [
        (
            f"AUTH_SSO_PROVIDERS: names {name!r}, which is a sign-in method of Gatehouse itself. "
            "Fix: call the provider something else, and rename its AUTH_… settings too."
        )
    ]


def test_an_unreadable_issuer_is_not_reported_as_missing(faults: Lines) -> None:
    (line,) = faults(**{**OPENID, "OPENID_ISSUER": "id.example.com"})

    assert "does not start with https://" in line


def test_the_common_tenant_is_refused(faults: Lines) -> None:
    (line,) = faults(
        AUTH_SSO_PROVIDERS="azure-ad",
        AUTH_AZURE_AD_ID="a",
        AUTH_AZURE_AD_SECRET="s",
        AUTH_AZURE_AD_TENANT_ID="common",
    )

    assert line.startswith("AUTH_AZURE_AD_TENANT_ID: ")
    assert "stands for the issuers of all tenants" in line


def test_a_provider_outside_the_list_is_reported(warnings: Lines) -> None:
    assert warnings(AUTH_OKTA_ID="x") == [
        (
            "AUTH_OKTA_ID: has no effect, because AUTH_SSO_PROVIDERS does not name okta. Fix: add "
            "okta there."
        )
    ]


def test_a_listed_provider_needs_its_settings(faults: Lines) -> None:
    assert faults(AUTH_SSO_PROVIDERS="okta")[0] == (
        "AUTH_OKTA_ID: is missing while AUTH_SSO_PROVIDERS names okta. Fix: set it, or remove okta "
        "from the list."
    )


def test_apples_missing_key_file_is_reported(faults: Lines) -> None:
    (line,) = faults(
        APPLE_CLIENT_ID="a", APPLE_TEAM_ID="t", APPLE_KEY_ID="k", APPLE_PRIVATE_KEY_PATH="no.p8"
    )

    assert line.startswith("APPLE_PRIVATE_KEY_PATH: names ")
    assert "which cannot be read" in line


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (OPENID, "OPENID_TRUST_EMAIL"),
        (GOOGLE, "GOOGLE_TRUST_EMAIL"),
        (
            {
                "AUTH_SSO_PROVIDERS": "keycloak",
                "AUTH_KEYCLOAK_ID": "x",
                "AUTH_KEYCLOAK_SECRET": "s",
                "AUTH_KEYCLOAK_ISSUER": ISSUER,
            },
            "AUTH_KEYCLOAK_TRUST_EMAIL",
        ),
    ],
)
def test_the_administrator_can_trust_addresses_of_a_provider(
    load_env: Load, given: dict[str, str], name: str
) -> None:
    (silent,) = sign_in_providers(load_env(**given).values)
    (trusted,) = sign_in_providers(load_env(**given, **{name: "true"}).values)

    assert (silent.assumes_email_verified, trusted.assumes_email_verified) == (False, True)


def test_an_internal_url_replaces_the_origin_of_the_issuer(load_env: Load) -> None:
    env = load_env(**OPENID, OPENID_INTERNAL_URL="http://authentik:9000/")

    assert internal_urls(env.values) == {"https://id.example.com": "http://authentik:9000"}
    assert internal_urls(load_env(**OPENID).values) == {}


def test_an_authority_that_cannot_be_read_stops_the_start(faults: Lines) -> None:
    (line,) = faults(PROVIDER_CA_CERT_PATH="/nowhere/ca.pem")

    assert line.startswith(
        "PROVIDER_CA_CERT_PATH: names /nowhere/ca.pem, which is not a readable PEM file"
    )


GITLAB = {"GITLAB_CLIENT_ID": "a", "GITLAB_CLIENT_SECRET": "very-secret"}


def test_a_provider_of_allauth_needs_two_variables(load_env: Load) -> None:
    (provider,) = sign_in_providers(load_env(**GITLAB).values)

    assert (provider.id, provider.kind, provider.label) == ("gitlab", "gitlab", "GitLab")
    assert (provider.client_id, provider.client_secret) == ("a", "very-secret")
    assert (provider.callback_path, provider.issuer) == ("/oauth/gitlab/callback", "")
    assert provider.assumes_email_verified is provider.source.allows_registration is False


def test_further_settings_of_a_provider_of_allauth_are_used(load_env: Load) -> None:
    env = load_env(
        **GITLAB,
        GITLAB_SETTINGS='{"GITLAB_URL": "https://git.example.com/", "SCOPE": ["read_user"]}',
        GITLAB_CALLBACK_URL="http://localhost:8000/signed/in",
        GITLAB_TRUST_EMAIL="true",
        TRUSTED_EMAIL_PROVIDERS="gitlab",
        ALLOW_SOCIAL_REGISTRATION="true",
    )
    (provider,) = sign_in_providers(env.values)

    settings = {"GITLAB_URL": "https://git.example.com", "SCOPE": ["read_user"]}
    assert provider.options == settings
    assert allauth_settings(env.values)["gitlab"] == settings
    assert provider.issuer == "https://git.example.com"
    assert (provider.callback_path, provider.assumes_email_verified) == ("/signed/in", True)
    assert (provider.source.trusts_email, provider.source.allows_registration) == (True, True)


def test_every_setting_of_a_provider_of_allauth_is_shown(load_env: Load) -> None:
    env = load_env(dotenv="SPOTIFY_CLIENT_ID=abc", SPOTIFY_CLIENT_SECRET="very-secret")
    rows = {row.name: row for row in env.describe()}

    assert rows["SPOTIFY_CLIENT_ID"].value == "abc"
    assert rows["SPOTIFY_CLIENT_ID"].source.startswith(".env line 1")
    assert "very-secret" not in rows["SPOTIFY_CLIENT_SECRET"].value
    assert rows["SPOTIFY_CALLBACK_URL"].source == "default"


def test_the_secret_of_a_provider_of_allauth_can_be_in_a_file(
    load_env: Load, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("from-a-file\n")
    env = load_env(GITLAB_CLIENT_ID="a", GITLAB_CLIENT_SECRET_FILE=str(tmp_path / "secret"))
    assert sign_in_providers(env.values)[0].client_secret == "from-a-file"


@pytest.mark.parametrize("text", ["{", "[]", "7", '{"APP": {"client_id": "x"}}', "[" * 100_000])
def test_settings_that_are_no_json_object_stop_the_start(faults: Lines, text: str) -> None:
    (line,) = faults(**GITLAB, GITLAB_SETTINGS=text)
    assert line.startswith(
        ("GITLAB_SETTINGS: is not JSON", "GITLAB_SETTINGS: is not a JSON object")
    )


def test_an_incomplete_provider_of_allauth_stops_the_start(faults: Lines) -> None:
    (line,) = faults(GITLAB_CLIENT_ID="x")
    assert line == (
        "GITLAB_CLIENT_SECRET: is missing while GITLAB_CLIENT_ID is set. Fix: set it, or remove "
        "GITLAB_CLIENT_ID."
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("GITLABB_CLIENT_ID", "is unknown. Fix: did you mean GITLAB_CLIENT_ID?"),
        ("SPOTFY_CLIENT_SECRET", "is unknown. Fix: did you mean SPOTIFY_CLIENT_SECRET?"),
        ("TRELLO_CLIENT_ID", "has no effect: it does not use OAuth 2.0. Fix: remove it."),
        ("OPENID_CONNECT_CLIENT_ID", "has no effect: Gatehouse has a client of its own"),
        ("DRIP_CLIENT_SECRET", "has no effect: it names people by their addresses alone"),
    ],
)
def test_names_that_resemble_a_provider_are_reported(warnings: Lines, name: str, said: str) -> None:
    (line,) = warnings(**{name: "x"})
    assert line.startswith(f"{name}: {said}")


@pytest.mark.parametrize("name", ["WAREHOUSE_CLIENT_ID", "X_CLIENT_ID", "CLIENT_ID"])
def test_client_settings_of_other_programs_are_ignored(warnings: Lines, name: str) -> None:
    assert warnings(**{name: "x"}) == []


def test_a_provider_of_allauth_can_be_in_the_list(load_env: Load) -> None:
    env = load_env(
        **GITLAB, **GOOGLE, BITBUCKET_OAUTH2_CLIENT_ID="b", BITBUCKET_OAUTH2_CLIENT_SECRET="s",
        AUTH_SSO_PROVIDERS="gitlab,bitbucket_oauth2", AUTH_GITLAB_LABEL="Our GitLab",
    )  # fmt: skip
    providers = sign_in_providers(env.values)

    assert [provider.label for provider in providers] == ["Our GitLab", "Bitbucket", "Google"]
    assert providers[0].callback_path == "/api/auth/callback/gitlab"


def test_a_listed_openid_provider_stays_one(load_env: Load) -> None:
    env = load_env(
        AUTH_SSO_PROVIDERS="okta",
        AUTH_OKTA_ID="x",
        AUTH_OKTA_SECRET="s",
        AUTH_OKTA_ISSUER=ISSUER,
        OKTA_CLIENT_ID="of something else",
        OKTA_CLIENT_SECRET="s",
    )
    (provider,) = sign_in_providers(env.values)
    assert (provider.kind, provider.issuer) == ("oidc", ISSUER.rstrip("/"))


def test_github_enterprise_is_the_server_of_allauths_provider(load_env: Load) -> None:
    env = load_env(
        GITHUB_CLIENT_ID="a",
        GITHUB_CLIENT_SECRET="s",
        GITHUB_ENTERPRISE_BASE_URL="https://github.example.com/",
        GITHUB_ENTERPRISE_USER_AGENT="Example",
    )
    (provider,) = sign_in_providers(env.values)

    assert provider.issuer == "https://github.example.com"
    assert provider.options == {"user_agent": "Example"}
    assert allauth_settings(env.values)["github"]["GITHUB_URL"].startswith(provider.issuer)


def test_no_allauth_provider_has_the_id_of_a_sign_in_method() -> None:
    """The audit log tells methods by these names."""
    assert [name for name in usable_ids() if is_reserved(name)] == []
