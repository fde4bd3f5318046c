"""The pages to add and edit a user, and the reset page."""

from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import User
from accounts.roles import Role
from audit.models import AuditEvent
from federation.providers import SignInSource
from federation.role_mapping import ClaimPath, RoleMapping, RoleRule
from federation.services.identities import ExternalUserInfo, resolve_user
from tests.admin.conftest import LIST, BrowserOf, MakeUser, edited, notices, page_of

pytestmark = pytest.mark.django_db
AsRole = Callable[[str], tuple[Client, User]]
NEW = {"email": " New@Example.com ", "name": " Nora  New ", "username": "Nora", "role": "viewer"}


@pytest.mark.parametrize(
    ("admin_role", "status", "made"),
    [
        ("stranger", 302, 0),
        ("viewer", 403, 0),
        ("editor", 403, 0),
        ("admin", 302, 1),
        ("owner", 302, 1),
    ],
)
def test_administrators_create_users(
    as_role: AsRole, admin_role: str, status: int, made: int
) -> None:
    browser, administrator = as_role(admin_role)

    answer = browser.post(f"{LIST}add/", NEW)

    assert answer.status_code == status
    assert User.objects.filter(email="new@example.com").count() == made
    events = AuditEvent.objects.filter(action="account:user:create")
    assert [event.actor_id for event in events] == [administrator.pk] * made


def test_a_new_user_has_the_given_values_and_no_password(as_role: AsRole) -> None:
    browser, _owner = as_role("owner")

    browser.post(f"{LIST}add/", NEW | {"email_verified": "on", "role": "editor"})

    made = User.objects.get(email="new@example.com")
    assert (made.name, made.username, made.role) == ("Nora New", "nora", "editor")
    assert (made.is_verified, made.has_usable_password(), made.setup_completed) == (
        True,
        False,
        True,
    )


def test_an_address_is_unverified_unless_the_box_is_ticked(as_role: AsRole) -> None:
    browser, _owner = as_role("owner")

    browser.post(f"{LIST}add/", NEW)

    assert not User.objects.get(email="new@example.com").is_verified


@pytest.mark.parametrize(
    ("admin_role", "offered"),
    [("admin", ["editor", "viewer", "none"]),
     ("owner", ["owner", "admin", "editor", "viewer", "none"])],
)  # fmt: skip
def test_only_roles_that_may_be_given_are_offered(
    as_role: AsRole, make_user: MakeUser, admin_role: str, offered: list[str]
) -> None:
    browser, _administrator = as_role(admin_role)
    person = make_user("viewer", "person@example.com")

    for url in (f"{LIST}add/", page_of(person)):
        form = browser.get(url).context["adminform"].form
        assert form["role"].value() == "viewer"
        assert [value for value, _label in form.fields["role"].choices] == offered


@pytest.mark.parametrize("role", ["admin", "owner", "bogus", "", None])
def test_an_admin_cannot_forge_a_role_above_their_rank(
    as_role: AsRole, make_user: MakeUser, role: str | None
) -> None:
    browser, _admin = as_role("admin")
    person = make_user("viewer", "person@example.com")
    given = {} if role is None else {"role": role}
    new = {key: value for key, value in NEW.items() if key != "role"}
    shown = {key: value for key, value in edited(person).items() if key != "role"}

    added = browser.post(f"{LIST}add/", new | given)
    changed = browser.post(page_of(person), shown | given)

    for answer in (added, changed):
        assert answer.status_code == 200
        assert "role" in answer.context["adminform"].form.errors
    person.refresh_from_db()
    assert person.role == "viewer"
    assert not User.objects.filter(email="new@example.com").exists()


FORGED = {
    "is_staff": "on",
    "is_superuser": "on",
    "password": "pbkdf2_sha256$1$a$b",
    "password1": "owned owned owned",
    "credentials_valid_from": "2000-01-01 00:00:00",
    "credentials_valid_from_0": "2000-01-01",
    "id": "00000000-0000-0000-0000-000000000000",
    "pk": "00000000-0000-0000-0000-000000000000",
    "setup_completed": "",
    "is_active": "",
    "email_verified_at_0": "2000-01-01",
    "email_verified_at": "2000-01-01",
    "last_login_0": "2000-01-01",
    "created_at": "2000-01-01",
    "email_verified": "on",
}


def test_forged_fields_change_nothing(as_role: AsRole, make_user: MakeUser) -> None:
    browser, _admin = as_role("admin")
    person = make_user("viewer", "person@example.com", is_verified=False)
    before = User.objects.filter(pk=person.pk).values().get()

    answer = browser.post(page_of(person), edited(person, name="Changed") | FORGED)

    assert answer.status_code == 302
    changed = {"name": "Changed", "search_text": "person@example.com\n\nchanged"}
    assert User.objects.filter(pk=person.pk).values().get() == before | changed
    assert User.objects.count() == 2


def test_forged_fields_of_a_new_user_change_nothing(as_role: AsRole) -> None:
    browser, _admin = as_role("admin")

    browser.post(
        f"{LIST}add/", NEW | {key: FORGED[key] for key in FORGED if key != "email_verified"}
    )

    made = User.objects.get(email="new@example.com")
    assert (made.is_staff, made.is_superuser, made.has_usable_password()) == (False, False, False)
    assert (made.is_active, made.setup_completed, made.is_verified) == (True, True, False)
    assert (str(made.pk) != FORGED["id"], made.created_at.year > 2000) == (True, True)


@pytest.mark.parametrize(
    ("field", "typed", "text"),
    [
        ("email", "no address", "Enter one email address, like name@example.com."),
        ("email", "", "This field is required."),
        ("email", "taken@example.com", "Another account has this address."),
        ("email", "TAKEN@example.com ", "Another account has this address."),
        ("username", "taken", "Another account has this user name."),
        ("username", "-x", "Use letters, digits, dots, hyphens and underscores, at most 64."),
        ("name", "x" * 151, "Ensure this value has at most 150 characters (it has 151)."),
        ("name", "a\x00b", "Null characters are not allowed."),
    ],
)
def test_errors_are_shown_beside_their_fields(
    as_role: AsRole, make_user: MakeUser, field: str, typed: str, text: str
) -> None:
    browser, _owner = as_role("owner")
    make_user("viewer", "taken@example.com", username="taken")
    person = make_user("viewer", "person@example.com", name="Person")
    before = User.objects.filter(pk=person.pk).values().get()

    answers = [
        browser.post(f"{LIST}add/", NEW | {field: typed}),
        browser.post(page_of(person), edited(person, role="editor") | {field: typed}),
    ]

    for answer in answers:
        assert answer.status_code == 200
        assert answer.context["adminform"].form.errors == {field: [text]}
    assert User.objects.filter(pk=person.pk).values().get() == before
    assert not User.objects.filter(email="new@example.com").exists()


def test_role_and_address_change_together_or_neither(as_role: AsRole, make_user: MakeUser) -> None:
    browser, owner = as_role("owner")
    person = make_user("viewer", "person@example.com")

    browser.post(page_of(person), edited(person, email="moved@example.com", role="editor"))

    person.refresh_from_db()
    assert (person.email, person.role, person.is_verified) == ("moved@example.com", "editor", False)
    events = AuditEvent.objects.filter(actor_id=owner.pk, target_id=person.pk)
    assert [(event.action, event.detail) for event in events.order_by("seq")] == [
        ("account:user:edit", {"fields": ["email"]}),
        ("account:role:change", {"before": "viewer", "after": "editor"}),
    ]


def test_a_form_saved_unchanged_writes_nothing(as_role: AsRole, make_user: MakeUser) -> None:
    browser, _owner = as_role("owner")
    person = make_user("viewer", "person@example.com", username="person", name="Per Son")
    before = User.objects.filter(pk=person.pk).values().get()

    assert browser.post(page_of(person), edited(person)).status_code == 302

    assert User.objects.filter(pk=person.pk).values().get() == before
    assert not AuditEvent.objects.filter(target_id=person.pk).exists()


def test_a_user_name_can_be_removed(as_role: AsRole, make_user: MakeUser) -> None:
    browser, _owner = as_role("owner")
    person = make_user("viewer", "person@example.com", username="person")

    browser.post(page_of(person), edited(person, username=""))

    person.refresh_from_db()
    assert person.username is None


def test_the_own_address_is_changed_only_on_the_account_page(as_role: AsRole) -> None:
    browser, owner = as_role("owner")

    answer = browser.post(page_of(owner), edited(owner, email="else@example.com", name="Olga"))

    assert answer.status_code == 302
    owner.refresh_from_db()
    assert (owner.email, owner.name) == ("operator-owner@example.com", "Olga")


def test_the_page_of_a_user_shows_devices_and_latest_events(
    as_role: AsRole, make_user: MakeUser, browser_of: BrowserOf
) -> None:
    browser, owner = as_role("owner")
    person = make_user("viewer", "person@example.com")
    browser_of(person)
    browser.post(page_of(person, "verify"))

    page = browser.get(page_of(person))

    content = page.content.decode()
    shown = {one.section.name: one.content.rows for one in page.context["sections"]}
    assert [row.cells[1] for row in shown["sessions"]] == ["127.0.0.1"]
    assert "Firefox" in content
    assert "person@example.com signed in (password)." in content
    assert str(person.pk) in content
    for name in ("reset", "disable", "end-sessions"):
        assert f'action="{page_of(person, name)}"' in content
    assert page_of(person, "enable") not in content
    assert owner.email in content


def test_the_reset_link_is_shown_once_on_a_page_that_is_not_cached(
    as_role: AsRole, make_user: MakeUser
) -> None:
    browser, _owner = as_role("owner")
    person = make_user("viewer", "person@example.com")

    answer = browser.post(page_of(person, "reset"))

    link = answer.context["panel"]["rows"][0]["link"].url
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    assert answer["Referrer-Policy"] == "strict-origin"
    assert link in answer.content.decode()
    assert 'type="password"' not in answer.content.decode()
    assert link not in browser.get(page_of(person)).content.decode()
    person.refresh_from_db()
    assert not person.has_usable_password()


def test_administrators_cannot_reset_themselves_in_the_admin(as_role: AsRole) -> None:
    browser, owner = as_role("owner")

    answer = browser.post(page_of(owner, "reset"))

    assert (answer.status_code, answer["Location"]) == (302, page_of(owner))
    assert notices(browser) == ["change your own password on your account page"]
    owner.refresh_from_db()
    assert owner.has_usable_password()


def test_a_disabled_user_gets_no_reset_link(as_role: AsRole, make_user: MakeUser) -> None:
    browser, _owner = as_role("owner")
    person = make_user("viewer", "person@example.com", is_active=False)

    answer = browser.post(page_of(person, "reset"))

    assert (answer.status_code, answer["Location"]) == (302, page_of(person))
    assert notices(browser) == ["This account is disabled. Ask an administrator."]


def test_the_delete_page_lists_what_is_deleted_and_get_deletes_nothing(
    as_role: AsRole, make_user: MakeUser, browser_of: BrowserOf
) -> None:
    browser, _owner = as_role("owner")
    person = make_user("viewer", "person@example.com")
    browser_of(person)

    page = browser.get(page_of(person, "delete"))

    assert page.status_code == 200
    assert "<li>Sessions: 1</li>" in page.content.decode()
    assert User.objects.filter(pk=person.pk).exists()


def test_the_page_shows_the_source_of_a_role_and_can_lock_another(
    as_role: AsRole, make_user: MakeUser
) -> None:
    browser, owner = as_role("owner")
    source = SignInSource(
        id="work", label="Work", allows_registration=True,
        mapping=RoleMapping(
            rules=(RoleRule(ClaimPath("groups"), frozenset({"staff"}), Role.EDITOR),), updates=True
        ),
    )  # fmt: skip
    info = ExternalUserInfo(
        subject="1", email="w@example.com", email_verified=True, claims={"id": {"groups": "staff"}}
    )
    person = resolve_user(source, info)

    text = browser.get(page_of(person)).content.decode()
    browser.post(page_of(person), edited(person, role="viewer") | {"role_locked": "on"})
    resolve_user(source, info)

    assert "editor: groups holds staff" in text
    person.refresh_from_db()
    assert (person.role, person.role_locked) == ("viewer", True)
    assert "Kept by an administrator" in browser.get(page_of(person)).content.decode()
    kept = AuditEvent.objects.get(action="account:role:keep")
    assert (kept.actor_id, kept.target_id, kept.detail) == (owner.pk, person.pk, {"kept": True})
