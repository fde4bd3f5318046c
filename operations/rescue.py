"""Lets a person in again who cannot sign in: finds what is in the way, mends it, makes a link.

For `manage.py rescue` alone. Whoever can run it has the data folder and so every account: it acts
as the command line, above ranks and the two-person rule. It changes accounts only through the
services that administrators use, and asks no other server.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from accounts.account_sources import may_get_links
from accounts.actors import SYSTEM
from accounts.models import User
from accounts.rate_limits import forget_mfa_attempts, mfa_seconds_locked, seconds_locked
from accounts.roles import Role
from accounts.services.approvals.asking import other_owners
from accounts.services.end_dates import audit_time
from accounts.services.first_run import issue_setup_link
from accounts.services.passwords import can_use_local_password, set_password
from accounts.services.ranks import require_person
from accounts.services.second_factors import reset_factors
from accounts.services.users import change_role, enable_user, set_expiry
from audit import audit_log
from audit.models import AuditEvent
from core.errors import NotFound, RecordInvalid
from core.locks import lock_users
from federation.ldap.conf import PROVIDER as DIRECTORY
from federation.paused import paused_ids
from federation.providers import configured
from magiclinks.models import LoginLink
from magiclinks.services import issue_link
from mail.outage import current_outage
from moderation.commands import until_text
from moderation.models import Ban
from moderation.networks import is_exempt, network_name
from moderation.reasons import shown
from moderation.services.bans import active_bans, lift

# Long enough to walk to a browser. NIST SP 800-63B-4 allows a recovery code by email 24 hours.
LINK_LIFETIME = timedelta(minutes=15)
# How many of the latest sign-ins tell which networks the person uses.
REMEMBERED_SIGN_INS = 200
Mend = Callable[[], object]


@dataclass(frozen=True, slots=True)
class RescueOptions:
    """make_owner: give the role owner. network: an address whose ban is lifted, too.

    keep_factors: the person still has the second factors. password: the new one, or None.
    """

    make_owner: bool = False
    keep_factors: bool = False
    network: str = ""
    password: str | None = field(default=None, repr=False)


class Obstacle(NamedTuple):
    """What rescue() changes. name: in the audit log. remedy: what becomes of it."""

    name: str
    text: str
    remedy: str
    mend: Mend


@dataclass(frozen=True, slots=True)
class Rescued:
    """`url` is the only copy of the secret. mended: the names of the obstacles."""

    url: str = field(repr=False)
    expires_at: datetime
    mended: list[str]


def check_options(user: User, options: RescueOptions) -> None:
    """Raise RecordInvalid for an account or options that rescue() cannot serve."""
    require_person(user, "user")
    if options.network and not network_name(options.network):
        raise RecordInvalid({"network": ["Enter one address, such as 203.0.113.7 or 2001:db8::1."]})
    if options.password is None:
        return
    if not user.setup_completed:
        what = "The set-up link asks for a password. Leave --password out."
        raise RecordInvalid({"password": [what]})
    if not user.is_verified:
        what = (
            "The address is not verified: whoever opens the link verifies it, and an older "
            "password ends. Leave --password out, and choose one on the account page."
        )
        raise RecordInvalid({"password": [what]})


def find_obstacles(user: User, options: RescueOptions) -> list[Obstacle]:
    """What keeps `user` from signing in and rescue() mends, in its order."""
    return list(_obstacles(user, options))


def _obstacles(user: User, options: RescueOptions) -> Iterator[Obstacle]:
    """The password first: if it is refused, nothing has been changed."""
    if options.password is not None:
        mend = _by(set_password, user=user, new=options.password)
        yield Obstacle("password", "The password is forgotten.", "the new one is set", mend)
    if not user.is_active:
        mend = _by(enable_user, user=user)
        yield Obstacle("disabled", "The account is disabled.", "it is enabled", mend)
    if user.expires_at is not None and user.is_expired(timezone.now()):
        text = f"The access ended on {audit_time(user.expires_at)}."
        mend = _by(set_expiry, user=user, expires_at=None)
        yield Obstacle("expired", text, "it has no end", mend)
    for ban in active_bans().filter(user=user).order_by("pk"):
        what = f"account and the network {ban.network} are" if ban.network else "account is"
        yield _ban_obstacle("ban", ban, f"The {what} banned {until_text(ban)}")
    for ban in _bans_of_network(options.network):
        name = f"The network {ban.network} is banned {until_text(ban)}"
        yield _ban_obstacle("network_ban", ban, name)
    yield from _factor_obstacles(user, options)
    if options.make_owner and (user.role, user.role_until) != (Role.OWNER, None):
        mend = _by(change_role, user=user, role=Role.OWNER)
        yield Obstacle("role", f"The role is {user.role}.", "it is owner, without an end", mend)


def _by(service: Callable[..., object], **arguments: Any) -> Mend:
    """A call of a service by the command line."""
    return partial(service, actor=SYSTEM, **arguments)


def _ban_obstacle(name: str, ban: Ban, text: str) -> Obstacle:
    mend = _by(lift, ban=ban)
    return Obstacle(name, f"{text}: {shown(ban.reason)}", "the ban is lifted", mend)


def _bans_of_network(network: str) -> list[Ban]:
    """The bans of a network alone: one that is of another person too is that person's."""
    found = active_bans().filter(network=network_name(network), user=None).order_by("pk")
    return list(found) if network else []


def _factor_obstacles(user: User, options: RescueOptions) -> Iterator[Obstacle]:
    kinds = sorted(user.authenticators.values_list("kind", flat=True))
    if kinds and not options.keep_factors:
        text = f"Every sign-in asks for a second factor: {', '.join(kinds)}."
        remedy = "all are removed, with the recovery codes, and all sessions end"
        mend = _by(reset_factors, user=user)
        yield Obstacle("second_factor", text, remedy, mend)
    seconds = mfa_seconds_locked(user)
    if seconds > 0:
        text = f"After wrong codes, no code is accepted for {seconds} seconds."
        yield Obstacle("attempts", text, "they are forgotten", partial(forget_mfa_attempts, user))


def find_hints(user: User, options: RescueOptions) -> list[str]:
    """What else hinders sign-ins, and needs no change of the account: the link works regardless."""
    return [
        *_hints_of_account(user, options),
        *_hints_of_methods(user),
        *_hints_of_network(user, options),
    ]


def _hints_of_account(user: User, options: RescueOptions) -> Iterator[str]:
    if not user.setup_completed:
        yield "The account has not been set up: the link leads to its set-up, for 24 hours."
    elif not user.is_verified:
        yield (
            "The address is not verified. The link verifies it, and removes the password, second "
            "factors and providers of before, because a stranger may have set them up."
        )
    if user.role != Role.OWNER and not options.make_owner and not other_owners():
        yield "No owner of this instance can act. Add --owner to make this person owner."
    if _lacks_required_factor(user, options):
        yield "The role needs a second factor: the link leads to the set-up of a new one."
    if user.role_until is not None:
        yield f"The role {user.role} ends on {audit_time(user.role_until)}."


def _lacks_required_factor(user: User, options: RescueOptions) -> bool:
    """Whether the role that they will have requires a factor, and none is left."""
    role = Role.OWNER if options.make_owner else user.role
    is_left = options.keep_factors and user.authenticators.exists()
    return role in settings.MFA_REQUIRED_ROLES and not is_left


def _hints_of_methods(user: User) -> Iterator[str]:
    yield from _hints_of_passwords(user)
    yield from _hints_of_mail(user)
    yield from _hints_of_providers(user)


def _hints_of_passwords(user: User) -> Iterator[str]:
    if not settings.ALLOW_EMAIL_LOGIN:
        yield "No one signs in with a password (ALLOW_EMAIL_LOGIN=false)."
    elif not can_use_local_password(user):
        yield "The password is that of the directory, which must answer: see `manage.py ldaptest`."
    elif not user.has_usable_password():
        yield "The account has no password. Choose one on the account page."
    elif (seconds := seconds_locked(HttpRequest(), user)) > 0:
        yield f"After wrong passwords, new browsers wait {seconds} seconds at the sign-in page."


def _hints_of_mail(user: User) -> Iterator[str]:
    if not settings.ALLOW_MAGIC_LINK_LOGIN:
        yield "No one asks for a sign-in link (ALLOW_MAGIC_LINK_LOGIN=false)."
    if settings.MAIL.transport == "none":
        yield "No mail service is configured: links and resets stay in the outbox."
    elif (outage := current_outage()) is not None:
        yield f"Mail has been failing since {audit_time(outage.since)}: {outage.reason}"
    if not may_get_links(user):
        yield "No link is mailed to this address: the provider does not report it any more."


def _hints_of_providers(user: User) -> Iterator[str]:
    ids = {provider.id for provider in configured()}
    ids |= {DIRECTORY} if settings.LDAP is not None else set()
    paused = paused_ids()
    for name in sorted(set(user.identities.values_list("provider", flat=True))):
        if name not in ids:
            yield f"They have signed in through {name}, which is not configured any more."
        elif name in paused:
            yield f"{name} is switched off; `manage.py switchprovider {name} on` undoes it."


def _hints_of_network(user: User, options: RescueOptions) -> Iterator[str]:
    """Bans of networks that they use: others may use them too, so none is lifted unasked."""
    sign_ins = AuditEvent.objects.filter(
        target_id=user.pk, action="account:session:start", result="success"
    ).order_by("-seq")[:REMEMBERED_SIGN_INS]
    asked = network_name(options.network)
    names = {network_name(ip) for ip in sign_ins.values_list("ip", flat=True)} | {asked}
    for name in sorted(name for name in names - {""} if not is_exempt(name)):
        for ban in active_bans().filter(network=name).exclude(user=user).order_by("pk"):
            if ban.user_id is not None:
                text = (
                    f"`manage.py unban --id {ban.pk}` lifts the ban, which is of an account, too."
                )
                yield f"{name} is banned {until_text(ban)}. {text}"
            elif name != asked:
                yield f"{name} is banned {until_text(ban)}. Add --network {name} to lift the ban."


def rescue(user: User, options: RescueOptions) -> Rescued:
    """Mend what find_obstacles() finds, and make the link. Raises RecordInvalid, NotFound.

    Each change is a transaction of its own with its own audit row; the last one holds the link and
    the row `account:user:rescue`. If one fails, those before it stay: run it again. The link signs
    in once within LINK_LIFETIME; older ones end. An account that was never set up gets its set-up
    link.
    """
    check_options(user, options)
    mended = []
    for obstacle in find_obstacles(user, options):
        try:
            obstacle.mend()
        except NotFound:
            continue  # a ban has ended meanwhile
        mended.append(obstacle.name)
    with transaction.atomic():
        lock_users(user.pk)
        current = User.objects.filter(pk=user.pk).first()
        if current is None:
            raise RecordInvalid({"user": ["This account does not exist any more."]})
        link = issue_setup_link(current) or issue_link(
            current, actor=SYSTEM, lifetime=LINK_LIFETIME, source=LoginLink.Source.COMMAND
        )
        audit_log.record("account:user:rescue", actor=SYSTEM, target=current, mended=mended)
    return Rescued(link.url, link.expires_at, mended)
