"""Who may sign in to an app, and the page that says why not."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.services.groups.changes import create_group, delete_group
from accounts.services.groups.members import add_member, remove_member
from accounts.services.groups.uses import uses_of
from applications.opening_hours import DAYS, hours_of, open_until
from applications.services.apps import edit_app
from audit.models import AuditEvent
from core.errors import RecordInvalid
from forward_auth.models import Denial
from forward_auth.services.denials import write_denials
from forward_auth.services.explanations import REASONS
from oidc_provider.authentication import amr_of
from oidc_provider.models import AuthorizationCode
from tests.mfa.authenticator import set_up_app
from tests.oidc_provider.relying_party import RelyingParty, answer_of, decide, make_client

pytestmark = pytest.mark.django_db


def never() -> str:
    """Hours that begin the day after tomorrow."""
    day = timezone.localtime(timezone.now(), timezone.get_default_timezone()) + timedelta(days=2)
    return f"{DAYS[day.weekday()]} 08:00-18:00"


@pytest.mark.parametrize(
    ("fields", "text", "code"),
    [
        ({"openid_role": "editor"}, b"needs the role \xe2\x80\x9cEditor\xe2\x80\x9d", "forbidden"),
        ({"openid_people": ["0190b0f0-0000-7000-8000-000000000000"]}, b"an owner has named",
         "not_named"),
        ({"openid_second_factor": True}, b"needs a second factor", "second_factor_needed"),
        ({"openid_group_ids": ["0190b0f0-0000-7000-8000-000000000000"]},
         b"a group that does not exist", "group_missing"),
        ({"openid_networks": ["10.0.0.0/8"]}, b"come from 127.0.0.1", "network_refused"),
        ({"openid_hours": [never()]}, b"It is open: ", "closed_now"),
    ],
)  # fmt: skip
def test_a_refusal_says_why_and_leads_back(
    browser: Client, viewer: User, fields: dict[str, Any], text: bytes, code: str
) -> None:
    party = RelyingParty(make_client(**fields))
    page = party.authorize(browser)

    assert page.status_code == 403
    assert text in page.content
    event = AuditEvent.objects.get(action="openid:sign-in:start")
    assert (event.target_id, event.result, event.detail["reason"]) == (viewer.pk, "refused", code)
    # Administrators find it where the refusals of proxies are, by the reference on the page.
    write_denials()
    denial = Denial.objects.get(user=viewer)
    assert denial.reference.encode() in page.content
    assert (denial.code, denial.credential, denial.host) == (code, "openid", "wiki.example.com")
    assert (denial.app, denial.why.startswith("Wiki: ")) == (party.app, True)
    assert code in REASONS
    assert answer_of(decide(browser, page, "deny"))["error"] == "access_denied"
    # Whoever presses a button that the page does not have gets nothing.
    assert answer_of(decide(browser, page, "allow"))["error"] == "access_denied"
    assert answer_of(party.authorize(browser, prompt="none"))["error"] == "access_denied"
    assert not AuthorizationCode.objects.exists()


@pytest.mark.parametrize("fields", [{"is_verified": False}, {"role": "none"}])
def test_who_waits_for_a_role_or_has_an_unproven_address_enters_no_app(
    make_user: Callable[..., User],
    browser_of: Callable[[User], Client],
    fields: dict[str, Any],
    settings: Any,
) -> None:
    settings.ALLOW_UNVERIFIED_EMAIL_LOGIN = True
    browser = browser_of(make_user(**fields))

    assert RelyingParty(make_client()).authorize(browser).status_code == 403


def test_named_people_and_a_second_factor_enter(
    viewer: User, browser_of: Callable[[User], Client], stranger: Client
) -> None:
    """`amr` and `acr` say what was done."""
    party = RelyingParty(
        make_client(
            openid_people=[str(viewer.pk)],
            openid_second_factor=True,
            openid_networks=["127.0.0.0/8"],
            openid_hours=["mon-sun 00:00-24:00"],
        )
    )
    app = set_up_app(viewer)
    stranger.post("/sign-in", {"login": viewer.email, "password": "correct horse battery staple"})
    done = stranger.post("/second-factor", {"code": app.code()})
    assert done.status_code in (302, 303), done.content

    tokens = party.sign_in(stranger)

    import jwt

    claims = jwt.decode(tokens["id_token"], options={"verify_signature": False})
    assert claims["amr"] == ["pwd", "otp", "mfa"]
    assert claims["acr"] == "urn:gatehouse:acr:2fa"


@pytest.mark.parametrize(
    ("methods", "values"),
    [
        (["password"], ["pwd"]),
        (["magic_link"], ["email"]),
        (["provider"], ["fed"]),
        (["passkey"], ["pop", "user", "mfa"]),
        (["password", "totp"], ["pwd", "otp", "mfa"]),
        (["provider", "second_factor"], ["fed", "pop", "mfa"]),
        (["password", "remembered_browser"], ["pwd"]),
        (["totp"], ["otp"]),
        (["unheard of"], []),
    ],
)
def test_methods_are_told_by_their_registered_names(methods: list[str], values: list[str]) -> None:
    assert amr_of(methods) == values


def test_a_group_opens_an_app_until_the_person_leaves_it_or_it_is_deleted(
    browser: Client, viewer: User, owner: User
) -> None:
    """A deleted group leaves the app closed, and whoever deletes it is told of the app."""
    finance, staff = (create_group(actor=owner, name=name) for name in ("finance", "staff"))
    app = make_client(openid_group_ids=[str(finance.pk), str(staff.pk)])
    party = RelyingParty(app)
    page = party.authorize(browser)
    assert b"one of these groups: finance, staff" in page.content

    add_member(actor=owner, user=viewer, group=finance, until=timezone.now() + timedelta(hours=1))
    tokens = party.sign_in(browser)
    assert party.userinfo(tokens["access_token"]).status_code == 200
    remove_member(actor=owner, user=viewer, group=finance)
    assert party.userinfo(tokens["access_token"]).status_code == 401
    assert party.refresh(tokens["refresh_token"]).status_code == 400

    add_member(actor=owner, user=viewer, group=finance)
    assert [use.what for use in uses_of(finance)] == ["App “Wiki”"]
    with pytest.raises(RecordInvalid):
        delete_group(actor=owner, group=finance)
    delete_group(actor=owner, group=finance, confirmed=True)
    assert b"one of these groups: staff" in party.authorize(browser).content
    # Another field can be changed meanwhile, and the app stays closed.
    edit_app(actor=owner, app=app, changes={"description": "What we know."})
    with pytest.raises(RecordInvalid):
        edit_app(actor=owner, app=app, changes={"openid_group_ids": [str(viewer.pk)]})


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("Mo-Fr 8:00-18:00", "mon-fri 08:00-18:00"),
        ("sat-mon, wed  22:00-06:00", "mon,wed,sat-sun 22:00-06:00"),
        ("sun 00:00-24:00", "sun 00:00-24:00"),
        ("mon 08:00", None),
        ("mon-tue-wed 08:00-09:00", None),
        ("xyz 08:00-09:00", None),
        ("mon 25:00-26:00", None),
        ("mon 08:60-09:00", None),
        ("mon 08:00-08:00", None),
        ("mon 24:00-08:00", None),
    ],
)
def test_hours_are_stored_in_one_spelling(typed: str, stored: str | None) -> None:
    if stored is None:
        with pytest.raises(ValueError, match="is no time"):
            hours_of([typed])
    else:
        assert hours_of([typed, typed]) == [stored]


@pytest.mark.parametrize(
    ("lines", "end"),
    [
        (["mon-fri 08:00-18:00"], "2026-11-30 18:00"),
        (["mon 08:00-12:00", "mon 11:00-20:00"], "2026-11-30 20:00"),
        (["sun 22:00-12:00"], "2026-11-30 12:00"),
        (["mon 09:00-03:00"], "2026-12-01 03:00"),
        (["mon-sun 00:00-24:00"], "2026-12-08 00:00"),
        (["mon 10:01-18:00"], None),
        (["sat 22:00-06:00", "tue 08:00-18:00"], None),
    ],
)
def test_hours_end_by_the_clock(lines: list[str], end: str | None) -> None:
    """On Monday, 30 November 2026, at ten."""
    found = open_until(lines, datetime(2026, 11, 30, 10, tzinfo=UTC))

    assert (found and found.strftime("%Y-%m-%d %H:%M")) == end


def test_an_owner_sets_an_app_up_in_the_panel(
    owner: User, viewer: User, browser_of: Callable[[User], Client]
) -> None:
    """Errors stand beside their fields; the page shows what to paste and what the app learns."""
    app = make_client("", redirect_uris=[], logout_uris=[], is_trusted=False)
    browser, path = browser_of(owner), f"/admin/applications/app/{app.pk}/change/"
    form = {"name": "Wiki", "url": "https://wiki.example.com", "slug": "wiki", "position": "10"}
    form |= {"openid_kind": "spa", "openid_role": "editor", "proxy": "", "is_listed": "on"}
    wrong = {
        "redirect_uris": "https://a.example/cb\nftp://b.example",
        "logout_uris": "https://a.example/*",
        "openid_people": "nobody@example.com",
        "openid_networks": "office",
        "openid_hours": "always",
    }
    answer = browser.post(path, form | wrong)
    assert {*answer.context["adminform"].form.errors} == {*wrong}
    none = browser.post(path, form)
    assert {*none.context["adminform"].form.errors} == {"redirect_uris"}
    own_scheme = browser.post(path, form | {"redirect_uris": "com.example.app:/cb"})
    assert {*own_scheme.context["adminform"].form.errors} == {"redirect_uris"}

    groups = [str(create_group(actor=owner, name=name).pk) for name in ("finance", "staff")]
    right = {"redirect_uris": "https://a.example/cb\n\n", "openid_people": "Viewer@Example.com"}
    right |= {"openid_networks": "10.0.0.0/8\n192.0.2.1", "openid_hours": "Mo-Fr 8:00-18:00"}
    saved = browser.post(path, {**form, **right, "openid_group_ids": groups})

    assert saved.status_code == 302
    app.refresh_from_db()
    assert (app.redirect_uris, app.openid_people) == (["https://a.example/cb"], [str(viewer.pk)])
    assert app.openid_group_ids == groups
    assert app.openid_networks == ["10.0.0.0/8", "192.0.2.1/32"]
    assert app.openid_hours == ["mon-fri 08:00-18:00"]
    page = browser.get(path).content.decode()
    for shown in (app.client_id, "http://localhost:8000/openid/token", "owner@example.com"):
        assert shown in page
    assert "viewer@example.com</textarea>" in page
    # Before an app is opened to people, an owner sees what it learns about one, and who may not.
    about = browser.get(path, {"person": "viewer@example.com"}).content.decode()
    assert f"&quot;{viewer.pk}&quot;" in about
    assert "may not sign in, and reads: “The app needs the role" in about
    unknown = browser.get(path, {"person": "nobody"}).content.decode()
    assert "No account has this address or user name." in unknown
