"""Makes authorization codes, and redeems each of them once."""

from dataclasses import dataclass
from datetime import timedelta
from secrets import token_urlsafe

from django.conf import settings
from django.db import transaction
from django.utils import timezone, translation

from accounts import access_policy
from accounts.models import User
from applications.models import App
from applications.refusals import RefusedSignIn, note_refused_sign_in
from audit import audit_log
from core import sql
from core.crypto.tokens import digest, make_token
from core.locks import delete_free, lock_users
from oidc_provider.authentication import SessionAuthentication
from oidc_provider.entry import entry_denial
from oidc_provider.errors import ProtocolError
from oidc_provider.models import AuthorizationCode, Consent, Grant, PushedRequest
from oidc_provider.parameters import AuthorizationRequest, is_verified
from oidc_provider.scopes import OFFLINE
from oidc_provider.services.app_scopes import still_given
from oidc_provider.services.grants import REUSED, end_grant, read_grant
from oidc_provider.services.pushed_requests import use_up
from oidc_provider.sql import find_session, use_up_code

PURPOSE = "openid-code"
# RFC 6749, section 4.1.2, allows ten minutes; the app redeems it at once.
LIFETIME = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Redemption:
    """What the app sends with a code."""

    code: str
    redirect_uri: str
    verifier: str


def lock_signed_in(user: User, authentication: SessionAuthentication) -> User:
    """Lock and return the account as it is now. Call inside the transaction of the answer.

    A revocation deletes the sessions under the same lock, so no code outlives it. Raises
    AccessDenied if the session or the access of the user has ended meanwhile.
    """
    lock_users(user.pk)
    found = find_session(user.pk, authentication.session_id)
    current, end = found if found is not None else (None, None)
    is_live = (
        current is not None and not current.is_built_in and end is not None and end > timezone.now()
    )
    denial = access_policy.get_denial(current if is_live else None)
    if denial is not None or current is None:
        raise (denial or access_policy.DenialReason("not_authenticated", "")).as_error()
    return current


def issue_code(
    *,
    app: App,
    user: User,
    redirect_uri: str,
    asked: AuthorizationRequest,
    authentication: SessionAuthentication,
    remember: bool,
    pushed: PushedRequest | None = None,
) -> str:
    """A code for `user`, whose entry was decided a moment ago.

    remember: the user has just allowed what is asked, and is not asked again. pushed: the request
    that this answers; it is used up. Writes one audit row. Raises AccessDenied if the session or
    the access of the user has ended meanwhile, and RequestUnusable if another answer was first.
    """
    code, scope = make_token(), " ".join(asked.scopes)
    with transaction.atomic():
        current = lock_signed_in(user, authentication)
        if pushed is not None:
            use_up(pushed)
        if remember:
            _remember(user, app, " ".join(asked.told_scopes))
        now = current.issue_time(timezone.now())
        row = sql.new_row(
            AuthorizationCode,
            app_id=app.pk,
            user_id=user.pk,
            digest=digest(PURPOSE, code),
            redirect_uri=redirect_uri,
            scope=scope,
            nonce=asked.nonce,
            claims=asked.claims.stored(),
            code_challenge=asked.code_challenge,
            session_id=authentication.session_id,
            auth_time=authentication.at,
            methods=authentication.methods,
            has_second_factor=authentication.has_second_factor,
            ip=authentication.ip,
            created_at=now,
            expires_at=now + LIFETIME,
        )
        sql.insert([row])
        audit_log.record("openid:sign-in:start", actor=user, target=user, name=app.name)
    return code


def redeem(app: App, given: Redemption) -> tuple[Grant, str]:
    """The grant that the code stands for, and the `nonce` of its request.

    The code is used up whatever else is wrong. A second redemption ends the grant of the first
    (RFC 6749, section 4.1.2). Raises ProtocolError.
    """
    now = timezone.now()
    code_digest = digest(PURPOSE, given.code)
    with transaction.atomic():
        row = use_up_code(code_digest, now)
        is_made = row is not None and _make_grant(row, app, given)
    if row is None:
        _handle_replay(code_digest)
    if row is None or not is_made:
        raise ProtocolError("invalid_grant", "The code is unknown, used or expired, or not yours.")
    return read_grant(row.grant_id), row.nonce


def has_consent(user: User, app: App, scope: tuple[str, ...]) -> bool:
    """Whether the user has allowed the app all of this."""
    given = sql.find_by(Consent, user=user.pk, app=app.pk)
    return given is not None and {*scope} <= {
        *still_given(app, given.scope.split(), given.given_at)
    }


def note_refusal(user: User, app: App, code: str, authentication: SessionAuthentication) -> str:
    """Audit that `user` could not sign in to the app. code: of a DenialReason.

    Returns the reference under which administrators find it among all refusals, "" for none.
    """
    with transaction.atomic():
        lock_users(user.pk)
        audit_log.record(
            "openid:sign-in:start", actor=user, target=user, result="refused", name=app.name,
            reason=code,
        )  # fmt: skip
    with translation.override("en"):
        # As the reasons of access rules are kept: in one language, for whoever looks it up.
        again = entry_denial(
            app, user, has_second_factor=authentication.has_second_factor, ip=authentication.ip
        )
    why = f"{app.name}: {again.message}" if again is not None else app.name
    return note_refused_sign_in(RefusedSignIn(app, user, code, why, authentication.ip))


def purge_codes() -> int:
    """Delete codes an hour after their end; until then a second redemption is noticed."""
    before = timezone.now() - timedelta(hours=1)
    return delete_free(AuthorizationCode.objects.filter(expires_at__lt=before))


def _remember(user: User, app: App, scope: str) -> None:
    Consent.objects.update_or_create(
        user=user, app=app, defaults={"scope": scope, "given_at": timezone.now()}
    )


def _make_grant(row: AuthorizationCode, app: App, given: Redemption) -> bool:
    """Store the grant; False if the code belongs to another app, address or verifier."""
    if row.app_id != app.pk or row.redirect_uri != given.redirect_uri:
        return False
    if not is_verified(row.code_challenge, given.verifier):
        return False
    is_offline = OFFLINE in row.scope.split()
    grant = sql.new_row(
        Grant,
        id=row.grant_id,
        app_id=app.pk,
        user_id=row.user_id,
        session_id=None if is_offline else row.session_id,
        sid=row.session_id,
        scope=row.scope,
        claims=row.claims,
        seed=token_urlsafe(32),
        auth_time=row.auth_time,
        methods=row.methods,
        has_second_factor=row.has_second_factor,
        ip=row.ip,
        # What was revoked since the code was made ends the grant, too.
        created_at=row.created_at,
        refreshed_at=row.used_at or timezone.now(),
        expires_at=row.created_at + settings.REFRESH_TOKEN_EXPIRY,
    )
    sql.insert([grant])
    return True


def _handle_replay(code_digest: str) -> None:
    used = AuthorizationCode.objects.filter(digest=code_digest, used_at__isnull=False).first()
    if used is not None:
        end_grant(used.grant_id, REUSED)
