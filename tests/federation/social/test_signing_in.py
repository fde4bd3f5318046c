"""Sign-in with each of the five providers, and which of their claims are trusted."""

import importlib
from collections.abc import Iterator

import pytest
from allauth.socialaccount.providers.github import views as github

from accounts.models import User
from audit.models import AuditEvent
from federation.models import ExternalIdentity
from federation.social.providers import GitHubProvider
from tests.federation.social.conftest import LABELS, begin, is_signed_in, sign_in
from tests.pages.pages import read

KINDS = tuple(LABELS)
pytestmark = pytest.mark.django_db
SUBJECTS = {
    "google": "g-1",
    "facebook": "f-1",
    "github": "4711",
    "discord": "80351110224678912",
    "apple": "001.a.1",
}
NAMES = {
    "google": "Anna G",
    "facebook": "Anna F",
    "github": "Anna H",
    "discord": "Anna D",
    "apple": "Anna A",
}


@pytest.fixture(autouse=True)
def _mail(settings) -> None:
    settings.ALLOW_UNVERIFIED_EMAIL_LOGIN = True


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_user_signs_in_and_gets_an_account(kind, offer, double, stranger, owner) -> None:
    offer(kind)
    answer = sign_in(stranger, double, kind, next="/account/email")

    assert (answer.status_code, answer["Location"]) == (302, "/account/email")
    identity = ExternalIdentity.objects.get()
    user = identity.user
    assert (identity.provider, identity.subject) == (kind, SUBJECTS[kind])
    assert (user.email, user.name, user.username) == ("anna@example.org", NAMES[kind], None)
    assert (user.role, user.has_usable_password()) == ("viewer", False)
    assert user.is_verified is (kind != "facebook")
    assert is_signed_in(stranger)
    event = AuditEvent.objects.filter(action="account:session:start").latest("seq")
    assert (event.result, event.actor_id, event.detail["methods"]) == ("success", user.pk, [kind])


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_user_gets_the_same_account_with_any_address(
    kind, offer, double, stranger, owner
) -> None:
    offer(kind)
    sign_in(stranger, double, kind)
    stranger.post("/sign-out")
    double.users[kind]["email"] = double.emails[1]["email"] = "married@example.org"
    for claim in ("verified", "email_verified", "verified_email"):
        double.users[kind][claim] = double.emails[1]["verified"] = False
    sign_in(stranger, double, kind)

    assert is_signed_in(stranger)
    identity = ExternalIdentity.objects.get()
    assert (identity.email, identity.user.email) == ("married@example.org", "anna@example.org")


@pytest.mark.parametrize("said", [False, "true", "false", 1, None, "yes"])
@pytest.mark.parametrize(
    ("kind", "claim"),
    [("google", "verified_email"), ("discord", "verified"), ("apple", "email_verified")],
)
def test_only_true_verifies_an_address(kind, claim, said, offer, double, stranger, owner) -> None:
    offer(kind)
    double.users[kind][claim] = said
    sign_in(stranger, double, kind)
    expected = kind == "apple" and said == "true"  # as Apple documents it
    assert User.objects.get(email="anna@example.org").is_verified is expected


@pytest.mark.parametrize("said", [False, "true", 1, None])
def test_github_verifies_only_its_primary_address(said, offer, double, stranger, owner) -> None:
    offer("github")
    double.emails[1]["verified"] = said
    sign_in(stranger, double, "github")
    assert User.objects.get(email="anna@example.org").is_verified is False


def test_facebook_never_verifies_an_address(offer, double, stranger, owner) -> None:
    offer("facebook")
    double.users["facebook"] |= {"verified": True, "email_verified": True}
    sign_in(stranger, double, "facebook")
    assert User.objects.get(email="anna@example.org").is_verified is False


def test_a_github_user_without_a_primary_address_has_none(offer, double, stranger, owner) -> None:
    offer("github")
    double.emails = {"message": "no"}
    answer = sign_in(stranger, double, "github")
    assert (answer.status_code, User.objects.count()) == (403, 1)
    assert "Your email address is missing" in answer.content.decode()


@pytest.fixture
def enterprise(settings, monkeypatch) -> Iterator[str]:
    """GitHub's adapter as allauth makes it for the setting; its address."""
    server = "https://github.example.com"
    settings.SOCIALACCOUNT_PROVIDERS["github"]["GITHUB_URL"] = server
    adapter = importlib.reload(github).GitHubOAuth2Adapter
    # The provider was imported before, or it would keep this adapter.
    monkeypatch.setattr(GitHubProvider, "oauth2_adapter_class", adapter)
    yield server
    del settings.SOCIALACCOUNT_PROVIDERS["github"]["GITHUB_URL"]
    importlib.reload(github)


def test_a_github_enterprise_server_is_reached_by_its_url(
    offer, double, stranger, owner, settings, enterprise
) -> None:
    (provider,) = offer("github")
    object.__setattr__(provider, "issuer", enterprise)
    settings.PROVIDER_INTERNAL_URLS = {enterprise: double.url}
    address = begin(stranger, "github")
    assert address.startswith(f"{enterprise}/login/oauth/authorize?")
    query = address.replace(enterprise, "https://github.com")
    _to, answer = double.agree(query)
    stranger.get("/oauth/github/callback", answer)

    assert is_signed_in(stranger)
    assert ExternalIdentity.objects.get().issuer == enterprise
    assert [path for path, _form in double.asked] == [
        "/login/oauth/access_token",
        "/api/v3/user",
        "/api/v3/user/emails",
    ]


def test_the_user_agent_for_github_is_configurable(
    offer, double, stranger, owner, monkeypatch
) -> None:
    (provider,) = offer("github")
    object.__setattr__(provider, "options", {"user_agent": "Example"})
    sign_in(stranger, double, "github")
    assert not is_signed_in(stranger)  # the double answers the usual one alone
    monkeypatch.setattr("tests.federation.social.double.AGENTS", ("Example",))
    sign_in(stranger, double, "github")
    assert is_signed_in(stranger)


@pytest.mark.parametrize("user", ["", "[]", "{", '{"name": "x"}', '{"name": {"firstName": 3}}'])
def test_the_name_sent_by_apple_can_be_anything_or_missing(
    user, offer, double, stranger, owner
) -> None:
    offer("apple")
    _to, answer = double.agree(begin(stranger, "apple"))
    stranger.get("/oauth/apple/callback", {**answer, "user": user})
    assert User.objects.get(email="anna@example.org").name == ""


def test_no_secret_is_sent_in_a_url(offer, double, stranger, owner) -> None:
    for kind in KINDS:
        offer(kind)
        assert "secret" not in begin(stranger, kind)


def test_a_page_has_a_button_for_each_provider_in_their_order(offer, stranger, owner) -> None:
    offer("github", "google")
    page = read(stranger.get("/sign-in?next=/account/email").content)
    actions = [form.attributes["action"] for form in page.all("form")]
    assert [action for action in actions if action.startswith("/oauth/")] == [
        "/oauth/github/login",
        "/oauth/google/login",
    ]
    assert page.all("svg")[1].attributes["class"] == "mark-of"


def test_without_providers_there_are_no_buttons(stranger, owner, settings) -> None:
    settings.SIGN_IN_PROVIDERS = ()
    assert b"/oauth/" not in stranger.get("/sign-in").content
    assert b"Continue with" not in stranger.get("/sign-in").content


def test_a_configured_image_replaces_the_default_icon(offer, stranger, owner) -> None:
    (provider,) = offer("google")
    object.__setattr__(provider, "image_url", "/static/favicon.svg")
    page = read(stranger.get("/sign-in").content)
    (image,) = page.all("img")
    assert (image.attributes["src"], image.attributes["alt"]) == ("/static/favicon.svg", "")


@pytest.mark.parametrize("path", ["login", "callback"])
@pytest.mark.parametrize("name", ["github", "nobody", "google2"])
def test_an_unknown_provider_is_not_found_and_starts_nothing(
    name, path, offer, stranger, owner
) -> None:
    offer("google")
    for answer in (
        stranger.get(f"/oauth/{name}/{path}", {"code": "x", "state": "y"}),
        stranger.post(f"/oauth/{name}/{path}", {"provider": "google"}),
    ):
        assert answer.status_code == 404
    assert "gatehouse_session" not in stranger.cookies
    assert "gatehouse_sign_in" not in stranger.cookies
