"""Stolen and forged access and refresh tokens."""

import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.api.tokens import decoded, encoded
from tests.attacks.endpoints import (
    ANONYMOUS_STATUSES,
    BY_KEY_OR_TOKEN,
    bearer,
    code_of,
    statuses_at_endpoints,
)
from tests.attacks.programs import TOKEN, Program
from tests.attacks.site import APP, SITE, Site

INVALID = (401, "token_invalid")
SIGNING = jwt.algorithms.get_default_algorithms()


@pytest.fixture(scope="module")
def program(site: Site) -> Program:
    return Program(site, site.user("editor"))


def forged(header: Mapping[str, Any], claims: Mapping[str, Any], signature: bytes | str) -> str:
    last = signature if isinstance(signature, str) else encoded(signature)
    return f"{encoded(dict(header))}.{encoded(dict(claims))}.{last}"


def signed(algorithm: str, key: Any, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    """Rightly signed by `key`; for an HMAC it is a secret."""
    head = {**header, "alg": algorithm} if algorithm == "HS256" else header
    text = forged(head, claims, "").removesuffix(".")
    return f"{text}.{encoded(SIGNING[algorithm].sign(text.encode(), key))}"


def forgeries(program: Program, key_set: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Tokens that say that we have made them."""
    first, second, signature = program.access.split(".")
    header, claims = decoded(first), decoded(second)
    (public,) = [key for key in key_set["keys"] if key["kid"] == header["kid"]]
    own = ec.generate_private_key(ec.SECP256R1())
    own_public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(own.public_key()))
    for name in ("none", "None", "nOnE", "", "HS256", "ES384", "RS256", "EdDSA", "PS256"):
        yield f"alg {name}", forged({**header, "alg": name}, claims, signature)
        yield f"alg {name} unsigned", forged({**header, "alg": name}, claims, "AA")
    as_secret = json.dumps(public).encode()
    yield "key set as secret", signed("HS256", as_secret, header, claims)
    yield "empty secret", signed("HS256", b"", header, claims)
    yield "zeros", forged(header, claims, bytes(64))
    for extra in (
        {},
        {"jwk": own_public},
        {"jku": "https://evil.test/jwks.json"},
        {"x5u": "https://evil.test/cert.pem"},
        {"x5c": ["AAAA"]},
        {"kid": "../../../../dev/null"},
        {"kid": "' OR 1=1 --"},
        {"kid": "\x00"},
        {"kid": None},
        {"kid": [header["kid"]]},
        {"crit": ["exp"]},
        {"b64": False, "crit": ["b64"]},
        {"typ": "JWT"},
        {"typ": "rt+jwt"},
        {"cty": "JWT"},
    ):
        yield f"own key, {extra}", signed("ES256", own, {**header, **extra}, claims)
    yield "another kid", forged({**header, "kid": "x"}, claims, signature)
    yield "own jwk, right signature", forged({**header, "jwk": public}, claims, signature)
    yield "role owner", forged(header, {**claims, "role": "owner"}, signature)
    yield "without exp", forged(header, {k: v for k, v in claims.items() if k != "exp"}, signature)
    yield "nested", f"{encoded(program.access.encode())}.{second}.{signature}"
    yield "padded", f"{first}.{second}.{signature}=="
    yield "standard base64", f"{first}.{second}.{signature[:-2]}+/"
    other_spelling = chr(ord(signature[-1]) ^ 1)
    yield "not canonical", f"{first}.{second}.{signature[:-1]}{other_spelling}"


def without_credential(program: Program) -> Iterator[tuple[str, str]]:
    """Texts that are no token of ours by their form, so that at an app they may be its own."""
    first, second, signature = program.access.split(".")
    yield "two parts", f"{first}.{second}"
    yield "four parts", f"{program.access}.{signature}"
    yield "five parts", f"{program.access}.{signature}.{signature}"
    yield "six parts", f"{program.access}.{program.access}"
    yield "dots", "." * 8000
    yield "long", f"{first}.{second}.{'A' * 9000}"
    yield "spaces inside", f"{first} .{second}.{signature}"
    yield "list", f"{program.access},{program.access}"
    yield "braces", f'"{program.access}"'


def test_a_valid_token_works_for_api_and_apps_but_no_page(site: Site, program: Program) -> None:
    assert statuses_at_endpoints(site, bearer(program.access)) == BY_KEY_OR_TOKEN


def test_no_forged_token_gives_access(site: Site, program: Program) -> None:
    visitor = site.visitor()
    key_set = json.loads(visitor.get("/.well-known/jwks.json").body)
    asked = [*forgeries(program, key_set), *without_credential(program)]

    api = {name: code_of(visitor.send("GET", "/api/v1/me", None, bearer(text)))
           for name, text in asked}  # fmt: skip
    app = {name: site.proxied_app.ask("/", bearer(text)).status for name, text in asked}

    assert api == dict.fromkeys(api, INVALID)
    assert app == dict.fromkeys(app, 401)
    assert len(api) > 40


def test_beside_a_session_a_forged_token_is_rejected_and_a_token_of_the_app_ignored(
    site: Site, program: Program
) -> None:
    browser = site.signed_in(site.user())
    cookies, key_set = site.at_app(browser), json.loads(browser.get("/.well-known/jwks.json").body)
    ours = dict(list(forgeries(program, key_set))[:12])
    theirs = dict(without_credential(program))

    found = {name: site.proxied_app.ask("/", {**cookies, **bearer(text)}).status
             for name, text in {**ours, **theirs}.items()}  # fmt: skip

    assert found == dict.fromkeys(ours, 401) | dict.fromkeys(theirs, 200)


def test_a_token_of_any_length_is_a_client_error(site: Site) -> None:
    # Beyond 32 kB a proxy may refuse it, beyond 100 kB close the connection.
    sizes = {"nginx": {20_000: b"431", 1_000_000: b"400"}, "haproxy": {20_000: b"431"},
             "caddy": {20_000: b"431", 200_000: b"431"}}  # fmt: skip
    for size, status in sizes[site.proxy].items():
        for host, path, ask in ((SITE, "/api/v1/me", site.visitor().raw), (APP, "/", at_app(site))):
            head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
            answer = ask(f"{head}Authorization: Bearer {'A' * size}\r\n\r\n".encode())
            assert answer.split(b" ")[1] == status, (host, size)


def at_app(site: Site) -> Callable[[bytes], bytes]:
    def ask(text: bytes) -> bytes:
        with site.proxied_app.connect() as stream:
            stream.sendall(text)
            return stream.recv(65536)

    return ask


# Claims that our own key signs, each for one purpose, shown for another.
RESIGNED = """
from datetime import UTC, datetime
from tests.api.tokens import resigned
from api.tokens.jwt import RefreshToken
now_ = int(datetime.now(UTC).timestamp())
result = {{name: resigned({access!r}, header, **claims) for name, header, claims in [
    ("same", {{}}, {{}}),
    ("typ JWT", {{"typ": "JWT"}}, {{}}),
    ("typ none", {{"typ": None}}, {{}}),
    ("typ rt+jwt", {{"typ": "rt+jwt"}}, {{}}),
    ("typ fa+jwt", {{"typ": "fa+jwt"}}, {{}}),
    ("typ id_token", {{"typ": "id_token+jwt"}}, {{}}),
    ("aud app", {{}}, {{"aud": "https://app.example.com"}}),
    ("aud refresh", {{}}, {{"aud": "https://gate.example.com/api/v1/auth/token/refresh"}}),
    ("aud none", {{}}, {{"aud": None}}),
    ("aud empty", {{}}, {{"aud": []}}),
    ("exp text", {{}}, {{"exp": str(now_ + 600)}}),
    ("exp none", {{}}, {{"exp": None}}),
    ("exp huge", {{}}, {{"exp": 10 ** 15}}),
    ("exp float", {{}}, {{"exp": now_ + 600.5}}),
    ("exp true", {{}}, {{"exp": True}}),
    ("exp past", {{}}, {{"exp": now_ - 1}}),
    ("iat ahead", {{}}, {{"iat": now_ + 120}}),
    ("nbf ahead", {{}}, {{"nbf": now_ + 120}}),
    ("iat skew", {{}}, {{"iat": now_ + 10}}),
    ("sub other", {{}}, {{"sub": "00000000-0000-0000-0000-000000000000"}}),
    ("sub list", {{}}, {{"sub": ["x"]}}),
    ("sid none", {{}}, {{"sid": None}}),
    ("sid odd", {{}}, {{"sid": {{"x": 1}}}}),
    ("jti none", {{}}, {{"jti": None}}),
]}}
result["issuer"] = resigned({access!r}, {{}}, iss="https://gate.example.com/")
"""
RIGHT = {"same", "iat skew"}


def test_a_validly_signed_token_for_another_purpose_is_rejected(
    site: Site, program: Program
) -> None:
    signed = site.drive(RESIGNED.format(access=program.access))
    visitor = site.visitor()

    api = {name: code_of(visitor.send("GET", "/api/v1/me", None, bearer(text)))
           for name, text in signed.items()}  # fmt: skip
    app = {name: site.proxied_app.ask("/", bearer(text)).status for name, text in signed.items()}

    expired = {"exp past": (401, "token_expired")}
    assert api == dict.fromkeys(signed, INVALID) | expired | dict.fromkeys(RIGHT, (200, ""))
    assert app == dict.fromkeys(signed, 401) | dict.fromkeys(RIGHT, 200)


def test_access_tokens_refresh_tokens_and_keys_are_not_interchangeable(
    site: Site, program: Program
) -> None:
    key = site.api_key(program.email)
    visitor = site.visitor()

    assert statuses_at_endpoints(site, bearer(program.refresh)) == ANONYMOUS_STATUSES
    for text in (program.access, key, "x"):
        answer = visitor.send("POST", f"{TOKEN}/refresh", {"refresh": text})
        assert code_of(answer) == INVALID, text
    answer = visitor.send("POST", f"{TOKEN}/refresh", {"refresh": ""})
    assert code_of(answer) == (402, "record_invalid")
    assert statuses_at_endpoints(site, {"X-API-Key": program.access})["api"] == 403
    assert (
        statuses_at_endpoints(site, {"Cookie": f"__Host-gatehouse_session={program.access}"})
        == ANONYMOUS_STATUSES
    )


def test_the_identity_token_of_apps_gives_no_access(site: Site) -> None:
    """The token of `?token=1` is for one app, whose administrator has those of all its users."""
    owner = site.user("admin")
    key = site.api_key(owner, ("read", "write", "users"))
    direct = {"X-API-Key": key, "X-Original-URL": "https://app.example.com/"}
    token = _ask_directly(site, "/auth/check?token=1", direct)["remote-token"]
    claims = jwt.decode(token, options={"verify_signature": False})

    assert (claims["aud"], claims["email"]) == ("https://app.example.com", owner)
    assert claims["exp"] - claims["iat"] == 60
    assert statuses_at_endpoints(site, bearer(token)) == ANONYMOUS_STATUSES
    visitor = site.visitor()
    assert code_of(visitor.send("GET", "/api/v1/users", None, bearer(token))) == INVALID
    body = {"refresh": token}
    assert code_of(visitor.send("POST", f"{TOKEN}/refresh", body)) == INVALID
    assert visitor.send("POST", f"{TOKEN}/revoke", body).status == 204
    # It is sent only on request, and clients cannot forge one.
    own = {"Remote-Token": token, "Remote-User": owner}
    assert site.proxied_app.ask("/", own).status == 401
    editor = bearer(Program(site, site.user("editor")).access)
    assert token not in json.dumps(site.proxied_app.ask("/", {**own, **editor}).echo)


def _ask_directly(site: Site, path: str, headers: Mapping[str, str]) -> dict[str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", site.server.ports[0], timeout=20)
    connection.request("GET", path, headers=dict(headers))
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 204
    return {name.lower(): value for name, value in answer.headers.items()}
