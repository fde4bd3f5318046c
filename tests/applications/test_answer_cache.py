"""Answers to apps are reused for the same bytes only, and never past a change or an end."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import pytest

from api.kept_answers import ANSWER_SECONDS, keep_answer
from applications import answer_cache
from applications.answer_cache import AnswerCache, Environ, Start

QUESTION = {
    "REQUEST_METHOD": "POST",
    "PATH_INFO": "/api/v1/introspect",
    "QUERY_STRING": "",
    "HTTP_HOST": "localhost",
    "HTTP_AUTHORIZATION": "Basic YTpi",
    "CONTENT_TYPE": "application/x-www-form-urlencoded",
}


class Django:
    """Counts what reaches it, and numbers its answers."""

    def __init__(self) -> None:
        self.count, self.status, self.until = 0, "200 OK", datetime.now(UTC) + timedelta(days=1)

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        self.count += 1
        assert environ["wsgi.input"].read() == environ["expected"]
        if self.status == "200 OK":
            keep_answer(environ, self.until)
        start(self.status, [("X-Request-ID", "of-the-first"), ("Cache-Control", "no-store")])
        return [f"answer {self.count}".encode()]


class Site:
    """The cache over a Django, at a data version and a time that tests change."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.django, self.version, self.offset = Django(), "1", 0.0
        self.cache = AnswerCache(self.django, lambda: self.version, lambda: lambda: self.version)
        real = answer_cache.time.time
        monkeypatch.setattr(answer_cache.time, "time", lambda: real() + self.offset)

    def ask(self, body: bytes = b"token=x", **changes: Any) -> str:
        self.headers: dict[str, str] = {}
        environ = {
            **QUESTION,
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": BytesIO(body),
            "expected": body,
            **changes,
        }
        answer = self.cache(environ, lambda _status, headers: self.headers.update(headers))
        return b"".join(answer).decode()

    def known(self, body: bytes = b"token=x", **changes: Any) -> str:
        """What is answered while the body is read, without Django and any row; "" for nothing."""
        known_answer = self.cache.known_answers({**QUESTION, **changes})
        found = None if known_answer is None else known_answer(body)
        if found is None:
            return ""
        start, rest = found
        assert (start["type"], start["status"]) == ("http.response.start", 200)
        self.headers = {name.decode(): value.decode() for name, value in start["headers"]}
        answer: bytes = rest["body"]
        return answer.decode()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(monkeypatch)


def test_the_same_question_is_answered_without_django(site: Site) -> None:
    assert [site.ask() for _again in range(3)] == ["answer 1"] * 3
    assert site.headers["Cache-Control"] == "no-store"
    assert site.headers["X-Request-ID"] != "of-the-first"
    site.ask(HTTP_X_REQUEST_ID="mine-12345")
    assert (site.headers["X-Request-ID"], site.django.count) == ("mine-12345", 1)


def test_whatever_differs_is_another_question(site: Site) -> None:
    site.ask()
    others = [
        site.ask(b"token=y"),
        site.ask(HTTP_AUTHORIZATION="Basic YTpj"),
        site.ask(HTTP_ACCEPT="text/html"),
        site.ask(HTTP_ACCEPT_LANGUAGE="de"),
        site.ask(CONTENT_TYPE="application/json"),
        site.ask(HTTP_HOST="other"),
        # The same bytes, cut at other places.
        site.ask(b"oken=x", HTTP_X_FORWARDED_PROTO="t"),
    ]

    assert others == [f"answer {number}" for number in range(2, 9)]


def test_a_change_of_the_database_and_an_unwatched_one_ask_django_again(site: Site) -> None:
    answers = [site.ask()]
    site.version = "2"
    answers += [site.ask(), site.ask()]
    site.version = None  # type: ignore[assignment]  # changes cannot be seen
    answers += [site.ask(), site.ask()]

    assert answers == [f"answer {number}" for number in (1, 2, 2, 3, 4)]


def test_an_answer_of_before_a_change_is_not_kept_after_it(site: Site) -> None:
    """The database changes while Django answers."""
    asked = site.django.__call__

    def slow(environ: Environ, start: Start) -> Iterable[bytes]:
        answer = asked(environ, start)
        site.version = "2"
        return answer

    site.cache = AnswerCache(slow, lambda: site.version)

    assert [site.ask(), site.ask()] == ["answer 1", "answer 2"]


def test_an_answer_is_used_for_five_seconds_or_until_something_ends(site: Site) -> None:
    site.ask()
    site.offset = ANSWER_SECONDS - 0.5
    assert site.ask() == "answer 1"
    site.offset = ANSWER_SECONDS + 0.5
    assert site.ask() == "answer 2"
    site.version = "2"
    site.django.until = datetime.fromtimestamp(answer_cache.time.time() + 2, UTC)
    assert [site.ask(), site.ask()] == ["answer 3"] * 2
    site.offset += 2.5
    assert site.ask() == "answer 4"


def test_only_plain_questions_with_an_active_answer_are_kept(site: Site) -> None:
    site.django.status = "401 Unauthorized"
    for _twice in range(2):
        site.ask()
    site.django.status = "200 OK"
    for changes in (
        {"QUERY_STRING": "a=b"},
        {"HTTP_ORIGIN": "https://other.example"},
        {"HTTP_COOKIE": "a=b"},
    ):
        for _twice in range(2):
            site.ask(**changes)
    long = b"token=" + b"x" * answer_cache.MAX_BODY
    for _twice in range(2):
        site.ask(long)

    assert site.django.count == 10


def test_a_full_cache_drops_its_answers(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_cache, "MAX_ANSWERS", 3)
    for number in range(10):
        site.ask(f"token={number}".encode())
        generation = site.cache._generation
        assert 1 <= len(generation.answers) <= 3


def test_a_database_that_does_not_answer_is_left_to_django(site: Site) -> None:
    def broken() -> None:
        raise OSError

    site.cache = AnswerCache(site.django, broken)

    assert [site.ask(), site.ask()] == ["answer 1", "answer 2"]


def test_a_known_question_is_answered_while_its_body_is_read(site: Site) -> None:
    assert site.known() == ""
    site.ask()
    assert [site.known(), site.known()] == ["answer 1"] * 2
    assert site.headers["Cache-Control"] == "no-store"
    assert site.headers["X-Request-ID"] != "of-the-first"
    site.known(HTTP_X_REQUEST_ID="mine-12345")
    assert site.headers["X-Request-ID"] == "mine-12345"
    # A body in chunks has no length before it is here.
    assert site.known(HTTP_TRANSFER_ENCODING="chunked") == "answer 1"
    assert [
        site.known(b""),
        site.known(b"token=y"),
        site.known(b"token=x" + b"x" * answer_cache.MAX_BODY),
        *(site.known(**{name: "x"}) for name in (*answer_cache.PARTS, *answer_cache.OTHERS)),
        site.known(QUERY_STRING="a=b"),
    ] == [""] * 12
    assert site.django.count == 1


def test_a_known_answer_ends_with_a_change_and_with_its_time(site: Site) -> None:
    site.ask()
    site.offset = ANSWER_SECONDS + 0.5
    assert site.known() == ""
    site.ask()
    assert site.known() == "answer 2"
    for version in ("2", None):
        site.version = version  # type: ignore[assignment]
        assert site.known() == ""
    site.version = "1"
    assert site.known() == "answer 2"


def test_a_change_before_the_body_is_here_counts(site: Site) -> None:
    site.ask()
    known_answer = site.cache.known_answers(QUESTION)
    assert known_answer is not None
    site.version = "2"

    assert known_answer(b"token=x") is None


def test_nothing_is_known_while_the_database_does_not_answer(site: Site) -> None:
    def broken() -> None:
        raise OSError

    site.ask()
    site.cache._watch = broken
    assert site.known() == ""
    site.cache._watch = lambda: None
    assert site.known() == ""


def test_a_connection_that_closes_while_the_body_is_read_leaves_the_question_to_django(
    site: Site,
) -> None:
    def closed() -> None:
        raise ValueError

    site.ask()
    site.cache._watch = lambda: closed

    assert site.known() == ""
    assert site.ask() == "answer 1"
