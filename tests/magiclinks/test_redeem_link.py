"""Opening a link: which requests redeem it, and what a used link shows."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client

from accounts.actors import SYSTEM
from accounts.models import BrowserSession, User
from accounts.services import users
from accounts.services.passwords import set_password
from accounts.services.sessions import revoke_credentials
from audit.models import AuditEvent
from core.errors import TokenExpired, TokenInvalid
from magiclinks.models import LoginLink
from magiclinks.services import LinkReplaced, LinkUsed, find_link, redeem_link
from tests.conftest import PASSWORD
from tests.magiclinks.conftest import Ask

pytestmark = pytest.mark.django_db
Issue = Callable[..., str]
SCANNERS = ["Mozilla/5.0 (compatible; Barracuda)", "SafeLinks", "Proofpoint", "Mimecast", ""]


def is_in(client: Client, as_email: str = "") -> bool:
    answer = client.get("/account/")
    return answer.status_code == 200 and as_email.encode() in answer.content


def test_the_requesting_browser_is_signed_in_at_once(
    stranger: Client, viewer: User, ask_link: Ask
) -> None:
    path = ask_link(stranger, viewer.email, next="/account/email")

    answer = stranger.get(path)

    assert (answer.status_code, answer["Location"]) == (302, "/account/email")
    assert is_in(stranger, viewer.email)
    link = LoginLink.objects.get()
    assert link.used_at is not None
    event = AuditEvent.objects.get(action="link:login:redeem")
    assert (event.result, event.target_id) == ("success", viewer.pk)
    started = AuditEvent.objects.get(action="account:session:start")
    assert started.detail == {"methods": ["magic_link"]}


def test_another_browser_must_confirm_by_post(
    stranger: Client, viewer: User, ask_link: Ask
) -> None:
    path = ask_link(stranger, viewer.email)
    other = Client(enforce_csrf_checks=True)

    page = other.get(path)

    assert page.status_code == 200
    assert b"v\xe2\x80\xa2\xe2\x80\xa2\xe2\x80\xa2@example.com" in page.content
    assert viewer.email.encode() not in page.content
    assert not is_in(other)
    token = re.search(rb'name="csrfmiddlewaretoken" value="([^"]+)"', page.content)
    assert token is not None
    answer = other.post(path, {"csrfmiddlewaretoken": token[1].decode()})
    assert (answer.status_code, answer["Location"]) == (302, "/account/")
    assert is_in(other, viewer.email)


def test_a_cross_site_post_redeems_nothing(stranger: Client, viewer: User, ask_link: Ask) -> None:
    path = ask_link(stranger, viewer.email)
    other = Client(enforce_csrf_checks=True)

    assert other.post(path).status_code == 403
    assert LoginLink.objects.get().used_at is None


def test_a003_scanners_consume_nothing(stranger: Client, viewer: User, ask_link: Ask) -> None:
    path = ask_link(stranger, viewer.email)

    answers = [Client().head(path), stranger.head(path), stranger.options(path)]
    answers += [Client(headers={"user-agent": name}).get(path) for name in SCANNERS]

    assert [answer.status_code for answer in answers] == [200, 200, 405, *[200] * 5]
    assert all("gatehouse_session" not in answer.cookies for answer in answers)
    assert BrowserSession.objects.count() == 0
    assert stranger.post(path).status_code == 302


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Purpose": "prefetch;prerender"},
        {"Purpose": "prefetch"},
        {"X-Purpose": "preview"},
        {"X-Moz": "prefetch"},
    ],
)
def test_prefetching_redeems_nothing(
    stranger: Client, viewer: User, ask_link: Ask, headers: dict[str, str]
) -> None:
    path = ask_link(stranger, viewer.email)

    assert stranger.get(path, headers=headers).status_code == 200
    assert LoginLink.objects.get().used_at is None


def test_confirmation_can_always_be_required(
    stranger: Client, viewer: User, ask_link: Ask, settings
) -> None:
    settings.MAGIC_LINK_CONFIRM = "always"
    path = ask_link(stranger, viewer.email)

    assert stranger.get(path).status_code == 200
    assert stranger.post(path).status_code == 302


def test_a_browser_signed_in_as_another_user_must_confirm(
    stranger: Client, viewer: User, editor: User, ask_link: Ask
) -> None:
    path = ask_link(stranger, viewer.email)
    stranger.post("/sign-in", {"login": editor.email, "password": PASSWORD})

    assert stranger.get(path).status_code == 200
    assert is_in(stranger, editor.email)
    assert stranger.post(path).status_code == 302
    assert is_in(stranger, viewer.email)
    assert editor.sessions.count() == 0


@pytest.mark.parametrize("method", ["get", "post", "head"])
def test_a_used_link_redirects_to_the_sign_in_page(
    stranger: Client, viewer: User, ask_link: Ask, method: str
) -> None:
    path = ask_link(stranger, viewer.email)
    stranger.get(path)
    late = Client()

    answer = getattr(late, method)(path)

    assert (answer.status_code, answer["Location"]) == (303, "/sign-in?notice=link-used")
    assert not is_in(late)
    assert BrowserSession.objects.count() == 1
    page = late.get(answer["Location"])
    assert b'action="/magic-link"' in page.content


def test_an_unknown_link_redirects_to_the_sign_in_page(stranger: Client, db: None) -> None:
    for path in ("/magic-link/" + "x" * 43, "/magic-link/x", "/magic-link/%00"):
        answer = stranger.get(path)
        assert (answer.status_code, answer["Location"]) == (303, "/sign-in?notice=link-unknown")


@pytest.mark.parametrize(("seconds", "is_let_in"), [(595, True), (601, False)])
def test_a005_a_link_expires_on_time(
    stranger: Client,
    viewer: User,
    ask_link: Ask,
    at_time: Callable[[timedelta], object],
    seconds: int,
    is_let_in: bool,
) -> None:
    path = ask_link(stranger, viewer.email)

    at_time(timedelta(seconds=seconds))
    answer = stranger.get(path)

    location = "/account/" if is_let_in else "/sign-in?notice=link-expired"
    assert answer["Location"] == location
    assert is_in(stranger) is is_let_in


LOSSES = {
    "disabled": ("account_disabled", lambda user: users.disable_user(actor=SYSTEM, user=user)),
    "password set": (
        "token_invalid",
        lambda user: set_password(actor=SYSTEM, user=user, new="an entirely new phrase of words"),
    ),
    "role changed": (
        "token_invalid",
        lambda user: users.change_role(actor=SYSTEM, user=user, role="editor"),
    ),
    "address moved behind its back": (
        "address changed",
        lambda user: User.objects.filter(pk=user.pk).update(email="else@example.com"),
    ),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a011_a013_a_link_from_before_access_was_lost_is_rejected(
    stranger: Client, viewer: User, ask_link: Ask, loss: str
) -> None:
    path = ask_link(stranger, viewer.email)
    reason, lose = LOSSES[loss]
    lose(viewer)

    answer = stranger.post(path)

    assert (answer.status_code, answer["Location"]) == (303, "/sign-in?notice=link-ended")
    assert BrowserSession.objects.count() == 0
    assert LoginLink.objects.get().used_at is None
    event = AuditEvent.objects.get(action="link:login:redeem")
    assert (event.result, event.detail) == ("refused", {"reason": reason})


def test_deleting_an_account_deletes_its_links(
    stranger: Client, viewer: User, ask_link: Ask
) -> None:
    path = ask_link(stranger, viewer.email)
    users.delete_user(actor=SYSTEM, user=viewer)

    assert stranger.get(path)["Location"] == "/sign-in?notice=link-unknown"


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "https:evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "/%0d%0aX: y",
    ],
)
def test_a015_a_link_redirects_only_to_the_own_host(
    stranger: Client, viewer: User, ask_link: Ask, target: str
) -> None:
    path = ask_link(stranger, viewer.email, next=target)

    location = stranger.get(path, {"next": target})["Location"]

    assert location in {"/account/", "/%0d%0aX:%20y"}


def test_a021_pages_of_a_link_have_no_referrer_and_are_not_cached(
    stranger: Client, viewer: User, ask_link: Ask
) -> None:
    path = ask_link(stranger, viewer.email)

    for answer in (Client().get(path), stranger.get(path), stranger.get(path)):
        assert answer["Referrer-Policy"] == "strict-origin"
        assert answer["Cache-Control"] == "no-store"


def test_redeeming_verifies_the_address(
    stranger: Client, make_user: Callable[..., User], ask_link: Ask
) -> None:
    user = make_user("viewer", "new@example.com", is_verified=False)

    stranger.get(ask_link(stranger, user.email))

    user.refresh_from_db()
    assert user.is_verified
    assert is_in(stranger)


def test_a023_credentials_from_before_the_verification_end(
    stranger: Client, make_user: Callable[..., User], ask_link: Ask, settings
) -> None:
    settings.ALLOW_UNVERIFIED_EMAIL_LOGIN = True
    user = make_user("viewer", "victim@example.com", is_verified=False)
    attacker = Client()
    attacker.post("/sign-in", {"login": user.email, "password": PASSWORD})
    assert is_in(attacker)

    stranger.get(ask_link(stranger, user.email))

    assert is_in(stranger)
    assert not is_in(attacker)
    assert attacker.post("/sign-in", {"login": user.email, "password": PASSWORD}).status_code == 401


def test_a_verified_account_keeps_its_password_and_its_other_devices(
    stranger: Client, viewer: User, ask_link: Ask, browser_of: Callable[[User], Client]
) -> None:
    other_device = browser_of(viewer)

    stranger.get(ask_link(stranger, viewer.email))

    assert is_in(stranger)
    assert is_in(other_device)
    viewer.refresh_from_db()
    assert viewer.check_password(PASSWORD)


def test_a_link_signs_in_only_one_device(stranger: Client, viewer: User, ask_link: Ask) -> None:
    stranger.get(ask_link(stranger, viewer.email))

    assert not is_in(Client())


def test_the_session_of_a_link_lasts_thirty_days_from_the_last_use(
    stranger: Client, viewer: User, ask_link: Ask, at_time: Callable[[timedelta], object]
) -> None:
    stranger.get(ask_link(stranger, viewer.email))

    at_time(timedelta(days=20))
    assert is_in(stranger)
    at_time(timedelta(days=45))
    assert is_in(stranger)
    at_time(timedelta(days=80))
    assert not is_in(stranger)


def test_a_failure_after_the_redemption_leaves_the_link_usable(
    stranger: Client, viewer: User, ask_link: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ask_link(stranger, viewer.email)
    broken = Client(raise_request_exception=False)

    with monkeypatch.context() as patch:
        patch.setattr("accounts.services.sessions.audit_log.record", _fail)
        assert broken.post(path).status_code == 500

    assert BrowserSession.objects.count() == 0
    assert stranger.get(path).status_code == 302


def _fail(*_args: object, **_options: object) -> None:
    raise RuntimeError("the database went away")


@pytest.mark.parametrize(
    ("happens", "error"),
    [
        (lambda user: LoginLink.objects.update(used_at=user.created_at), LinkUsed),
        (lambda user: LoginLink.objects.update(replaced_at=user.created_at), LinkReplaced),
        (lambda user: LoginLink.objects.update(expires_at=user.created_at), TokenExpired),
        (lambda user: users.delete_user(actor=SYSTEM, user=user), TokenInvalid),
    ],
)
def test_changes_between_look_up_and_redemption_are_respected(
    viewer: User,
    issued_path: Issue,
    happens: Callable[[User], object],
    error: type[TokenInvalid],
) -> None:
    link = find_link(issued_path(viewer).rpartition("/")[2])
    happens(viewer)

    with pytest.raises(TokenInvalid) as problem:
        redeem_link(link)

    assert type(problem.value) is error
    assert not AuditEvent.objects.filter(action="link:login:redeem").exists()


def test_a_requester_who_signed_in_meanwhile_is_redirected(
    stranger: Client, viewer: User, ask_link: Ask
) -> None:
    path = ask_link(stranger, viewer.email, next="/account/email")
    stranger.post("/sign-in", {"login": viewer.email, "password": PASSWORD})

    assert stranger.get(path)["Location"] == "/account/email"
    assert LoginLink.objects.get().used_at is not None


def test_a_link_opened_again_redirects_to_no_other_site(
    stranger: Client, viewer: User, ask_link: Ask
) -> None:
    path = ask_link(stranger, viewer.email, next="/account/email")
    assert stranger.get(path).status_code == 302
    LoginLink.objects.update(next_url="https://evil.example.com/")

    assert stranger.get(path).headers.get("Location", "/").startswith("/")


def test_a_link_issued_by_a_clock_ahead_ends_with_the_access(
    stranger: Client, viewer: User, issued_path: Issue, at_time: Callable[[timedelta], object]
) -> None:
    # Another node may have issued it, whose clock is ahead of ours.
    at_time(timedelta(seconds=30))
    path = issued_path(viewer)
    at_time(timedelta(0))
    revoke_credentials(viewer, "password changed")

    stranger.post(path)

    assert not is_in(stranger)
