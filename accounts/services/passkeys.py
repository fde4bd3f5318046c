"""Passkeys of people: adding, using, naming and removing them.

A question (challenge) lives in the session of the browser that asked, for five minutes, is bound
to its purpose and person, and is answered once; see accounts.passkeys for what a right answer is.
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

from accounts import audit, passkeys, plain_text
from accounts.errors import Forbidden, NotFound, RecordInvalid
from accounts.locks import lock_people
from accounts.models import Authenticator, User
from accounts.passkeys import Known, PasskeyCopied, PasskeyExpired, PasskeyInvalid, PasskeyUnknown
from accounts.services import recovery
from accounts.services.authenticators import require_not_last
from accounts.services.factormails import tell
from accounts.services.identities import LastWayIn, has_other_way_in
from accounts.services.sessions import end_sign_ins
from accounts.tokens import digest

# What a question is for. An answer to one is no answer to another.
ADD, SIGN_IN, SECOND_FACTOR, STEP_UP = "add", "sign-in", "second-factor", "step-up"
LIFETIME = timedelta(minutes=5)
MOST_PASSKEYS = 20
# Open questions of one browser: several tabs, and the offer while typing beside the button.
MOST_QUESTIONS = 5
QUESTIONS = "passkey_questions"
NAME_MAX_LENGTH = 80
PASSKEY = Authenticator.Kind.PASSKEY


class TooManyPasskeys(Forbidden):
    """One more than MOST_PASSKEYS."""

    code = "too_many_passkeys"
    default_message = _("You have 20 passkeys. Remove one before you add another.")


@dataclass(frozen=True, slots=True)
class Question:
    """An open challenge as the session keeps it; person is "" where nobody is named yet."""

    challenge: str
    purpose: str
    person: str
    asked_at: str


class Added(NamedTuple):
    """A new passkey, and the recovery codes that were made with the first factor, else ()."""

    passkey: Authenticator
    codes: tuple[str, ...]


def of_user(user: User) -> list[Authenticator]:
    """The person's passkeys, oldest first."""
    return list(user.authenticators.filter(kind=PASSKEY).order_by("id"))


def begin_adding(session: SessionBase, user: User) -> dict[str, Any]:
    """Options for navigator.credentials.create(). Raises PasskeysUnavailable, TooManyPasskeys."""
    passkeys.require_available()
    have = of_user(user)
    if len(have) >= MOST_PASSKEYS:
        raise TooManyPasskeys
    options, challenge = passkeys.creation_options(
        handle=user.pk.bytes, login=user.email, name=user.name, have=_known(have)
    )
    _ask(session, challenge, ADD, user)
    return options


def add(
    session: SessionBase, user: User, answer: Any, *, name: str, is_first: bool = False
) -> Added:
    """Keep the passkey that the browser has made; mails and writes it down.

    is_first: whoever adds it has given his first factor only and is let in by this one, so there
    must be no second factor yet. Raises PasskeyExpired, PasskeyInvalid, TooManyPasskeys,
    RecordInvalid (no name).
    """
    title = clean_name(name)
    try:
        challenge = passkeys.challenge_of_new(answer)
        _take(session, challenge, ADD, user)
        made = passkeys.check_new(answer, challenge)
        return _store(user, made, title, is_first=is_first)
    except (PasskeyInvalid, PasskeyExpired) as error:
        audit.record(
            "account:passkey:add", actor=user, target=user, result="refused", reason=error.code
        )
        raise


def _store(user: User, made: passkeys.Credential, name: str, *, is_first: bool) -> Added:
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
        # The account's row is the turnstile: two at once do not make the twenty-first.
        lock_people(user.pk)
        if is_first and user.authenticators.exists():
            raise PasskeyExpired
        if user.authenticators.filter(kind=PASSKEY).count() >= MOST_PASSKEYS:
            raise TooManyPasskeys
        try:
            with transaction.atomic():
                row.save(force_insert=True)
        except IntegrityError:
            raise PasskeyInvalid(str(_("This passkey is in use already."))) from None
        audit.record("account:passkey:add", actor=user, target=user, passkey=str(row.pk))
        tell(user, "passkey-added", name=name)
        return Added(row, recovery.ensure_codes(user))


def begin_signing_in(session: SessionBase) -> dict[str, Any]:
    """Options for navigator.credentials.get() with any passkey. Raises PasskeysUnavailable."""
    passkeys.require_available()
    options, challenge = passkeys.request_options(None)
    _ask(session, challenge, SIGN_IN, None)
    return options


def begin_proving(session: SessionBase, user: User, purpose: str) -> dict[str, Any]:
    """Options for `user` to show one of his own passkeys, for SECOND_FACTOR or STEP_UP.

    Raises PasskeysUnavailable; PasskeyUnknown when he has none.
    """
    passkeys.require_available()
    have = of_user(user)
    if not have:
        raise PasskeyUnknown
    options, challenge = passkeys.request_options(_known(have))
    _ask(session, challenge, purpose, user)
    return options


def who_signs_in(session: SessionBase, answer: Any) -> User:
    """The person of the passkey in `answer`; the gate has not been asked.

    Raises PasskeyInvalid, PasskeyUnknown, PasskeyExpired, PasskeyCopied, each written down.
    """
    return _accept(session, answer, SIGN_IN, None).user


def prove(session: SessionBase, user: User, answer: Any, purpose: str) -> Authenticator:
    """Check that `user` has shown one of his own passkeys, for SECOND_FACTOR or STEP_UP.

    Raises as who_signs_in(). Limits are the caller's.
    """
    return _accept(session, answer, purpose, user)


def _accept(session: SessionBase, answer: Any, purpose: str, user: User | None) -> Authenticator:
    """The passkey that gave a right answer; `user` is whose it must be, None for anybody's."""
    owner = user
    try:
        claim = passkeys.claim_of(answer)
        row = _find(claim.credential_id, user)
        owner = row.user
        _take(session, claim.challenge, purpose, user)
        _use(row, answer, claim.challenge, is_alone=user is None)
    except (PasskeyInvalid, PasskeyUnknown, PasskeyExpired, PasskeyCopied) as error:
        note_refused(owner, purpose, error.code)
        raise
    return row


def note_refused(user: User | None, purpose: str, reason: str) -> None:
    """Write down that a passkey was refused; `user` is whose passkey or sign-in it is, if known."""
    action = "account:confirm:passkey" if purpose == STEP_UP else "account:session:start"
    audit.record(action, target=user, result="refused", methods=["passkey"], reason=reason)


def rename(*, user: User, passkey_id: uuid.UUID, name: str) -> None:
    """Give one of the person's own passkeys another name. Raises NotFound, RecordInvalid."""
    title = clean_name(name)
    with transaction.atomic():
        lock_people(user.pk)
        if not user.authenticators.filter(kind=PASSKEY, pk=passkey_id).update(name=title):
            raise NotFound
        audit.record(
            "account:passkey:rename", actor=user, target=user, passkey=str(passkey_id)
        )  # fmt: skip


def remove(*, user: User, passkey_id: uuid.UUID, ends_sessions: bool) -> int:
    """Take away one of the person's own passkeys; returns ended sessions.

    ends_sessions: also end every session, this one too, so sign it in again (ASVS 7.4.3).
    Recovery codes go with the last factor. Raises NotFound, LastWayIn, FactorNeeded.
    """
    with transaction.atomic():
        lock_people(user.pk)
        row = find_own(user, passkey_id)
        if not has_other_way_in(user, row):
            raise LastWayIn
        require_not_last(user)
        row.delete()
        recovery.drop_without_factor(user)
        count = end_sign_ins(user, "passkey removed") if ends_sessions else 0
        audit.record("account:passkey:remove", actor=user, target=user, passkey=str(passkey_id))
        tell(user, "passkey-removed", name=row.name)
    return count


def find_own(user: User, passkey_id: uuid.UUID) -> Authenticator:
    """One of the person's own passkeys. Raises NotFound."""
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


def _use(row: Authenticator, answer: Any, challenge: str, *, is_alone: bool) -> None:
    """Check the signature, then move the count on: one conditional UPDATE decides.

    Devices that do not count say 0 for ever; for all others the count only grows.
    """
    (known,) = _known([row])
    handle = row.user_id.bytes
    proof = passkeys.check_proof(answer, challenge, known, handle=handle, is_alone=is_alone)
    grows = Q(sign_count__lt=proof.sign_count) if proof.sign_count else Q(sign_count=0)
    changes = {
        "sign_count": proof.sign_count,
        "last_used_at": timezone.now(),
        "credential": row.credential | {"is_backed_up": proof.is_backed_up},
    }
    same = Authenticator.objects.filter(pk=row.pk)
    if not same.filter(grows).update(**changes):
        raise PasskeyCopied if same.exists() else PasskeyUnknown


def _known(rows: Iterable[Authenticator]) -> list[Known]:
    return [
        Known(
            credential_id=row.credential_id or "",
            public_key=row.credential["public_key"],
            transports=tuple(row.credential["transports"]),
            aaguid=row.credential["aaguid"],
        )
        for row in rows
    ]


def _ask(session: SessionBase, challenge: str, purpose: str, user: User | None) -> None:
    """Remember the question; the oldest goes when there are too many."""
    question = Question(challenge, purpose, _person(user), timezone.now().isoformat())
    session[QUESTIONS] = [*session.get(QUESTIONS, []), asdict(question)][-MOST_QUESTIONS:]


def _take(session: SessionBase, challenge: str, purpose: str, user: User | None) -> None:
    """Use up the question that `challenge` answers, right or wrong. Raises PasskeyExpired."""
    asked = [Question(**kept) for kept in session.get(QUESTIONS, [])]
    found = next((question for question in asked if question.challenge == challenge), None)
    if found is None:
        raise PasskeyExpired
    session[QUESTIONS] = [asdict(each) for each in asked if each is not found]
    is_late = timezone.now() - datetime.fromisoformat(found.asked_at) > LIFETIME
    if is_late or (found.purpose, found.person) != (purpose, _person(user)):
        raise PasskeyExpired
    # Two answers at once read the same session: the first mark in the shared counter wins.
    mark = f"passkey:{digest('passkey', challenge)}"
    store: Any = caches["counters"]
    if not store.add_mark(mark, 2 * LIFETIME.total_seconds()):
        raise PasskeyExpired


def _person(user: User | None) -> str:
    return "" if user is None else str(user.pk)
