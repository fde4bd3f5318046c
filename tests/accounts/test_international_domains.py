"""Both forms of an international domain are one address, whatever the source of the address."""

from collections.abc import Callable
from pathlib import Path
from unicodedata import normalize

import pytest
from django.core.management import call_command
from django.test import Client

from accounts.models import EmailRequest, Invitation, User
from accounts.roles import Role
from accounts.services.first_run import ensure_owner
from config.environment import load
from core.text.email_addresses import (
    AddressError,
    ascii_domain,
    is_allowed,
    limit_key,
    parse_allowed,
    parse_email,
    search_forms,
)
from federation.providers import SignInSource
from federation.services.identities import AccountExists, ExternalUserInfo, resolve_user
from mail.models import OutboxMail
from tests.conftest import PASSWORD

WRITTEN, STORED = "anna@münchen.example", "anna@xn--mnchen-3ya.example"
SPELLINGS = [
    WRITTEN,
    STORED,
    "Anna@MÜNCHEN.Example",
    "anna@mu\u0308nchen.example",  # decomposed
    "anna@münchen\u3002example",  # the full stop of East Asia
    "anna@XN--MNCHEN-3YA.example",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_is_one_address(spelling: str) -> None:
    assert parse_email(spelling) == STORED
    assert limit_key(spelling) == STORED
    assert is_allowed(STORED, (spelling,)) is True
    assert is_allowed(STORED, (spelling.partition("@")[2],)) is True


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("straße.example", "xn--strae-oqa.example"),  # IDNA 2008: not strasse.example
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
        ("\uff45xample.com", "example.com"),
        ("EXAMPLE.com", "example.com"),
        ("a_b.example", "a_b.example"),
    ],
)
def test_a_domain_is_stored_in_ascii(written: str, stored: str) -> None:
    assert ascii_domain(written) == stored


@pytest.mark.parametrize(
    "domain",
    [
        "c\u043erp.com",  # Latin and Cyrillic in one label
        "\u03b1pple.com",
        "☃.example",
        "münchen..example",
        "\u200dmünchen.example",
        "-münchen.example",
        "ü" * 64 + ".example",
        "ü." * 200 + "example",
        "mün chen.example",
        "mün@chen.example",
        "münchen.example\n",
    ],
)
def test_an_invalid_domain_is_rejected(domain: str) -> None:
    with pytest.raises(AddressError):
        parse_email(f"anna@{domain}")
    with pytest.raises(AddressError):
        parse_allowed(domain)


@pytest.mark.parametrize("typed", ["\u212aim@example.com", "änna@münchen.example", "@münchen.de"])
def test_the_local_part_must_be_ascii(typed: str) -> None:
    with pytest.raises(AddressError):
        parse_email(typed)


def test_an_address_that_is_too_long_in_its_stored_form_is_rejected() -> None:
    with pytest.raises(AddressError):
        parse_email(f"{'a' * 64}@{'.'.join(['äöü' * 18] * 3)}.example")


@pytest.mark.parametrize(
    ("typed", "form"),
    [
        (WRITTEN, STORED),
        ("@münchen.example", "@xn--mnchen-3ya.example"),
        ("münchen", "xn--mnchen-3ya"),
        ("münchen.", "xn--mnchen-3ya."),
    ],
)
def test_a_search_matches_both_forms(typed: str, form: str) -> None:
    assert search_forms(typed) == (typed, normalize("NFD", typed), form)


def test_addresses_in_settings_use_the_stored_form(tmp_path: Path) -> None:
    given = {
        "ALLOWED_EMAILS": f"münchen.example,@bücher.example,{WRITTEN}",
        "DEFAULT_OWNER_EMAIL": WRITTEN,
        "RESEND_API_KEY": "re_1",
        "RESEND_EMAIL": f"Gate <{WRITTEN}>",
    }

    env = load(given, tmp_path / ".env")

    assert env["ALLOWED_EMAILS"] == ["xn--mnchen-3ya.example", "xn--bcher-kva.example", STORED]
    assert env["DEFAULT_OWNER_EMAIL"] == STORED
    assert env["RESEND_EMAIL"] == f"Gate <{STORED}>"


@pytest.fixture
def anna(make_user) -> User:
    found: User = make_user("admin", STORED, name="Anna Admin")
    return found


@pytest.mark.django_db
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_sign_in_accepts_both_forms(anna: User, stranger: Client, spelling: str) -> None:
    answer = stranger.post("/sign-in", {"login": spelling, "password": PASSWORD})

    assert answer.status_code == 302
    assert stranger.get("/account/").status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/magic-link", "/password/forgot"])
def test_requests_for_mail_accept_both_forms(anna: User, stranger: Client, path: str) -> None:
    stranger.post(path, {"email": WRITTEN})

    assert EmailRequest.objects.get().email == STORED


@pytest.mark.django_db
def test_sign_up_accepts_both_forms(stranger: Client, settings, owner: User) -> None:
    settings.ALLOWED_EMAILS = ("münchen.example",)

    stranger.post("/sign-up", {"email": WRITTEN, "name": "Anna", "password": "a long new phrase 7"})

    assert EmailRequest.objects.get().email == STORED


@pytest.mark.django_db
def test_the_api_accepts_both_forms(owner: User, browser_of: Callable[[User], Client]) -> None:
    client = browser_of(owner)
    token = client.post(
        "/api/v1/auth/token",
        {"email": owner.email, "password": PASSWORD},
        content_type="application/json",
    ).json()["access"]
    api = Client(headers={"authorization": f"Bearer {token}"})

    made = api.post("/api/v1/users", {"email": WRITTEN}, content_type="application/json")
    again = api.post("/api/v1/users", {"email": STORED}, content_type="application/json")
    found = [api.get("/api/v1/users", {"search": text}).json()["results"] for text in SPELLINGS[:2]]

    assert (made.status_code, made.json()["email"]) == (201, STORED)
    assert (again.status_code, list(again.json()["errors"])) == (402, ["email"])
    assert [[user["email"] for user in users] for users in found] == [[STORED], [STORED]]


@pytest.mark.django_db
def test_commands_accept_both_forms(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("createuser", WRITTEN, "--role", "editor")
    call_command("setrole", STORED, "viewer")
    call_command("setrole", "Anna@MÜNCHEN.example", "admin")
    call_command("inviteuser", "otto@bücher.example")
    call_command("listusers", "--search", WRITTEN)

    user = User.objects.get()
    assert (user.email, user.role) == (STORED, "admin")
    assert Invitation.objects.get().email == "otto@xn--bcher-kva.example"
    assert STORED in capsys.readouterr().out


@pytest.mark.django_db
def test_the_default_owner_has_the_stored_form(settings) -> None:
    settings.DEFAULT_OWNER_EMAIL = WRITTEN

    assert ensure_owner().email == STORED


@pytest.mark.django_db
def test_a_claim_in_the_other_form_is_the_same_address(anna: User) -> None:
    source = SignInSource(
        "keycloak", "Keycloak", allows_registration=True, default_role=Role.VIEWER
    )
    stranger = ExternalUserInfo(subject="1", email="otto@BÜCHER.example", email_verified=True)
    same = ExternalUserInfo(subject="2", email=WRITTEN, email_verified=False)

    made = resolve_user(source, stranger)
    with pytest.raises(AccountExists):
        resolve_user(source, same)

    assert made.email == "otto@xn--bcher-kva.example"
    assert User.objects.count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize("spelling", [*SPELLINGS[:3], "münchen", "@münchen.example"])
def test_the_admin_search_finds_both_forms(
    anna: User, browser_of: Callable[[User], Client], spelling: str
) -> None:
    OutboxMail.objects.create(recipient=STORED, kind="magic-link", subject="x")
    client = browser_of(anna)

    people = client.get("/admin/accounts/user/", {"q": spelling})
    mails = client.get("/admin/mail/outboxmail/", {"q": spelling})
    sessions = client.get("/admin/accounts/browsersession/", {"q": spelling})

    assert STORED in people.content.decode()
    assert mails.context["cl"].result_list.count() == 1
    assert sessions.context["cl"].result_list.count() == 1


@pytest.mark.django_db
def test_the_admin_creates_users_with_either_form(
    owner: User, browser_of: Callable[[User], Client]
) -> None:
    client = browser_of(owner)

    client.post("/admin/accounts/user/add/", {"email": WRITTEN, "name": "Anna", "role": "viewer"})

    assert list(User.objects.exclude(pk=owner.pk).values_list("email", flat=True)) == [STORED]
