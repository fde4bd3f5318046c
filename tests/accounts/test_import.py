"""Importing and exporting users: what is written, what is refused, and by whom."""

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from django.contrib.auth.hashers import BCryptPasswordHasher, PBKDF2PasswordHasher
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.actors import SYSTEM, Actor
from accounts.models import BrowserSession, Group, Membership, User
from accounts.passwords.hashers import BoundedBCryptHasher, BoundedPBKDF2Hasher
from accounts.services import users
from accounts.services.bulk import imports, planning
from accounts.services.bulk.exports import ExportFilter, export_users
from accounts.services.bulk.imports import import_users, plan_import
from accounts.services.bulk.planning import ImportOptions, ImportResult, Outcome, sentence
from accounts.services.ended_access import send_reminders
from accounts.services.groups.changes import create_group
from accounts.services.groups.members import add_member
from accounts.services.groups.reading import find_group, groups_of
from accounts.services.groups.sources import set_groups_of_source
from audit import audit_log
from audit.models import AuditEvent
from core.errors import AccessDenied, Forbidden, RecordInvalid
from mail.models import OutboxMail
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db
MakeUser = Callable[..., User]
REAL_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "accounts.passwords.hashers.BoundedPBKDF2Hasher",
    "accounts.passwords.hashers.BoundedBCryptHasher",
]
BCRYPT = "bcrypt$" + bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
PBKDF2 = PBKDF2PasswordHasher().encode(PASSWORD, "abcdefghijklmnop", 1000)
FILE = """email,name,username,role,state,verified
anna@example.com,Anna,anna,editor,active,yes
bert@example.com,Bert,,viewer,disabled,no
"""


def run(text: str, actor: Actor = SYSTEM, **options: Any) -> ImportResult:
    stream = io.BytesIO(text.encode())
    return import_users(stream, actor=actor, options=ImportOptions(**options))


def counts(result: ImportResult) -> list[int]:
    """New, updated, same, wrong."""
    return [result.counts[outcome] for outcome in Outcome]


def errors(result: ImportResult) -> list[tuple[int, str, str]]:
    return [(each.line, each.field, sentence(each)) for each in result.errors]


def events() -> list[tuple[str, dict[str, Any]]]:
    found = AuditEvent.objects.filter(action__startswith="account:").order_by("seq")
    return [(event.action, event.detail) for event in found]


# New accounts


def test_accounts_are_made_as_the_file_says() -> None:
    result = run(FILE)

    assert (counts(result), result.is_done) == ([2, 0, 0, 0], True)
    anna, bert = User.objects.order_by("email")
    assert [anna.email, anna.name, anna.username, anna.role] == [
        "anna@example.com", "Anna", "anna", "editor",
    ]  # fmt: skip
    assert (anna.is_active, anna.is_verified, anna.has_usable_password()) == (True, True, False)
    assert (bert.is_active, bert.is_verified, bert.username) == (False, False, None)
    assert not OutboxMail.objects.exists()


def test_each_account_and_each_batch_has_an_audit_row(owner: User) -> None:
    run(FILE, owner)

    anna = User.objects.get(email="anna@example.com")
    created = AuditEvent.objects.get(action="account:user:create", target_id=anna.pk)
    batch = created.detail["batch"]
    assert created.actor_id == owner.pk
    assert events() == [
        ("account:user:create", {"role": "editor", "source": "import", "batch": batch}),
        ("account:user:create", {"role": "viewer", "source": "import", "batch": batch}),
        ("account:user:import", {"created": 2, "updated": 0, "batch": batch}),
    ]
    assert audit_log.verify().broken_at is None


def test_batches_are_counted_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "BATCH", 2)
    monkeypatch.setattr(planning, "BATCH", 2)

    run("email\n" + "".join(f"u{number}@example.com\n" for number in range(5)))

    found = [detail["created"] for action, detail in events() if action == "account:user:import"]
    assert (found, User.objects.count()) == ([2, 2, 1], 5)


def test_the_same_file_again_changes_nothing() -> None:
    run(FILE)
    before = events()

    result = run(FILE)

    assert (counts(result), result.is_done, events()) == ([0, 0, 2, 0], False, before)


def test_a_plan_changes_nothing_and_counts_the_same() -> None:
    plan = plan_import(io.BytesIO(FILE.encode()), actor=SYSTEM, options=ImportOptions())

    assert (counts(plan), User.objects.count(), events()) == ([2, 0, 0, 0], 0, [])
    assert plan.mapping == {name: name for name in FILE.splitlines()[0].split(",")}


def test_rows_that_do_not_say_take_the_defaults() -> None:
    run("email\nanna@example.com\n", default_role="editor", verified=True)

    anna = User.objects.get()
    assert (anna.role, anna.is_verified, anna.is_active) == ("editor", True, True)


def test_columns_can_be_chosen() -> None:
    run("Kontakt;Wer\nanna@example.com;Anna\n", mapping={"email": "Kontakt", "name": "Wer"})

    assert User.objects.get().name == "Anna"


# All or nothing


def test_one_invalid_row_cancels_the_file_and_all_errors_are_reported(viewer: User) -> None:
    result = run(
        "email,username,role\nanna@example.com,anna,editor\nnope,,\nbert@example.com,vera,king\n"
        "ANNA@example.com,,\nchris@example.com,anna,\ndora@example.com,,owner\n"
    )

    assert (counts(result), result.is_done, User.objects.count()) == ([1, 0, 0, 5], False, 1)
    assert errors(result) == [
        (3, "email", "Enter one email address, like name@example.com."),
        (4, "role", "'king' is not a role: owner, admin, editor, viewer or none."),
        (5, "email", "Line 2 has this address, too."),
        (6, "username", "Line 2 has this user name, too."),
        (7, "role", planning.OWNER_NOT_ALLOWED),
    ]  # fmt: skip
    assert events() == []


def test_a_taken_user_name_is_an_error(viewer: User) -> None:
    assert errors(run("email,username\nbert@example.com,vera\n")) == [
        (2, "username", "Another account has this user name.")
    ]


def test_other_rows_are_imported_if_errors_are_skipped() -> None:
    result = run(FILE + "nope,,,,,\n", skip_errors=True)

    assert (counts(result), result.is_done, User.objects.count()) == ([2, 0, 0, 1], True, 2)


def test_a_name_that_is_taken_during_the_import_cancels_it(
    monkeypatch: pytest.MonkeyPatch, make_user: MakeUser
) -> None:
    insert = imports.sql.insert

    def insert_too_late(rows: Any) -> None:
        if isinstance(rows[0], User):
            make_user("viewer", "bert@example.com")
        insert(rows)

    monkeypatch.setattr(imports.sql, "insert", insert_too_late)

    with pytest.raises(RecordInvalid, match="Nothing was imported"):
        run(FILE)

    assert not User.objects.filter(email="anna@example.com").exists()
    assert events() == []


def test_a_name_that_is_taken_meanwhile_is_one_wrong_row_if_errors_are_skipped(
    monkeypatch: pytest.MonkeyPatch, make_user: MakeUser
) -> None:
    # Another request makes bert after the rows of the batch were checked.
    monkeypatch.setattr(imports, "_keys", lambda _batch: taken() or set())

    def taken() -> None:
        if not User.objects.exists():
            make_user("viewer", "bert@example.com")

    result = run(FILE, skip_errors=True)

    assert (counts(result), User.objects.count()) == ([1, 0, 0, 1], 2)
    assert errors(result) == [(3, "email", imports.TAKEN_MEANWHILE)]


# Ranks


@pytest.mark.parametrize("role", ["admin", "owner"])
def test_an_admin_imports_only_lower_roles(admin: User, role: str) -> None:
    result = run(f"email,role\nanna@example.com,{role}\n", admin)

    assert (counts(result), User.objects.count()) == ([0, 0, 0, 1], 1)


def test_an_admin_imports_editors(admin: User) -> None:
    assert counts(run("email,role\nanna@example.com,editor\n", admin)) == [1, 0, 0, 0]


def test_an_owner_imports_admins_but_no_owners(owner: User) -> None:
    assert counts(run("email,role\na@example.com,admin\n", owner)) == [1, 0, 0, 0]
    assert counts(run("email,role\nb@example.com,owner\n", owner)) == [0, 0, 0, 1]


@pytest.mark.parametrize("role", ["editor", "viewer", "none"])
def test_lower_roles_may_not_import(make_user: MakeUser, role: str) -> None:
    with pytest.raises(Forbidden):
        run("email\nanna@example.com\n", make_user(role))

    assert User.objects.count() == 1


def test_who_has_lost_their_role_imports_nothing(admin: User, owner: User) -> None:
    users.change_role(actor=owner, user=User.objects.get(pk=admin.pk), role="viewer")

    with pytest.raises(AccessDenied):
        run("email\nanna@example.com\n", admin)

    assert not User.objects.filter(email="anna@example.com").exists()


def test_owners_are_made_if_the_machine_allows_it() -> None:
    assert counts(run("email,role\na@example.com,owner\n", allow_owners=True)) == [1, 0, 0, 0]


# Updates


def test_existing_accounts_stay_unless_updates_are_asked_for(viewer: User) -> None:
    run("email,name,role,state\nviewer@example.com,New,editor,disabled\n")

    viewer.refresh_from_db()
    assert (viewer.name, viewer.role, viewer.is_active) == ("Vera Viewer", "viewer", True)


def test_an_update_changes_name_role_and_state(viewer: User, browser_of: Any) -> None:
    browser_of(viewer)

    result = run(
        "email,name,username,role,state,verified,password_hash\n"
        f"viewer@example.com,New,other,editor,disabled,no,{PBKDF2}\n",
        update=True,
    )

    password = viewer.password
    viewer.refresh_from_db()
    assert counts(result) == [0, 1, 0, 0]
    assert (viewer.name, viewer.role, viewer.is_active) == ("New", "editor", False)
    assert (viewer.username, viewer.is_verified, viewer.password) == ("vera", True, password)
    assert not BrowserSession.objects.filter(user=viewer).exists()
    assert [action for action, _detail in events()][1:] == [
        "account:user:edit", "account:role:change", "account:user:disable", "account:user:import",
    ]  # fmt: skip
    assert events()[-1][1]["updated"] == 1


def test_an_update_is_safe_to_repeat(viewer: User) -> None:
    text = "email,role,state\nviewer@example.com,editor,active\n"
    run(text, update=True)
    before = events()

    assert (counts(run(text, update=True)), events()) == ([0, 0, 1, 0], before)


def test_empty_cells_update_nothing(viewer: User) -> None:
    assert counts(run("email,name,role\nviewer@example.com,,\n", update=True)) == [0, 0, 1, 0]


@pytest.mark.parametrize("target", ["owner", "admin"])
def test_an_admin_updates_only_lower_ranks(admin: User, make_user: MakeUser, target: str) -> None:
    other = make_user(target, "other@example.com")

    result = run("email,role\nother@example.com,viewer\n", admin, update=True)

    assert errors(result) == [
        (2, "email", "You may only manage people whose role is below your own.")
    ]
    other.refresh_from_db()
    assert other.role == target


def test_an_update_gives_no_role_above_the_own(admin: User, viewer: User) -> None:
    result = run("email,role\nviewer@example.com,admin\n", admin, update=True)

    assert errors(result) == [(2, "role", "You may only give roles below your own.")]


def test_an_update_makes_no_owner(owner: User, viewer: User) -> None:
    assert counts(run("email,role\nviewer@example.com,owner\n", owner, update=True)) == [0, 0, 0, 1]


@pytest.mark.parametrize("skip_errors", [False, True])
@pytest.mark.parametrize("change", ["role\nowner@example.com,viewer",
                                    "state\nowner@example.com,disabled"])  # fmt: skip
def test_the_last_owner_stays(owner: User, change: str, skip_errors: bool) -> None:
    result = run(f"email,{change}\nanna@example.com,\n", update=True, skip_errors=skip_errors)

    owner.refresh_from_db()
    assert (owner.role, owner.is_active) == ("owner", True)
    assert result.counts[Outcome.ERROR] == 1
    assert errors(result)[0][2].startswith("This is the last active owner.")
    assert User.objects.filter(email="anna@example.com").exists() == skip_errors


# Groups


@pytest.fixture
def groups() -> None:
    for name in ("finance", "lab", "staff"):
        create_group(actor=SYSTEM, name=name)


def by_hand(email: str) -> dict[str, datetime | None]:
    rows = Membership.objects.filter(user__email=email, source="manual").order_by("group__name")
    return dict(rows.values_list("group__name", "until"))


@pytest.mark.usefixtures("groups")
def test_new_accounts_join_their_groups(owner: User) -> None:
    text = """email;groups
anna@example.com;Finance, lab until 2099-01-31T12:00:00Z
bert@example.com;
"""

    result = run(text, actor=owner)

    assert counts(result) == [2, 0, 0, 0]
    end = datetime(2099, 1, 31, 12, tzinfo=UTC)
    assert by_hand("anna@example.com") == {"finance": None, "lab": end}
    assert by_hand("bert@example.com") == {}
    joined = [event for event in events() if event[0].startswith("account:membership:")]
    assert [(action, detail["group"]) for action, detail in joined] == [
        ("account:membership:add", "finance"),
        ("account:membership:limit", "lab"),
    ]
    exported = "".join(export_users(actor=SYSTEM, chosen=ExportFilter(search="anna")))
    assert '"finance, lab until 2099-01-31T12:00:00Z"' in exported
    User.objects.filter(email="anna@example.com").delete()
    assert counts(run(exported)) == [1, 0, 0, 0]
    assert by_hand("anna@example.com") == {"finance": None, "lab": end}


@pytest.mark.usefixtures("groups")
def test_a_group_that_cannot_be_given_is_a_wrong_row(viewer: User) -> None:
    text = """email,groups
a@example.com,finanse
b@example.com,"lab, nothing-like-it"
c@example.com,"lab; LAB"
d@example.com,lab until 2001-01-01
e@example.com,lab until soon
viewer@example.com,finance staff
"""

    result = run(text, update=True)

    assert (counts(result), Membership.objects.count()) == ([0, 0, 0, 6], 0)
    assert errors(result)[:4] == [
        (2, "groups", "There is no group 'finanse'. Did you mean “finance”?"),
        (3, "groups", "There is no group 'nothing-like-it'. Create it first."),
        (4, "groups", "The group lab is named twice."),
        (5, "groups", "The end of the group lab has passed."),
    ]
    assert errors(result)[4][2].startswith("'soon' is not an end")
    assert errors(result)[5][2].startswith("There is no group 'finance staff'.")


@pytest.mark.usefixtures("groups")
def test_an_update_sets_the_groups_that_were_given_by_hand(
    owner: User, viewer: User, admin: User
) -> None:
    add_member(actor=owner, user=viewer, group=find_group("finance"))
    set_groups_of_source(user=viewer, source="directory", names={"staff"})
    text = "email,groups\nviewer@example.com,lab until 2099-01-31T12:00:00Z\n"
    planned = plan_import(
        io.BytesIO(text.encode()), actor=admin, options=ImportOptions(update=True)
    )
    assert [each.changes["groups"][1] for each in planned.rows] == [["finance"]]
    assert counts(run(text)) == [0, 0, 1, 0]

    assert counts(run(text, actor=admin, update=True)) == [0, 1, 0, 0]

    assert groups_of(viewer) == ("lab", "staff")
    assert counts(run(text, update=True)) == [0, 0, 1, 0]
    exported = "".join(export_users(actor=SYSTEM, chosen=ExportFilter(search="viewer")))
    assert counts(run(exported, update=True)) == [0, 0, 1, 0]
    assert by_hand("viewer@example.com") == {"lab": datetime(2099, 1, 31, 12, tzinfo=UTC)}
    assert counts(run("email,groups\nviewer@example.com,\n", update=True)) == [0, 0, 1, 0]
    own = run("email,groups\nadmin@example.com,lab\n", actor=admin, update=True)
    assert errors(own)[0][1:] == ("email", planning.RANK_TOO_LOW)


@pytest.mark.usefixtures("groups")
def test_a_group_that_is_deleted_meanwhile_is_one_wrong_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lock = imports.acquire_lock

    def delete_first(name: Any) -> None:
        Group.objects.filter(name="lab").delete()
        lock(name)

    monkeypatch.setattr(imports, "acquire_lock", delete_first)

    result = run("email,groups\na@example.com,lab\nb@example.com,staff\n", skip_errors=True)

    assert errors(result) == [(2, "groups", "The group lab was deleted since the import began.")]
    assert by_hand("b@example.com") == {"staff": None}
    assert not User.objects.filter(email="a@example.com").exists()


# Hostile files


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Line 1: The file is empty."),
        ("name\nAnna\n", "No column is known to hold the email addresses"),
        ('email\n"a@example.com\n', "Line 2: A quotation mark is opened"),
        ('{"email": "a@b.c"}x', "Line 1: This is not a JSON object"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(text: str, message: str) -> None:
    with pytest.raises(RecordInvalid, match=message):
        run(text)


def test_a_file_that_breaks_off_imports_nothing() -> None:
    with pytest.raises(RecordInvalid, match="Line 3"):
        run('email\nanna@example.com\n"bert@example.com\n')

    assert not User.objects.exists()


def test_too_many_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "MAX_ROWS", 2)

    with pytest.raises(RecordInvalid, match="Line 4: A file may have at most"):
        run("email\na@example.com\nb@example.com\nc@example.com\n")


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"source": "x"}, "source"),
        ({"default_role": "king"}, "default_role"),
        ({"role_map": {"user": "king"}}, "role_map"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], field: str) -> None:
    with pytest.raises(RecordInvalid) as caught:
        run(FILE, **options)

    assert [*caught.value.errors] == [field]


def test_a_password_in_clear_is_refused_and_never_repeated() -> None:
    result = run(f"email,password_hash\nanna@example.com,{PASSWORD}\n")

    assert counts(result) == [0, 0, 0, 1]
    assert PASSWORD not in repr(result)


# Passwords of other systems


@pytest.fixture
def real_hashers(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = REAL_HASHERS


@pytest.fixture(params=[PBKDF2, BCRYPT], ids=["pbkdf2", "bcrypt"])
def foreign_hash(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def imported(real_hashers: None, foreign_hash: str) -> User:
    run(f"email,verified,password_hash\nanna@example.com,yes,{foreign_hash}\n")
    return User.objects.get()


def test_an_imported_password_signs_in_and_gets_a_hash_of_ours(
    imported: User, browser_of: Any, foreign_hash: str
) -> None:
    assert imported.password == foreign_hash

    browser = browser_of(imported)

    imported.refresh_from_db()
    assert imported.password.startswith("argon2$argon2id$")
    assert imported.check_password(PASSWORD)
    assert browser.get("/account/").status_code == 200
    browser_of(imported)
    assert User.objects.get().password == imported.password


def test_a_wrong_password_leaves_the_imported_hash(
    imported: User, stranger: Client, foreign_hash: str
) -> None:
    stranger.post("/sign-in", {"login": imported.email, "password": "something else"})

    assert User.objects.get().password == foreign_hash


def test_confirming_with_an_imported_password_ends_no_session(
    imported: User, foreign_hash: str
) -> None:
    assert imported.check_password(PASSWORD)

    assert User.objects.get().password == foreign_hash


def test_a_password_that_was_changed_meanwhile_stays(
    imported: User, monkeypatch: pytest.MonkeyPatch, stranger: Client
) -> None:
    check = User.check_password

    def change_then_check(user: User, raw: str) -> bool:
        User.objects.filter(pk=user.pk).update(password="!changed")
        return check(user, raw)

    monkeypatch.setattr(User, "check_password", change_then_check)
    stranger.post("/sign-in", {"login": imported.email, "password": PASSWORD})

    assert User.objects.get().password == "!changed"
    assert stranger.get("/account/").status_code == 302


def test_other_systems_hash_passwords_as_they_were_typed(real_hashers: None) -> None:
    typed = "seven quiet ﬁelds x²"
    user = User(password=PBKDF2PasswordHasher().encode(typed, "abcdefghijklmnop", 1000))

    assert user.check_password(typed)
    assert not user.check_password("seven quiet fields x2")
    user.set_password(typed)
    assert user.check_password("seven quiet fields x2")


def test_the_cost_of_a_stored_hash_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = []
    monkeypatch.setattr(PBKDF2PasswordHasher, "encode", lambda *asked: hashed.append(asked))

    assert not BoundedPBKDF2Hasher().verify(PASSWORD, PBKDF2.replace("1000", "99999999"))
    assert hashed == []


@pytest.mark.parametrize("prefix", ["2a", "2b", "2y"])
def test_every_spelling_of_bcrypt_is_verified(real_hashers: None, prefix: str) -> None:
    user = User(password=BCRYPT.replace("2b", prefix))

    assert user.check_password(PASSWORD)
    assert not user.check_password(PASSWORD + "x")


def test_bcrypt_verifies_no_password_that_it_would_cut(real_hashers: None) -> None:
    whole = "p" * 72
    user = User(password="bcrypt$" + bcrypt.hashpw(whole.encode(), bcrypt.gensalt(4)).decode())

    assert user.check_password(whole)
    assert not user.check_password(whole + "q")
    assert not user.check_password(whole[:-1])
    assert not user.check_password(f"{whole[:-1]}\0")


def test_the_cost_of_a_stored_bcrypt_hash_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = []
    monkeypatch.setattr(BCryptPasswordHasher, "encode", lambda *asked: hashed.append(asked))

    assert not BoundedBCryptHasher().verify(PASSWORD, BCRYPT.replace("$04$", "$15$"))
    assert hashed == []


# The command


def command(*args: str, **options: Any) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command(*args, stdout=out, stderr=err, **options)
    return out.getvalue(), err.getvalue()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "users.csv"
    path.write_text(FILE)
    return path


def test_the_command_imports_and_repeats(file: Path) -> None:
    assert command("importusers", str(file))[0] == ("2 created, 0 updated, 0 unchanged, 0 wrong.\n")
    assert command("importusers", str(file))[0] == ("0 created, 0 updated, 2 unchanged, 0 wrong.\n")
    assert AuditEvent.objects.filter(channel="command").count() == 3


def test_a_dry_run_changes_nothing(file: Path) -> None:
    assert command("importusers", str(file), "--dry-run")[0] == (
        "2 would be created, 0 would be updated, 0 unchanged, 0 wrong.\n"
    )
    assert not User.objects.exists()


def test_a_terminal_shows_a_bar(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "BATCH", 1)
    err = io.StringIO()
    err.isatty = lambda: True  # type: ignore[method-assign]

    call_command("importusers", str(file), stdout=io.StringIO(), stderr=err, no_color=True)

    bars = [part for part in err.getvalue().split("\r") if part.startswith("[")]
    full = f"[{'#' * 30}]"
    assert [bar.strip().partition("\n")[0] for bar in bars] == [
        f"{full} 1 rows checked", f"{full} 2 rows checked",
        f"{full} 1 rows written", f"{full} 2 rows written",
    ]  # fmt: skip


def test_the_command_reads_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(FILE.encode())))

    command("importusers", "-")

    assert User.objects.count() == 2


def test_the_command_lists_wrong_rows_with_their_lines(file: Path) -> None:
    file.write_text(FILE + "nope,,,,,\n")
    out, err = io.StringIO(), io.StringIO()

    with pytest.raises(CommandError, match=r"1 row is wrong\. Nothing was imported"):
        call_command("importusers", str(file), stdout=out, stderr=err)

    assert "line 4 (nope): email: Enter one email address" in err.getvalue()
    assert out.getvalue() == "2 would be created, 0 would be updated, 0 unchanged, 1 wrong.\n"
    assert not User.objects.exists()


def test_the_command_imports_the_rest_if_asked(file: Path) -> None:
    file.write_text(FILE + "nope,,,,,\n")

    with pytest.raises(CommandError, match=r"1 row is wrong\. The others were imported"):
        command("importusers", str(file), "--skip-errors")

    assert User.objects.count() == 2


def test_the_command_reports_as_json(file: Path) -> None:
    file.write_text(FILE + "nope,,,,,\n")
    out = io.StringIO()

    with pytest.raises(CommandError):
        call_command("importusers", str(file), "--json", stdout=out, stderr=io.StringIO())

    assert json.loads(out.getvalue()) == {
        "done": False, "new": 2, "update": 0, "same": 0, "error": 1,
        "errors": [{"line": 4, "field": "email", "email": "nope",
                    "message": "Enter one email address, like name@example.com."}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["/nowhere.csv"], "There is no file /nowhere.csv"),
        (["{file}", "--from", "khoj", "--map", "email=x"], "Use either --from or --map"),
        (["{file}", "--map", "email=x"], "The file has no column “x”. It has: email, name"),
        (["{file}", "--from", "mage"], "The file has no “password_hash”, which every user of Mage"),
        (["{file}", "--map", "email"], "has no = between two names"),
    ],
)
def test_the_command_says_what_is_wrong(file: Path, args: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        command("importusers", *(arg.replace("{file}", str(file)) for arg in args))

    assert not User.objects.exists()


def test_a_file_without_rows_is_no_success(file: Path) -> None:
    file.write_text("email\n")

    with pytest.raises(CommandError, match="The file has no rows"):
        command("importusers", str(file))


def test_users_of_librechat_are_imported(tmp_path: Path, real_hashers: None) -> None:
    people = [
        {"email": "Anna@example.com", "username": "Anna Älv", "role": "ADMIN", "provider": "local",
         "emailVerified": True, "password": PBKDF2},
        {"email": "bert@example.com", "username": "", "role": "USER", "provider": "google"},
    ]  # fmt: skip
    path = tmp_path / "users.json"
    path.write_text("\n".join(map(json.dumps, people)))

    _out, err = command(
        "importusers", str(path), "--from", "librechat", "--map-role", "USER=editor"
    )

    anna, bert = User.objects.order_by("email")
    assert [anna.role, anna.username, anna.is_verified] == ["admin", None, True]
    assert anna.check_password(PASSWORD)
    assert [bert.role, bert.has_usable_password(), bert.is_verified] == ["editor", False, False]
    assert "1 user names cannot be used here and were left out." in err


def test_passwords_can_be_left_out(file: Path) -> None:
    file.write_text("email,password_hash\nanna@example.com,unknown\n")

    command("importusers", str(file), "--without-passwords")

    assert not User.objects.get().has_usable_password()


# Export


def exported(actor: Actor = SYSTEM, **options: Any) -> list[str]:
    chosen = ExportFilter(**options.pop("chosen", {}))
    return [line.rstrip("\r\n") for line in export_users(actor=actor, chosen=chosen, **options)]


def test_an_export_has_everyone_and_no_hash(viewer: User, admin: User) -> None:
    lines = exported(admin)

    assert lines[0] == (
        "email,name,username,role,state,verified,created_at,expires_at,role_until,role_after,"
        "groups,kind,responsible"
    )
    assert lines[1].startswith("viewer@example.com,Vera Viewer,vera,viewer,active,yes,20")
    assert len(lines) == 3
    assert events()[-1] == ("account:user:export", {"count": 2, "password_hashes": False})


def test_an_export_is_filtered(viewer: User, editor: User) -> None:
    users.disable_user(actor=SYSTEM, user=editor)

    assert len(exported(chosen={"role": "viewer"})) == 2
    assert len(exported(chosen={"is_active": False})) == 2
    assert len(exported(chosen={"search": "nobody"})) == 1


def test_an_export_is_read_in_parts(
    monkeypatch: pytest.MonkeyPatch, viewer: User, editor: User, owner: User
) -> None:
    monkeypatch.setattr("accounts.services.bulk.exports.CHUNK", 2)

    assert [line.split(",")[0] for line in exported()[1:]] == [
        "viewer@example.com", "editor@example.com", "owner@example.com",
    ]  # fmt: skip


@pytest.mark.parametrize("role", ["editor", "viewer", "none"])
def test_lower_roles_may_not_export(make_user: MakeUser, role: str) -> None:
    with pytest.raises(Forbidden):
        exported(make_user(role))

    assert events() == []


def test_hashes_are_for_the_machine_alone(owner: User) -> None:
    with pytest.raises(Forbidden):
        exported(owner, with_hashes=True)

    assert owner.password in exported(with_hashes=True)[1]


def test_formulas_are_escaped_in_an_export_and_imported_unchanged(make_user: MakeUser) -> None:
    make_user("viewer", "anna@example.com", name="=HYPERLINK(1)")
    text = "\n".join(exported())
    User.objects.all().delete()

    run(text)

    assert "anna@example.com,'=HYPERLINK(1)," in text
    assert User.objects.get().name == "=HYPERLINK(1)"


def test_accounts_move_to_another_instance_with_their_passwords(
    settings: Settings, tmp_path: Path, make_user: MakeUser
) -> None:
    settings.PASSWORD_HASHERS = REAL_HASHERS
    make_user("admin", "anna@example.com", username="anna", name="Anna")
    before = User.objects.values().get()
    path = tmp_path / "users.csv"

    _out, err = command("exportusers", str(path), "--with-password-hashes", "--bom")
    User.objects.all().delete()
    command("importusers", str(path))

    assert (err, path.stat().st_mode & 0o777) == (f"1 accounts written to {path}.\n", 0o600)
    after = User.objects.values().get()
    kept = ("email", "username", "name", "role", "is_active", "password")
    assert [after[name] for name in kept] == [before[name] for name in kept]
    assert after["created_at"] == before["created_at"].replace(microsecond=0)


def test_the_export_command_overwrites_no_file(file: Path, viewer: User) -> None:
    with pytest.raises(CommandError, match=r"exists\. Choose another name"):
        command("exportusers", str(file))

    assert file.read_text() == FILE


def test_the_export_command_fails_without_a_match(viewer: User) -> None:
    with pytest.raises(CommandError, match="No account matches"):
        command("exportusers", "--role", "admin")


def test_the_export_command_prints_csv(viewer: User) -> None:
    assert command("exportusers")[0].startswith("email,name,username,role,state,verified,created_")


# Ends


ENDS = ("expires_at", "role_until", "role_after")


def ends_of(email: str) -> tuple[Any, ...]:
    return User.objects.filter(email=email).values_list("role", *ENDS).get()


def test_accounts_are_made_with_the_ends_that_the_file_says(settings: Settings) -> None:
    text = """email,role,expires_at,role_until,role_after
anna@example.com,admin,,2999-12-04T17:00:00Z,viewer
bert@example.com,,2999-12-04,,
cleo@example.com,editor,2999-12-04T17:00:00+02:00,2998-01-31,none
"""

    with timezone.override("Europe/Berlin"):
        assert counts(run(text)) == [3, 0, 0, 0]

    end = datetime(2999, 12, 4, 17, tzinfo=UTC)
    assert ends_of("anna@example.com") == ("admin", None, end, "viewer")
    # The end of that day where the administrator is.
    assert ends_of("bert@example.com") == (
        "viewer",
        datetime(2999, 12, 4, 23, tzinfo=UTC),
        None,
        "",
    )
    assert ends_of("cleo@example.com") == (
        "editor",
        datetime(2999, 12, 4, 15, tzinfo=UTC),
        datetime(2998, 1, 31, 23, tzinfo=UTC),
        "none",
    )
    details = [detail for action, detail in events() if action == "account:user:create"]
    assert details[0]["until"] == "2999-12-04 17:00 UTC"
    assert details[0]["then"] == "viewer"
    assert details[1]["expires_at"] == "2999-12-04 23:00 UTC"


@pytest.mark.parametrize(
    ("cells", "field"),
    [
        ("viewer,tomorrow,,", "expires_at"),
        ("viewer,2999-12-04T17:00:00,,", "expires_at"),
        ("viewer,2999-13-04,,", "expires_at"),
        ("viewer,2020-01-01,,", "expires_at"),
        ("editor,,2020-01-01,viewer", "role_until"),
        ("editor,,,viewer", "role_until"),
        ("editor,,2999-01-01,", "role_after"),
        ("editor,,2999-01-01,editor", "role_after"),
        ("editor,,2999-01-01,boss", "role_after"),
    ],
)
def test_a_wrong_end_is_an_error_of_its_field(cells: str, field: str) -> None:
    result = run(f"email,role,expires_at,role_until,role_after\nanna@example.com,{cells}\n")

    assert [(line, name) for line, name, _text in errors(result)] == [(2, field)]
    assert not User.objects.exists()


def test_a_wrong_end_says_how_to_write_one() -> None:
    result = run("email,expires_at\nanna@example.com,2999-12-04T17:00\n")

    ((_line, _field, text),) = errors(result)
    assert text == (
        "'2999-12-04T17:00' is not an end: write a date like 2026-12-04, which lasts until the end "
        "of that day, or a time with its offset like 2026-12-04T17:00:00Z."
    )


def test_an_admin_gives_no_role_of_their_rank_afterwards(admin: User) -> None:
    text = "email,role,role_until,role_after\nanna@example.com,editor,2999-01-01,admin\n"

    assert [name for _line, name, _text in errors(run(text, admin))] == ["role_after"]


def test_an_update_sets_ends_and_an_empty_cell_changes_none(viewer: User, owner: User) -> None:
    columns = "email,role,expires_at,role_until,role_after"
    text = f"{columns}\nviewer@example.com,editor,2999-01-01,2998-01-01,viewer\n"

    assert counts(run(text, owner, update=True)) == [0, 1, 0, 0]
    assert counts(run(text, owner, update=True)) == [0, 0, 1, 0]
    set_ends = ends_of(viewer.email)
    assert counts(run("email,name\nviewer@example.com,Vera V\n", owner, update=True)) == [
        0,
        1,
        0,
        0,
    ]

    assert ends_of(viewer.email) == set_ends
    assert set_ends[0] == "editor"
    assert None not in set_ends
    actions = [action for action, _detail in events()]
    assert actions[:2] == ["account:role:limit", "account:expiry:set"]


def test_the_last_owner_gets_no_end_by_a_file(owner: User) -> None:
    text = f"email,expires_at\n{owner.email},2999-01-01\n"

    result = run(text, update=True)

    assert counts(result)[3] == 1
    assert ends_of(owner.email) == ("owner", None, None, "")


def test_a_new_account_is_reminded_of_no_end_that_its_maker_knows(owner: User, mails: Any) -> None:
    soon = (timezone.now() + timedelta(days=3)).isoformat()

    run(f"email,expires_at\nanna@example.com,{soon}\n", owner)
    send_reminders()

    assert mails() == []


def test_an_export_with_ends_is_imported_exactly(make_user: MakeUser) -> None:
    now = timezone.now()
    made = [
        make_user("admin", "a@example.com", role_until=now + timedelta(days=3), role_after="none"),
        make_user("viewer", "b@example.com", expires_at=now + timedelta(days=40)),
        make_user("viewer", "c@example.com", expires_at=now - timedelta(days=1), is_active=False),
        make_user("editor", "d@example.com"),
    ]
    # What the worker has not written down yet is exported as it holds.
    make_user("admin", "e@example.com", role_until=now - timedelta(hours=1), role_after="viewer")
    make_user("viewer", "f@example.com", expires_at=now - timedelta(hours=1))
    names = ("email", "role", "is_active", *ENDS)
    before = list(User.objects.order_by("email").values_list(*names))
    text = "\n".join(exported())
    User.objects.all().delete()

    assert counts(run(text)) == [6, 0, 0, 0]

    after = list(User.objects.order_by("email").values_list(*names))
    assert after[: len(made)] == before[: len(made)]
    assert after[4] == ("e@example.com", "viewer", True, None, None, "")
    assert after[5][:4] == ("f@example.com", "viewer", False, before[5][3])
    assert exported()[1:] == text.split("\n")[1:]
