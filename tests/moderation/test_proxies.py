"""The proxy check: observations, its page, its warnings on the dashboard and in doctor."""

import ipaddress
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import caches
from django.db import DatabaseError
from django.test import Client

from accounts.admin.dashboard import content as dashboard
from accounts.models import User
from audit import audit_log
from core.web.request_context import RequestContext, use_context
from moderation.proxies import observations as proxies
from moderation.proxies.diagnosis import ProblemCode
from moderation.proxies.messages import describe_problem
from operations.doctor import examine

pytestmark = pytest.mark.django_db
PAGE = "/admin/moderation/ban/proxies/"
DOCKER, CLIENT = "172.18.0.2", "203.0.113.9"
BrowserOf = Callable[..., Client]


@pytest.fixture(autouse=True)
def _nothing_noted() -> None:
    proxies.forget()


@pytest.fixture
def through_proxy() -> Client:
    """A stranger's browser behind a proxy."""
    return Client(headers={"host": "localhost:8000", "x-forwarded-for": CLIENT}, REMOTE_ADDR=DOCKER)


@pytest.fixture
def panel(owner: User, browser_of: BrowserOf) -> Client:
    browser = browser_of(owner)
    proxies.forget()
    return browser


def trusting(settings: Any, network: str) -> None:
    settings.TRUSTED_PROXIES = (ipaddress.ip_network(network),)


def found() -> list[str]:
    return [str(warned.code) for warned in proxies.proxy_problems()]


# What is noted


def test_a_request_is_recorded_once_a_minute_for_each_kind(
    through_proxy: Client, stranger: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    for path in ("/sign-in", "/sign-up", "/nowhere"):
        through_proxy.get(path)
        stranger.get(path)
    first = {seen.peer: seen.at for seen in proxies.observations()}

    assert set(first) == {DOCKER, "127.0.0.1"}
    clock[0] += 61
    through_proxy.get("/sign-in")
    later = {seen.peer: seen.at for seen in proxies.observations()}
    assert later[DOCKER] > first[DOCKER]
    assert later["127.0.0.1"] == first["127.0.0.1"]


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/api/v1/me"])
def test_health_checks_and_programs_are_not_recorded(through_proxy: Client, path: str) -> None:
    through_proxy.get(path)

    assert proxies.observations() == []


def test_a_forged_header_does_not_hide_the_proxy(through_proxy: Client) -> None:
    through_proxy.get("/sign-in")
    for number in range(50):
        forger = Client(
            headers={"host": "localhost:8000", "x-forwarded-for": "1.2.3.4, " * 1000},
            REMOTE_ADDR=f"198.51.100.{number}",
        )
        proxies._recorded_at.clear()
        forger.get("/sign-in")

    assert found() == ["undeclared_proxy"]
    assert len(proxies.observations()) == 2
    assert (
        max(len(seen.forwarded_for) for seen in proxies.observations()) <= proxies.MAX_HEADER_LENGTH
    )


def test_observations_expire_after_hours(
    through_proxy: Client, at_time: Callable[[timedelta], object]
) -> None:
    through_proxy.get("/sign-in")
    assert found() == ["undeclared_proxy"]

    at_time(proxies.MEMORY + timedelta(seconds=1))

    assert found() == []


def test_a_failed_observation_does_not_fail_the_page(
    through_proxy: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise DatabaseError("disk full")

    monkeypatch.setattr(caches["counters"], "set", full)

    assert through_proxy.get("/nowhere").status_code == 404


# What is wrong


def test_the_audit_log_shows_whether_all_users_share_one_address(
    through_proxy: Client, settings: Any
) -> None:
    settings.TRUST_PROXY = 1
    through_proxy.get("/sign-in", headers={"x-forwarded-for": f"{CLIENT}, 192.0.2.1"})
    with use_context(RequestContext(ip="192.0.2.1", channel="web")):
        for _ in range(5):
            audit_log.record("account:session:start")
    assert found() == ["one_address"]

    with use_context(RequestContext(ip=CLIENT, channel="web")):
        audit_log.record("account:session:start")
    assert found() == []


def test_a_corrected_setting_ends_the_warning(through_proxy: Client, settings: Any) -> None:
    through_proxy.get("/sign-in")
    assert found() == ["undeclared_proxy"]

    trusting(settings, "172.16.0.0/12")

    assert found() == []


def test_each_warning_names_its_variable_and_the_fix() -> None:
    variables = ("TRUSTED_PROXIES", "TRUST_PROXY", "PUBLIC_URL")
    for problem in ProblemCode:
        text = describe_problem(proxies.ProxyProblem(problem, DOCKER))
        assert any(name in text.title + text.text for name in variables), problem
        assert any(word in text.text for word in ("Set ", "add it", "must ", "Open ")), problem
        assert "%(" not in text.title + text.text


# The page


@pytest.mark.parametrize(
    ("role", "status"), [("viewer", 403), ("editor", 403), ("admin", 200), ("owner", 200)]
)
def test_only_administrators_open_the_page(
    role: str, status: int, make_user: Callable[..., User], browser_of: BrowserOf
) -> None:
    assert browser_of(make_user(role)).get(PAGE).status_code == status


def test_anonymous_clients_are_sent_to_sign_in(stranger: Client) -> None:
    assert stranger.get(PAGE)["location"] == f"/sign-in?next={PAGE}"


def test_the_page_shows_the_proxy_chain_of_its_own_request(panel: Client, settings: Any) -> None:
    trusting(settings, "172.16.0.0/12")

    answer = panel.get(
        PAGE, headers={"x-forwarded-for": f"198.51.100.4, {CLIENT}"}, REMOTE_ADDR=DOCKER
    )

    assert answer.context["client"] == CLIENT
    assert answer.context["banned"] == CLIENT
    assert answer.context["warnings"] == []
    assert [(hop.text, hop.why) for hop in answer.context["hops"]] == [
        (DOCKER, "It is in 172.16.0.0/12 of TRUSTED_PROXIES."),
        (CLIENT, "This address counts as the client."),
        ("198.51.100.4", "The previous hop is not trusted."),
    ]
    facts = dict(answer.context["facts"])
    assert facts["X-Forwarded-For"] == f"198.51.100.4, {CLIENT}"
    assert (facts["TRUSTED_PROXIES"], facts["TRUST_PROXY"]) == ("172.16.0.0/12", "0")


def test_behind_an_undeclared_proxy_the_page_says_that_no_network_is_banned(panel: Client) -> None:
    answer = panel.get(PAGE, headers={"x-forwarded-for": CLIENT}, REMOTE_ADDR=DOCKER)

    ((advice, _when),) = answer.context["warnings"]
    assert advice.title == f"A proxy at {DOCKER} is not declared."
    assert f"Set TRUSTED_PROXIES={DOCKER} and restart." in advice.text
    assert answer.context["banned"] == "no network, because of an undeclared proxy"


def test_localhost_is_never_banned_and_the_page_says_so(panel: Client) -> None:
    answer = panel.get(PAGE)

    assert answer.context["banned"] == "nothing: 127.0.0.1 is never banned"
    assert "Nothing is wrong with proxies" in answer.text


def test_the_page_says_what_is_missing(panel: Client) -> None:
    Client(headers={"host": "localhost:8000"}, REMOTE_ADDR="").get("/sign-in")

    answer = panel.get(PAGE)

    facts = dict(answer.context["facts"])
    names = ("X-Forwarded-Proto", "X-Forwarded-For", "Forwarding headers", "TRUSTED_PROXIES")
    assert [facts[name] for name in names] == ["nothing"] * 4
    assert [row[3] for row in answer.context["noted"] if row[1] == ""] == ["unknown"]


def test_a_forged_header_is_escaped(panel: Client) -> None:
    answer = panel.get(PAGE, headers={"x-forwarded-for": "<script>alert(1)</script>"})

    assert "<script>alert(1)" not in answer.text
    assert "&lt;script&gt;alert(1)" in answer.text


# Elsewhere


def test_the_list_of_bans_links_to_the_page(panel: Client) -> None:
    assert f'href="{PAGE}"' in panel.get("/admin/moderation/ban/").text


def test_the_dashboard_shows_the_warnings(panel: Client, through_proxy: Client) -> None:
    through_proxy.get("/sign-in")

    titles = [advice.title for advice in dashboard.context()["warnings"]]

    assert f"A proxy at {DOCKER} is not declared." in titles
    assert PAGE in panel.get("/admin/").text


def test_doctor_reports_the_proxy_chain_and_its_problems(through_proxy: Client) -> None:
    through_proxy.get("/sign-in")

    findings = [finding for finding in examine() if DOCKER in finding.text]

    (warning, way) = findings
    assert warning.level == "warning"
    assert warning.text.startswith(f"A proxy at {DOCKER} is not declared.")
    assert f"TRUSTED_PROXIES={DOCKER}" in warning.fix
    assert way.level == "note"
    assert f"{DOCKER} (client) <- {CLIENT} (ignored), by http" in way.text
