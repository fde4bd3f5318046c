"""Passkeys of users: adding, verifying, renaming and removing them.

A challenge is kept in the session for five minutes, bound to its purpose and user, and works once.
See mfa.webauthn for the verification of responses.
"""

import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.contrib.sessions.backends.base import SessionBase
from django.core.cache import caches
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.services import second_factors
from accounts.services.credentials import LastSignInMethod, has_other_sign_in_method
from accounts.services.mail import notify
from accounts.services.sessions import Renew, revoke_sessions
from audit import audit_log
from core.crypto.tokens import digest
from core.errors import Forbidden, NotFound, RecordInvalid
from core.locks import lock_users
from core.text import plain_text
from mfa import webauthn
from mfa.models import Authenticator
from mfa.services import recovery_codes
from mfa.services.authenticators import require_not_last
from mfa.webauthn import (
    ClonedPasskey,
    PasskeyExpired,
    PasskeyInvalid,
    PasskeyUnknown,
    StoredCredential,
)

# Purposes of a challenge. A response to one is not valid for another.
ADD, SIGN_IN, SECOND_FACTOR, STEP_UP = "add", "sign-in", "second-factor", "step-up"
LIFETIME = timedelta(minutes=5)
MAX_PASSKEYS = 20
# Open challenges of one browser: several tabs, and autofill besides the button.
MAX_CHALLENGES = 5
CHALLENGES = "passkey_questions"
NAME_MAX_LENGTH = 80
PASSKEY = Authenticator.Kind.PASSKEY


class TooManyPasskeys(Forbidden):
    """The user has MAX_PASSKEYS already."""

    code = "too_many_passkeys"
    default_message = _("You have 20 passkeys. Remove one before you add another.")


@dataclass(frozen=True, slots=True)
class Challenge:
    """An open challenge as stored in the session; person is "" if the user is not known yet."""

    challenge: str
    purpose: str
    person: str
    asked_at: str


class Added(NamedTuple):
    """A new passkey, and the recovery codes that were created with the first factor."""

    passkey: Authenticator
    codes: tuple[str, ...]


def of_user(user: User) -> list[Authenticator]:
    """The passkeys of the user, oldest first."""
    return list(user.authenticators.filter(kind=PASSKEY).order_by("id"))


def begin_registration(session: SessionBase, user: User) -> dict[str, Any]:
    """Options for navigator.credentials.create(). Raises PasskeysUnavailable, TooManyPasskeys."""
    webauthn.require_available()
    have = of_user(user)
    if len(have) >= MAX_PASSKEYS:
        raise TooManyPasskeys
    options, challenge = webauthn.creation_options(
        handle=user.pk.bytes, login=user.email, name=user.name, have=_stored_credentials(have)
    )
    _save_challenge(session, challenge, ADD, user)
    return options


def add(
    session: SessionBase, user: User, answer: Any, *, name: str, is_first: bool = False
) -> Added:
    """Store the passkey that the browser has created; audits it and sends a mail.

    is_first: the user has given only the first factor and is signed in by this passkey, so they
    must have no second factor yet. Raises PasskeyExpired, PasskeyInvalid, TooManyPasskeys,
    RecordInvalid (no name).
    """
    title = clean_name(name)
    try:
        challenge = webauthn.registration_challenge(answer)
        _consume_challenge(session, challenge, ADD, user)
        made = webauthn.verify_registration(answer, challenge)
        return _store(user, made, title, is_first=is_first)
    except (PasskeyInvalid, PasskeyExpired) as error:
        audit_log.record(
            "account:passkey:add", actor=user, target=user, result="refused", reason=error.code
        )
        raise


def _store(user: User, made: webauthn.Credential, name: str, *, is_first: bool) -> Added:
    row = Authenticator(
        user=user,
        kind=PASSKEY,
        name=name,
        credential_id=made.credential_id,
        credential={
            "public_key": made.public_key,
            "transports": list(made.transports),
            "aaguid": made.aaguid,
            "is_backed_up": made.is_backed_up,
        },
        sign_count=made.sign_count,
    )
    with transaction.atomic():
        # Under the lock, so that two requests at once cannot exceed the limit.
        lock_users(user.pk)
        if is_first and user.authenticators.exists():
            raise PasskeyExpired
        if user.authenticators.filter(kind=PASSKEY).count() >= MAX_PASSKEYS:
            raise TooManyPasskeys
        try:
            with transaction.atomic():
                row.save(force_insert=True)
        except IntegrityError:
            raise PasskeyInvalid(str(_("This passkey is in use already."))) from None
        audit_log.record("account:passkey:add", actor=user, target=user, passkey=str(row.pk))
        notify(user, "passkey-added", name=name)
        return Added(row, recovery_codes.ensure_codes(user))


def begin_sign_in(session: SessionBase) -> dict[str, Any]:
    """Options for navigator.credentials.get() with any passkey. Raises PasskeysUnavailable."""
    webauthn.require_available()
    options, challenge = webauthn.request_options(None)
    _save_challenge(session, challenge, SIGN_IN, None)
    return options


def begin_verification(session: SessionBase, user: User, purpose: str) -> dict[str, Any]:
    """Options for `user` to verify one of their passkeys, for SECOND_FACTOR or STEP_UP.

    Raises PasskeysUnavailable; PasskeyUnknown if they have none.
    """
    webauthn.require_available()
    have = of_user(user)
    if not have:
        raise PasskeyUnknown
    options, challenge = webauthn.request_options(_stored_credentials(have))
    _save_challenge(session, challenge, purpose, user)
    return options


def authenticate_passkey(session: SessionBase, answer: Any) -> User:
    """The user of the passkey in `answer`; does not ask the access policy.

    Raises PasskeyInvalid, PasskeyUnknown, PasskeyExpired, ClonedPasskey; each is audited.
    """
    return _accept(session, answer, SIGN_IN, None).user


def verify_passkey(session: SessionBase, user: User, answer: Any, purpose: str) -> Authenticator:
    """Verify one of the passkeys of `user`, for SECOND_FACTOR or STEP_UP.

    Raises as authenticate_passkey(). The caller enforces the rate limit.
    """
    return _accept(session, answer, purpose, user)


def _accept(session: SessionBase, answer: Any, purpose: str, user: User | None) -> Authenticator:
    """The verified passkey. user: its required owner, None for any."""
    owner = user
    try:
        claim = webauthn.assertion_reference(answer)
        row = _find(claim.credential_id, user)
        owner = row.user
        _consume_challenge(session, claim.challenge, purpose, user)
        _verify_and_count(row, answer, claim.challenge, is_discoverable=user is None)
    except (PasskeyInvalid, PasskeyUnknown, PasskeyExpired, ClonedPasskey) as error:
        record_refusal(owner, purpose, error.code)
        raise
    return row


def record_refusal(user: User | None, purpose: str, reason: str) -> None:
    """Audit that a passkey was refused. user: its owner, or who signs in, if known."""
    action = "account:confirm:passkey" if purpose == STEP_UP else "account:session:start"
    audit_log.record(action, target=user, result="refused", methods=["passkey"], reason=reason)


def rename(*, user: User, passkey_id: uuid.UUID, name: str) -> None:
    """Rename one of the user's passkeys. Raises NotFound, RecordInvalid."""
    title = clean_name(name)
    with transaction.atomic():
        lock_users(user.pk)
        if not user.authenticators.filter(kind=PASSKEY, pk=passkey_id).update(name=title):
            raise NotFound
        audit_log.record(
            "account:passkey:rename", actor=user, target=user, passkey=str(passkey_id)
        )  # fmt: skip


def remove(
    *, user: User, passkey_id: uuid.UUID, ends_sessions: bool, renew: Renew | None = None
) -> int:
    """Remove one of the user's passkeys; returns the number of ended sessions.

    ends_sessions: also end every session (ASVS 7.4.3); `renew` renews the current one. Recovery
    codes are deleted with the last factor. Sends a mail. Raises NotFound, LastSignInMethod,
    FactorNeeded.
    """
    with transaction.atomic():
        lock_users(user.pk)
        row = find_own(user, passkey_id)
        if not has_other_sign_in_method(user, row):
            raise LastSignInMethod
        require_not_last(user)
        row.delete()
        second_factors.drop_without_factor(user)
        count = revoke_sessions(user, "passkey removed") if ends_sessions else 0
        audit_log.record("account:passkey:remove", actor=user, target=user, passkey=str(passkey_id))
        notify(user, "passkey-removed", name=row.name)
        if ends_sessions and renew:
            renew()
    return count


def find_own(user: User, passkey_id: uuid.UUID) -> Authenticator:
    """One of the user's passkeys. Raises NotFound."""
    row = user.authenticators.filter(kind=PASSKEY, pk=passkey_id).first()
    if row is None:
        raise NotFound
    return row


def clean_name(name: str) -> str:
    """One line, at most NAME_MAX_LENGTH characters. Raises RecordInvalid."""
    title = plain_text.clean_name(name, NAME_MAX_LENGTH + 1)
    if not title or len(title) > NAME_MAX_LENGTH or not title.isprintable():
        raise RecordInvalid({"name": [str(_("Give it a name of at most 80 characters."))]})
    return title


def _find(credential_id: str, user: User | None) -> Authenticator:
    rows = Authenticator.objects.select_related("user")
    row: Authenticator | None = rows.filter(kind=PASSKEY, credential_id=credential_id).first()
    if row is None or (user is not None and row.user_id != user.pk):
        raise PasskeyUnknown
    return row


def _verify_and_count(
    row: Authenticator, answer: Any, challenge: str, *, is_discoverable: bool
) -> None:
    """Verify the signature, then update the sign counter by one conditional UPDATE.

    Devices without a counter always send 0; any other counter must grow (WebAuthn, 6.1.1).
    """
    (known,) = _stored_credentials([row])
    handle = row.user_id.bytes
    proof = webauthn.verify_assertion(
        answer, challenge, known, handle=handle, is_discoverable=is_discoverable
    )
    grows = Q(sign_count__lt=proof.sign_count) if proof.sign_count else Q(sign_count=0)
    changes = {
        "sign_count": proof.sign_count,
        "last_used_at": timezone.now(),
        "credential": row.credential | {"is_backed_up": proof.is_backed_up},
    }
    same = Authenticator.objects.filter(pk=row.pk)
    if not same.filter(grows).update(**changes):
        raise ClonedPasskey if same.exists() else PasskeyUnknown


def _stored_credentials(rows: Iterable[Authenticator]) -> list[StoredCredential]:
    return [
        StoredCredential(
            credential_id=row.credential_id or "",
            public_key=row.credential["public_key"],
            transports=tuple(row.credential["transports"]),
            aaguid=row.credential["aaguid"],
        )
        for row in rows
    ]


def _save_challenge(session: SessionBase, challenge: str, purpose: str, user: User | None) -> None:
    """Store the challenge; drops the oldest if there are too many."""
    stored = Challenge(challenge, purpose, _user_key(user), timezone.now().isoformat())
    session[CHALLENGES] = [*session.get(CHALLENGES, []), asdict(stored)][-MAX_CHALLENGES:]


def _consume_challenge(
    session: SessionBase, challenge: str, purpose: str, user: User | None
) -> None:
    """Consume the stored challenge, whatever the outcome. Raises PasskeyExpired."""
    asked = [Challenge(**kept) for kept in session.get(CHALLENGES, [])]
    found = next((one for one in asked if one.challenge == challenge), None)
    if found is None:
        raise PasskeyExpired
    session[CHALLENGES] = [asdict(each) for each in asked if each is not found]
    is_late = timezone.now() - datetime.fromisoformat(found.asked_at) > LIFETIME
    if is_late or (found.purpose, found.person) != (purpose, _user_key(user)):
        raise PasskeyExpired
    # Concurrent responses read the same session: the first to set the mark wins.
    mark = f"passkey:{digest('passkey', challenge)}"
    store: Any = caches["counters"]
    if not store.add_mark(mark, 2 * LIFETIME.total_seconds()):
        raise PasskeyExpired


def _user_key(user: User | None) -> str:
    return "" if user is None else str(user.pk)
