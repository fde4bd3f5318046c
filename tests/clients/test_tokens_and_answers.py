"""The Python client: what it verifies offline, what it asks and for how long it keeps answers."""

import json
import time
from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from gatehouse_client import ClientRefused, Introspector, NotAuthenticated, Unavailable
from gatehouse_client.http import Answer
from gatehouse_client.tokens import KeySet, TokenVerifier
from jwt.algorithms import ECAlgorithm

ISSUER = "https://gate.example.com"
SECRET = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
RIGHT_HEADER = {"alg": "ES256", "kid": "one", "typ": "at+jwt"}


def jwk(key: ec.EllipticCurvePrivateKey, kid: str, **more: str) -> dict[str, Any]:
    found = json.loads(ECAlgorithm.to_jwk(key.public_key()))
    return {**found, "kid": kid, "alg": "ES256", "use": "sig", **more}


class Source:
    """A key set that counts how often it is fetched, and a clock."""

    def __init__(self) -> None:
        self.keys, self.fetched, self.now, self.is_down = [jwk(SECRET, "one")], 0, 0.0, False

    def fetch(self) -> Mapping[str, Any]:
        self.fetched += 1
        if self.is_down:
            raise Unavailable
        return {"keys": self.keys}


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def keys(source: Source) -> KeySet:
    return KeySet(source.fetch, lambda: source.now)


def test_the_key_set_is_fetched_once_and_again_when_it_is_old(source: Source, keys: KeySet) -> None:
    assert [keys.find("one") is not None for _again in range(5)] == [True] * 5
    assert source.fetched == 1
    source.now = 301
    assert keys.find("one") is not None
    assert source.fetched == 2


def test_an_unknown_key_fetches_the_set_at_most_every_30_seconds(
    source: Source, keys: KeySet
) -> None:
    keys.find("one")
    source.keys.append(jwk(OTHER, "two"))
    assert [keys.find("two") for _again in range(50)] == [None] * 50  # it was just fetched
    assert source.fetched == 1
    source.now = 31
    assert keys.find("two") is not None
    assert [keys.find(f"made up {number}") for number in range(50)] == [None] * 50
    assert source.fetched == 2


def test_known_keys_are_used_for_an_hour_while_gatehouse_is_down(
    source: Source, keys: KeySet
) -> None:
    keys.find("one")
    source.is_down, source.now = True, 3500
    assert keys.find("one") is not None
    source.now = 3700
    for _again in range(2):
        with pytest.raises(Unavailable):
            keys.find("one")
    source.is_down = False
    assert keys.find("one") is not None


def test_secret_keys_and_keys_for_other_uses_are_not_taken(source: Source, keys: KeySet) -> None:
    source.keys = [
        {"kty": "oct", "kid": "shared", "k": "c2VjcmV0", "alg": "HS256"},
        jwk(SECRET, "private", d="x"),
        jwk(SECRET, "encrypts", use="enc"),
        {"kty": "new", "kid": "strange"},
        jwk(SECRET, "one"),
    ]
    names = ("shared", "private", "encrypts", "strange", "one")

    assert [keys.find(name) is not None for name in names] == [False] * 4 + [True]


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    found = {"iss": ISSUER, "aud": ISSUER, "sub": "1", "iat": now, "exp": now + 60, "jti": "x"}
    return {name: value for name, value in (found | changes).items() if value is not None}


def token(key: Any = SECRET, header: Mapping[str, Any] = {}, **changes: Any) -> str:
    merged = {**RIGHT_HEADER, **header}
    return jwt.encode(claims(**changes), key, algorithm=merged["alg"], headers=merged)


@pytest.fixture
def verifier(keys: KeySet) -> TokenVerifier:
    return TokenVerifier(ISSUER, keys=keys)


def test_a_right_token_is_accepted(verifier: TokenVerifier) -> None:
    assert verifier.verify(token())["sub"] == "1"
    assert verifier.verify(token(header={"typ": "application/at+jwt"}))["sub"] == "1"


PUBLIC = SECRET.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
WRONG: dict[str, dict[str, Any]] = {
    "signed by a stranger": {"key": OTHER},
    "not signed": {"key": None, "header": {"alg": "none"}},
    "signed with the public key": {"key": PUBLIC, "header": {"alg": "HS256"}},
    "no access token": {"header": {"typ": "JWT"}},
    "a refresh token": {"header": {"typ": "rt+jwt"}},
    "names another key": {"header": {"jku": "https://evil.example.com"}},
    "has a critical header": {"header": {"crit": ["x"], "x": 1}},
    "unknown key": {"header": {"kid": "two"}},
    "other issuer": {"iss": f"{ISSUER}/"},
    "other audience": {"aud": "https://other.example.com"},
    "expired": {"exp": int(time.time()) - 1},
    "not yet": {"nbf": int(time.time()) + 86_400},
    "issued in the future": {"iat": int(time.time()) + 86_400},
    "without an end": {"exp": None},
    "without a subject": {"sub": None},
    "without an audience": {"aud": None},
    "without an id": {"jti": None},
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_token_is_refused(verifier: TokenVerifier, name: str) -> None:
    with pytest.raises(NotAuthenticated):
        verifier.verify(token(**WRONG[name]))


@pytest.mark.parametrize("text", ["", "a.b.c", "x", "é", "a" * 9000, token()[:-5], token() + "="])
def test_what_is_no_token_is_refused(verifier: TokenVerifier, text: str) -> None:
    with pytest.raises(NotAuthenticated):
        verifier.verify(text)


@pytest.mark.parametrize("algorithms", [(), ("none",), ("HS256",), ("ES256", "HS256")])
def test_only_algorithms_with_public_keys_can_be_chosen(algorithms: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="public key"):
        TokenVerifier(ISSUER, algorithms=algorithms)


class Gate:
    """Answers questions with what a test says, and counts them; and a clock."""

    def __init__(self) -> None:
        self.count, self.now, self.status = 0, 1000.0, 200
        self.answer: Any = {"active": True, "sub": "1", "role": "editor"}

    def ask(self, body: bytes) -> Answer:
        self.count += 1
        self.body = body
        return Answer(self.status, json.dumps(self.answer).encode())

    def introspector(self, **options: Any) -> Introspector:
        return Introspector(
            ISSUER, "app", "secret", ask=self.ask, clock=lambda: self.now, **options
        )


@pytest.fixture
def gate() -> Gate:
    return Gate()


def test_an_answer_is_kept_for_some_seconds_for_the_same_question(gate: Gate) -> None:
    asks = gate.introspector()
    assert [asks.introspect("gth_a") for _again in range(3)] == [gate.answer] * 3
    assert (gate.count, gate.body) == (1, b"token=gth_a")
    asks.introspect("gth_b")
    asks.introspect("gth_a", "192.0.2.1")
    assert (gate.count, gate.body) == (3, b"token=gth_a&client_ip=192.0.2.1")
    gate.now += 5.1
    gate.answer = {"active": False}
    assert asks.introspect("gth_a") is None
    assert gate.count == 4


def test_an_inactive_answer_is_kept_for_a_second_and_an_active_one_not_past_its_end(
    gate: Gate,
) -> None:
    asks, gate.answer = gate.introspector(), {"active": False}
    for moment in (0, 0.9, 1.1):
        gate.now = 1000 + moment
        assert asks.introspect("x") is None
    assert gate.count == 2
    gate.answer = {"active": True, "exp": int(gate.now) + 2}
    asks.introspect("y")
    gate.now += 2.1
    asks.introspect("y")
    assert gate.count == 4


def test_without_a_time_each_question_is_asked(gate: Gate) -> None:
    asks = gate.introspector(cache_seconds=0)
    for _again in range(3):
        asks.introspect("x")

    assert gate.count == 3


def test_the_least_used_answer_goes_first_and_none_holds_a_credential(gate: Gate) -> None:
    asks = gate.introspector(max_entries=3)
    for text in ("a", "b", "c", "a", "d"):
        asks.introspect(text)
    assert gate.count == 4
    asks.introspect("a")
    assert gate.count == 4
    asks.introspect("b")
    assert gate.count == 5
    asks.introspect("gth_confidential")
    assert len(asks._answers) == 3
    assert "confidential" not in repr(vars(asks))


@pytest.mark.parametrize("text", ["", "a\0b", "a" * 16_385])
def test_what_cannot_be_a_credential_is_not_asked(gate: Gate, text: str) -> None:
    assert gate.introspector().introspect(text) is None
    assert gate.count == 0


@pytest.mark.parametrize(
    ("status", "answer", "error"),
    [
        (401, {}, ClientRefused),
        (429, {}, Unavailable),
        (500, {}, Unavailable),
        (302, {"active": True}, Unavailable),
        (200, [], Unavailable),
        (200, {"active": "true"}, Unavailable),
        (200, {"sub": "1"}, Unavailable),
    ],
)
def test_what_is_no_answer_is_an_error_and_not_kept(
    gate: Gate, status: int, answer: Any, error: type[Exception]
) -> None:
    asks, gate.status, gate.answer = gate.introspector(), status, answer
    for _twice in range(2):
        with pytest.raises(error):
            asks.introspect("x")

    assert gate.count == 2


def test_a_gatehouse_that_does_not_listen_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        Introspector("http://127.0.0.1:9", "a", "b").introspect("x")
    for url in ("gate.example.com", "ftp://a", "https://", "https://a/?b"):
        with pytest.raises(ValueError, match="looks like"):
            Introspector(url, "a", "b")
    with pytest.raises(ValueError, match="client id"):
        Introspector(ISSUER, "a", "")
