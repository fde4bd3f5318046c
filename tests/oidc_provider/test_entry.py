"""Who may sign in to an app, and the page that says why not."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from audit.models import AuditEvent
from oidc_provider.authentication import amr_of
from oidc_provider.models import AuthorizationCode
from tests.mfa.authenticator import set_up_app
from tests.oidc_provider.relying_party import RelyingParty, answer_of, decide, make_client

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("fields", "text", "code"),
    [
        ({"openid_role": "editor"}, b"needs the role \xe2\x80\x9cEditor\xe2\x80\x9d", "forbidden"),
        ({"openid_people": ["0190b0f0-0000-7000-8000-000000000000"]}, b"an owner has named",
         "not_named"),
        ({"openid_second_factor": True}, b"needs a second factor", "second_factor_needed"),
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
    party = RelyingParty(make_client(openid_people=[str(viewer.pk)], openid_second_factor=True))
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
    }
    answer = browser.post(path, form | wrong)
    assert {*answer.context["adminform"].form.errors} == {*wrong}
    none = browser.post(path, form)
    assert {*none.context["adminform"].form.errors} == {"redirect_uris"}
    own_scheme = browser.post(path, form | {"redirect_uris": "com.example.app:/cb"})
    assert {*own_scheme.context["adminform"].form.errors} == {"redirect_uris"}

    right = {"redirect_uris": "https://a.example/cb\n\n", "openid_people": "Viewer@Example.com"}
    saved = browser.post(path, form | right)

    assert saved.status_code == 302
    app.refresh_from_db()
    assert (app.redirect_uris, app.openid_people) == (["https://a.example/cb"], [str(viewer.pk)])
    page = browser.get(path).content.decode()
    for shown in (app.client_id, "http://localhost:8000/openid/token", "owner@example.com"):
        assert shown in page
    assert "viewer@example.com</textarea>" in page
