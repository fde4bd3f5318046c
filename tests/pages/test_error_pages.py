"""Responses to failed requests: pages for browsers, problem documents for programs."""

import pytest
from django.db import DatabaseError
from django.test import Client, RequestFactory
from django.urls import path

from config import error_views, urls
from core.web.request_context import RequestContext, use_context
from tests.pages.pages import read

JSON = {"accept": "application/json"}
OTHER_ORIGIN = {"host": "evil.example.com"}


def broken(_request: object) -> None:
    """A view with a fault."""
    raise RuntimeError("secret detail")


# This module is the list of paths of one test below.
urlpatterns = [path("broken", broken), *urls.urlpatterns]
handler500 = urls.handler500


def document(answer) -> dict[str, object]:
    assert answer["Content-Type"] == "application/problem+json"
    return answer.json()


def heading(answer) -> str:
    assert answer["Content-Type"] == "text/html; charset=utf-8"
    assert len(read(answer.content).all("h1")) == 1
    text = answer.content.decode()
    return text.partition("<h1>")[2].partition("</h1>")[0].strip()


@pytest.mark.django_db
def test_an_unknown_url_is_a_page_for_browsers(stranger) -> None:
    answer = stranger.get("/nothing", headers={"accept": "text/html,application/json;q=0.9"})
    assert (answer.status_code, heading(answer)) == (404, "Page not found")


@pytest.mark.django_db
def test_an_unknown_url_is_a_problem_document_for_programs(stranger) -> None:
    answer = stranger.get("/nothing", headers=JSON)
    assert answer.status_code == 404
    assert document(answer) == {
        "type": "http://localhost:8000/api/v1/docs#not_found",
        "title": "Page not found",
        "status": 404,
        "detail": "There is nothing at this address. Maybe the link is incomplete, "
        "or the page has moved.",
        "code": "not_found",
    }


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("accept", "is_json"),
    [
        ("", False),
        ("*/*", False),
        ("text/html", False),
        ("image/png", False),
        ("application/problem+json", True),
        ("application/json, */*;q=0.1", True),
        ("text/html;q=0.5, application/json", True),
        ("nonsense;q=x,,/", False),
    ],
)
def test_a_problem_document_is_sent_only_if_preferred(stranger, accept: str, is_json: bool) -> None:
    answer = stranger.get("/nothing", headers={"accept": accept})
    assert (answer["Content-Type"] == "application/problem+json") is is_json


@pytest.mark.django_db
def test_a_form_without_csrf_token_names_the_setting() -> None:
    client = Client(enforce_csrf_checks=True)
    page = client.post("/sign-in", {"login": "x", "password": "y"})
    assert (page.status_code, heading(page)) == (403, "Sign in")
    assert b"This form is out of date" in page.content
    assert b"PUBLIC_URL" in page.content
    answer = client.post("/sign-in", {"login": "x"}, headers=JSON)
    assert (answer.status_code, document(answer)["code"]) == (403, "csrf_failed")
    assert "ALLOWED_HOSTS" in answer.json()["detail"]


@pytest.mark.django_db
def test_an_unknown_host_names_the_setting() -> None:
    page = Client(headers=OTHER_ORIGIN).get("/sign-in")
    assert (page.status_code, heading(page)) == (400, "Wrong address")
    assert b"ALLOWED_HOSTS" in page.content
    assert b"evil.example.com" not in page.content
    answer = Client(headers=OTHER_ORIGIN).get("/sign-in", headers=JSON)
    assert (answer.status_code, document(answer)["code"]) == (400, "host_not_allowed")
    assert "PUBLIC_URL" in answer.json()["detail"]


@pytest.mark.django_db
def test_too_many_fields_are_an_unreadable_request(stranger, settings) -> None:
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 2
    fields = {"a": "1", "b": "2", "c": "3"}
    answer = stranger.post("/sign-in", fields)
    assert (answer.status_code, heading(answer)) == (400, "Unreadable request")
    answer = stranger.post("/sign-in", fields, headers=JSON)
    assert (answer.status_code, document(answer)["code"]) == (400, "malformed")


@pytest.mark.django_db
def test_a_viewer_cannot_open_user_management(browser_of, viewer) -> None:
    answer = browser_of(viewer).get("/settings/workspace/users")
    assert (answer.status_code, heading(answer)) == (403, "Not allowed")


@pytest.mark.django_db
def test_a_rate_limit_says_when_to_try_again(stranger, settings) -> None:
    maximum, _window = settings.LIMITS["magic-link"]
    for _try in range(maximum):
        assert stranger.post("/magic-link", {"email": "a@example.com"}).status_code == 200
    answer = stranger.post("/magic-link", {"email": "a@example.com"})
    assert (answer.status_code, heading(answer)) == (429, "Too many attempts")
    assert b"Try again in" in answer.content


def test_the_error_page_needs_no_database(settings) -> None:
    """This test has no mark for the database, so each query would fail it."""
    settings.ROOT_URLCONF = __name__
    client = Client(raise_request_exception=False)
    answer = client.get("/broken", headers={"x-request-id": "request-1234"})
    assert (answer.status_code, heading(answer)) == (500, "Something went wrong")
    content = answer.content.decode()
    assert "<code>request-1234</code>" in content
    assert "secret detail" not in content


def test_the_error_document_has_the_request_id_and_no_traceback() -> None:
    with use_context(RequestContext(request_id="request-1234")):
        answer = error_views.server_error(RequestFactory().get("/", headers=JSON))
    assert answer.status_code == 500
    assert answer.content == (
        b'{"type": "http://localhost:8000/api/v1/docs#server_error", '
        b'"title": "Something went wrong", "status": 500, '
        b'"detail": "This is our fault, not yours. Try again in a moment.", '
        b'"code": "server_error", "request_id": "request-1234"}'
    )


def test_the_error_page_is_plain_text_if_templates_are_broken(monkeypatch) -> None:
    def broken(*_args: object) -> str:
        raise ValueError("no such file")

    monkeypatch.setattr(error_views, "render_to_string", broken)
    answer = error_views.server_error(RequestFactory().get("/"))
    assert (answer.status_code, answer["Content-Type"]) == (500, "text/plain; charset=utf-8")
    assert answer.content.startswith(b"Something went wrong.")


def test_an_error_page_is_shown_if_the_database_is_down() -> None:
    class Away:
        @property
        def is_authenticated(self) -> bool:
            raise DatabaseError("the database is away")

    request = RequestFactory().get("/nothing")
    request.user = Away()
    answer = error_views.not_found(request, Exception())
    assert (answer.status_code, heading(answer)) == (404, "Page not found")
