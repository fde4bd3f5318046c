"""Verification of access tokens: forged, confused and malformed ones are rejected."""

import http.server
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.test import Client
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import KeySet

from accounts.actors import SYSTEM
from accounts.models import User
from api.tokens import refresh_tokens, signing_keys
from api.tokens.jws import ALGORITHMS, has_shape
from api.tokens.keyset import make_key, private_key, public_key
from tests.api.tokens import decoded, encoded, family_of_access, me, outcome, resigned, sign_in

pytestmark = pytest.mark.django_db
AtTime = Callable[[timedelta], datetime]
INVALID, EXPIRED = (401, "token_invalid"), (401, "token_expired")
ISSUER = "http://localhost:8000"
SECRET = "a-secret-for-tests-of-hs256-only-0123456789"


@pytest.fixture(params=["ES256", "RS256", "EdDSA"])
def algorithm(request: pytest.FixtureRequest, settings: Any) -> str:
    settings.JWT_ALGORITHM = request.param
    return str(request.param)


@pytest.fixture
def access(viewer: User) -> str:
    return str(sign_in(viewer)["access"])


def published() -> dict[str, Any]:
    keys: dict[str, Any] = Client().get("/.well-known/jwks.json").json()
    return keys


def with_header(access: str, **members: Any) -> str:
    """The token with other header members and its old signature."""
    first, second, signature = access.split(".")
    return f"{encoded({**decoded(first), **members})}.{second}.{signature}"


def signed(access: str, key: Any, algorithm: str, **header: Any) -> str:
    """The claims of `access`, signed by anybody."""
    claims = decoded(access.split(".")[1])
    members = {"typ": "at+jwt", **header}
    return jwt.encode({**claims, "role": "owner"}, key, algorithm, headers=members)


def test_the_library_pyjwt_verifies_by_the_published_keys(viewer: User, algorithm: str) -> None:
    access = sign_in(viewer)["access"]
    key = jwt.PyJWKSet.from_dict(published())[jwt.get_unverified_header(access)["kid"]]

    claims = jwt.decode(
        access, key, algorithms=[algorithm], audience=ISSUER, issuer=ISSUER,
        options={"require": ["exp", "iat", "sub", "jti"]},
    )  # fmt: skip
    assert claims["sub"] == str(viewer.pk)
    assert me(access).status_code == 200


def test_the_library_joserfc_verifies_by_the_published_keys(viewer: User, algorithm: str) -> None:
    access = sign_in(viewer)["access"]

    token = joserfc_jwt.decode(access, KeySet.import_key_set(published()), algorithms=[algorithm])
    assert token.claims["sub"] == str(viewer.pk)


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "", " ", "null"])
@pytest.mark.parametrize("signature", ["", "AA", "kept"])
def test_a071_unsigned_tokens_are_rejected(access: str, name: str, signature: str) -> None:
    first, second, kept = access.split(".")
    header = encoded({**decoded(first), "alg": name})

    assert outcome(me(f"{header}.{second}.{kept if signature == 'kept' else signature}")) == INVALID
    assert outcome(me(f"{first}.{second}.")) == INVALID
    assert outcome(me(f"{first}.{second}")) == INVALID


@pytest.mark.parametrize("value", [None, 1, True, [], ["ES256"], {}])
def test_an_algorithm_that_is_no_text_is_refused(access: str, value: Any) -> None:
    assert outcome(me(with_header(access, alg=value))) == INVALID
    assert outcome(me(with_header(access, kid=value))) == INVALID
    assert outcome(me(with_header(access, typ=value))) == INVALID


def test_a073_a_key_of_the_attackers_own_is_refused(access: str, algorithm: str) -> None:
    kid = jwt.get_unverified_header(access)["kid"]
    for other in ("ES256", "RS256", "EdDSA"):
        own = private_key(make_key(other).pem)
        for header in ({"kid": kid}, {"kid": make_key(other).kid}, {}):
            assert outcome(me(signed(access, own, other, **header))) == INVALID


@pytest.mark.parametrize("name", ["RS384", "RS512", "PS256", "PS384", "PS512"])
def test_a073_another_algorithm_of_the_same_key_is_refused(
    viewer: User, settings: Any, name: str
) -> None:
    settings.JWT_ALGORITHM = "RS256"
    access = sign_in(viewer)["access"]
    signer = signing_keys.AccessKeys().signer()

    assert outcome(me(signed(access, signer.key, name, kid=signer.kid))) == INVALID
    assert outcome(me(signed(access, signer.key, "RS256", kid=signer.kid))) == (200, "")


@pytest.mark.parametrize("name", ["HS256", "HS384", "HS512"])
def test_a073_the_public_key_is_no_shared_secret(access: str, algorithm: str, name: str) -> None:
    (jwk,) = [key for key in published()["keys"] if key["alg"] == algorithm]
    public = public_key(jwk)
    forms = [public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)]
    forms += [public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)]
    forms += [str(jwk).encode(), jwk["kid"].encode(), b""]
    claims = access.split(".")[1]
    for secret in forms:
        for header in ({"kid": jwk["kid"]}, {}):
            head = encoded({"alg": name, "typ": "at+jwt", **header})
            mac = ALGORITHMS[name].sign(f"{head}.{claims}".encode(), secret)
            assert outcome(me(f"{head}.{claims}.{encoded(mac)}")) == INVALID


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 128])
def test_a073_a_signature_of_zeros_is_refused(access: str, algorithm: str, size: int) -> None:
    first, second, _ = access.split(".")

    assert outcome(me(f"{first}.{second}.{encoded(bytes(size))}")) == INVALID


def test_a073_other_curves_are_refused(access: str) -> None:
    kid = jwt.get_unverified_header(access)["kid"]
    for key, name in (
        (ec.generate_private_key(ec.SECP384R1()), "ES384"),
        (ec.generate_private_key(ec.SECP256K1()), "ES256K"),
        (ed448.Ed448PrivateKey.generate(), "EdDSA"),
        (rsa.generate_private_key(65537, 2048), "RS256"),
    ):
        assert outcome(me(signed(access, key, name, kid=kid))) == INVALID


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """A server that counts who asks; its address and the paths that were asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_args: Any) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("member", ["jku", "x5u", "jwk", "x5c", "crit", "b64", "zip", "cty"])
def test_a074_a_key_inside_the_token_is_not_trusted(
    access: str, listener: tuple[str, list[str]], member: str
) -> None:
    url, asked = listener
    new = make_key("ES256")
    values = {
        "jku": f"{url}/keys", "x5u": f"{url}/chain", "jwk": new.public_jwk, "x5c": ["AAAA"],
        "crit": ["exp"], "b64": False, "zip": "DEF", "cty": "JWT",
    }  # fmt: skip
    header = {member: values[member], "kid": new.kid}

    assert outcome(me(signed(access, private_key(new.pem), "ES256", **header))) == INVALID
    assert outcome(me(resigned(access, {member: values[member]}))) == INVALID
    assert asked == []


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+JWT"])
def test_the_type_may_be_written_as_a_media_type(access: str, typ: str) -> None:
    assert outcome(me(resigned(access, {"typ": typ}))) == (200, "")


@pytest.mark.parametrize(
    "typ", [None, "", "JWT", "jwt", "at", "rt+jwt", "id+jwt", "application/", "text/at+jwt"]
)
def test_a075_a_token_of_another_type_is_refused(access: str, typ: str | None) -> None:
    assert outcome(me(resigned(access, {"typ": typ}))) == INVALID


def test_a075_refresh_and_access_tokens_are_not_interchangeable(
    viewer: User, settings: Any
) -> None:
    for secrets in (("", ""), (SECRET, SECRET[::-1]), (SECRET, SECRET)):
        settings.JWT_SECRET, settings.JWT_REFRESH_SECRET = secrets
        body = sign_in(viewer)
        assert outcome(me(body["refresh"])) == INVALID
        with pytest.raises(refresh_tokens.AccessTokenInvalid):
            refresh_tokens.refresh(body["access"])


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"}, {"iss": ISSUER + "/"}, {"iss": None}, {"iss": [ISSUER]},
        {"aud": "https://other.example"}, {"aud": None}, {"aud": []}, {"aud": ["x"]},
        {"aud": {ISSUER: 1}}, {"aud": ISSUER + "/x"}, {"aud": 1},
        {"exp": None}, {"exp": "4102444800"}, {"exp": 4102444800.5}, {"exp": True},
        {"exp": 10**12}, {"exp": 10**400}, {"exp": -1}, {"exp": 0}, {"exp": [4102444800]},
        {"iat": None}, {"iat": "1"}, {"iat": True}, {"iat": 4102444800}, {"iat": -1},
        {"nbf": 4102444800}, {"nbf": "1"}, {"jti": None}, {"jti": ""},
        {"sub": None}, {"sub": "x"}, {"sub": 1}, {"sub": "00000000-0000-7000-8000-000000000000"},
        {"sid": None}, {"sid": "x"}, {"sid": []}, {"sid": "00000000-0000-7000-8000-000000000000"},
    ],
    ids=str,
)  # fmt: skip
def test_a075_wrong_claims_with_a_valid_signature_are_rejected(
    access: str, claims: dict[str, Any]
) -> None:
    assert outcome(me(resigned(access, **claims))) == INVALID


def test_a_correctly_signed_token_with_the_same_claims_is_accepted(access: str) -> None:
    assert outcome(me(resigned(access))) == (200, "")
    assert outcome(me(resigned(access, aud=["https://other.example", ISSUER]))) == (200, "")
    assert outcome(me(resigned(access, role="owner"))) == (200, "")
    assert me(resigned(access, role="owner")).json()["role"] == "viewer"


def test_a_token_with_the_family_of_another_user_is_rejected(access: str, editor: User) -> None:
    sign_in(editor)

    assert outcome(me(resigned(access, sub=str(editor.pk)))) == INVALID


def test_a_token_expires_on_the_second(access: str, at_time: AtTime) -> None:
    assert outcome(me(access)) == (200, "")
    at_time(timedelta(minutes=14, seconds=50))
    assert outcome(me(access)) == (200, "")
    at_time(timedelta(minutes=15, seconds=1))
    assert outcome(me(access)) == EXPIRED


def test_a_forged_token_is_never_reported_as_expired(access: str, at_time: AtTime) -> None:
    at_time(timedelta(hours=1))
    first, second, _signature = access.split(".")

    assert outcome(me(access)) == EXPIRED
    assert outcome(me(f"{first}.{second}.{encoded(bytes(64))}")) == INVALID
    assert outcome(me(resigned(access, iss="https://evil.example"))) == INVALID


def _misshapen(access: str) -> dict[str, str]:
    first, second, signature = access.split(".")
    nested = encoded(b"[" * 5000)
    long_number = b'{"alg":' + b"9" * 5000 + b"}"
    return {
        "one part": first,
        "two parts": f"{first}.{second}",
        "four parts": f"{access}.{signature}",
        "five parts, as JWE": f"{access}.{signature}.{signature}",
        "six parts": f"{access}.{access}",
        "empty parts": "..",
        "dots": "." * 8000,
        "padded": f"{access}==",
        "padded header": f"{first}=.{second}.{signature}",
        "standard base64": f"{first}.{second}.{signature[:-2]}+/",
        "not canonical": f"{first}.{second}.{signature[:-1]}{_neighbour(signature[-1])}",
        "other letters": f"{first}.{second}.{signature[:-1]}\u00e4",
        "full width": access.replace("e", "\uff45", 1),
        "null": f"{first}.{second}.{signature}\0",
        "line break": f"{access}%0a",
        "nested": f"{encoded(access.encode())}.{second}.{signature}",
        "deep header": f"{nested}.{second}.{signature}",
        "header is a list": f"{encoded(b'[]')}.{second}.{signature}",
        "header is no JSON": f"{encoded(b'{')}.{second}.{signature}",
        "header is not UTF-8": f"{encoded(bytes([0xFF, 0xFE]))}.{second}.{signature}",
        "a long number": f"{encoded(long_number)}.{second}.{signature}",
        "too long": f"{first}.{second}.{'A' * 8192}",
        "a million": "A" * 1_000_000,
        "a million in the middle": f"{first}.{'A' * 1_000_000}.{signature}",
        "a million dots": "a." * 500_000,
    }


def _neighbour(letter: str) -> str:
    """Another spelling of the last letter: the bits that it has too many are not zero."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return alphabet[alphabet.index(letter) ^ 1]


NAMES = sorted(_misshapen("eyJ.eyJ.AAAA"))


@pytest.mark.parametrize("name", NAMES)
def test_a077_a_malformed_token_is_rejected(access: str, name: str) -> None:
    text = _misshapen(access)[name]
    with pytest.raises(refresh_tokens.AccessTokenInvalid):
        family_of_access(text)
    if name != "other letters" and name != "full width" and name != "null":
        assert outcome(me(text)) == INVALID


def test_forged_tokens_cause_no_query_of_families(
    access: str, django_assert_num_queries: Any
) -> None:
    first, second, _ = access.split(".")
    family_of_access(access)

    with django_assert_num_queries(0):
        for signature in (bytes(64), b"x" * 64):
            with pytest.raises(refresh_tokens.AccessTokenInvalid):
                family_of_access(f"{first}.{second}.{encoded(signature)}")


def test_a_valid_token_costs_one_statement(access: str, django_assert_num_queries: Any) -> None:
    family_of_access(access)
    with django_assert_num_queries(1):
        family_of_access(access)


def test_with_a_shared_secret_tokens_are_hs256_and_nothing_else(
    viewer: User, settings: Any
) -> None:
    asymmetric = sign_in(viewer)["access"]
    settings.JWT_SECRET, settings.JWT_REFRESH_SECRET = SECRET, SECRET[::-1]
    access = sign_in(viewer)["access"]

    assert jwt.get_unverified_header(access) == {"alg": "HS256", "typ": "at+jwt"}
    claims = jwt.decode(access, SECRET, algorithms=["HS256"], audience=ISSUER, issuer=ISSUER)
    assert claims["sub"] == str(viewer.pk)
    assert outcome(me(access)) == (200, "")
    assert outcome(me(asymmetric)) == INVALID
    for name in ("HS384", "HS512"):
        assert outcome(me(signed(access, SECRET * 2, name))) == INVALID
    assert outcome(me(signed(access, settings.SECRET_KEY, "HS256"))) == INVALID
    settings.JWT_SECRET = ""
    assert outcome(me(access)) == INVALID
    assert outcome(me(asymmetric)) == (200, "")


def test_a_token_of_a_retired_key_is_refused(access: str, at_time: AtTime, settings: Any) -> None:
    signing_keys.rotate_now(actor=SYSTEM)
    assert outcome(me(access)) == (200, "")
    at_time(settings.SESSION_EXPIRY + timedelta(minutes=1))
    assert outcome(me(access)) == INVALID  # the key is gone, so it is not even called expired


def test_the_audience_is_configurable(viewer: User, settings: Any) -> None:
    old = sign_in(viewer)["access"]
    settings.JWT_AUDIENCE = "https://api.example.com"
    new = sign_in(viewer)["access"]

    assert decoded(new.split(".")[1])["aud"] == "https://api.example.com"
    assert (outcome(me(new)), outcome(me(old))) == ((200, ""), INVALID)


@pytest.mark.parametrize(("length", "is_accepted"), [(6, True), (5, True), (4, False)])
def test_a_token_may_be_as_long_as_the_limit(length: int, is_accepted: bool) -> None:
    assert has_shape("a.b.c", length) is is_accepted
