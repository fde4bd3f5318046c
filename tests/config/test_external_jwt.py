"""AUTH_BACKEND=jwt: what a start needs, and what it rejects with name, error and fix."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from config.environment import bound_key_urls, external_public_key
from tests.config.conftest import Load

Lines = Callable[..., list[str]]
ISSUER = "https://id.example.com/application/o/team/"
GIVEN = {"AUTH_BACKEND": "jwt", "AUTH_JWT_ISSUER": ISSUER, "AUTH_JWT_AUDIENCE": "gate"}
RSA_KEY = rsa.generate_private_key(65537, 2048)


def _pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> str:
    public = key.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _certificate(key: rsa.RSAPrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "id.example.com")])
    start = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(key.public_key()).serial_number(7).not_valid_before(start)
    signed = builder.not_valid_after(start + timedelta(days=1)).sign(key, hashes.SHA256())
    return signed.public_bytes(Encoding.PEM).decode()


def test_without_settings_only_own_tokens_are_accepted(load_env: Load) -> None:
    env = load_env()

    assert env["AUTH_BACKEND"] == "local"
    assert env["AUTH_JWT_ISSUER"] == []
    assert env["AUTH_JWT_ALGORITHM"] == ["RS256"]
    assert env["AUTH_JWT_LEEWAY"] == timedelta(seconds=30)
    assert env["AUTH_JWT_REGISTRATION"] is False


def test_issuers_can_be_given_as_discovery_urls(load_env: Load) -> None:
    text = f"{ISSUER}, https://a.example.com/x/.well-known/openid-configuration,https://b.example/"

    env = load_env(**{**GIVEN, "AUTH_JWT_ISSUER": text})

    assert env["AUTH_JWT_ISSUER"] == [
        "https://id.example.com/application/o/team",
        "https://a.example.com/x",
        "https://b.example",
    ]


def test_the_issuer_of_reflector_is_the_fallback(load_env: Load) -> None:
    env = load_env(AUTH_BACKEND="jwt", AUTH_JWT_AUDIENCE="gate", AUTHENTIK_ISSUER=ISSUER)

    assert env["AUTH_JWT_ISSUER"] == [ISSUER.rstrip("/")]
    assert load_env(AUTHENTIK_ISSUER=ISSUER)["AUTH_JWT_ISSUER"] == []


def test_settings_without_the_backend_are_a_warning(warnings: Lines) -> None:
    assert warnings(AUTH_JWT_AUDIENCE="gate") == [
        "AUTH_JWT_AUDIENCE: has no effect without AUTH_BACKEND=jwt. Fix: set that, or remove it."
    ]


@pytest.mark.parametrize("name", ["AUTH_JWT_ISSUER", "AUTH_JWT_AUDIENCE"])
def test_issuer_and_audience_are_needed(faults: Lines, name: str) -> None:
    (line,) = faults(**{key: value for key, value in GIVEN.items() if key != name})

    assert line.startswith(f"{name}: is missing while AUTH_BACKEND is jwt, so ")
    assert "Fix: set it to " in line


@pytest.mark.parametrize(
    ("algorithm", "what"),
    [
        ("HS256", "'HS256' is symmetric, so everyone who knows the key could create tokens"),
        ("RS256,none", "allows tokens without a signature (none)"),
        ("RS1", "'RS1' is not a supported signature algorithm"),
    ],
)
def test_weak_algorithms_stop_the_start(faults: Lines, algorithm: str, what: str) -> None:
    (line,) = faults(**GIVEN, AUTH_JWT_ALGORITHM=algorithm)

    assert line.startswith(f"AUTH_JWT_ALGORITHM: {what}. Fix: write one or more of RS256, ")


def test_algorithms_are_spelt_as_in_the_standard(load_env: Load) -> None:
    env = load_env(**GIVEN, AUTH_JWT_ALGORITHM="es256, eddsa")

    assert env["AUTH_JWT_ALGORITHM"] == ["ES256", "EdDSA"]


@pytest.mark.parametrize(
    "issuer",
    [
        "https://login.microsoftonline.com/{tenantid}/v2.0",
        "https://login.microsoftonline.com/common/v2.0",
        "https://login.microsoftonline.com/organizations/v2.0/.well-known/openid-configuration",
    ],
)
def test_an_issuer_for_every_tenant_is_rejected(faults: Lines, issuer: str) -> None:
    (line, *_more) = faults(**{**GIVEN, "AUTH_JWT_ISSUER": issuer})

    assert "stands for " in line
    assert "Fix: write one issuer for each tenant" in line


def test_the_issuer_of_one_tenant_is_accepted(load_env: Load) -> None:
    tenant = "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0"

    assert load_env(**{**GIVEN, "AUTH_JWT_ISSUER": tenant})["AUTH_JWT_ISSUER"] == [tenant]


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("AUTH_JWT_ISSUER", "http://id.example.com"),
        ("AUTH_JWT_JWKS_URL", "http://id.example.com/jwks"),
    ],
)
def test_keys_must_be_fetched_by_https(faults: Lines, name: str, url: str) -> None:
    (line,) = faults(**{**GIVEN, name: url})

    assert line == (
        f"{name}: '{url}' is not https, so an attacker in the network could replace the keys. "
        "Fix: write the https:// address of the provider."
    )


def test_localhost_may_publish_keys_by_http(load_env: Load) -> None:
    env = load_env(**{**GIVEN, "AUTH_JWT_ISSUER": "http://127.0.0.1:9000/"})

    assert env["AUTH_JWT_ISSUER"] == ["http://127.0.0.1:9000"]


def test_the_own_site_is_rejected_as_an_external_issuer(faults: Lines) -> None:
    (line,) = faults(**{**GIVEN, "AUTH_JWT_ISSUER": "http://localhost:8000/"})

    assert line.startswith("AUTH_JWT_ISSUER: names this site")


@pytest.mark.parametrize("make", [_pem, _certificate])
def test_a_key_can_be_written_with_escapes_or_be_a_file(
    load_env: Load, tmp_path: Path, make: Callable[[rsa.RSAPrivateKey], str]
) -> None:
    pem = make(RSA_KEY)
    data = tmp_path / "data"
    data.mkdir()
    (data / "provider.pem").write_text(pem)

    for text in (pem, pem.replace("\n", "\\n"), "provider.pem", str(data / "provider.pem")):
        env = load_env(**GIVEN, AUTH_JWT_PUBLIC_KEY=text, DATA_DIR=str(data))
        assert external_public_key(env).strip() == pem.strip()


def test_a_key_in_the_env_file_is_reported_without_its_text(load_env: Load) -> None:
    given = {**GIVEN, "AUTH_JWT_PUBLIC_KEY": _pem(RSA_KEY).replace("\n", "\\n")}

    env = load_env("\n".join(f"{name}={value}" for name, value in given.items()))

    (row,) = [row for row in env.describe() if row.name == "AUTH_JWT_PUBLIC_KEY"]
    assert row.value == "(PEM text)"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("missing.pem", "cannot be read (No such file or directory)"),
        (
            "-----BEGIN PUBLIC KEY-----\\nAAAA\\n-----END PUBLIC KEY-----",
            "contains no readable public key",
        ),
        (_pem(rsa.generate_private_key(65537, 1024)), "contains an RSA key of 1024 bits"),
        (
            _pem(ec.generate_private_key(ec.SECP256K1())),
            "contains a type of key that cannot sign tokens",
        ),
        (_pem(ec.generate_private_key(ec.SECP256R1())), "does not match AUTH_JWT_ALGORITHM"),
        (_pem(ed25519.Ed25519PrivateKey.generate()), "does not match AUTH_JWT_ALGORITHM"),
        (
            RSA_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
            "contains a private key, which only the provider may have",
        ),
    ],
    ids=["no file", "no key", "small", "other curve", "elliptic", "edwards", "private"],
)
def test_an_unsuitable_key_stops_the_start(faults: Lines, text: str, what: str) -> None:
    (line,) = faults(**GIVEN, AUTH_JWT_PUBLIC_KEY=text)

    assert line.startswith("AUTH_JWT_PUBLIC_KEY: ")
    assert what in line
    assert "Fix: " in line


def test_an_unused_key_file_is_not_opened(load_env: Load) -> None:
    env = load_env(AUTH_BACKEND="local", AUTH_JWT_PUBLIC_KEY="missing.pem")

    assert external_public_key(env) == ""


def test_two_sources_of_keys_are_an_error(faults: Lines) -> None:
    (line,) = faults(
        **GIVEN, AUTH_JWT_PUBLIC_KEY=_pem(RSA_KEY), AUTH_JWT_JWKS_URL="https://id.example.com/jwks"
    )

    assert line.startswith("AUTH_JWT_JWKS_URL: is set beside AUTH_JWT_PUBLIC_KEY")


TWO = {**GIVEN, "AUTH_JWT_ISSUER": "https://a.example.com/,https://b.example.com"}
A_KEYS, B_KEYS = "https://a.example.com/jwks", "https://b.example.com/jwks"


def test_one_key_for_several_issuers_stops_the_start(faults: Lines) -> None:
    (line,) = faults(**TWO, AUTH_JWT_PUBLIC_KEY=_pem(RSA_KEY))

    assert line == (
        "AUTH_JWT_PUBLIC_KEY: is one key for several issuers, so each of them could sign for the "
        "others. Fix: name one issuer in AUTH_JWT_ISSUER, or remove it and let keys be fetched."
    )


@pytest.mark.parametrize(
    ("urls", "what"),
    [
        (A_KEYS, "does not say whose keys these are"),
        (f"https://a.example.com={A_KEYS},{B_KEYS}", "does not say whose keys these are"),
        (f"{A_KEYS},{B_KEYS}", "does not say whose keys these are"),
        (f"https://a.example.com={A_KEYS},https://b.example.com={A_KEYS}", "to several issuers"),
        (f"https://a.example.com={A_KEYS},https://a.example.com={B_KEYS}", "twice"),
        (f"https://c.example.com={A_KEYS}", "which AUTH_JWT_ISSUER does not name"),
    ],
)
def test_keys_that_are_not_of_one_issuer_stop_the_start(
    faults: Lines, urls: str, what: str
) -> None:
    lines = faults(**TWO, AUTH_JWT_JWKS_URL=urls)

    assert lines
    assert all(line.startswith("AUTH_JWT_JWKS_URL: ") and what in line for line in lines)


def test_keys_are_bound_to_their_issuers(load_env: Load) -> None:
    both = f"https://a.example.com/={A_KEYS},https://b.example.com={B_KEYS}"

    assert bound_key_urls(load_env(**TWO, AUTH_JWT_JWKS_URL=both)) == (
        "",
        {"https://a.example.com": A_KEYS, "https://b.example.com": B_KEYS},
    )
    assert bound_key_urls(load_env(**GIVEN, AUTH_JWT_JWKS_URL=A_KEYS)) == (A_KEYS, {})
    assert bound_key_urls(load_env(**TWO)) == ("", {})
