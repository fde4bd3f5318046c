"""The caches of checks: keys, lifetimes, and that no request gets the result of another."""

import pickle
import time
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

import api.middleware
from accounts.models import User
from api.models import ApiKey
from api.tokens import refresh_tokens
from core.invalidation import postgresql
from core.invalidation.data_version import current_data_version
from forward_auth import authentication, cache
from forward_auth import checker as checker_module
from forward_auth.authentication import NOT_AUTHENTICATED, FastPathUnsupported
from forward_auth.checker import Checker, HeaderTooLong
from forward_auth.models import AccessRule
from forward_auth.request import MAX_HEADER_LENGTH, cache_key_parts
from tests.api.keys import made
from tests.forward_auth.test_wsgi import BOARD, _environ

pytestmark = pytest.mark.django_db
Environ = dict[str, Any]
Later = Callable[[Checker, int], None]


class _Watched(dict[str, Any]):
    """Notes the names that are asked for."""

    def __init__(self, *held: Any) -> None:
        super().__init__(*held)
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return super().get(name, default)

    def __getitem__(self, name: str) -> Any:
        self.names.add(name)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self.names.add(str(name))
        return super().__contains__(name)


@pytest.fixture
def checker() -> Checker:
    return Checker(current_data_version)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kinds of credentials that the database is asked for."""
    kinds: list[str] = []
    find_credential = authentication.find_credential

    def counted(kind: str, *arguments: Any) -> Any:
        kinds.append(kind)
        return find_credential(kind, *arguments)

    monkeypatch.setattr(authentication, "find_credential", counted)
    return kinds


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    """Puts the clocks of a checker forward by so many seconds."""

    def put_forward(checker: Checker, seconds: int) -> None:
        now = time.time

        def clock() -> float:
            return now() + seconds

        monkeypatch.setattr(checker_module, "time", SimpleNamespace(time=clock))
        for kept in (
            checker._generation.results,
            checker._generation.good,
            checker._generation.bad,
        ):
            kept.clock = clock

    return put_forward


def _status(checker: Checker, environ: Environ) -> int:
    return checker.check(environ).decision.status


def _check(**more: str) -> Environ:
    return _environ("/auth/check", **more)


def test_every_header_of_a_decision_changes_the_key(
    checker: Checker, viewer: User, settings: Any
) -> None:
    settings.FORWARD_AUTH_DOMAIN = "example.com"
    environ = _Watched()
    cache_key_parts(environ)
    key, forwarded = (
        made(viewer).text,
        {
            "HTTP_X_FORWARDED_PROTO": "https",
            "HTTP_X_FORWARDED_HOST": "app.example.com",
            "HTTP_X_FORWARDED_URI": "/board",
            "HTTP_X_FORWARDED_METHOD": "GET",
        },
    )
    offers = [{}, {"HTTP_X_API_KEY": key}, {"HTTP_AUTHORIZATION": "Bearer x"},
              {"HTTP_COOKIE": "gatehouse_session=x; gatehouse_gate=y"}]  # fmt: skip
    looked_at: set[str] = set()
    for offer in offers:
        for place in (BOARD, forwarded):
            environ = _Watched(_check(**place, **offer, QUERY_STRING="role=admin"))
            checker.check(environ)
            looked_at |= environ.names

    assert looked_at == environ.names
    assert len(environ.names) == len(cache_key_parts({}))


@pytest.mark.parametrize(
    ("other", "status"),
    [
        ({"HTTP_X_ORIGINAL_METHOD": "POST"}, 403),
        ({"HTTP_X_ORIGINAL_URL": "https://app.example.com/board/x"}, 403),
        ({"QUERY_STRING": "role=admin"}, 403),
        ({"REMOTE_ADDR": "192.0.2.7"}, 401),
        ({"HTTP_X_API_KEY": "gth_0123456789_wrong"}, 401),
        ({"HTTP_X_API_KEY": ""}, 401),
    ],
)
def test_an_allowed_request_does_not_allow_another(
    checker: Checker, viewer: User, other: dict[str, str], status: int
) -> None:
    key = made(viewer, networks=["127.0.0.1"]).text
    AccessRule.objects.create(position=1, path="/board/x", role="admin", effect="role")
    environ = _check(**BOARD, HTTP_X_API_KEY=key)

    assert [_status(checker, environ) for _again in range(3)] == [204] * 3
    assert [_status(checker, environ | other) for _again in range(3)] == [status] * 3
    assert _status(checker, environ) == 204


def test_a_mistyped_key_is_not_ignored_as_an_app_credential(
    checker: Checker, viewer: User, browser_of: Any
) -> None:
    cookie = browser_of(viewer).cookies["gatehouse_session"].value
    environ = _check(**BOARD, HTTP_COOKIE=f"gatehouse_session={cookie}")

    assert [_status(checker, environ) for _again in range(3)] == [204] * 3
    for text in ("", "0123456789abcdef"):
        assert _status(checker, environ | {"HTTP_X_API_KEY": text}) == 204
    with pytest.raises(FastPathUnsupported):
        checker.check(environ | {"HTTP_X_API_KEY": "gth_"})


def test_an_unreadable_address_is_not_cached_as_missing(checker: Checker, viewer: User) -> None:
    AccessRule.objects.create(position=1, path="/shut", effect="deny")
    said = {"HTTP_X_FORWARDED_HOST": "a.example.com", "HTTP_X_FORWARDED_URI": "/board"}
    environ = _check(**said, HTTP_X_FORWARDED_METHOD="GET", HTTP_X_API_KEY=made(viewer).text)

    for _again in range(3):
        assert _status(checker, environ) == 204
        assert _status(checker, environ | {"HTTP_X_ORIGINAL_URL": ""}) == 403


def test_a_line_break_cannot_forge_a_cache_key(viewer: User) -> None:
    """Joined, the lines of both read alike: what was said to one is no answer to the other."""
    key = made(viewer).text
    right = _check(**BOARD, HTTP_X_API_KEY=key, HTTP_COOKIE="\n")
    wrong = _check(**BOARD, HTTP_X_API_KEY=f"{key}\n")
    assert "\n".join(cache_key_parts(right)) == "\n".join(cache_key_parts(wrong))

    for first, second in ((right, wrong), (wrong, right)):
        checker = Checker(current_data_version)
        said = {
            one["HTTP_X_API_KEY"]: [_status(checker, one) for _again in range(3)]
            for one in (first, second)
        }
        assert said == {key: [204] * 3, f"{key}\n": [401] * 3}


@pytest.mark.parametrize(("version", "after"), [(None, [204, 204]), (b"unchanged", [401, 401])])
def test_rules_are_read_again_without_a_data_version(
    version: bytes | None, after: list[int]
) -> None:
    checker, environ = Checker(lambda: version), _check(**BOARD)

    def statuses() -> list[int]:
        results = [checker.check(environ), checker.decide(environ, NOT_AUTHENTICATED)]
        return [each.decision.status for each in results]

    assert statuses() == [401, 401]
    AccessRule.objects.create(name="Open", effect="public")

    assert statuses() == after


@pytest.mark.parametrize(("is_active", "status"), [(True, 204), (False, 403)])
def test_a_credential_is_read_once_for_all_places(
    checker: Checker, viewer: User, asked: list[str], is_active: bool, status: int
) -> None:
    key = made(viewer).text
    User.objects.filter(pk=viewer.pk).update(is_active=is_active)
    places = [{"HTTP_X_ORIGINAL_URL": f"https://app.example.com/{number}"} for number in range(5)]
    statuses = [_status(checker, _check(**BOARD | each, HTTP_X_API_KEY=key)) for each in places]

    assert (statuses, asked) == ([status] * 5, ["key"])


@pytest.mark.parametrize(("seconds", "times"), [(4, 1), (6, 2)])
def test_a_cached_credential_is_verified_again(
    checker: Checker, viewer: User, asked: list[str], later: Later, seconds: int, times: int
) -> None:
    environ = _check(**BOARD, HTTP_X_API_KEY=made(viewer).text)
    for _again in range(3):
        _status(checker, environ)
    later(checker, seconds)

    assert _status(checker, environ) == 204
    assert asked == ["key"] * times


def test_nothing_is_cached_beyond_the_expiry_of_a_credential(
    checker: Checker, viewer: User, later: Later
) -> None:
    environ = _check(**BOARD, HTTP_X_API_KEY=made(viewer).text)
    ApiKey.objects.update(expires_at=timezone.now() + timedelta(seconds=2))
    assert [_status(checker, environ) for _again in range(3)] == [204] * 3
    later(checker, 2)

    assert _status(checker, environ) == 401


def test_without_a_data_version_nothing_is_cached(viewer: User, asked: list[str]) -> None:
    checker = Checker(lambda: None)
    environ = _check(**BOARD, HTTP_X_API_KEY=made(viewer).text)

    assert [_status(checker, environ) for _again in range(3)] == [204] * 3
    assert asked == ["key"] * 3


def test_rules_that_change_while_being_read_are_not_cached(
    checker: Checker, viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = AccessRule.objects.create(name="shut", effect="deny", path="/board")
    asked = _check(**BOARD, HTTP_X_API_KEY=made(viewer).text)
    load = cache.load_rules

    def opened_in_between() -> Any:
        AccessRule.objects.update(is_enabled=False)
        return load()

    with monkeypatch.context() as patched:
        patched.setattr(cache, "load_rules", opened_in_between)
        assert _status(checker, asked) == 204
    AccessRule.objects.filter(pk=rule.pk).update(is_enabled=True)

    assert _status(checker, asked) == 403


def _long(number: int, length: int) -> Environ:
    """A check with two long lines of its own."""
    return _check(
        HTTP_X_ORIGINAL_METHOD="GET",
        HTTP_X_ORIGINAL_URL=f"https://app.example.com/{number}".ljust(length, "x"),
        HTTP_X_FORWARDED_FOR=f"203.0.113.{number % 250}, ".rjust(length, " "),
    )


def _held_by(checker: Checker) -> int:
    kept = checker._generation
    return len(pickle.dumps([kept.rules.evaluated, kept.results, kept.good, kept.bad]))


@pytest.mark.parametrize("length", [2_049, 8_000, MAX_HEADER_LENGTH])
def test_long_headers_are_not_cached(checker: Checker, viewer: User, length: int) -> None:
    for number in range(600):
        _status(checker, _long(number, length))

    assert _held_by(checker) < 20_000


def test_the_cache_of_headers_is_bounded(checker: Checker, viewer: User) -> None:
    for number in range(6_000):
        _status(checker, _long(number, 900))
        assert checker._generation.rules.evaluated._weight <= cache.MAX_TOTAL_WEIGHT
        assert checker._generation.results._weight <= cache.MAX_TOTAL_WEIGHT

    assert 0 < len(checker._generation.rules.evaluated) <= cache.MAX_TOTAL_WEIGHT // 900


def test_cache_keys_are_digests(checker: Checker, viewer: User) -> None:
    for _again in range(3):
        assert _status(checker, _check(**BOARD, HTTP_X_API_KEY=made(viewer).text)) == 204

    (key,) = checker._generation.rules.evaluated._values
    assert isinstance(key, bytes)
    assert len(key) == 64


@pytest.mark.parametrize("number", range(len(cache_key_parts({}))))
def test_a_header_that_is_too_long_is_rejected(checker: Checker, number: int) -> None:
    environ = _Watched()
    cache_key_parts(environ)
    name = sorted(environ.names)[number]

    with pytest.raises(HeaderTooLong):
        checker.check(_check(**{name: "x" * (MAX_HEADER_LENGTH + 1)}))


def test_a_long_statement_counts_as_a_write_and_is_not_cached() -> None:
    before = postgresql._is_known_write.cache_info().currsize
    many = ", ".join(["%s"] * 5_000)
    said = [
        postgresql.is_write(f"UPDATE accounts_user SET name = '' WHERE id IN ({many})"),
        postgresql.is_write(f"SELECT 1 FROM accounts_user WHERE id IN ({many})"),
        # No check reads the outbox.
        postgresql.is_write(f"UPDATE mail_outboxmail SET kind = '' WHERE id IN ({many})"),
    ]

    assert said == [True, False, False]
    assert postgresql._is_known_write.cache_info().currsize == before


def test_a_long_path_is_not_cached(client: Client) -> None:
    before = api.middleware._cached_resolve.cache_info().currsize
    answer = client.post(f"/api/v1/moderation/actions/{'x' * 5_000}")

    assert answer.status_code == 401
    assert api.middleware._cached_resolve.cache_info().currsize == before


def test_no_credential_is_kept_in_the_caches(
    checker: Checker, viewer: User, browser_of: Any
) -> None:
    session = browser_of(viewer).cookies["gatehouse_session"].value
    key = made(viewer).text
    token = refresh_tokens.start_by_password(viewer, timezone.now()).access
    for offer in (
        {"HTTP_X_API_KEY": key},
        {"HTTP_COOKIE": f"gatehouse_session={session}"},
        {"HTTP_AUTHORIZATION": f"Bearer {token}"},
    ):
        assert [_status(checker, _check(**BOARD, **offer)) for _again in range(3)] == [204] * 3

    held = checker._generation
    kept = pickle.dumps([table._values for table in (held.results, held.good, held.bad)])
    assert b"/board" in kept  # so that the credentials would be found
    assert [text for text in (session, key, token) if text.encode() in kept] == []
