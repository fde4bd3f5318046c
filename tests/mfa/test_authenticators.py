"""Authenticators and recovery codes: encrypted, single-use, notified, reset by rank."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from accounts.models import User
from accounts.services import second_factors
from audit.models import AuditEvent
from core.crypto.encryption import DecryptionError, decrypt
from core.errors import Forbidden, NotFound, RecordInvalid
from mail.models import OutboxMail
from mfa import totp
from mfa.models import Authenticator, RecoveryCode
from mfa.services import authenticators, recovery_codes
from tests.conftest import text_of
from tests.mfa.authenticator import set_up_app

pytestmark = pytest.mark.django_db
Mails = Callable[[], list[OutboxMail]]


def test_an_authenticator_is_set_up_with_one_of_its_codes(viewer: User, mails: Mails) -> None:
    begun = authenticators.begin_totp_setup(viewer)
    secret = totp.from_text(begun.secret)
    with pytest.raises(RecordInvalid):
        authenticators.confirm_totp_setup(viewer, begun.secret, "000 000 0")
    assert not second_factors.has_factor(viewer)

    codes = authenticators.confirm_totp_setup(
        viewer, begun.secret, totp.code_of(secret, _now_step()), name="Phone"
    )

    row = Authenticator.objects.get()
    assert (row.kind, row.name, row.last_step) == ("totp", "Phone", _now_step())
    assert len(codes) == 10
    assert [mail.kind for mail in mails()] == ["factor-added", "recovery-codes-made"]
    assert not authenticators.verify_totp(viewer, totp.code_of(secret, _now_step()))


def _now_step() -> int:

    return totp.step_at(timezone.now().timestamp())


def test_the_seed_is_encrypted_for_its_row(viewer: User, editor: User) -> None:
    secret = set_up_app(viewer).secret
    other = set_up_app(editor)
    row, foreign = Authenticator.objects.order_by("id")

    assert totp.as_text(secret) not in row.sealed_secret
    with pytest.raises(DecryptionError):
        decrypt(row.sealed_secret, f"authenticator.sealed_secret:{foreign.pk}")
    Authenticator.objects.filter(pk=row.pk).update(sealed_secret=foreign.sealed_secret)
    assert authenticators.verify_second_factor(viewer, other.code()) == ""


@pytest.mark.parametrize(
    ("steps", "method"), [(-2, ""), (-1, "totp"), (0, "totp"), (1, "totp"), (2, "")]
)
def test_a_code_works_once_in_its_time(viewer: User, steps: int, method: str) -> None:
    app = set_up_app(viewer)

    assert authenticators.verify_second_factor(viewer, app.code(steps)) == method
    assert authenticators.verify_second_factor(viewer, app.code(steps)) == ""


def test_an_older_code_does_not_work_after_a_newer_one(viewer: User) -> None:
    app = set_up_app(viewer)
    assert authenticators.verify_second_factor(viewer, app.code()) == "totp"

    assert authenticators.verify_second_factor(viewer, app.code(-1)) == ""
    assert authenticators.verify_second_factor(viewer, app.code(1)) == "totp"


def test_a_new_authenticator_replaces_the_old_and_keeps_recovery_codes(viewer: User) -> None:
    old = set_up_app(viewer)
    new = set_up_app(viewer)

    assert new.recovery_codes == ()
    assert authenticators.verify_second_factor(viewer, old.code()) == ""
    assert authenticators.verify_second_factor(viewer, new.code()) == "totp"
    assert authenticators.verify_second_factor(viewer, old.recovery_codes[0]) == "recovery_code"


def test_a_recovery_code_works_once_however_it_is_typed(viewer: User, mails: Mails) -> None:
    codes = set_up_app(viewer).recovery_codes
    typed = f"  {codes[0].upper().replace('-', ' ')} ".replace("O", "0").replace("L", "1")

    assert authenticators.verify_second_factor(viewer, typed) == "recovery_code"
    assert authenticators.verify_second_factor(viewer, codes[0]) == ""
    assert second_factors.remaining_codes(viewer) == (9, 10)
    assert mails()[-1].kind == "recovery-code-used"
    assert "9 are left" in text_of(mails()[-1])


def test_recovery_codes_have_112_bits_and_only_digests_are_stored(viewer: User) -> None:
    codes = set_up_app(viewer).recovery_codes

    assert {len(code.replace("-", "")) for code in codes} == {25}
    assert len(set(codes)) == 10
    assert set("".join(codes)) <= set(recovery_codes.LETTERS + "-")
    kept = set(RecoveryCode.objects.values_list("digest", flat=True))
    assert {len(digest) for digest in kept} == {64}


def test_a_new_set_of_recovery_codes_invalidates_the_old_one(viewer: User) -> None:
    old = set_up_app(viewer).recovery_codes
    new = recovery_codes.make_codes(viewer)

    assert authenticators.verify_second_factor(viewer, old[0]) == ""
    assert authenticators.verify_second_factor(viewer, new[0]) == "recovery_code"


def test_a_code_of_another_user_is_rejected(viewer: User, editor: User) -> None:
    codes = set_up_app(viewer).recovery_codes
    set_up_app(editor)

    assert authenticators.verify_second_factor(editor, codes[0]) == ""
    assert second_factors.remaining_codes(viewer).left == 10


def test_removing_the_last_factor_deletes_the_recovery_codes(viewer: User, mails: Mails) -> None:
    codes = set_up_app(viewer).recovery_codes

    authenticators.remove_totp(viewer)

    assert not second_factors.has_factor(viewer)
    assert authenticators.verify_second_factor(viewer, codes[0]) == ""
    assert RecoveryCode.objects.count() == 0
    assert mails()[-1].kind == "factor-removed"
    with pytest.raises(NotFound):
        authenticators.remove_totp(viewer)


def test_a_required_factor_cannot_be_removed(admin: User, settings) -> None:
    settings.MFA_REQUIRED_ROLES = ("admin",)
    set_up_app(admin)

    with pytest.raises(second_factors.FactorNeeded):
        authenticators.remove_totp(admin)

    assert second_factors.has_factor(admin)


def test_an_administrator_resets_factors_of_users_they_manage(
    admin: User, viewer: User, mails: Mails, browser_of
) -> None:
    browser = browser_of(viewer)
    set_up_app(viewer)

    assert second_factors.reset_factors(actor=admin, user=viewer) == 1

    assert not second_factors.has_factor(viewer)
    assert RecoveryCode.objects.count() == 0
    assert browser.get("/account/").status_code == 302
    assert mails()[-1].kind == "factors-reset"
    event = AuditEvent.objects.get(action="account:factor:reset")
    assert (event.actor_id, event.target_id, event.detail) == (
        admin.pk, viewer.pk, {"kinds": ["totp"]},
    )  # fmt: skip


@pytest.mark.parametrize("role", ["admin", "owner"])
def test_factors_of_an_equal_or_higher_rank_cannot_be_reset(admin: User, make_user, role) -> None:
    other = make_user(role)
    set_up_app(other)

    with pytest.raises(Forbidden):
        second_factors.reset_factors(actor=admin, user=other)

    assert second_factors.has_factor(other)


def test_an_owner_cannot_reset_their_own_factors(owner: User) -> None:
    set_up_app(owner)

    with pytest.raises(RecordInvalid):
        second_factors.reset_factors(actor=owner, user=owner)

    assert second_factors.has_factor(owner)


def test_every_change_is_audited_without_a_secret(viewer: User) -> None:
    app = set_up_app(viewer)
    authenticators.rename_totp(viewer, "Old phone")
    authenticators.verify_second_factor(viewer, app.recovery_codes[0])
    authenticators.remove_totp(viewer)

    events = AuditEvent.objects.filter(target_id=viewer.pk).order_by("seq")
    assert [event.action for event in events] == [
        "account:factor:add",
        "account:recovery-codes:make",
        "account:factor:rename",
        "account:recovery-codes:use",
        "account:factor:remove",
    ]
    written = str([event.detail for event in events])
    assert totp.as_text(app.secret) not in written
    assert not any(code in written for code in app.recovery_codes)


def test_a_code_expires(viewer: User, at_time: Callable[[timedelta], datetime]) -> None:
    app = set_up_app(viewer)
    code = app.code()
    at_time(timedelta(seconds=2 * totp.STEP_SECONDS))

    assert authenticators.verify_second_factor(viewer, code) == ""
