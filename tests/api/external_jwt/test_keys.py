"""The keys of an issuer: how and how often they are fetched, and hostile responses."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from api.errors import AccessTokenInvalid
from core import http
from core.http import FetchError, fetch_json
from federation.oidc.keys import FetchedKeys
from tests.api.external_jwt.providers import (
    DISCOVERY,
    Clock,
    Provider,
    ReadingVerifier,
    SigningKey,
    send_json,
)


def _is_taken(verifier: ReadingVerifier, token: str) -> bool:
    try:
        verifier.verify(token)
    except AccessTokenInvalid:
        return False
    return True


def test_keys_are_fetched_once_and_kept(provider: Provider, clock: Clock) -> None:
    verifier = provider.verifier(clock)

    assert [_is_taken(verifier, provider.token()) for _ in range(20)] == [True] * 20
    assert provider.asked == {DISCOVERY: 1, "/jwks": 1}


def test_a_given_address_needs_no_discovery(provider: Provider, clock: Clock) -> None:
    verifier = provider.verifier(clock, jwks_url=f"{provider.issuer}/jwks")

    assert _is_taken(verifier, provider.token()) is True
    assert provider.asked == {"/jwks": 1}


def test_a_new_key_is_found_at_the_next_fetch(provider: Provider, clock: Clock) -> None:
    verifier, new = provider.verifier(clock), SigningKey()
    assert _is_taken(verifier, provider.token()) is True
    provider.publish(new, provider.key)

    clock.now += 59
    assert _is_taken(verifier, provider.token(key=new)) is False
    assert provider.asked["/jwks"] == 1
    clock.now += 2
    assert _is_taken(verifier, provider.token(key=new)) is True
    assert _is_taken(verifier, provider.token()) is True
    assert provider.asked["/jwks"] == 2


def test_a_withdrawn_key_is_distrusted_within_ten_minutes(provider: Provider, clock: Clock) -> None:
    verifier, new = provider.verifier(clock), SigningKey()
    old_token = provider.token()
    assert _is_taken(verifier, old_token) is True
    provider.publish(new)

    clock.now += 601
    assert _is_taken(verifier, old_token) is False
    assert _is_taken(verifier, provider.token(key=new)) is True


def test_a_withdrawn_key_is_distrusted_when_its_successor_is_seen(
    provider: Provider, clock: Clock
) -> None:
    verifier, new = provider.verifier(clock), SigningKey()
    old_token = provider.token()
    assert _is_taken(verifier, old_token) is True
    provider.publish(new)

    clock.now += 61
    assert _is_taken(verifier, provider.token(key=new)) is True
    assert _is_taken(verifier, old_token) is False


def test_an_empty_set_withdraws_every_key(provider: Provider, clock: Clock) -> None:
    verifier = provider.verifier(clock)
    assert _is_taken(verifier, provider.token()) is True
    provider.publish()

    clock.now += 601
    assert _is_taken(verifier, provider.token()) is False


def test_unknown_key_ids_cause_one_fetch_per_minute(provider: Provider, clock: Clock) -> None:
    verifier, forger = provider.verifier(clock), SigningKey()
    assert _is_taken(verifier, provider.token()) is True

    for minute in range(3):
        clock.now += 61
        for number in range(50):
            token = provider.token({"kid": f"forged-{minute}-{number}"}, forger)
            assert _is_taken(verifier, token) is False
        assert provider.asked["/jwks"] == 2 + minute
    assert _is_taken(verifier, provider.token()) is True


def test_an_unknown_key_id_is_cached(provider: Provider, clock: Clock) -> None:
    verifier, token = provider.verifier(clock), provider.token({"kid": "forged"}, SigningKey())
    assert _is_taken(verifier, token) is False

    clock.now += 299
    assert _is_taken(verifier, token) is False
    assert provider.asked["/jwks"] == 1
    clock.now += 2
    assert _is_taken(verifier, token) is False
    assert provider.asked["/jwks"] == 2


def test_the_cache_of_unknown_key_ids_is_bounded(provider: Provider, clock: Clock) -> None:
    keys = FetchedKeys(provider.issuer, clock=clock)
    for number in range(1100):
        clock.now += 601
        keys._remember_unknown(f"forged-{number}")

    assert len(keys._unknown) == 100


def test_a_key_requested_before_its_publication_is_found_later(
    provider: Provider, clock: Clock
) -> None:
    """It was not requested from the provider, so it is not cached as unknown."""
    verifier, new = provider.verifier(clock), SigningKey()
    assert _is_taken(verifier, provider.token()) is True
    clock.now += 1
    assert _is_taken(verifier, provider.token(key=new)) is False
    provider.publish(new)

    clock.now += 60
    assert _is_taken(verifier, provider.token(key=new)) is True


def test_concurrent_requests_share_one_fetch(provider: Provider) -> None:
    verifier, token = provider.verifier(), provider.token()
    right = provider.routes["/jwks"]
    asked = threading.Event()

    def slow(handler: BaseHTTPRequestHandler) -> None:
        asked.wait(0.3)
        send_json(handler, right)

    provider.routes["/jwks"] = slow
    results: list[bool] = []
    threads = [
        threading.Thread(target=lambda: results.append(_is_taken(verifier, token)))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == [True] * 16
    assert provider.asked["/jwks"] == 1


def test_known_keys_stay_valid_while_the_provider_is_down(provider: Provider, clock: Clock) -> None:
    verifier, token = provider.verifier(clock), provider.token()
    assert _is_taken(verifier, token) is True
    provider.stop()

    for _ in range(5):
        clock.now += 3600
        assert _is_taken(verifier, token) is True
    assert _is_taken(verifier, provider.token({"kid": "new"}, SigningKey())) is False


@pytest.mark.parametrize("answer", [{}, [], {"keys": 7}, {"error": "maintenance"}])
def test_an_invalid_response_removes_no_key(
    provider: Provider, clock: Clock, answer: object
) -> None:
    verifier = provider.verifier(clock)
    assert _is_taken(verifier, provider.token()) is True
    provider.routes["/jwks"] = answer

    clock.now += 601
    assert _is_taken(verifier, provider.token()) is True
    assert provider.asked["/jwks"] == 2


def test_a_provider_that_was_down_at_first_is_retried(provider: Provider, clock: Clock) -> None:
    right = provider.routes.pop(DISCOVERY)
    verifier = provider.verifier(clock)
    assert _is_taken(verifier, provider.token()) is False
    provider.routes[DISCOVERY] = right

    clock.now += 59
    assert _is_taken(verifier, provider.token()) is False
    clock.now += 1
    assert _is_taken(verifier, provider.token()) is True
    assert provider.asked[DISCOVERY] == 2


@pytest.mark.parametrize(
    "named", ["https://evil.example", "{0}/x", "{0}//", "", None, 7, ["{0}"], "http://127.0.0.1"]
)
def test_a_discovery_document_of_another_issuer_is_refused(
    provider: Provider, named: object
) -> None:
    issuer = named.format(provider.issuer) if isinstance(named, str) else named
    provider.routes[DISCOVERY]["issuer"] = issuer

    assert _is_taken(provider.verifier(), provider.token()) is False
    assert provider.asked["/jwks"] == 0


@pytest.mark.parametrize(
    "address",
    [
        "http://192.0.2.1/jwks",
        "file:///etc/passwd",
        "ftp://127.0.0.1/jwks",
        "data:application/json,{}",
        "//127.0.0.1/jwks",
        "https://[",
        "https://127.0.0.1:x/",
        "/jwks",
        "",
        None,
        7,
    ],
)
def test_keys_at_an_unsafe_address_are_not_fetched(provider: Provider, address: object) -> None:
    provider.routes[DISCOVERY]["jwks_uri"] = address

    assert _is_taken(provider.verifier(), provider.token()) is False
    assert provider.asked == {DISCOVERY: 1}


def _redirect(location: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", location)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def test_a_redirect_within_the_host_is_followed(provider: Provider) -> None:
    provider.routes["/keys"] = provider.routes["/jwks"]
    provider.routes["/jwks"] = _redirect("/keys")

    assert _is_taken(provider.verifier(), provider.token()) is True


def test_a_redirect_to_another_host_is_not_followed(provider: Provider) -> None:
    listener = Provider()
    for location in (
        f"{listener.issuer}/jwks",
        listener.issuer.replace("127.0.0.1", "localhost") + "/jwks",
        "https://127.0.0.1/jwks",
        "http://169.254.169.254/",
        "file:///etc/passwd",
        "http://[",
        "",
    ):
        provider.routes["/away"] = _redirect(location)
        with pytest.raises(FetchError):
            fetch_json(f"{provider.issuer}/away")
    assert listener.asked == {}
    listener.stop()


def test_a_redirect_loop_ends(provider: Provider) -> None:
    provider.routes["/round"] = _redirect("/round")

    with pytest.raises(FetchError, match="redirects too often"):
        fetch_json(f"{provider.issuer}/round")
    assert provider.asked["/round"] == 3


def _endless(handler: BaseHTTPRequestHandler, pause: float = 0.0) -> None:
    handler.send_response(200)
    handler.end_headers()
    hold = threading.Event()
    for _ in range(800):  # 50 MB
        handler.wfile.write(b"[" * (65_536 if not pause else 1))
        hold.wait(pause)


def test_an_endless_response_is_aborted(provider: Provider) -> None:
    provider.routes["/long"] = _endless

    with pytest.raises(FetchError, match="larger than 512 KiB"):
        fetch_json(f"{provider.issuer}/long")


def test_a_slow_response_is_aborted(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "DEADLINE_SECONDS", 0.2)
    provider.routes["/slow"] = lambda handler: _endless(handler, 0.02)

    with pytest.raises(FetchError, match="takes too long"):
        fetch_json(f"{provider.issuer}/slow")


def test_a_silent_provider_times_out(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "TIMEOUT_SECONDS", 0.2)
    silence = threading.Event()
    provider.routes["/silent"] = lambda _handler: silence.wait(5) and None

    with pytest.raises(FetchError, match="TimeoutError"):
        fetch_json(f"{provider.issuer}/silent")
    silence.set()


def test_a_response_that_is_no_object_is_rejected(provider: Provider) -> None:
    def deep(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(b"[" * 100_000)

    provider.routes |= {"/list": [], "/text": "x", "/deep": deep}
    for path in ("/list", "/text", "/deep", "/missing"):
        with pytest.raises(FetchError):
            fetch_json(f"{provider.issuer}{path}")


def test_invalid_entries_of_a_key_set_are_skipped(provider: Provider) -> None:
    symmetric = {"kty": "oct", "k": "c2VjcmV0", "kid": provider.key.kid, "alg": "HS256"}
    odd: list[Any] = [
        None,
        "x",
        [],
        {},
        symmetric,
        {"kty": "RSA", "kid": provider.key.kid},
        {"kty": "RSA", "n": 7, "e": "AQAB", "kid": provider.key.kid},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": provider.key.kid},
        {"kty": "OKP", "crv": "X25519", "x": "AA"},
        {**provider.key.jwk, "use": "enc"},
        {**provider.key.jwk, "kid": 7},
        {**provider.key.jwk, "d": "AA"},
    ]
    token = provider.token()
    provider.routes["/jwks"] = {"keys": odd}
    assert _is_taken(provider.verifier(), token) is False
    provider.routes["/jwks"] = {"keys": [*odd, provider.key.jwk]}
    assert _is_taken(provider.verifier(), token) is True
