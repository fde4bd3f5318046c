"""The .env files of five other systems start Gatehouse unchanged (CONTRACT 9).

The files in envs/ have FILL-IN where people have their secrets, and nothing else is changed.
"""

import re
import secrets
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from accounts.roles import Role
from config.environment import Environment, anonymous_role, load
from config.environment.diagnostics.ignored_names import IGNORED, ignored_reason
from config.environment.variables import VARIABLES

FILES = Path(__file__).parent / "envs"
SYSTEMS = ("khoj", "librechat", "lobechat", "mage", "reflector")
PEM = "authentik.example.com_public.pem"
Bring = Callable[..., Environment]


@pytest.fixture
def bring(tmp_path: Path) -> Bring:
    """bring("khoj", ("old line", "new line")) -> what the file of that system sets."""

    def run(system: str, *changes: tuple[str, str]) -> Environment:
        text = (FILES / f"{system}.dotenv").read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        filled = re.sub("FILL-IN", lambda _match: secrets.token_hex(32), text)
        (tmp_path / ".env").write_text(filled)
        (tmp_path / "data").mkdir(exist_ok=True)
        public = rsa.generate_private_key(65537, 2048).public_key()
        pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (tmp_path / "data" / PEM).write_bytes(pem)
        return load({}, tmp_path / ".env")

    return run


def values(env: Environment, *names: str) -> list[Any]:
    return [env[name] for name in names]


def warned(env: Environment) -> list[str]:
    return [problem.name for problem in env.problems]


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_line_is_used_or_explained_or_a_warning(bring: Bring, system: str) -> None:
    env = bring(system)

    names = re.findall(r"^([A-Za-z0-9_]+)=", (FILES / f"{system}.dotenv").read_text(), re.MULTILINE)
    assert [line.name for line in env.lines] == names
    assert [line for line in env.lines if line.what == "not used by Gatehouse: unknown"] == []
    numbers = [line.number for line in env.lines]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_report_contains_no_secret(bring: Bring, system: str) -> None:
    env = bring(system)

    report = "\n".join(line.what for line in env.lines) + repr(env)
    assert re.findall("[0-9a-f]{64}", report) == []


@pytest.mark.parametrize("system", SYSTEMS)
def test_sign_in_is_needed(bring: Bring, system: str) -> None:
    assert anonymous_role(bring(system)) is None


def test_khoj(bring: Bring) -> None:
    env = bring("khoj")

    assert values(env, "PUBLIC_URL", "ENVIRONMENT", "DEFAULT_OWNER_EMAIL", "RESEND_EMAIL") == [
        "https://khoj.example.com",
        "production",
        "anna@example.com",
        "noreply@example.com",
    ]
    assert env["GOOGLE_CLIENT_ID"] == "1234567890-abc.apps.googleusercontent.com"
    assert env.source("SECRET_KEY") == ".env line 7: KHOJ_DJANGO_SECRET_KEY"
    assert all(env[name] for name in ("DEFAULT_OWNER_PASSWORD", "RESEND_API_KEY"))
    assert warned(env) == []


def test_khoj_without_https(bring: Bring) -> None:
    env = bring("khoj", ("KHOJ_NO_HTTPS=False", "KHOJ_NO_HTTPS=True"))

    assert values(env, "PUBLIC_URL", "ENVIRONMENT") == ["http://khoj.example.com", "development"]


def test_librechat(bring: Bring) -> None:
    env = bring("librechat")

    assert values(env, "PUBLIC_URL", "HOST", "PORT", "TRUST_PROXY", "MIN_PASSWORD_LENGTH") == [
        "http://localhost:3080",
        "localhost",
        3080,
        1,
        8,
    ]
    assert values(env, "SESSION_EXPIRY", "REFRESH_TOKEN_EXPIRY", "BAN_DURATION") == [
        timedelta(minutes=15),
        timedelta(days=7),
        timedelta(hours=2),
    ]
    assert values(env, "LOGIN_MAX", "LOGIN_WINDOW", "REGISTER_WINDOW", "BAN_INTERVAL") == [
        7,
        timedelta(minutes=5),
        timedelta(hours=1),
        20,
    ]
    assert values(env, "ALLOW_SOCIAL_LOGIN", "ALLOW_SOCIAL_REGISTRATION") == [True, False]
    assert values(env, "ALLOW_PASSWORD_RESET", "ALLOW_UNVERIFIED_EMAIL_LOGIN") == [False, True]
    assert values(env, "GITHUB_CLIENT_ID", "OPENID_CLIENT_ID", "OPENID_BUTTON_LABEL") == [
        "Iv1.0123456789abcdef",
        "librechat",
        "Company sign-in",
    ]
    assert values(env, "EMAIL_HOST", "EMAIL_PORT", "EMAIL_ENCRYPTION") == [
        "smtp.example.com",
        587,
        "starttls",
    ]
    assert not env["LDAP_URL"]
    assert all(env[name] for name in ("JWT_SECRET", "JWT_REFRESH_SECRET"))
    assert warned(env) == []


def test_reflector(bring: Bring, tmp_path: Path) -> None:
    env = bring("reflector")

    assert values(env, "PUBLIC_URL", "AUTH_BACKEND", "AUTH_JWT_AUDIENCE", "AUTH_JWT_ISSUER") == [
        "https://reflector.example.com",
        "jwt",
        ["reflector"],
        ["https://authentik.example.com/application/o/reflector"],
    ]
    assert env["AUTHENTIK_CLIENT_ID"] == "reflector"
    assert env["FEATURE_REQUIRE_LOGIN"] is True
    assert env.source("SECRET_KEY") == ".env line 7: SECRET_KEY"
    assert env["DATABASE_URL"] is None
    assert warned(env) == ["DATABASE_URL", "NEXTAUTH_SECRET", "CORS_ALLOW_CREDENTIALS"]


def test_reflector_without_authentik_turns_sign_in_off(bring: Bring) -> None:
    env = bring(
        "reflector",
        ("AUTH_BACKEND=jwt", "AUTH_BACKEND=none"),
        ("AUTH_JWT_AUDIENCE=reflector", "AUTH_JWT_AUDIENCE="),
        (f"AUTH_JWT_PUBLIC_KEY={PEM}", "AUTH_JWT_PUBLIC_KEY="),
        ("FEATURE_REQUIRE_LOGIN=true", "FEATURE_REQUIRE_LOGIN=false"),
        ("AUTHENTIK_ISSUER=https://authentik.example.com/application/o/reflector", "# "),
        ("AUTHENTIK_REFRESH_TOKEN_URL=", "# "),
        ("AUTHENTIK_CLIENT_ID=", "# "),
        ("AUTHENTIK_CLIENT_SECRET=", "# "),
    )

    assert anonymous_role(env) is Role.EDITOR
    assert {"AUTH_BACKEND", "FEATURE_REQUIRE_LOGIN"} <= set(warned(env))


def test_lobechat(bring: Bring) -> None:
    env = bring("lobechat")

    assert values(env, "PUBLIC_URL", "ENVIRONMENT", "AUTH_SSO_PROVIDERS", "ALLOWED_EMAILS") == [
        "https://lobe.example.com",
        "production",
        ["authentik", "github"],
        ["example.com", "anna@example.org"],
    ]
    assert values(env, "AUTHENTIK_CLIENT_ID", "GITHUB_CLIENT_ID") == [
        "lobe-chat",
        "Iv1.0123456789abcdef",
    ]
    assert env["AUTHENTIK_ISSUER"] == "https://authentik.example.com/application/o/lobe-chat"
    assert env["SSO_ONLY"] is False
    assert env["EMAIL_HOST"] is None
    assert env.source("SECRET_KEY") == ".env line 22: NEXT_AUTH_SECRET"
    assert warned(env) == []


def test_lobechat_with_providers_alone(bring: Bring) -> None:
    env = bring("lobechat", ("AUTH_DISABLE_EMAIL_PASSWORD=0", "AUTH_DISABLE_EMAIL_PASSWORD=1"))

    assert env["SSO_ONLY"] is True


def test_mage(bring: Bring) -> None:
    env = bring("mage")

    assert values(env, "DEFAULT_OWNER_EMAIL", "DEFAULT_OWNER_USERNAME", "LDAP_ADMIN_USERNAME") == [
        "anna@example.com",
        "anna",
        "anna",
    ]
    assert values(env, "AUTHENTICATION_MODE", "LDAP_URL", "LDAP_BASE_DN", "LDAP_GROUP_FIELD") == [
        "ldap",
        "ldaps://ldap.example.com:636",
        "dc=example,dc=org",
        "memberOf",
    ]
    assert env["LDAP_SEARCH_FILTER"] == "(&(objectClass=inetOrgPerson)(cn={username}))"
    assert values(env, "OIDC_CLIENT_ID", "UPDATE_ROLES_ON_LOGIN") == ["mage", True]
    assert env["JWT_SECRET"] is None
    assert warned(env) == ["JWT_SECRET"]


def test_mage_with_authentication_off(bring: Bring) -> None:
    changes = ("REQUIRE_USER_AUTHENTICATION=1", "REQUIRE_USER_AUTHENTICATION=0")

    assert anonymous_role(bring("mage", changes)) is Role.EDITOR


def test_the_effect_of_each_line_is_described(bring: Bring) -> None:
    said = {line.name: line.what for line in bring("librechat").lines}

    assert said["BAN_DURATION"] == "sets BAN_DURATION=2h"
    assert said["JWT_SECRET"] == "sets JWT_SECRET=(set)"
    assert said["DOMAIN_CLIENT"] == (
        "is overridden by .env line 13: DOMAIN_SERVER: PUBLIC_URL=http://localhost:3080"
    )
    assert said["DISCORD_CLIENT_ID"] == (
        "is empty and changes nothing: DISCORD_CLIENT_ID stays empty (default)"
    )
    assert said["MONGO_URI"] == (
        "not used by Gatehouse: the app's own database, queue, search and files"
    )


def test_misspelt_and_overridden_lines_are_reported(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=3080\nALLOW_REGISTRATON=false\nWHATEVER=1\n")

    env = load({"PORT": "9000"}, tmp_path / ".env")

    assert [line.what for line in env.lines] == [
        "is overridden by environment: PORT: PORT=9000",
        "is unknown. Fix: did you mean ALLOW_REGISTRATION? Write that, or remove it.",
        "not used by Gatehouse: unknown",
    ]


def test_no_own_name_is_listed_as_ignored() -> None:
    ours = {name for variable in VARIABLES for name in variable.names}

    assert [name for name in sorted(ours) if ignored_reason(name)] == []
    words = [word for group in IGNORED for word in group.words]
    assert len(words) == len(set(words))


@pytest.mark.parametrize(
    ("given", "sets"),
    [
        ({"JWT_SECRET": "a" * 8 + secrets.token_hex(32)}, False),
        ({"JWT_SECRET": secrets.token_hex(32), "JWT_REFRESH_SECRET": secrets.token_hex(32)}, True),
    ],
)
def test_one_token_secret_alone_has_no_effect(
    load_env: Callable[..., Environment], given: dict[str, str], sets: bool
) -> None:
    env = load_env(**given)

    assert (env["JWT_SECRET"] is not None) is sets
    assert ("JWT_SECRET" in warned(env)) is not sets


@pytest.mark.parametrize(
    "url", ["postgresql+asyncpg://a:b@c/d", "postgresql+psycopg2://a:b@c/d", "mysql+pymysql://a/b"]
)
def test_a_sqlalchemy_database_url_is_ignored(
    load_env: Callable[..., Environment], url: str
) -> None:
    env = load_env(DATABASE_URL=url)

    assert env["DATABASE_URL"] is None
    assert warned(env) == ["DATABASE_URL"]
