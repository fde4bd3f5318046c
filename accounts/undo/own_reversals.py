"""How the changes of accounts are taken back; see accounts.undo.registry."""

from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.actors import Actor
from accounts.models import Group, ProfileChange, User
from accounts.roles import Role, can_give
from accounts.services import service_accounts, users
from accounts.services.end_dates import audit_time
from accounts.services.ranks import require_rank, require_rank_or_self
from accounts.undo.registry import Reversal, never_undone, undoes
from audit.models import AuditEvent
from audit.sentences import role_name
from core.errors import CannotUndo, Forbidden, LastOwner
from core.text.time_display import exact_moment

UNDONE = "undone in the audit log"
ROLE = ("account:role:change", "account:role:limit")
EXPIRY = ("account:expiry:set", "account:expiry:clear")
STATE = ("account:user:disable", "account:user:enable", "account:user:offboard")


@undoes(*ROLE, changed_by=ROLE)
def undo_role(event: AuditEvent) -> Reversal:
    """Give back the earlier role with its end."""
    user, detail = _target(event), event.detail
    role, then = detail["before"], detail.get("before_then", "")
    until = _future(detail.get("before_until"), _("The earlier role had an end, which has passed."))
    _require_same(
        _role_now(user), (detail["after"], detail.get("until", ""), detail.get("then", ""))
    )
    is_risky = role != Role.OWNER or until is not None

    def allow(actor: Actor) -> None:
        _require_rank(actor, user, is_risky=is_risky)
        if not can_give(Role(actor.role), Role(role)):
            raise Forbidden(_("You may only give roles below your own."))

    return Reversal(
        _("Role of %(name)s") % {"name": user.get_full_name()},
        _role_text(user.role, user.role_until, user.role_after),
        _role_text(role, until, then),
        lambda actor: users.change_role(actor=actor, user=user, role=role, until=until, then=then),
        allow,
        _("They are signed out everywhere, so that the role holds at once.")
        if role != user.role
        else "",
    )


@undoes(*EXPIRY, changed_by=EXPIRY)
def undo_expiry(event: AuditEvent) -> Reversal:
    """Give back the earlier end of the access."""
    user = _target(event)
    end = _future(event.detail.get("before"), _("The earlier end has passed."))
    now = "" if user.expires_at is None else audit_time(user.expires_at)
    _require_same(now, event.detail.get("until", ""))
    return Reversal(
        _("End of the access of %(name)s") % {"name": user.get_full_name()},
        _end_text(user.expires_at),
        _end_text(end),
        lambda actor: users.set_expiry(actor=actor, user=user, expires_at=end),
        lambda actor: _require_rank(actor, user, is_risky=end is not None),
    )


@undoes("account:user:disable", changed_by=STATE)
def undo_disable(event: AuditEvent) -> Reversal:
    """Enable the account again."""
    user = _target(event)
    _require_same(user.is_active, False)
    return Reversal(
        _("Account of %(name)s") % {"name": user.get_full_name()},
        _("disabled"),
        _("enabled"),
        lambda actor: users.enable_user(actor=actor, user=user),
        lambda actor: require_rank(actor, user),
        _("Sessions, links and API keys that ended stay ended: they sign in again."),
    )


@undoes("account:user:enable", changed_by=STATE)
def undo_enable(event: AuditEvent) -> Reversal:
    """Disable the account again."""
    user = _target(event)
    _require_same(user.is_active, True)
    return Reversal(
        _("Account of %(name)s") % {"name": user.get_full_name()},
        _("enabled"),
        _("disabled"),
        lambda actor: users.disable_user(actor=actor, user=user, reason=UNDONE),
        lambda actor: _require_rank(actor, user, is_risky=True),
        _("They are signed out everywhere, and their API keys stop working."),
    )


@undoes("account:service:hand-over", changed_by=["account:service:hand-over"])
def undo_hand_over(event: AuditEvent) -> Reversal:
    """Make the person responsible again who was before."""
    user = _target(event)
    _require_same(str(user.responsible_id), event.detail["after"])
    earlier: User | None = User.objects.filter(pk=event.detail["before"]).first()
    if earlier is None:
        raise CannotUndo(_("The person who answered for it before has no account any more."))
    return Reversal(
        _("Responsible person of %(name)s") % {"name": user.get_full_name()},
        _name_of(user.responsible_id),
        earlier.get_full_name(),
        lambda actor: service_accounts.hand_over(actor=actor, user=user, responsible=earlier),
        lambda actor: require_rank(actor, user),
    )


@undoes("account:service:team", changed_by=["account:service:team"])
def undo_team(event: AuditEvent) -> Reversal:
    """Let the group answer again that did before."""
    user, before = _target(event), event.detail["before_id"]
    _require_same(str(user.responsible_group_id or ""), event.detail["after_id"])
    earlier = Group.objects.filter(pk=before).first() if before else None
    if before and earlier is None:
        raise CannotUndo(_("This group does not exist any more."))
    return Reversal(
        _("Group that answers for %(name)s") % {"name": user.get_full_name()},
        event.detail["after"] or _("none"),
        event.detail["before"] or _("none"),
        lambda actor: service_accounts.give_to_team(actor=actor, user=user, team=earlier),
        lambda actor: require_rank(actor, user),
    )


@undoes("account:role:keep", changed_by=["account:role:keep"])
def undo_role_keep(event: AuditEvent) -> Reversal:
    """Let providers change the role again, or not any more."""
    user, kept = _target(event), bool(event.detail["kept"])
    _require_same(user.role_locked, kept)
    words = {True: _("kept"), False: _("changed by providers and the directory")}
    return Reversal(
        _("Role of %(name)s at sign-ins by a provider") % {"name": user.get_full_name()},
        words[kept],
        words[not kept],
        lambda actor: users.set_role_locked(actor=actor, user=user, locked=not kept),
        lambda actor: require_rank(actor, user),
    )


@undoes("account:user:edit", changed_by=["account:user:edit"])
def undo_edit(event: AuditEvent) -> Reversal:
    """Give back user name, name and time zone."""
    user, fields = _target(event), event.detail.get("fields", [])
    change = ProfileChange.objects.filter(pk=event.seq, user=user).first()
    if "email" in fields:
        raise CannotUndo(
            _(
                "The address was changed: both addresses were told, and the new one is not "
                "verified. Change it on the page of the person."
            )
        )
    if change is None:
        raise CannotUndo(_("The earlier values are not stored any more."))
    changed = [name for name, value in change.before.items() if change.after[name] != value]
    names = users.names_of(user)
    _require_same({name: names[name] for name in changed}, _some(change.after, changed))
    before = _some(change.before, changed)
    return Reversal(
        _("Profile of %(name)s") % {"name": user.email},
        _names_text(_some(names, changed)),
        _names_text(before),
        lambda actor: users.edit_profile(actor=actor, user=user, profile=users.Profile(**before)),
        lambda actor: require_rank_or_self(actor, user),
    )


never_undone(
    "account:user:delete",
    because=gettext_lazy(
        "the account and everything that belonged to it are deleted. Create or invite the person "
        "again."
    ),
)
never_undone(
    "account:user:offboard",
    because=gettext_lazy(
        "what has ended stays ended. Enable the account on its page; the person then signs in "
        "again."
    ),
)
never_undone(
    "account:user:rescue",
    because=gettext_lazy(
        "the link was handed over. Sign the person out, and undo the changes that came with it one "
        "by one."
    ),
)
never_undone(
    "account:session:end",
    "account:session:end-all",
    because=gettext_lazy("an ended session is never revived. The person signs in again."),
)
never_undone(
    "account:factor:reset",
    because=gettext_lazy(
        "the secrets of second factors are deleted. The person sets up a second factor again."
    ),
)
never_undone(
    "account:password:set",
    "account:password:reset-start",
    "account:password:change",
    "account:password:reset",
    because=gettext_lazy("the earlier password is not stored. Start a password reset instead."),
)
never_undone(
    "account:invitation:withdraw",
    because=gettext_lazy("a withdrawn link is never revived. Send another invitation."),
)
never_undone(
    "account:invitation:issue",
    because=gettext_lazy("the mail is on its way. Withdraw the invitation in the list instead."),
)
never_undone(
    "account:user:create",
    "account:service:create",
    "account:user:import",
    because=gettext_lazy("it would delete accounts. Disable or delete them on their pages."),
)
never_undone(
    "account:email:vouch",
    "account:email:change",
    because=gettext_lazy("mails and links may have been sent to the address since."),
)
never_undone(
    "instance:branding:change",
    because=gettext_lazy(
        "the earlier logo is not stored. Choose name, logo and color again under Appearance."
    ),
)
never_undone(
    "instance:configuration:apply",
    because=gettext_lazy("each change has an entry of its own, which you can undo."),
)
never_undone(
    "review:item:take-away",
    because=gettext_lazy("the change itself has an entry of its own, which you can undo."),
)
never_undone(
    "account:directory:sync",
    because=gettext_lazy("a run of syncldap is undone as a whole, by `manage.py syncldap --undo`."),
)


def _target(event: AuditEvent) -> User:
    user: User | None = User.objects.filter(pk=event.target_id).first()
    if user is None:
        raise CannotUndo(_("This account does not exist any more."))
    return user


def _name_of(key: object) -> str:
    found: User | None = User.objects.filter(pk=key).first()
    return found.get_full_name() if found else _("deleted account")


def _require_rank(actor: Actor, user: User, *, is_risky: bool) -> None:
    """is_risky: an owner would be lost."""
    require_rank(actor, user)
    if is_risky and users.is_last_owner(user):
        raise LastOwner


def _require_same(now: object, after: object) -> None:
    """Raise CannotUndo unless the thing is still as the event has left it.

    No event tells of some changes: an end that has passed, an update by a provider.
    """
    if now != after:
        raise CannotUndo(_("It is no longer as this change left it."))


def _future(end: str | None, problem: str) -> datetime | None:
    """An end of the audit log. Raises CannotUndo if it has passed."""
    if end is None:
        return None
    found = datetime.fromisoformat(end)
    if found <= timezone.now():
        raise CannotUndo(problem)
    return found


def _role_now(user: User) -> tuple[str, str, str]:
    until = "" if user.role_until is None else audit_time(user.role_until)
    return user.role, until, user.role_after


def _role_text(role: str, until: datetime | None, then: str) -> str:
    if until is None:
        return role_name(role)
    words = {"role": role_name(role), "until": exact_moment(until), "then": role_name(then)}
    return _("%(role)s until %(until)s, then %(then)s") % words


def _end_text(end: datetime | None) -> str:
    return _("never") if end is None else exact_moment(end)


def _some(values: dict[str, Any], names: list[str]) -> dict[str, Any]:
    return {name: values[name] for name in names}


def _names_text(values: dict[str, str]) -> str:
    labels = {
        "username": _("user name"),
        "name": _("name"),
        "time_zone": _("time zone"),
    }
    return "; ".join(f"{labels[name]}: {value or '-'}" for name, value in values.items())
