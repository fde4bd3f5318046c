"""Sign-in through a provider: which account is used, who may register, and which role."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import AccountToken, EmailRequest, User
from accounts.roles import Role
from accounts.services.credentials import LastSignInMethod
from accounts.services.email_tokens import issue_token
from accounts.services.passwords import handle_reset_requests
from accounts.services.signup import RegistrationClosed
from accounts.services.users import change_role, create_user
from accounts.services.verification import confirm_address, mail_verification
from audit.models import AuditEvent
from core.errors import NotFound, TokenInvalid
from federation.models import ExternalIdentity
from federation.providers import Provider, SignInSource
from federation.role_mapping import ClaimPath, Requirement, RoleMapping, RoleRule
from federation.services.identities import (
    AccountExists,
    EmailMissing,
    ExternalUserInfo,
    GroupsIncomplete,
    IdentityTaken,
    RoleRequired,
    connect,
    disconnect,
    resolve_user,
)
from magiclinks.models import LoginLink
from magiclinks.services import LinkRefused, handle_link_requests, redeem_link
from mail.models import OutboxMail
from mfa.models import Authenticator
from operations.doctor import examine
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db
MakeUser = Callable[..., User]
SOURCE = SignInSource(id="work", label="Work", allows_registration=True)
NINA = ExternalUserInfo(
    subject="1234", issuer="https://work.example", email="Nina@Example.com", email_verified=True,
    name=" Nina  Neu ", username="nina",
)  # fmt: skip
GROUPS = ClaimPath("groups")
RULES = (
    RoleRule(GROUPS, frozenset({"chiefs"}), Role.ADMIN),
    RoleRule(GROUPS, frozenset({"staff"}), Role.EDITOR),
)
MAPPED = replace(SOURCE, mapping=RoleMapping(rules=RULES, updates=True))


def with_groups(*groups: str) -> ExternalUserInfo:
    return replace(NINA, claims={"id": {"groups": list(groups)}})


def facts(action: str) -> list[tuple[str, Any]]:
    rows = AuditEvent.objects.filter(action=action).order_by("seq")
    return [(row.result, row.target_id) for row in rows]


@pytest.fixture
def untouched(owner: User) -> User:
    """Created in advance by an administrator, and not used yet."""
    return create_user(actor=owner, email="nina@example.com", role=Role.EDITOR)


def test_a_new_user_gets_an_account_without_a_role(db: None) -> None:
    user = resolve_user(SOURCE, NINA)

    user.refresh_from_db()
    assert (user.email, user.name, user.username) == ("nina@example.com", "Nina Neu", "nina")
    assert (user.role, user.is_verified, user.has_usable_password()) == ("none", True, False)
    identity = user.identities.get()
    assert (identity.provider, identity.subject) == ("work", "1234")
    assert (identity.issuer, identity.email) == ("https://work.example", "Nina@Example.com")
    assert identity.role_reason == "no rule for roles is configured"
    assert facts("account:user:create") == [("success", user.pk)]
    assert facts("account:identity:connect") == [("success", user.pk)]
    assert not OutboxMail.objects.exists()


def test_the_same_subject_is_the_same_user_with_any_address(db: None) -> None:
    first = resolve_user(SOURCE, NINA)

    again = resolve_user(SOURCE, replace(NINA, email="other@example.com", email_verified=False))

    assert again.pk == first.pk
    again.refresh_from_db()
    assert again.email == "nina@example.com"
    assert again.identities.get().email == "other@example.com"


def test_an_equal_subject_at_another_provider_is_another_user(db: None) -> None:
    """ASVS 6.8.1: neither an equal subject nor an equal address enters another's account."""
    first = resolve_user(SOURCE, NINA)
    first.last_login = first.created_at
    first.save()

    with pytest.raises(AccountExists):
        resolve_user(replace(SOURCE, id="other"), NINA)

    assert ExternalIdentity.objects.get().user_id == first.pk
    assert facts("account:identity:connect")[-1] == ("refused", first.pk)


def test_an_equal_subject_of_another_issuer_is_another_user(db: None) -> None:
    """The settings may lead to another issuer one day, which gives its own subjects."""
    first = resolve_user(SOURCE, NINA)

    moved = replace(NINA, issuer="https://other.example", email="eve@example.com", username="eve")
    other = resolve_user(SOURCE, moved)

    assert other.pk != first.pk
    assert resolve_user(SOURCE, NINA).pk == first.pk
    assert sorted(ExternalIdentity.objects.values_list("issuer", "user__email")) == [
        ("https://other.example", "eve@example.com"),
        ("https://work.example", "nina@example.com"),
    ]


def test_a_row_without_an_issuer_matches_no_issuer(db: None) -> None:
    first = resolve_user(SOURCE, replace(NINA, issuer=""))

    with pytest.raises(AccountExists):
        resolve_user(SOURCE, NINA)

    assert ExternalIdentity.objects.get().user_id == first.pk


def test_an_identity_of_another_issuer_is_no_sign_in_method(settings: Settings) -> None:
    settings.SIGN_IN_PROVIDERS = (Provider(SOURCE, kind="oidc", client_id="x", issuer=NINA.issuer),)
    settings.ALLOW_MAGIC_LINK_LOGIN = False
    user = resolve_user(SOURCE, NINA)
    old = ExternalIdentity.objects.create(
        user=user, provider="work", issuer="https://old", subject="7"
    )
    present = user.identities.exclude(pk=old.pk).get()

    with pytest.raises(LastSignInMethod):
        disconnect(user=user, identity_id=present.pk)
    disconnect(user=user, identity_id=old.pk)

    assert user.identities.get() == present


def test_doctor_reports_orphaned_identities_and_a_command_moves_them(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    user = resolve_user(SOURCE, NINA)
    new = "https://new.example"
    settings.SIGN_IN_PROVIDERS = (Provider(SOURCE, kind="oidc", client_id="x", issuer=new),)

    (finding,) = [found for found in examine() if "moveidentities" in found.fix]
    call_command("moveidentities", "work", "--yes")

    assert finding.level == "warning"
    assert finding.text == (
        "1 identities of work are of https://work.example, which is not configured: these users "
        "cannot sign in through the provider."
    )
    assert "1 identities moved." in capsys.readouterr().out
    assert resolve_user(SOURCE, replace(NINA, issuer=new)).pk == user.pk
    row = AuditEvent.objects.get(action="account:identity:move")
    assert row.detail == {
        "count": 1, "left": 0, "before": ["work", "https://work.example"], "after": ["work", new]
    }  # fmt: skip
    assert not [found for found in examine() if "moveidentities" in found.fix]
    with pytest.raises(CommandError, match="are orphaned"):
        call_command("moveidentities", "work", "--yes")


def test_identities_can_be_moved_to_a_renamed_provider(settings: Settings) -> None:
    user = resolve_user(SOURCE, NINA)
    renamed = replace(SOURCE, id="company")
    settings.SIGN_IN_PROVIDERS = (
        Provider(renamed, kind="oidc", client_id="x", issuer=NINA.issuer),
    )

    call_command("moveidentities", "work", "company", "--yes")

    assert resolve_user(renamed, NINA).pk == user.pk


@pytest.mark.parametrize("said", [False, True])
def test_an_email_claim_counts_only_if_verified(said: bool) -> None:
    assert resolve_user(SOURCE, replace(NINA, email_verified=said)).is_verified is said


def test_with_closed_registration_no_account_is_created(db: None) -> None:
    with pytest.raises(RegistrationClosed):
        resolve_user(replace(SOURCE, allows_registration=False), NINA)

    assert not User.objects.exists()


@pytest.mark.parametrize(
    ("email", "is_verified", "can_sign_in"),
    [
        ("u@corp.com", True, True),
        ("u@CORP.com", True, True),
        ("u@corp.com", False, False),
        ("u@corp.com.evil", True, False),
        ("u@evil.corp.com", True, False),
    ],
)
def test_a101_only_the_listed_domain_registers(
    email: str, is_verified: bool, can_sign_in: bool, settings: Settings
) -> None:
    settings.ALLOWED_EMAILS = ("corp.com",)
    info = replace(NINA, email=email, email_verified=is_verified)

    if can_sign_in:
        assert resolve_user(SOURCE, info).email == "u@corp.com"
    else:
        with pytest.raises(RegistrationClosed):
            resolve_user(SOURCE, info)

    assert User.objects.exists() is can_sign_in


@pytest.mark.parametrize(
    "email", ["", "u@evil@corp.com", '"u@corp.com"@evil', "u@corp.com\n", "u", "u@corp.com,b@c.d"]
)
def test_without_a_usable_address_no_account_is_created(email: str, db: None) -> None:
    with pytest.raises(EmailMissing):
        resolve_user(SOURCE, replace(NINA, email=email))

    assert not User.objects.exists()


def test_a_directory_user_needs_no_address(db: None) -> None:
    user = resolve_user(
        replace(SOURCE, needs_email=False), replace(NINA, email="", email_verified=False)
    )

    assert user.email.endswith("@users.invalid")
    assert not user.is_verified


def test_a_verified_address_connects_an_account_created_in_advance(untouched: User) -> None:
    user = resolve_user(replace(SOURCE, allows_registration=False), NINA)

    assert user.pk == untouched.pk
    user.refresh_from_db()
    assert (user.role, user.is_verified) == ("editor", True)
    assert facts("account:email:prove") == [("success", user.pk)]


def test_an_unverified_address_does_not_connect_an_account_created_in_advance(
    untouched: User,
) -> None:
    with pytest.raises(AccountExists):
        resolve_user(SOURCE, replace(NINA, email_verified=False))

    assert not ExternalIdentity.objects.exists()


@pytest.mark.parametrize("trusts", [False, True])
def test_a095_an_account_registered_by_another_person_is_not_connected(
    make_user: MakeUser, trusts: bool
) -> None:
    user = make_user(email="nina@example.com", is_verified=False)

    with pytest.raises(AccountExists):
        resolve_user(replace(SOURCE, trusts_email=trusts), NINA)

    user.refresh_from_db()
    assert (user.is_verified, user.has_usable_password()) == (False, True)


@pytest.mark.parametrize("secret", ["password", "authenticator"])
def test_a_trusted_provider_bypasses_no_password_and_no_factor(
    make_user: MakeUser, secret: str
) -> None:
    user = make_user(email="nina@example.com", password=None)
    if secret == "password":
        user.set_password("correct horse battery staple")
    else:
        Authenticator.objects.create(user=user, kind="totp", name="phone")
    user.last_login = user.created_at
    user.save()

    with pytest.raises(AccountExists):
        resolve_user(replace(SOURCE, trusts_email=True), NINA)

    assert not ExternalIdentity.objects.exists()


def test_a_trusted_provider_connects_an_account_with_only_magic_links(
    make_user: MakeUser,
) -> None:
    user = make_user(email="nina@example.com", password=None)
    user.last_login = user.created_at
    user.save()

    with pytest.raises(AccountExists):
        resolve_user(SOURCE, NINA)
    assert resolve_user(replace(SOURCE, trusts_email=True), NINA).pk == user.pk
    assert OutboxMail.objects.count() == 0  # no mail service: nothing to tell it by


def test_the_unfinished_default_owner_is_not_connected(make_user: MakeUser) -> None:
    make_user("owner", "nina@example.com", password=None, is_verified=False, setup_completed=False)

    with pytest.raises(AccountExists):
        resolve_user(SOURCE, NINA)

    assert not ExternalIdentity.objects.exists()


# Roles


def test_a_new_user_gets_the_mapped_role(db: None) -> None:
    user = resolve_user(MAPPED, with_groups("staff"))

    user.refresh_from_db()
    assert user.role == "editor"
    assert user.identities.get().role_reason == "editor: groups holds staff"


def test_roles_are_updated_at_each_sign_in(db: None) -> None:
    roles = []
    for groups in (["staff"], ["chiefs", "staff"], ["staff"], []):
        resolve_user(MAPPED, with_groups(*groups))
        roles.append(User.objects.get().role)

    assert roles == ["editor", "admin", "editor", "none"]
    assert len(facts("account:role:change")) == 3


def test_without_updates_the_role_is_set_once(db: None) -> None:
    once = replace(SOURCE, mapping=RoleMapping(rules=RULES))

    resolve_user(once, with_groups("staff"))
    resolve_user(once, with_groups("chiefs"))

    assert User.objects.get().role == "editor"


def test_a_locked_role_is_not_changed(db: None) -> None:
    user = resolve_user(MAPPED, with_groups("staff"))
    User.objects.filter(pk=user.pk).update(role="viewer", role_locked=True)

    resolve_user(MAPPED, with_groups("chiefs"))

    assert User.objects.get().role == "viewer"


def test_owners_are_demoted_only_by_a_mapping_with_owner(owner: User) -> None:
    user = resolve_user(MAPPED, with_groups("staff"))
    change_role(actor=owner, user=user, role=Role.OWNER)

    resolve_user(MAPPED, with_groups())
    assert User.objects.get(pk=user.pk).role == "owner"

    owning = RoleRule(GROUPS, frozenset({"heads"}), Role.OWNER)
    resolve_user(replace(SOURCE, mapping=RoleMapping(rules=(owning,), updates=True)), with_groups())
    assert User.objects.get(pk=user.pk).role == "none"


def test_the_last_owner_is_never_demoted_by_mapping(db: None) -> None:
    owning = RoleMapping(rules=(RoleRule(GROUPS, frozenset({"heads"}), Role.OWNER),), updates=True)
    source = replace(SOURCE, mapping=owning)
    user = resolve_user(source, with_groups("heads"))
    assert User.objects.get().role == "owner"

    resolve_user(source, with_groups())

    assert User.objects.get().role == "owner"
    assert facts("account:role:change") == [("refused", user.pk)]


def test_a_user_who_loses_the_requirement_is_signed_out(stranger: Client) -> None:
    needs = RoleMapping(requirements=(Requirement(GROUPS, frozenset({"gate"})),))
    source = replace(SOURCE, mapping=needs)
    user = resolve_user(source, with_groups("gate"))
    stranger.force_login(user)
    assert stranger.get("/account/").status_code == 200

    with pytest.raises(RoleRequired):
        resolve_user(source, with_groups("other"))

    assert stranger.get("/account/").status_code == 302
    assert facts("account:session:start") == [("refused", user.pk)]


def test_a_new_user_without_the_requirement_leaves_only_an_audit_row(db: None) -> None:
    needs = RoleMapping(requirements=(Requirement(GROUPS, frozenset({"gate"})),))

    with pytest.raises(RoleRequired):
        resolve_user(replace(SOURCE, mapping=needs), NINA)

    assert not User.objects.exists()
    assert facts("account:session:start") == [("refused", None)]


# Addresses and names that change at the source

NEW = replace(NINA, email="nina.new@example.com", name="Nina Neuer")


def mailed(kind: str) -> list[str]:
    return sorted(OutboxMail.objects.filter(kind=kind).values_list("recipient", flat=True))


def link_for(email: str) -> int:
    """Ask for a link as a stranger does; how many links were mailed there."""
    EmailRequest.objects.create(kind="magic-link", email=email, language="en")
    before = OutboxMail.objects.filter(kind="magic-link", recipient=email).count()
    handle_link_requests()
    return OutboxMail.objects.filter(kind="magic-link", recipient=email).count() - before


def test_a_new_verified_address_and_name_are_applied(db: None) -> None:
    user = resolve_user(SOURCE, NINA)

    resolve_user(SOURCE, NEW)

    user.refresh_from_db()
    assert (user.email, user.name, user.is_verified) == (
        "nina.new@example.com", "Nina Neuer", True,
    )  # fmt: skip
    assert mailed("email-changed") == ["nina.new@example.com", "nina@example.com"]
    assert facts("account:email:change") == [("success", user.pk)]
    assert link_for("nina.new@example.com") == 1


def test_no_link_goes_to_an_outdated_address(db: None) -> None:
    user = resolve_user(SOURCE, NINA)
    assert link_for("nina@example.com") == 1
    live = LoginLink.objects.get(user=user)

    resolve_user(SOURCE, replace(NEW, email_verified=False))

    user.refresh_from_db()
    assert user.email == "nina@example.com"
    assert facts("account:email:change") == [("refused", user.pk)]
    assert link_for("nina@example.com") == 0
    with transaction.atomic(), pytest.raises(LinkRefused):
        redeem_link(live)
    assert not mailed("email-changed")

    resolve_user(SOURCE, NEW)

    assert link_for("nina.new@example.com") == 1


def test_no_reset_or_verification_goes_to_an_outdated_address(db: None, settings: Settings) -> None:
    user = resolve_user(SOURCE, NINA)
    resolve_user(SOURCE, replace(NEW, email_verified=False))
    EmailRequest.objects.create(kind="reset-password", email=user.email, language="en")

    handle_reset_requests()
    mail_verification(user, binding="", language="en")

    assert mailed("reset-password") == mailed("verify-email") == []


def test_an_address_chosen_by_the_user_is_kept(viewer: User) -> None:
    connect(user=viewer, source=SOURCE, info=NINA)

    resolve_user(SOURCE, NEW)

    viewer.refresh_from_db()
    assert viewer.email == "viewer@example.com"
    assert not facts("account:email:change")
    assert link_for("viewer@example.com") == 1


def test_a_name_chosen_by_the_user_is_kept(db: None) -> None:
    user = resolve_user(SOURCE, NINA)
    User.objects.filter(pk=user.pk).update(name="Nini")

    assert resolve_user(SOURCE, NEW).name == "Nini"


def test_a_freed_address_can_be_used_by_another_user(db: None) -> None:
    first = resolve_user(SOURCE, NINA)
    resolve_user(SOURCE, NEW)

    second = resolve_user(SOURCE, replace(NINA, subject="5678", name="Nina Zwei"))

    assert second.pk != first.pk
    assert second.email == "nina@example.com"
    assert link_for("nina@example.com") == 1
    assert set(LoginLink.objects.values_list("user_id", flat=True)) == {second.pk}


def test_a_reassigned_address_gets_no_link_to_the_old_account(
    db: None,
) -> None:
    first = resolve_user(SOURCE, NINA)

    with pytest.raises(AccountExists):
        resolve_user(SOURCE, replace(NINA, subject="5678"))

    assert link_for("nina@example.com") == 0
    resolve_user(SOURCE, NEW)
    first.refresh_from_db()
    assert first.email == "nina.new@example.com"
    assert resolve_user(SOURCE, replace(NINA, subject="5678")).pk != first.pk


def test_an_address_of_another_account_is_not_applied(viewer: User) -> None:
    user = resolve_user(SOURCE, NINA)

    resolve_user(SOURCE, replace(NEW, email=viewer.email))

    user.refresh_from_db()
    assert user.email == "nina@example.com"
    assert link_for("nina@example.com") == 0
    assert link_for(viewer.email) == 1


def test_links_mailed_to_the_old_address_end(db: None) -> None:
    user = resolve_user(SOURCE, NINA)
    token = issue_token(user, AccountToken.Purpose.CHANGE_EMAIL, lifetime=timedelta(hours=1),
                        email="eve@example.com").token  # fmt: skip

    resolve_user(SOURCE, NEW)

    with pytest.raises(TokenInvalid):
        confirm_address(token, is_asking_browser=True)
    user.refresh_from_db()
    assert user.email == "nina.new@example.com"


CUT = replace(NINA, claims={"id": {"_claim_names": {"groups": "src1"}}})


def test_a_truncated_list_of_groups_changes_no_role_and_denies_sign_in(browser_of: Any) -> None:
    user = resolve_user(MAPPED, with_groups("chiefs"))
    user.set_password(PASSWORD)
    user.save()
    browser = browser_of(user)

    with pytest.raises(GroupsIncomplete):
        resolve_user(MAPPED, CUT)

    user.refresh_from_db()
    assert user.role == "admin"
    assert browser.get("/account/").status_code == 200
    row = AuditEvent.objects.filter(action="account:session:start", result="refused").get()
    assert row.target_id == user.pk
    assert row.detail["reason"] == "groups is truncated: the provider has more than it sent"
    assert resolve_user(MAPPED, with_groups("staff")).role == "editor"


def test_a_truncated_list_of_groups_creates_no_account(db: None) -> None:
    with pytest.raises(GroupsIncomplete):
        resolve_user(MAPPED, CUT)

    assert not User.objects.exists()


def test_a_truncated_list_of_groups_meets_no_requirement(db: None) -> None:
    needs = RoleMapping(requirements=(Requirement(GROUPS, frozenset({"gate"})),))
    gated = replace(SOURCE, mapping=needs)
    user = resolve_user(gated, with_groups("gate"))

    with pytest.raises(GroupsIncomplete):
        resolve_user(gated, CUT)

    user.refresh_from_db()
    assert user.is_active


def test_without_a_mapping_a_truncated_list_of_groups_is_ignored(owner: User) -> None:
    user = resolve_user(MAPPED, with_groups("staff"))

    assert resolve_user(SOURCE, CUT).pk == user.pk
    assert resolve_user(replace(SOURCE, mapping=RoleMapping(rules=RULES)), CUT).role == "editor"
    User.objects.filter(pk=user.pk).update(role_locked=True)
    assert resolve_user(MAPPED, CUT).role == "editor"
    User.objects.filter(pk=user.pk).update(role_locked=False, role="owner")
    assert resolve_user(MAPPED, CUT).role == "owner"


# Connecting and disconnecting


def test_a_user_connects_an_identity_once(viewer: User, editor: User) -> None:
    first = connect(user=viewer, source=SOURCE, info=NINA)

    assert connect(user=viewer, source=SOURCE, info=NINA).pk == first.pk
    with pytest.raises(IdentityTaken):
        connect(user=editor, source=SOURCE, info=NINA)
    assert resolve_user(SOURCE, NINA).pk == viewer.pk
    assert [result for result, _target in facts("account:identity:connect")] == [
        "success", "refused",
    ]  # fmt: skip


def test_a103_the_last_sign_in_method_cannot_be_removed(settings: Settings) -> None:
    user = resolve_user(SOURCE, NINA)
    identity = user.identities.get()

    with pytest.raises(LastSignInMethod):
        disconnect(user=user, identity_id=identity.pk)
    assert ExternalIdentity.objects.count() == 1

    user.set_password("correct horse battery staple")
    user.save()
    settings.ALLOW_EMAIL_LOGIN = False
    with pytest.raises(LastSignInMethod):
        disconnect(user=user, identity_id=identity.pk)

    settings.ALLOW_EMAIL_LOGIN = True
    disconnect(user=user, identity_id=identity.pk)
    assert not ExternalIdentity.objects.exists()
    assert facts("account:identity:disconnect") == [("success", user.pk)]


def test_an_identity_of_another_user_is_not_disconnected(viewer: User, editor: User) -> None:
    identity = connect(user=viewer, source=SOURCE, info=NINA)

    with pytest.raises(NotFound):
        disconnect(user=editor, identity_id=identity.pk)

    assert ExternalIdentity.objects.count() == 1


def test_disconnecting_ends_the_sessions_of_that_provider(viewer: User, browser_of: Any) -> None:
    browser = browser_of(viewer)
    identity = connect(user=viewer, source=SOURCE, info=NINA)

    disconnect(user=viewer, identity_id=identity.pk)

    assert browser.get("/account/").status_code == 302
