"""Signing keys: first use, rotation, retirement, and what is published."""

import base64
import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import User
from api.models import SigningKey, TokenFamily
from api.tokens import algorithms, keyset, refresh_tokens, signing_keys
from api.tokens.keyset import CLOCK_SKEW
from audit.models import AuditEvent
from config import worker
from tests.api.tokens import family_of_access

AtTime = Callable[[timedelta], datetime]
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "k", "oth"}


def kids() -> list[str]:
    """What the key set names at this moment, in a process that has read nothing yet."""
    signing_keys.key_set_cache.forget()
    return [key["kid"] for key in signing_keys.published_keys()]


def signer() -> str:
    signing_keys.key_set_cache.forget()
    return signing_keys.AccessKeys().signer().kid


@pytest.mark.parametrize(
    ("algorithm", "kind", "bits"),
    [
        ("ES256", ec.EllipticCurvePrivateKey, 256),
        ("RS256", rsa.RSAPrivateKey, 3072),
        ("EdDSA", ed25519.Ed25519PrivateKey, None),
    ],
)
def test_a_new_key_is_of_its_algorithm(algorithm: str, kind: Any, bits: int | None) -> None:
    new = keyset.make_key(algorithm)
    private = keyset.private_key(new.pem)

    assert isinstance(private, kind)
    assert getattr(private, "key_size", None) == bits
    assert new.public_jwk["alg"] == algorithm
    assert new.public_jwk["use"] == "sig"
    assert not new.public_jwk.keys() & PRIVATE_MEMBERS
    assert new.pem not in repr(new)


def test_no_key_is_made_for_another_algorithm() -> None:
    for algorithm in ("HS256", "none", "ES384", ""):
        with pytest.raises(ValueError, match="unsupported algorithm"):
            keyset.make_key(algorithm)


def test_a_kid_is_the_thumbprint_of_rfc_7638() -> None:
    published = {
        "kty": "RSA",
        "n": (
            "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc"
            "_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQ"
            "R0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bF"
            "TWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
        ),
        "e": "AQAB",
    }

    assert keyset.thumbprint(published) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    new = keyset.make_key("ES256")
    text = json.dumps({name: new.public_jwk[name] for name in ("crv", "kty", "x", "y")})
    digest = hashlib.sha256(text.replace(" ", "").encode()).digest()
    assert new.kid == base64.urlsafe_b64encode(digest).decode().rstrip("=")


pytestmark = pytest.mark.django_db


def test_the_first_key_is_created_once_and_encrypted() -> None:
    first = signer()

    assert [first] == kids() == list(SigningKey.objects.values_list("kid", flat=True))
    row = SigningKey.objects.get()
    assert row.sealed_private.startswith("v1:")
    assert "PRIVATE" not in row.sealed_private
    (event,) = AuditEvent.objects.filter(action="api:signing-key:create")
    assert (event.detail["kid"], event.detail["replaced"]) == (first, [])


def test_reading_the_key_set_makes_the_first_key() -> None:
    assert kids() == [signer()]


def test_a_rotated_key_is_published_before_it_signs_and_the_old_one_until_its_tokens_end(
    at_time: AtTime, settings: Any
) -> None:
    old = signer()
    rotation = signing_keys.rotate(actor=SYSTEM)
    assert rotation is not None
    new = rotation.kid

    assert rotation.replaced == (old,)
    (event,) = AuditEvent.objects.filter(action="api:signing-key:rotate")
    assert (event.detail["kid"], event.detail["replaced"]) == (new, [old])
    assert (signer(), kids()) == (old, [old, new])
    at_time(settings.JWT_KEY_PUBLISH_AHEAD - MINUTE)
    assert (signer(), kids()) == (old, [old, new])
    at_time(settings.JWT_KEY_PUBLISH_AHEAD)
    assert (signer(), kids()) == (new, [old, new])
    last_end = settings.JWT_KEY_PUBLISH_AHEAD + settings.SESSION_EXPIRY + CLOCK_SKEW
    at_time(last_end - timedelta(seconds=5))
    assert kids() == [old, new]
    at_time(last_end)
    assert (signer(), kids()) == (new, [new])


def test_a079_tokens_are_valid_while_their_key_is(
    viewer: User, at_time: AtTime, settings: Any
) -> None:
    settings.SESSION_EXPIRY = HOUR
    old = refresh_tokens.start_by_password(viewer, timezone.now())
    signing_keys.rotate_now(actor=SYSTEM)
    new = refresh_tokens.start_by_password(viewer, timezone.now())

    assert (
        jwt.get_unverified_header(old.access)["kid"] != jwt.get_unverified_header(new.access)["kid"]
    )
    for pair in (old, new):
        assert family_of_access(pair.access) == pair.family
    signing_keys.replace_all(actor=SYSTEM)
    for pair in (old, new):
        with pytest.raises(refresh_tokens.AccessTokenInvalid):
            family_of_access(pair.access)
        assert family_of_access(refresh_tokens.refresh(pair.refresh).access) == pair.family


def test_a_pending_key_is_not_replaced() -> None:
    signer()
    assert signing_keys.rotate(actor=SYSTEM) is not None

    assert signing_keys.rotate(actor=SYSTEM) is None
    assert SigningKey.objects.count() == 2


def test_rotating_now_uses_the_pending_key() -> None:
    old = signer()
    waiting = signing_keys.rotate(actor=SYSTEM)
    assert waiting is not None

    rotation = signing_keys.rotate_now(actor=SYSTEM)

    assert (rotation.kid, rotation.replaced) == (waiting.kid, (old,))
    assert (signer(), kids()) == (waiting.kid, [old, waiting.kid])
    assert signing_keys.rotate_now(actor=SYSTEM).kid != waiting.kid


def test_an_emergency_leaves_one_key() -> None:
    old = signer()
    waiting = signing_keys.rotate(actor=SYSTEM)
    assert waiting is not None

    rotation = signing_keys.replace_all(actor=SYSTEM)

    assert set(rotation.replaced) == {old, waiting.kid}
    assert (signer(), kids()) == (rotation.kid, [rotation.kid])
    (event,) = AuditEvent.objects.filter(action="api:signing-key:replace-all")
    assert set(event.detail["replaced"]) == {old, waiting.kid}


def test_an_emergency_rotation_reaches_other_processes_within_a_second(
    viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = refresh_tokens.start_by_password(viewer, timezone.now())
    family_of_access(pair.access)
    clock = signing_keys.time.monotonic()
    monkeypatch.setattr(signing_keys.time, "monotonic", lambda: clock)
    SigningKey.objects.update(retires_at=timezone.now())

    family_of_access(pair.access)  # as this process remembers it
    clock += signing_keys.MAX_AGE_SECONDS
    with pytest.raises(refresh_tokens.AccessTokenInvalid):
        family_of_access(pair.access)


def test_a_key_of_another_process_is_found_at_once(
    viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = signing_keys.time.monotonic()
    monkeypatch.setattr(signing_keys.time, "monotonic", lambda: clock)
    refresh_tokens.start_by_password(viewer, timezone.now())
    here, signing_keys.key_set_cache = signing_keys.key_set_cache, signing_keys.KeySetCache()
    signing_keys.rotate_now(actor=SYSTEM)
    elsewhere = refresh_tokens.start_by_password(viewer, timezone.now())
    signing_keys.key_set_cache = here

    assert family_of_access(elsewhere.access) == elsewhere.family


def test_unknown_key_ids_cause_one_query_a_second(
    django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = signing_keys.AccessKeys()
    keys.signer()
    clock = signing_keys.time.monotonic()
    monkeypatch.setattr(signing_keys.time, "monotonic", lambda: clock)
    signing_keys.key_set_cache.get()

    with django_assert_num_queries(1):
        assert {keys.verifier("ES256", f"forged-{number}") for number in range(100)} == {None}
    clock += signing_keys.MAX_AGE_SECONDS
    with django_assert_num_queries(2):  # the usual look, and one more for the unknown name
        assert {keys.verifier("ES256", f"forged-{number}") for number in range(100)} == {None}


def test_a_key_rotates_by_age_in_time_for_its_successor(at_time: AtTime, settings: Any) -> None:
    first = signer()
    due = settings.JWT_KEY_MAX_AGE - settings.JWT_KEY_PUBLISH_AHEAD

    at_time(due - MINUTE)
    signing_keys.key_set_cache.forget()
    assert signing_keys.rotate_when_due() == []
    at_time(due + MINUTE)
    signing_keys.key_set_cache.forget()
    (rotation,) = signing_keys.rotate_when_due()
    assert rotation.replaced == (first,)
    assert signing_keys.rotate_when_due() == []
    at_time(settings.JWT_KEY_MAX_AGE + 2 * MINUTE)
    assert signer() == rotation.kid


def test_the_worker_rotates_and_purges_keys(viewer: User, at_time: AtTime, settings: Any) -> None:
    refresh_tokens.start_by_password(viewer, timezone.now())
    first = signer()
    at_time(settings.JWT_KEY_MAX_AGE)
    worker.purge()

    (second,) = set(kids()) - {first}
    assert TokenFamily.objects.count() == 0
    at_time(settings.JWT_KEY_MAX_AGE + 32 * DAY)
    worker.purge()
    assert [key.kid for key in SigningKey.objects.all()] == [second]


def test_nothing_rotates_before_the_first_key_is_needed() -> None:
    assert signing_keys.rotate_when_due() == []
    assert SigningKey.objects.count() == 0


def test_retired_keys_are_deleted_after_a_while(at_time: AtTime) -> None:
    old = signer()
    signing_keys.replace_all(actor=SYSTEM)

    assert signing_keys.purge_keys(timezone.now() - DAY) == 0
    now = at_time(2 * DAY)
    assert signing_keys.purge_keys(now - DAY) == 1
    assert not SigningKey.objects.filter(pk=old).exists()


@pytest.mark.parametrize(("before", "after"), [("ES256", "RS256"), ("RS256", "EdDSA")])
def test_a_changed_algorithm_gets_a_new_key_at_once_and_trusts_the_old_one(
    before: str, after: str, viewer: User, at_time: AtTime, settings: Any
) -> None:
    settings.JWT_ALGORITHM = before
    old = refresh_tokens.start_by_password(viewer, timezone.now())
    settings.JWT_ALGORITHM = after
    new = refresh_tokens.start_by_password(viewer, timezone.now())

    assert jwt.get_unverified_header(new.access)["alg"] == after
    for pair in (old, new):
        assert family_of_access(pair.access) == pair.family
    assert [key["alg"] for key in signing_keys.published_keys()] == [before, after]
    at_time(settings.SESSION_EXPIRY + MINUTE)
    assert kids() == [jwt.get_unverified_header(new.access)["kid"]]


def test_keys_of_several_algorithms_do_not_replace_each_other(
    at_time: AtTime, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is published, rotated by age and by hand; a leak ends all of them."""
    monkeypatch.setattr(algorithms, "_sources", [lambda: ["EdDSA", "ES256"]])
    first, other = kids()
    assert signing_keys.AccessKeys().signer("EdDSA").kid == other
    at_time(settings.JWT_KEY_MAX_AGE - settings.JWT_KEY_PUBLISH_AHEAD + MINUTE)
    signing_keys.key_set_cache.forget()

    by_age = signing_keys.rotate_when_due()

    assert [rotation.replaced for rotation in by_age] == [(first,), (other,)]
    at_time(settings.JWT_KEY_MAX_AGE + DAY)
    assert kids() == [rotation.kid for rotation in by_age]
    by_hand = signing_keys.rotate_now(actor=SYSTEM, algorithm="EdDSA")
    assert by_hand.replaced == (by_age[1].kid,)
    assert signer() == by_age[0].kid
    leak = signing_keys.replace_all(actor=SYSTEM)
    assert leak.replaced == (*(rotation.kid for rotation in by_age), by_hand.kid)
    assert kids()[0] == leak.kid
    # An algorithm that no app uses any more retires with the next key.
    algorithms._sources.clear()
    assert len(signing_keys.rotate_now(actor=SYSTEM).replaced) == 2


def test_a_longer_token_lifetime_never_outlives_its_key(settings: Any) -> None:
    old = signer()
    signing_keys.rotate(actor=SYSTEM)
    # The old key was to be trusted for fifteen minutes after its last signature.
    settings.SESSION_EXPIRY = 24 * HOUR + 20 * MINUTE

    assert signer() != old


def test_a_key_encrypted_with_a_lost_encryption_key_is_replaced(settings: Any) -> None:
    old = signer()
    settings.ENCRYPTION_KEY = b"another key of thirty-two bytes."
    signing_keys._decrypted.cache_clear()

    new = signer()

    assert new != old
    assert kids() == [old, new]
    assert signer() == new


def test_a_shared_secret_needs_no_key_set(settings: Any) -> None:
    settings.JWT_SECRET = "w" * 10 + "a-secret-for-tests-of-hs256-only"

    assert signing_keys.published_keys() == []
    assert signing_keys.AccessKeys().signer().algorithm == "HS256"
    assert signing_keys.rotate_when_due() == []
    assert SigningKey.objects.count() == 0
