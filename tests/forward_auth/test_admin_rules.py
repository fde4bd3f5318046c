"""Access rules in the admin: permissions, form, order, warnings, simulation."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.access_policy import DenialReason
from accounts.actors import SYSTEM
from accounts.admin.dashboard import content as dashboard
from accounts.models import User
from accounts.roles import Role
from accounts.services.groups.changes import create_group, delete_group
from accounts.services.groups.members import add_member
from api.models import ApiKey
from audit.models import AuditEvent
from core.errors import Forbidden, NotFound, RecordInvalid
from forward_auth.models import AccessRule
from forward_auth.services import rules as service
from forward_auth.services.simulation import (
    SimulatedRequest,
    Subject,
    find_subject,
    simulate,
    subject_for_key,
    subject_for_user,
)
from moderation.models import Ban
from operations import doctor
from tests.api.keys import made

pytestmark = pytest.mark.django_db
MakeUser = Callable[..., User]
BrowserOf = Callable[..., Client]
RULES, TRY = "/admin/forward_auth/accessrule/", "/admin/forward_auth/accessrule/try/"
WIKI = {
    "name": "Wiki",
    "effect": "role",
    "role": "editor",
    "host": "Wiki.example.com",
    "path": "/edit",
    "methods": ["POST", "GET"],
    "networks": "10.0.0.0/8\n203.0.113.7",
    "is_enabled": "on",
}


@pytest.fixture
def panel(owner: User, browser_of: BrowserOf) -> Client:
    """The browser of an owner."""
    return browser_of(owner)


def rule(name: str, effect: str = "deny", **fields: Any) -> AccessRule:
    return service.create_rule(actor=SYSTEM, rule=AccessRule(name=name, effect=effect, **fields))


def names() -> list[str]:
    return list(AccessRule.objects.values_list("name", flat=True))


def audited(action: str) -> AuditEvent:
    return AuditEvent.objects.filter(action=action).latest("seq")


# Who may


@pytest.mark.parametrize("address", [RULES, TRY])
def test_only_administrators_see_rules(
    address: str, stranger: Client, make_user: MakeUser, browser_of: BrowserOf
) -> None:
    statuses = {
        role: browser_of(make_user(role)).get(address).status_code
        for role in ("viewer", "editor", "admin", "owner")
    }

    assert statuses == {"viewer": 403, "editor": 403, "admin": 200, "owner": 200}
    assert stranger.get(address)["location"] == f"/sign-in?next={address}"


def test_an_admin_cannot_change_rules(admin: User, browser_of: BrowserOf) -> None:
    row = rule("Wiki")
    browser = browser_of(admin)

    assert browser.get(f"{RULES}add/").status_code == 403
    assert browser.post(f"{RULES}{row.pk}/change/", WIKI).status_code == 403
    assert browser.post(f"{RULES}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    browser.post(f"{RULES}{row.pk}/switch/off/")
    browser.post(f"{RULES}{row.pk}/move/up/")

    row.refresh_from_db()
    assert (row.name, row.effect, row.is_enabled) == ("Wiki", "deny", True)
    page = browser.get(RULES).content.decode()
    assert "Only owners change rules." in page
    assert "formaction" not in page
    assert browser.get(f"{RULES}{row.pk}/change/").status_code == 200


@pytest.mark.parametrize("role", [Role.ADMIN, Role.EDITOR, Role.VIEWER])
def test_the_service_allows_only_owners(make_user: MakeUser, role: Role) -> None:
    actor, row = make_user(role), rule("Wiki")
    acts: list[Callable[[], Any]] = [
        lambda: service.create_rule(actor=actor, rule=AccessRule(name="x", effect="deny")),
        lambda: service.change_rule(actor=actor, rule=row),
        lambda: service.set_rule_enabled(actor=actor, rule=row, is_enabled=False),
        lambda: service.move_rule(actor=actor, rule=row, places=1),
        lambda: service.delete_rule(actor=actor, rule=row),
    ]

    for act in acts:
        with pytest.raises(Forbidden):
            act()

    assert names() == ["Wiki"]


# The form


def test_an_owner_adds_a_rule_at_the_end(panel: Client, owner: User) -> None:
    rule("First")

    answer = panel.post(f"{RULES}add/", WIKI)

    assert answer["location"] == RULES
    row = AccessRule.objects.get(name="Wiki")
    assert names() == ["First", "Wiki"]
    assert (row.host, row.path, row.role) == ("wiki.example.com", "/edit", "editor")
    assert (row.methods, row.networks) == (["GET", "POST"], ["10.0.0.0/8", "203.0.113.7/32"])
    event = audited("sso:rule:create")
    assert (event.actor_id, event.target_id) == (owner.pk, row.pk)
    assert event.detail["after"] == {
        "name": "Wiki", "is_enabled": True, "effect": "role", "role": "editor",
        "host": "wiki.example.com", "path": "/edit", "methods": ["GET", "POST"],
        "networks": ["10.0.0.0/8", "203.0.113.7/32"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("field", "typed", "message"),
    [
        ("host", "https://wiki.example.com", "without https://"),
        ("path", "wiki", "begin with a slash"),
        ("networks", "10.0.0.1/8", "Enter 10.0.0.0/8"),
        ("methods", ["BREW"], "BREW"),
        ("name", "", "required"),
        ("effect", "", "required"),
    ],
)
def test_an_invalid_field_says_what_is_wrong(
    panel: Client, field: str, typed: Any, message: str
) -> None:
    answer = panel.post(f"{RULES}add/", {**WIKI, field: typed})

    assert answer.status_code == 200
    assert list(answer.context["adminform"].form.errors) == [field]
    assert message in answer.content.decode()
    assert names() == []


def test_a_rule_keeps_its_groups_even_a_deleted_one(panel: Client, owner: User) -> None:
    """To drop a deleted group in silence would open the rule to everyone with the role."""
    finance, staff = (create_group(actor=owner, name=name) for name in ("finance", "staff"))
    panel.post(f"{RULES}add/", WIKI | {"group_ids": [str(finance.pk), str(staff.pk)]})
    row = AccessRule.objects.get()
    delete_group(actor=owner, group=staff, confirmed=True)

    page = panel.get(f"{RULES}{row.pk}/change/")
    assert page.context["adminform"].form["group_ids"].value() == row.group_ids
    assert "a deleted group" in page.content.decode()
    assert "Editor and above in a deleted group or finance" in panel.get(RULES).content.decode()
    panel.post(f"{RULES}{row.pk}/change/", WIKI | {"group_ids": row.group_ids, "path": "/x"})
    assert AccessRule.objects.get().group_ids == [str(finance.pk), str(staff.pk)]
    assert audited("sso:rule:change").detail["after"] == {"path": "/x"}
    answer = panel.post(
        f"{RULES}{row.pk}/change/", WIKI | {"group_ids": row.group_ids, "effect": "public"}
    )
    assert list(answer.context["adminform"].form.errors) == ["group_ids"]


def test_a_change_names_what_was_before_and_after(panel: Client) -> None:
    row = rule("Wiki", host="wiki.example.com")

    panel.post(f"{RULES}{row.pk}/change/", WIKI)

    event = audited("sso:rule:change")
    assert event.target_id == row.pk
    assert event.detail["before"] == {
        "effect": "deny", "role": "viewer", "path": "", "methods": [], "networks": [],
    }  # fmt: skip
    assert event.detail["after"] == {
        "effect": "role", "role": "editor", "path": "/edit", "methods": ["GET", "POST"],
        "networks": ["10.0.0.0/8", "203.0.113.7/32"],
    }  # fmt: skip


def test_saving_without_a_change_writes_nothing(panel: Client) -> None:
    row = rule("Wiki")

    panel.post(f"{RULES}{row.pk}/change/", {
        "name": "Wiki", "effect": "deny", "role": "viewer", "is_enabled": "on",
    })  # fmt: skip

    assert not AuditEvent.objects.filter(action="sso:rule:change").exists()


def test_deleting_asks_first(panel: Client) -> None:
    row = rule("Wiki")

    page = panel.get(f"{RULES}{row.pk}/delete/").content.decode()
    assert "Delete the rule <strong>Wiki</strong>?" in page
    assert names() == ["Wiki"]
    panel.post(f"{RULES}{row.pk}/delete/", {"post": "yes"})

    assert names() == []
    assert audited("sso:rule:delete").detail["name"] == "Wiki"


def test_the_page_of_a_rule_links_to_its_audit_log(panel: Client) -> None:
    row = rule("Wiki")

    answer = panel.get(f"{RULES}{row.pk}/history/", follow=True)

    assert [one.action for one in answer.context["cl"].result_list] == ["sso:rule:create"]


# The order


@pytest.mark.parametrize(
    ("name", "way", "after"),
    [
        ("b", "up", ["b", "a", "c"]),
        ("b", "down", ["a", "c", "b"]),
        ("a", "up", ["a", "b", "c"]),
        ("c", "down", ["a", "b", "c"]),
    ],
)
def test_a_button_moves_a_rule_by_one_place(
    panel: Client, name: str, way: str, after: list[str]
) -> None:
    rows = {one: rule(one) for one in "abc"}

    answer = panel.post(f"{RULES}{rows[name].pk}/move/{way}/")

    assert answer["location"] == RULES
    assert names() == after
    is_moved = after != ["a", "b", "c"]
    assert AuditEvent.objects.filter(action="sso:rule:move").exists() is is_moved


def test_rules_of_one_position_are_moved_apart() -> None:
    for name in "abc":
        AccessRule.objects.create(name=name, effect="deny", position=100)

    service.move_rule(actor=SYSTEM, rule=AccessRule.objects.get(name="c"), places=-1)

    assert names() == ["a", "c", "b"]
    assert list(AccessRule.objects.values_list("position", flat=True)) == [10, 20, 30]


@pytest.mark.parametrize("address", ["move/sideways/", "switch/maybe/"])
def test_an_unknown_direction_is_not_found(panel: Client, address: str) -> None:
    assert panel.post(f"{RULES}{rule('a').pk}/{address}").status_code == 404


def test_a_button_accepts_only_post(panel: Client) -> None:
    assert panel.get(f"{RULES}{rule('a').pk}/move/up/").status_code == 405


def test_a_disabled_rule_is_kept_and_not_evaluated(panel: Client) -> None:
    row = rule("Wiki")

    panel.post(f"{RULES}{row.pk}/switch/off/")
    assert service.load_rules() == ()
    panel.post(f"{RULES}{row.pk}/switch/on/")

    assert [one.name for one in service.load_rules()] == ["Wiki"]


def test_a_deleted_rule_is_not_found() -> None:
    row = rule("Wiki")
    AccessRule.objects.all().delete()

    for act in (service.change_rule, service.delete_rule):
        with pytest.raises(NotFound):
            act(actor=SYSTEM, rule=AccessRule(pk=row.pk, name="x", effect="deny"))


def test_the_number_of_rules_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MAX_RULES", 1)
    rule("a")

    with pytest.raises(RecordInvalid):
        rule("b")


def test_the_list_marks_rules_that_are_never_reached(panel: Client) -> None:
    rule("all", effect="role", role="viewer")
    rule("late", host="b.example.com")
    service.set_rule_enabled(actor=SYSTEM, rule=rule("off"), is_enabled=False)

    page = panel.get(RULES).content.decode()

    states = re.findall(r'field-state"><span class="badge[^>]*>([^<]+)<', page)
    assert states == ["In use", "Never reached", "Not in use"]


def test_each_rule_has_buttons_that_move_and_switch_it(panel: Client) -> None:
    used, unused = rule("used"), rule("unused", is_enabled=False)

    page = panel.get(RULES).content.decode()

    buttons = re.findall(r'formaction="([^"]+)" aria-label="([^"]+)"', page)
    assert buttons == [
        (f"{RULES}{used.pk}/move/up/", "Move up: used"),
        (f"{RULES}{used.pk}/move/down/", "Move down: used"),
        (f"{RULES}{used.pk}/switch/off/", "Stop using: used"),
        (f"{RULES}{unused.pk}/move/up/", "Move up: unused"),
        (f"{RULES}{unused.pk}/move/down/", "Move down: unused"),
        (f"{RULES}{unused.pk}/switch/on/", "Use: unused"),
    ]


def test_a_rule_is_stored_normalized() -> None:
    row = rule("Wiki", host="Wiki.Example.com", methods=["POST", "GET"], networks=["203.0.113.7"])

    row.refresh_from_db()
    assert row.host == "wiki.example.com"
    assert (row.methods, row.networks) == (["GET", "POST"], ["203.0.113.7/32"])


# Warnings


def test_open_registration_with_a_rule_for_viewers_is_a_warning(
    panel: Client, settings: Any
) -> None:
    settings.ALLOW_REGISTRATION, settings.DEFAULT_ROLE = True, "viewer"
    rule("Wiki", effect="role", role="viewer", host="wiki.example.com")
    title = "Anyone can give themselves access to your sites."

    page = panel.get(RULES).content.decode()

    assert title in page
    assert "rule “Wiki”, requests that match no rule" in page
    assert title in [advice.title for advice in dashboard.context()["warnings"]]
    found = [one for one in doctor.examine() if one.text.startswith(title)]
    assert [one.level for one in found] == ["warning"]


@pytest.mark.parametrize(
    ("is_open", "role", "effect"),
    [(False, "viewer", "role"), (True, "none", "role"), (True, "viewer", "deny")],
)
def test_without_open_registration_there_is_no_warning(
    panel: Client, settings: Any, is_open: bool, role: str, effect: str
) -> None:
    settings.ALLOW_REGISTRATION, settings.DEFAULT_ROLE = is_open, role
    rule("All", effect=effect, role="viewer")

    assert panel.get(RULES).context["warnings"] == []
    assert "Anyone could" not in " ".join(one.text for one in doctor.examine())


def test_without_forward_auth_the_dashboard_has_no_warning(settings: Any) -> None:
    settings.ALLOW_REGISTRATION, settings.DEFAULT_ROLE = True, "viewer"

    titles = [advice.title for advice in dashboard.context()["warnings"]]

    assert "Anyone can give themselves access to your sites." not in titles


def test_rules_that_strangers_can_use_are_on_the_overview() -> None:
    rule("Status", effect="public", host="status.example.com", path="/public")
    rule("Office", effect="public", host="wiki.example.com", networks=["10.0.0.0/8"])
    rule("World", effect="public", host="www.example.com", networks=["0.0.0.0/0"])
    rule("Members", effect="role", role="viewer", host="app.example.com")

    (shown,) = [one for one in dashboard.context()["warnings"] if "without signing in" in one.title]

    assert shown.title == "2 access rules let everyone in without signing in."
    assert shown.text == (
        "“Status”: status.example.com/public; “World”: www.example.com from 0.0.0.0/0."
    )
    assert (shown.tone, shown.url) == ("warn", RULES)


def test_a_rule_that_no_request_reaches_is_not_on_the_overview() -> None:
    rule("All", effect="deny")
    rule("Status", effect="public", host="status.example.com")

    titles = [one.title for one in dashboard.context()["warnings"]]

    assert not [title for title in titles if "without signing in" in title]


def test_a_public_host_is_a_warning(panel: Client, settings: Any) -> None:
    settings.ALLOW_REGISTRATION = False
    rule("Blog", effect="public", host="blog.example.com")
    rule("Feed", effect="public", path="/feed")

    (advice,) = panel.get(RULES).context["warnings"]

    assert advice.title == "“Blog” allows everyone, without signing in."


# To try


def tried(panel: Client, **asked: str) -> dict[str, Any]:
    """The result of the page."""
    typed = {"method": "GET", "ip": "203.0.113.7", "url": "https://wiki.example.com/edit/x"}
    answer = panel.post(TRY, typed | asked)
    assert answer.status_code == 200
    result: dict[str, Any] = answer.context["result"]
    return result


def test_the_simulation_names_the_deciding_rule_and_why_others_do_not_match(
    panel: Client, viewer: User
) -> None:
    rule("Blog", effect="public", host="blog.example.com")
    rule("Wiki", effect="role", role="editor", path="/edit")
    rule("Late")

    result = tried(panel, who=viewer.email)

    assert (result["status"], result["headline"]) == (403, "This request is denied.")
    assert ">Wiki</a>" in result["decision"]
    assert [row.why for row in result["rules"]] == [
        "host", "", "an earlier rule matches",
    ]  # fmt: skip
    assert [row.decides for row in result["rules"]] == [False, True, False]
    assert result["checks"][-1].why == "requires the role Editor; the user has Viewer"
    assert result["headers"] == []


def test_the_simulation_says_which_group_is_missing(
    panel: Client, owner: User, viewer: User
) -> None:
    finance, staff = (create_group(actor=owner, name=name) for name in ("finance", "staff"))
    rule("Ledger", effect="role", role="viewer", group_ids=[str(finance.pk)])
    add_member(actor=owner, user=viewer, group=staff)

    denied = tried(panel, who=viewer.email)
    add_member(actor=owner, user=viewer, group=finance)
    passed = tried(panel, who=viewer.email)

    assert (denied["status"], passed["status"]) == (403, 204)
    assert denied["why"] == "requires a group: finance; the user is in staff"
    assert passed["checks"][-1].question == "Is the user in one of the groups?"
    assert dict(passed["headers"])["Remote-Groups"] == "viewer,finance,staff"
    assert service.uses_of_group(finance)[0].what == "Access rule “Ledger”"


def test_the_simulation_shows_the_identity_headers(panel: Client, make_user: MakeUser) -> None:
    make_user("editor", "jo@example.com", name="Jö")

    result = tried(panel, who="jo@example.com", method="POST")

    assert result["status"] == 204
    assert [row.question for row in result["checks"]] == [
        "Is a user signed in who may act?",
        "Is the email address confirmed?",
        "Does the rule allow anyone?",
        "Is the role high enough?",
    ]
    assert dict(result["headers"])["Remote-Name"] == "Jö"
    assert dict(result["headers"])["Remote-Groups"] == "editor"


def test_an_anonymous_request_is_simulated(panel: Client) -> None:
    result = tried(panel, who="")

    assert result["status"] == 401
    assert result["headline"] == "This request is denied: sign in first."


def test_a_banned_user_is_simulated_with_the_reason(panel: Client, viewer: User) -> None:
    now = timezone.now()
    Ban.objects.create(user=viewer, kind="manual", until=now + timedelta(hours=1), reason="Spam")

    result = tried(panel, who=viewer.email)

    assert result["status"] == 401
    assert "banned" in result["checks"][-1].why


@pytest.mark.parametrize(
    ("change", "status", "why"),
    [
        ({}, 204, ""),
        ({"revoked_at": timezone.now()}, 401, "The key is revoked."),
        ({"networks": ["10.0.0.0/8"]}, 401, "not for this network"),
        ({"scopes": []}, 403, "no scope"),
    ],
)
def test_a_key_is_simulated_by_its_id(
    panel: Client, editor: User, change: Any, status: int, why: str
) -> None:
    key = made(editor).key
    ApiKey.objects.update(**change)

    result = tried(panel, who=f"gth_{key.pk}")

    assert result["status"] == status
    assert why in result["checks"][-1].why


def strike(_user: User) -> DenialReason:
    """A check of a team's own: ACCESS_CHECKS names it."""
    return DenialReason("strike", "Not today.")


def _proxy_client(user: User, kind: str, browser_of: Any) -> tuple[Client, Subject]:
    """A client with a credential of the user, and the subject that stands for it."""
    if kind == "session":
        return browser_of(user), subject_for_user(user)
    issued = made(user)
    return Client(headers={"x-api-key": issued.text}), subject_for_key(issued.key)


def _statuses(client: Client, subject: Subject) -> list[int]:
    """The decision for a proxy about a page of an app, and the result of the simulation."""
    url = "https://wiki.example.com/"
    asked = {"x-original-url": url, "x-original-method": "GET"}
    real = client.get("/auth/check", headers=asked).status_code
    return [real, simulate(SimulatedRequest(url), subject).result.decision.status]


@pytest.mark.parametrize(("kind", "status"), [("session", 401), ("key", 403)])
def test_a_custom_access_check_is_simulated(
    viewer: User, browser_of: Any, settings: Any, kind: str, status: int
) -> None:
    client, before = _proxy_client(viewer, kind, browser_of)
    assert _statuses(client, before) == [204, 204]
    settings.ACCESS_CHECKS = [f"{__name__}.strike"]
    subject = find_subject(f"gth_{before.key.pk}" if before.key else viewer.email)

    assert subject is not None
    assert _statuses(client, subject) == [status, status]
    assert subject.note == "Not today."


@pytest.mark.parametrize(("networks", "status"), [([], 403), (["10.0.0.0/8"], 401)])
def test_a_key_of_a_banned_user_in_another_network_is_simulated(
    viewer: User, networks: list[str], status: int
) -> None:
    issued = made(viewer)
    ApiKey.objects.update(networks=networks)
    Ban.objects.create(user=viewer, kind="manual", reason="Spam")
    subject = find_subject(f"gth_{issued.key.pk}")

    assert subject is not None
    assert _statuses(Client(headers={"x-api-key": issued.text}), subject) == [status, status]


@pytest.mark.parametrize(("kind", "status"), [("session", 401), ("key", 204)])
def test_a_missing_second_factor_is_simulated(
    admin: User, browser_of: Any, settings: Any, kind: str, status: int
) -> None:
    client, before = _proxy_client(admin, kind, browser_of)
    assert _statuses(client, before) == [204, 204]
    settings.MFA_REQUIRED_ROLES = ("admin",)
    subject = find_subject(f"gth_{before.key.pk}" if before.key else admin.email)

    assert subject is not None
    assert _statuses(client, subject) == [status, status]


def test_a_link_simulates_at_once(panel: Client, viewer: User) -> None:
    answer = panel.get(TRY, {"who": str(viewer.pk), "url": "app.example.com/"})

    assert answer.context["result"]["status"] == 204
    assert viewer.email in answer.context["result"]["who"]


@pytest.mark.parametrize(
    ("field", "typed"), [("who", "nobody@example.net"), ("ip", "home"), ("url", "")]
)
def test_an_unknown_value_is_reported_beside_its_field(
    panel: Client, field: str, typed: str
) -> None:
    answer = panel.post(TRY, {"url": "https://a.example.com/", "method": "GET", field: typed})

    assert list(answer.context["form"].errors) == [field]
    assert answer.context["result"] is None


def test_an_ambiguous_path_is_reported(panel: Client, owner: User) -> None:
    rule("Shut", path="/shut")

    result = tried(panel, who=owner.email, url="https://a.example.com/%ff")

    assert (result["status"], result["unclear"]) == (403, ["path"])
    assert result["rules"][0].why == "not clear: path"


def test_a_path_with_several_readings_shows_the_deciding_one(panel: Client, owner: User) -> None:
    rule("Shut", path="/shut")

    result = tried(panel, who=owner.email, url="https://a.example.com/ü/..//shut")

    assert (result["status"], result["unclear"], result["path"]) == (403, [], "/shut")
    assert result["rules"][0].why == ""
    assert tried(panel, who=owner.email, url="https://a.example.com/ü")["path"] == ""
