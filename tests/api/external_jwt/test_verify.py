"""Tokens of another issuer: what is accepted, and why one is rejected."""

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.utils import der_to_raw_signature

from api.errors import AccessTokenExpired, AccessTokenInvalid
from api.external_jwt.policy import Policy
from api.external_jwt.verify import ExternalClaims, issuer_named_by, verifier_of
from federation.oidc.keys import FixedKey
from tests.api.external_jwt.providers import AUDIENCE, Provider, ReadingVerifier, SigningKey, b64

NOT_VALID = "This token is not valid."
OTHER_KIND = "This is not an access token. Send an access token."
OTHER_SERVICE = "This token was issued for another service."


def _rejection(provider: Provider, token: str) -> str:
    with pytest.raises(AccessTokenInvalid) as refused:
        provider.verifier().verify(token)
    assert not isinstance(refused.value, AccessTokenExpired)
    return refused.value.message


def test_a_valid_token_identifies_its_subject(provider: Provider) -> None:
    now = int(time.time())
    token = provider.token(
        email="Anna@Example.com", email_verified=True, name="Anna  A.", iat=now, exp=now + 60
    )

    claims = provider.verifier().verify(token)

    assert claims.issuer == provider.issuer
    assert claims.subject == "anna"
    assert claims.email == "anna@example.com"
    assert claims.email_verified is True
    assert claims.name == "Anna A."
    assert (claims.issued_at.timestamp(), claims.expires_at.timestamp()) == (now, now + 60)
    assert claims.claims["scope"] == "openid"
    assert "anna@example.com" not in str(claims.claims)


def test_a_token_needs_neither_address_nor_name(provider: Provider) -> None:
    for changes in ({}, {"email": "", "name": 7}, {"email": "a@b@c"}, {"email": ["a@b.c"]}):
        claims = provider.verifier().verify(provider.token(**changes))

        assert (claims.email, claims.email_verified, claims.name) == (None, False, "")


@pytest.mark.parametrize("audience", [AUDIENCE, "other", [AUDIENCE], ["x", AUDIENCE]])
def test_one_of_our_audiences_is_enough(provider: Provider, audience: object) -> None:
    assert provider.verifier().verify(provider.token(aud=audience)).subject == "anna"


@pytest.mark.parametrize("audience", ["gate2", "GATE", "", None, [], ["x"], {"gate": 1}, 7])
def test_another_audience_is_refused(provider: Provider, audience: object) -> None:
    assert _rejection(provider, provider.token(aud=audience)) == OTHER_SERVICE


@pytest.mark.parametrize(
    "issuer", ["https://evil.example", "", None, 7, "http://127.0.0.1", ["x"], "{0}//", "{0}/x"]
)
def test_another_issuer_is_refused(provider: Provider, issuer: object) -> None:
    named = issuer.format(provider.issuer) if isinstance(issuer, str) else issuer

    token = provider.craft(payload={**provider.claims(), "iss": named})

    assert _rejection(provider, token) == NOT_VALID
    assert provider.asked["/jwks"] == 0


def test_the_issuer_is_read_without_trusting_it(provider: Provider) -> None:
    assert issuer_named_by(provider.token()) == provider.issuer
    for text in ("", "x", "a.b.c", "a.b", f"{b64({})}.{b64([])}.x", f"{b64({})}.{b64({})}.x"):
        assert issuer_named_by(text) == ""


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "", "RS512", "ES256", None, 7])
@pytest.mark.parametrize("signature", ["", "AAAA"])
def test_an_algorithm_outside_the_list_is_refused(
    provider: Provider, name: object, signature: str
) -> None:
    header = {"alg": name, "kid": provider.key.kid}

    token = f"{b64(header)}.{b64(provider.claims())}.{signature}"

    assert _rejection(provider, token) == NOT_VALID


def test_the_public_key_is_not_accepted_as_a_shared_secret(provider: Provider) -> None:
    """A073: HS256 with the public key, in each form in which it is published."""
    public = provider.key.private.public_key()
    forms = [
        public.public_bytes(encoding, form)
        for encoding in (Encoding.PEM, Encoding.DER)
        for form in (PublicFormat.SubjectPublicKeyInfo, PublicFormat.PKCS1)
    ]
    for secret in [*forms, forms[0].rstrip(), json.dumps(provider.key.jwk).encode()]:
        for name in ("HS256", "RS256"):
            signed = f"{b64({'alg': name, 'kid': provider.key.kid})}.{b64(provider.claims())}"
            signature = hmac.new(secret, signed.encode(), hashlib.sha256).digest()

            assert _rejection(provider, f"{signed}.{b64(signature)}") == NOT_VALID


def test_each_listed_algorithm_works_with_its_own_key(provider: Provider) -> None:
    keys = [
        SigningKey(algorithm="PS384"),
        SigningKey(ec.generate_private_key(ec.SECP256R1()), "ES256"),
        SigningKey(ec.generate_private_key(ec.SECP521R1()), "ES512"),
        SigningKey(ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
    ]
    provider.publish(*keys)
    verifier = provider.verifier(algorithms=[key.algorithm for key in keys])

    for key in keys:
        assert verifier.verify(provider.token(key=key)).subject == "anna"
        others = [other.algorithm for other in keys if other is not key]
        with pytest.raises(AccessTokenInvalid):
            provider.verifier(algorithms=others).verify(provider.token(key=key))


def test_a_key_of_another_curve_is_ignored(provider: Provider) -> None:
    key = SigningKey(ec.generate_private_key(ec.SECP384R1()), "ES384")
    provider.publish(key)
    provider.routes["/jwks"]["keys"][0]["alg"] = "ES256"
    signed = f"{b64({'alg': 'ES256', 'kid': key.kid})}.{b64(provider.claims())}"
    signature = key.private.sign(signed.encode(), ec.ECDSA(hashes.SHA256()))
    token = f"{signed}.{b64(der_to_raw_signature(signature, key.private.curve))}"

    with pytest.raises(AccessTokenInvalid):
        provider.verifier(algorithms=["ES256"]).verify(token)


def test_a_signature_of_zeros_is_refused(provider: Provider) -> None:
    key = SigningKey(ec.generate_private_key(ec.SECP256R1()), "ES256")
    provider.publish(key)
    signed = provider.token(key=key).rpartition(".")[0]

    for signature in (bytes(64), bytes(63) + b"\x01", b"\xff" * 64, bytes(2)):
        with pytest.raises(AccessTokenInvalid):
            provider.verifier(algorithms=["ES256"]).verify(f"{signed}.{b64(signature)}")


def test_a_changed_part_is_refused(provider: Provider) -> None:
    header, payload, signature = provider.token().split(".")
    claims = b64(provider.claims(sub="owner"))
    cut = signature[:-4]
    for token in (f"{header}.{claims}.{signature}", f"{header}.{payload}.{cut}"):
        assert _rejection(provider, token) == NOT_VALID


def test_a_key_inside_the_token_is_not_trusted(provider: Provider) -> None:
    """A074: own key as jwk, as jku and x5u at a listener, under our kid and under its own."""
    own = SigningKey(kid="own")
    listener = Provider()
    listener.publish(own)
    brought = (
        {"jwk": own.jwk},
        {"jku": f"{listener.issuer}/jwks"},
        {"x5u": f"{listener.issuer}/jwks"},
        {"x5c": ["MIIB"]},
    )
    for header in brought:
        for kid in (own.kid, provider.key.kid, f"{listener.issuer}/jwks", "../../etc/passwd"):
            token = provider.token({**header, "kid": kid}, own)
            assert _rejection(provider, token) == NOT_VALID
    assert listener.asked == {}
    listener.stop()


@pytest.mark.parametrize(
    "header", [{"crit": ["exp"]}, {"b64": True}, {"zip": "DEF"}, {"cty": "JWT"}]
)
def test_headers_that_change_the_meaning_are_rejected(
    provider: Provider, header: dict[str, Any]
) -> None:
    usual = {"alg": "RS256", "kid": provider.key.kid}

    assert _rejection(provider, provider.craft({**usual, **header})) == NOT_VALID


@pytest.mark.parametrize("kid", ["", "x" * 256, 7, None, ["a"]])
def test_invalid_key_ids_are_rejected_or_ignored(provider: Provider, kid: object) -> None:
    header = {"alg": "RS256", "kid": kid} if kid is not None else {"alg": "RS256"}
    token = provider.craft(header)

    if kid in ("", None):
        assert provider.verifier().verify(token).subject == "anna"
    else:
        assert _rejection(provider, token) == NOT_VALID


def test_malformed_tokens_are_rejected_without_a_fetch(provider: Provider) -> None:
    token = provider.token()
    header, payload, signature = token.split(".")
    nested = b64(token.encode())
    deep = b64(b'{"a":' + b"[" * 4000 + b"]" * 4000 + b"}")
    not_json, huge = b64(b'{"iss": NaN}'), b64(b'{"exp": ' + b"9" * 5000 + b"}")
    shapes = [
        *("", ".", "..", "...", header, f"{header}.{payload}", f"{header}.{payload}."),
        *(f"{token}.", f"{token}.x", f"{token}.x.y", f"{token}.x.y.z", f".{token}"),
        *(f" {token}", f"{token} ", f"{token}\n", f"{header}. {payload}.{signature}"),
        *(f"{token}=", f"{header}=.{payload}.{signature}", token.replace(".", "\uff0e")),
        f"{header}.{nested}.{signature}",
        f"{header}.{deep}.{signature}",
        f"{deep}.{payload}.{signature}",
        f"{b64(b'[]')}.{payload}.{signature}",
        f"{b64(b'{')}.{payload}.{signature}",
        f"{b64(bytes([0xFF, 0xFE]))}.{payload}.{signature}",
        f"{b64({'alg': 'RSA-OAEP', 'enc': 'A256GCM'})}.{payload}.AAAA.AAAA.AAAA",
        f"{header}.{not_json}.{signature}",
        f"{header}.{huge}.{signature}",
        "x" * 1_000_000,
        f"{header}.{'A' * 1_000_000}.{signature}",
        f"{header}.{payload}.{'A' * 16_384}",
    ]
    for shape in shapes:
        assert _rejection(provider, shape) == NOT_VALID
    assert provider.asked == {}


def test_a_name_given_twice_is_refused(provider: Provider) -> None:
    text = json.dumps(provider.claims())[:-1] + ', "sub": "owner"}'

    assert _rejection(provider, provider.craft(payload=text.encode())) == NOT_VALID


def test_an_expired_token_is_reported_as_expired(
    provider: Provider, at_time: Callable[..., Any]
) -> None:
    token, verifier = provider.token(), provider.verifier()

    at_time(timedelta(seconds=600 + 29))
    assert verifier.verify(token).subject == "anna"
    at_time(timedelta(seconds=600 + 31))
    with pytest.raises(AccessTokenExpired):
        verifier.verify(token)


def test_a_forged_expired_token_is_not_reported_as_expired(provider: Provider) -> None:
    assert _rejection(provider, provider.token(key=SigningKey(), exp=1000)) == NOT_VALID


@pytest.mark.parametrize("name", ["nbf", "iat"])
def test_a_token_issued_in_the_future_is_rejected(provider: Provider, name: str) -> None:
    now = int(time.time())

    assert provider.verifier().verify(provider.token(**{name: now + 25})).subject == "anna"
    assert (
        _rejection(provider, provider.token(**{name: now + 40})) == "This token is not valid yet."
    )


@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
@pytest.mark.parametrize(
    "value", [None, "1795264510", "soon", True, -1, 0, 10**12, 10**30, 1e300, [1], {"a": 1}]
)
def test_invalid_times_are_rejected(provider: Provider, name: str, value: object) -> None:
    assert (
        _rejection(provider, provider.craft(payload={**provider.claims(), name: value}))
        == NOT_VALID
    )


@pytest.mark.parametrize("name", ["exp", "iat"])
def test_expiry_and_issue_time_are_required(provider: Provider, name: str) -> None:
    assert _rejection(provider, provider.token(**{name: None})) == NOT_VALID


def test_a_token_that_is_valid_for_years_is_rejected(provider: Provider) -> None:
    now = int(time.time())

    assert _rejection(provider, provider.token(exp=now + 367 * 86_400)) == NOT_VALID


@pytest.mark.parametrize("subject", [None, "", 7, "x" * 256, "a\0b", ["anna"]])
def test_an_odd_subject_is_refused(provider: Provider, subject: object) -> None:
    assert (
        _rejection(provider, provider.craft(payload={**provider.claims(), "sub": subject}))
        == NOT_VALID
    )


@pytest.mark.parametrize("kind", ["jwt", "JWT", "at+jwt", "AT+JWT", "application/at+jwt"])
def test_usual_types_are_accepted(provider: Provider, kind: str) -> None:
    assert provider.verifier().verify(provider.token({"typ": kind})).subject == "anna"


@pytest.mark.parametrize(
    "kind", ["id+jwt", "logout+jwt", "dpop+jwt", "rt+jwt", "secevent+jwt", "x"]
)
def test_other_types_are_refused(provider: Provider, kind: str) -> None:
    assert _rejection(provider, provider.token({"typ": kind})) == OTHER_KIND


@pytest.mark.parametrize(
    "changes",
    [
        {"scope": None, "nonce": "n"},
        {"at_hash": "h"},
        {"c_hash": "h"},
        {"token_use": "id"},
        {"token_use": 1},
        {"typ": "ID"},
        {"typ": "Refresh"},
        {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}},
    ],
)
def test_an_id_token_is_not_accepted_as_an_access_token(
    provider: Provider, changes: dict[str, Any]
) -> None:
    assert _rejection(provider, provider.token(**changes)) == OTHER_KIND


def test_tokens_of_authentik_are_accepted(provider: Provider) -> None:
    """Its access tokens repeat the nonce of the sign-in."""
    shape = {
        "acr": "goauthentik.io/providers/oauth2/default",
        "amr": ["pwd"],
        "auth_time": 1,
        "azp": AUDIENCE,
        "uid": "x9",
        "nonce": "n",
        "scope": None,
        "email": "anna@example.com",
        "email_verified": True,
        "preferred_username": "anna",
    }

    assert provider.verifier().verify(provider.token({"typ": "JWT"}, **shape)).email_verified


def test_tokens_of_microsoft_are_accepted(provider: Provider) -> None:
    tenant = "11111111-2222-3333-4444-555555555555"
    shape = {
        "ver": "2.0",
        "tid": tenant,
        "oid": "7",
        "azp": "front",
        "scp": "access_as_user",
        "scope": None,
        "preferred_username": "anna@example.com",
        "email": "boss@example.com",
        "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ",
        "uti": "x",
    }
    for entry in provider.routes["/jwks"]["keys"]:
        entry.pop("alg")  # as they publish them

    claims = provider.verifier().verify(provider.token({"x5t": provider.key.kid}, **shape))

    # Anyone with a tenant can enter any address there.
    assert (claims.email, claims.email_verified) == ("boss@example.com", False)


def test_tokens_of_cognito_are_accepted_for_their_client(provider: Provider) -> None:
    shape = {"token_use": "access", "aud": None, "version": 2, "username": "anna"}

    assert provider.verifier().verify(provider.token(client_id=AUDIENCE, **shape)).subject == "anna"
    assert _rejection(provider, provider.token(client_id="another", **shape)) == OTHER_SERVICE
    assert _rejection(provider, provider.token(client_id=AUDIENCE, aud=None)) == OTHER_SERVICE
    twice = {**shape, "aud": "another"}
    assert _rejection(provider, provider.token(client_id=AUDIENCE, **twice)) == OTHER_SERVICE


def test_a_fixed_key_needs_no_provider() -> None:
    key, other = SigningKey(), SigningKey()
    issuer = "https://id.example.com/o/team"
    policy = Policy((issuer,), (AUDIENCE,), pem="given elsewhere")
    verifier = ReadingVerifier(policy, {issuer: FixedKey(key.private.public_key())})
    now = int(time.time())
    claims = {"iss": issuer, "sub": "anna", "aud": AUDIENCE, "iat": now, "exp": now + 60}

    token = jwt.encode(claims, key.private, "RS256", headers={"kid": "whatever"})
    assert verifier.verify(token).subject == "anna"
    for wrong in (
        jwt.encode(claims, other.private, "RS256"),
        jwt.encode(claims, key.private, "PS256"),
        jwt.encode({**claims, "iss": "https://id.example.com/o"}, key.private, "RS256"),
    ):
        with pytest.raises(AccessTokenInvalid):
            verifier.verify(wrong)


def test_keys_of_one_issuer_do_not_verify_tokens_of_another(provider: Provider) -> None:
    """RFC 8725, 3.8: whatever the settings say, keys that two issuers share open nothing."""
    other = "https://other.example"
    forged = provider.token(iss=other)
    issuers = (provider.issuer, other)
    jwks = f"{provider.issuer}/jwks"
    pem = provider.key.private.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    for policy in (
        Policy(issuers, (AUDIENCE,), pem=pem.decode()),
        Policy(issuers, (AUDIENCE,), jwks_url=jwks),
        Policy(issuers, (AUDIENCE,), jwks_urls=((provider.issuer, jwks), (other, jwks))),
        Policy(issuers, (AUDIENCE,), jwks_urls=((provider.issuer, jwks),)),
    ):
        with pytest.raises(AccessTokenInvalid):
            verifier_of(policy).decode(forged)


def test_keys_from_a_configured_url_verify_only_their_issuer(provider: Provider) -> None:
    issuers = (provider.issuer, "https://other.example")
    bound = Policy(issuers, (AUDIENCE,), jwks_urls=((provider.issuer, f"{provider.issuer}/jwks"),))

    assert ExternalClaims.read(verifier_of(bound).decode(provider.token())).subject == "anna"
