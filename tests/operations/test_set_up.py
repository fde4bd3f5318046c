"""The set-up assistant: five steps, each skippable, that the first owner sees once."""

from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from accounts.services.first_run import ensure_owner, issue_setup_link
from audit.models import AuditEvent
from core.errors import Forbidden
from mail.conf import MailSettings
from operations.models import SetUpStep
from operations.set_up import State, Step, mark, next_open, skip_open, states

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
START = "/admin/set-up/"


@pytest.fixture
def panel(owner: User, browser_of: BrowserOf) -> Client:
    return browser_of(owner)


def at(step: Step) -> str:
    return f"{START}{step.value}/"


def test_the_first_owner_lands_on_the_assistant(stranger: Client) -> None:
    token = issue_setup_link(ensure_owner())
    assert token is not None
    typed = {"email": "olga@example.com", "name": "Olga", "password": "seven quiet rivers"}

    answer = stranger.post(f"/set-up/{token.token}", typed)

    assert (answer.status_code, answer["Location"]) == (302, START)
    page = stranger.get(START)
    assert page.status_code == 200
    assert page.context["next_url"] == at(Step.ADDRESS)


@pytest.mark.parametrize("step", Step)
def test_each_step_opens_and_leads_to_the_next(panel: Client, step: Step) -> None:
    steps = list(Step)
    assert panel.get(at(step)).status_code == 200

    answer = panel.post(at(step), {"do": "done"})

    following = steps[(steps.index(step) + 1) % len(steps)]
    assert (answer.status_code, answer["Location"]) == (302, at(following))
    assert states() == {one: State.DONE if one is step else "" for one in Step}


def test_the_last_step_leads_to_the_overview(panel: Client) -> None:
    for step in Step:
        answer = panel.post(at(step), {"do": "skip"})

    assert answer["Location"] == "/admin/"
    assert set(states().values()) == {State.SKIPPED}
    assert panel.get(START).context["next_url"] == ""


def test_a_step_that_was_skipped_can_be_done_later(panel: Client, owner: User) -> None:
    mark(actor=owner, step=Step.MAIL, state=State.SKIPPED)

    panel.post(at(Step.MAIL), {"do": "done"})

    assert SetUpStep.objects.get().state == State.DONE


def test_the_overview_shows_the_progress_until_the_end(panel: Client, owner: User) -> None:
    mark(actor=owner, step=Step.ADDRESS, state=State.DONE)

    (notice,) = panel.get("/admin/").context["notices"]
    assert (notice.title, notice.text) == ("Set-up: 1 of 5 steps", "Next: Mail.")
    assert notice.url == START

    panel.post(START)
    assert panel.get("/admin/").context["notices"] == []
    assert states()[Step.ADDRESS] == State.DONE


def test_skipping_all_keeps_what_is_done(owner: User) -> None:
    mark(actor=owner, step=Step.PROXY, state=State.DONE)

    skip_open(actor=owner)
    skip_open(actor=owner)

    assert states() == {one: State.DONE if one is Step.PROXY else State.SKIPPED for one in Step}
    assert next_open() is None


def test_only_owners_see_it(admin: User, browser_of: BrowserOf) -> None:
    browser = browser_of(admin)

    for path in (START, *map(at, Step)):
        assert browser.get(path).status_code == 403
        assert browser.post(path, {"do": "done"}).status_code == 403
    assert browser.get("/admin/").context["notices"] == []
    for act in (
        lambda: skip_open(actor=admin),
        lambda: mark(actor=admin, step=Step.MAIL, state=State.DONE),
    ):
        with pytest.raises(Forbidden, match="Only owners"):
            act()
    assert not SetUpStep.objects.exists()


def test_an_unknown_step_is_not_found(panel: Client) -> None:
    assert panel.get(f"{START}no-such/").status_code == 404
    assert panel.post(f"{START}no-such/", {"do": "done"}).status_code == 404
    assert panel.post(at(Step.PROXY), {"do": "test", "email": "a@example.com"}).status_code == 404


@pytest.mark.parametrize(
    ("public_url", "host", "line"),
    [
        ("http://localhost:8000", "localhost:8000", "PUBLIC_URL=https://id.example.com"),
        ("https://id.example.org", "localhost:8000", "PUBLIC_URL=http://localhost:8000"),
        ("https://id.example.org/sso", "localhost:8000", "PUBLIC_URL=http://localhost:8000/sso"),
    ],
)
def test_the_address_is_compared_with_what_the_browser_asked_for(
    panel: Client, settings: Any, public_url: str, host: str, line: str
) -> None:
    settings.PUBLIC_URL = public_url
    settings.PUBLIC_URL_IS_LOCAL = "localhost" in public_url

    page = panel.get(at(Step.ADDRESS), headers={"host": host}).content.decode()

    assert f'value="{line}"' in page


def test_the_test_mail_is_sent_from_the_step(panel: Client, owner: User, settings: Any) -> None:
    settings.MAIL = MailSettings("smtp", "gate@example.com", host="127.0.0.1", port=1)

    page = panel.post(at(Step.MAIL), {"do": "test", "email": "olga@example.com"})

    assert page.status_code == 200
    assert b"The mail to olga@example.com was not sent." in page.content
    event = AuditEvent.objects.get(action="mail:test:send")
    assert (event.actor_id, event.result) == (owner.pk, "failure")
    assert states()[Step.MAIL] == ""


def test_a_wrong_address_of_the_test_mail_is_named_at_its_field(
    panel: Client, settings: Any
) -> None:
    settings.MAIL = MailSettings("smtp", "gate@example.com", host="127.0.0.1", port=1)

    page = panel.post(at(Step.MAIL), {"do": "test", "email": "nope"})

    assert b"errorlist" in page.content
    assert not AuditEvent.objects.filter(action="mail:test:send").exists()


def test_without_a_mail_service_the_lines_for_one_are_shown(panel: Client) -> None:
    page = panel.get(at(Step.MAIL)).content.decode()

    for text in ("RESEND_API_KEY=", "EMAIL_HOST="):
        assert text in page


def test_the_proxy_step_shows_what_gatehouse_sees(panel: Client) -> None:
    page = panel.get(
        at(Step.PROXY), headers={"x-forwarded-for": "203.0.113.7"}, REMOTE_ADDR="172.18.0.5"
    ).content.decode()

    assert "<code>203.0.113.7</code>" in page
    assert 'value="TRUSTED_PROXIES=172.18.0.5"' in page


@pytest.mark.parametrize(
    ("trusted", "headers", "expected"),
    [
        ((ip_network("172.18.0.0/16"),), {"x-forwarded-for": "203.0.113.7"}, "it is trusted"),
        ((), {"x-forwarded-for": "203.0.113.7"}, "does not believe"),
        ((), {}, "No proxy is in front"),
    ],
)
def test_the_proxy_step_says_whether_the_headers_count(
    panel: Client, settings: Any, trusted: Any, headers: dict[str, str], expected: str
) -> None:
    settings.TRUSTED_PROXIES = trusted
    peer = "172.18.0.5" if trusted else "198.51.100.9"

    page = panel.get(at(Step.PROXY), headers=headers, REMOTE_ADDR=peer).content.decode()

    assert expected in page
