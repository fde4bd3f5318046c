"""Changes of name, logo, color and support address, and where they are shown."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from django.urls import set_script_prefix

from accounts.actors import SYSTEM
from accounts.models import User
from accounts.services.branding import change_branding, stored
from audit.models import AuditEvent
from core.branding import current
from core.errors import Forbidden, RecordInvalid
from core.models import Branding
from mail.models import OutboxMail
from mail.outbox import enqueue_mail
from tests.conftest import MakeUser, text_of
from tests.core.branding import pictures

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]


@pytest.fixture(autouse=True)
def _reads_each_time(monkeypatch: pytest.MonkeyPatch, _default_branding: None) -> None:
    monkeypatch.setattr(current, "TTL_SECONDS", 0.0)
    current.forget()


def events() -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action="instance:branding:change").order_by("seq"))


def test_an_owner_changes_all_and_sets_it_back(owner: User) -> None:
    change_branding(
        actor=owner,
        changes={
            "name": "  Example   GmbH ",
            "color": "#1D4ED8",
            "support": "Help@Example.com",
            "logo": pictures.png(120, 40),
        },
    )

    brand = current.current()
    assert (brand.name, brand.color, brand.support) == (
        "Example GmbH", "#1d4ed8", "help@example.com"
    )  # fmt: skip
    assert brand.logo is not None
    assert (brand.logo.media_type, brand.logo.width, brand.logo.height) == ("image/png", 120, 40)

    change_branding(actor=owner, changes={"name": "", "color": "", "support": "", "logo": b""})

    assert current.current() == current.combine(None)
    assert [event.actor_id for event in events()] == [owner.pk, owner.pk]
    assert events()[0].detail == {
        "before": "name: -; color: -; support: -; logo: -",
        "after": "name: Example GmbH; color: #1d4ed8; support: help@example.com; "
        "logo: PNG, 120 by 40, 1 KB",
    }
    assert events()[1].detail["before"] == events()[0].detail["after"]


def test_the_same_again_writes_nothing(owner: User) -> None:
    for _turn in range(2):
        change_branding(actor=owner, changes={"name": "Example", "logo": pictures.png()})
    assert len(events()) == 1


def test_other_fields_stay(owner: User) -> None:
    change_branding(actor=owner, changes={"name": "Example"})
    change_branding(actor=owner, changes={"color": "#123456"})
    assert (stored().name, stored().color) == ("Example", "#123456")


@pytest.mark.parametrize("role", ["admin", "editor", "viewer", "none"])
def test_only_owners_change_it(role: str, make_user: MakeUser) -> None:
    with pytest.raises(Forbidden):
        change_branding(actor=make_user(role), changes={"name": "Evil"})
    assert not Branding.objects.exists()
    assert events() == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "<script>alert(1)</script>"),
        ("name", "Example\nBcc: victim@example.com"),
        ("name", "Example\r\nX: y"),
        ("name", "a\u202eb"),
        ("name", "x" * 41),
        ("name", "\u200b\u200b"),
        ("color", "red;}body{display:none"),
        ("color", "#fff;}*{color:red}"),
        ("color", "red"),
        ("support", "javascript:alert(1)"),
        ("support", "JaVaScRiPt:alert(1)//a@b.de"),
        ("support", "data:text/html,x"),
        ("support", "http://example.com"),
        ("support", "https://"),
        ("support", "https://user@example.com/"),
        ("support", 'https://example.com/"onclick="x'),
        ("support", "https://example.com/ x"),
        ("support", "https://example.com\\@evil.com"),
        ("support", "help@example.com\nBcc: x@example.com"),
        ("support", "help@example.com?bcc=x"),
        ("support", "nobody"),
        ("logo", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("logo", pictures.png(10_000, 10_000)),
        ("logo", pictures.png(more=b"<script>")),
        ("logo", b"GIF89a"),
    ],
)
def test_a_bad_value_is_refused_and_nothing_is_stored(
    owner: User, field: str, value: str | bytes
) -> None:
    with pytest.raises(RecordInvalid) as caught:
        change_branding(actor=owner, changes={"name": "Good", field: value})
    assert list(caught.value.errors) == [field]
    assert not Branding.objects.exists()
    assert events() == []


def test_all_faults_are_told_at_once(owner: User) -> None:
    with pytest.raises(RecordInvalid) as caught:
        change_branding(actor=owner, changes={"name": "<", "color": "x", "support": "x"})
    assert set(caught.value.errors) == {"name", "color", "support"}


@pytest.mark.parametrize(
    "support", ["https://example.com/help?topic=1", "https://help.example.com:8443", "a@b.de", ""]
)
def test_good_support_addresses(owner: User, support: str) -> None:
    change_branding(actor=owner, changes={"support": support})
    assert current.current().support == support


def test_what_a_variable_fixes_cannot_be_changed(owner: User, settings: Any) -> None:
    change_branding(actor=SYSTEM, changes={"color": "#123456"})
    settings.BRANDING = {"color": "#ff0000"}
    settings.BRANDING_LOCKS = {"color": "BRAND_COLOR"}

    with pytest.raises(RecordInvalid) as caught:
        change_branding(actor=owner, changes={"color": "#00ff00", "name": "Example"})

    assert caught.value.errors == {
        "color": ["BRAND_COLOR sets this. Change it where this server is configured."]
    }
    assert (current.current().color, stored().color) == ("#ff0000", "#123456")
    assert current.current().name == "Gatehouse"


def test_pages_ask_the_database_once_until_a_change(
    owner: User,
    stranger: Client,
    monkeypatch: pytest.MonkeyPatch,
    django_assert_num_queries: Any,
    django_capture_on_commit_callbacks: Any,
) -> None:
    monkeypatch.setattr(current, "TTL_SECONDS", 3600.0)
    current.current()
    with django_assert_num_queries(0):
        assert current.current().name == "Gatehouse"
    with django_capture_on_commit_callbacks(execute=True):
        change_branding(actor=owner, changes={"name": "Example"})
    assert current.current().name == "Example"
    assert b"\xc2\xb7 Example</title>" in stranger.get("/sign-in").content


def test_a_change_of_another_process_is_seen_after_the_time_to_live(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(current, "TTL_SECONDS", 2.0)
    now = 100.0
    monkeypatch.setattr("core.branding.current.time.monotonic", lambda: now)
    assert current.current().name == "Gatehouse"
    Branding.objects.create(name="Example")
    now = 101.9
    assert current.current().name == "Gatehouse"
    now = 102.1
    assert current.current().name == "Example"


def test_without_a_database_the_last_branding_is_shown(
    owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_branding(actor=owner, changes={"name": "Example"})
    assert current.current().name == "Example"

    def fail() -> None:
        raise OperationalError

    monkeypatch.setattr(current, "load", fail)
    assert current.current().name == "Example"
    current.forget()
    assert current.current().name == "Gatehouse"


def test_every_kind_of_page_shows_it(
    owner: User, viewer: User, stranger: Client, browser_of: BrowserOf
) -> None:
    change_branding(
        actor=owner,
        changes={
            "name": "Example & Co",
            "color": "#1d4ed8",
            "support": "help@example.com",
            "logo": pictures.png(120, 40),
        },
    )
    brand = current.current()
    for browser, path in (
        (stranger, "/sign-in"),
        (stranger, "/nothing-here"),
        (browser_of(viewer), "/account/"),
        (browser_of(viewer), "/settings/workspace/users"),
        (browser_of(owner), "/admin/"),
    ):
        page = browser.get(path).content.decode()
        assert "Example &amp; Co</title>" in page, path
        assert f'<img class="logo" src="{brand.logo_url}" alt=""' in page, path
        assert f'href="{brand.style_url}"' in page, path
        if path != "/admin/":
            assert '<a href="mailto:help@example.com"' in page, path


def test_the_sent_page_of_a_link_is_not_that_of_an_older_name(
    owner: User, stranger: Client
) -> None:
    for name in ("First", "Second"):
        change_branding(actor=owner, changes={"name": name})
        page = stranger.post("/magic-link", {"email": "vera@example.com"}).content.decode()
        assert f"· {name}</title>" in page


def test_mails_have_name_color_and_support(
    owner: User, viewer: User, mails: Callable[[], list[OutboxMail]]
) -> None:
    change_branding(
        actor=owner,
        changes={"name": "Example", "color": "#ffff00", "support": "https://example.com/help"},
    )
    enqueue_mail(kind="test", recipient=viewer.email, user=viewer, context={})
    (mail,) = mails()
    assert mail.subject == "Test mail from Example"
    assert "Questions? https://example.com/help" in text_of(mail)
    assert text_of(mail).endswith("Example, http://localhost:8000\n")


def test_the_stylesheet_and_the_logo_are_kept_for_ever_under_their_digest(
    owner: User, stranger: Client
) -> None:
    content = pictures.webp(60, 60)
    change_branding(actor=owner, changes={"color": "#1d4ed8", "logo": content})
    brand = current.current()

    style = stranger.get(brand.style_url)
    assert (style.status_code, style["Content-Type"]) == (200, "text/css; charset=utf-8")
    assert "--fill: #1d4ed8;" in style.content.decode()

    logo = stranger.get(brand.logo_url)
    assert (logo.status_code, logo["Content-Type"], logo.content) == (200, "image/webp", content)
    for answer in (style, logo):
        assert answer["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert "Set-Cookie" not in answer
        assert "Vary" not in answer


def test_the_page_for_denied_users_loads_everything_from_this_server(
    owner: User, viewer: User, browser_of: BrowserOf, settings: Any
) -> None:
    """It stands at the address of an app. The site may be below a path of its host."""
    change_branding(
        actor=owner,
        changes={
            "name": "Example",
            "color": "#1d4ed8",
            "logo": pictures.png(),
            "support": "a@b.de",
        },
    )
    settings.PUBLIC_URL, settings.PUBLIC_ORIGIN = "https://example.com/gate", "https://example.com"
    settings.STATIC_URL = "/gate/static/"
    set_script_prefix("/gate/")  # as the server does for FORCE_SCRIPT_NAME
    answer = browser_of(viewer).get(
        "/auth/forward?role=admin",
        headers={
            "accept": "text/html",
            "x-forwarded-host": "app.example.com",
            "x-forwarded-method": "GET",
            "x-forwarded-proto": "https",
            "x-forwarded-uri": "/",
        },
    )
    set_script_prefix("/")
    assert answer.status_code == 403
    page = answer.content.decode()
    logo, style = current.current().logo, current.current().style_digest
    assert logo is not None
    assert f'src="https://example.com/gate/branding/logo-{logo.digest}.png"' in page
    assert f'href="https://example.com/gate/branding/style-{style}.css"' in page
    assert 'class="brand" href="https://example.com/gate/"' in page
    assert "/gate/gate/" not in page
    assert "Example</title>" in page
    assert '<a href="mailto:a@b.de"' in page


@pytest.mark.parametrize("path", ["/branding/logo-0000.png", "/branding/style-0000.css"])
def test_an_older_address_answers_with_what_is_shown_now(
    owner: User, stranger: Client, path: str
) -> None:
    assert stranger.get(path).status_code == 404
    change_branding(actor=owner, changes={"color": "#1d4ed8", "logo": pictures.jpeg()})
    answer = stranger.get(path)
    assert (answer.status_code, answer["Cache-Control"]) == (200, "no-store")
