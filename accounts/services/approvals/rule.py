"""Whether an act needs a second owner. The services that act on owners ask here, under their locks.

A service that changes the standing or the power of an owner is decorated with
@needs_second_owner(act) and calls require_second_owner() before it writes. While TWO_PERSON_RULE is
on, that call ends the transaction, and the outermost decorated service is stored as a request with
its arguments: so an undo, a bulk action and a decision of an access review are held as a whole.
Commands and Gatehouse itself act as SYSTEM, which is above the rule.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from inspect import signature
from typing import Any, NamedTuple, ParamSpec, TypeVar
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from accounts.actors import Actor
from accounts.models import ApprovalRequest, User
from accounts.roles import Role
from accounts.services.approvals.acts import Act
from accounts.services.approvals.asking import Held, ask, other_owners, path_of, url_of
from audit import audit_log
from core.errors import GatehouseError

P = ParamSpec("P")
R = TypeVar("R")


class TwoPersonRequired(GatehouseError):
    """The act was stored as a request, and nothing else has happened."""

    code = "two_person_required"
    status = 202
    title = _("A second owner must confirm this")
    default_message = _("A second owner must confirm this. Nothing has changed yet.")

    def __init__(self, request: ApprovalRequest) -> None:
        super().__init__()
        self.request = request
        self.members = {
            "id": str(request.pk),
            "url": url_of(request),
            "expires_at": request.expires_at.isoformat(),
        }

    @property
    def path(self) -> str:
        """The page of the request."""
        return path_of(self.request)


class Service(NamedTuple):
    """How a confirmed request is carried out.

    run: called with `actor` and the arguments, in the transaction of the confirmation. It returns
    the result, or a function that makes it after the commit.
    """

    act: Act
    run: Callable[..., Any]
    types: tuple[type, ...]


_services: dict[str, Service] = {}
# Whose change is let through: the target of the request that is being carried out, or None for an
# account that does not exist yet. An empty set lets nothing through.
_passing: ContextVar[frozenset[UUID | None]] = ContextVar("gatehouse_passing", default=frozenset())
# Details of the events of the running act; see audit_log.adding().
_details: ContextVar[dict[str, Any] | None] = ContextVar("gatehouse_act", default=None)
_is_recording: ContextVar[bool] = ContextVar("gatehouse_recording", default=False)


def needs_second_owner(
    act: Act, *, run: Callable[..., Any] | None = None, types: tuple[type, ...] = ()
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a service with a keyword `actor` that calls require_second_owner().

    run: replaces the service when a request is carried out; see Service. types: dataclasses among
    its arguments. Raises TwoPersonRequired where the service has raised Held.
    """

    def decorate(service: Callable[P, R]) -> Callable[P, R]:
        _services[act.kind] = Service(act, run or service, types)
        names = signature(service)

        @wraps(service)
        def wrapped(*args: P.args, **options: P.kwargs) -> R:
            with recording(), _own_details():
                try:
                    return service(*args, **options)
                except Held as held:
                    arguments = dict(names.bind(*args, **options).arguments)
                    arguments.pop("actor", None)
                    held.act, held.arguments = act, arguments
                    raise

        return wrapped

    return decorate


def service_of(kind: str) -> Service | None:
    """The service of a stored request; None for a kind that this release does not know."""
    return _services.get(kind)


def known_services() -> Mapping[str, Service]:
    """Every decorated service, by the kind of its act."""
    return dict(_services)


def require_second_owner(
    actor: Actor, user: User | None, *, gives: str = "", raises_power: bool = False
) -> None:
    """End the running service if a second owner has to confirm what it does with `user`.

    Call it with the row read under the lock, before the first write. gives: the role that `user`
    gets. raises_power: they get more than they have, so the rule also applies to oneself. An owner
    without another one who may act now acts at once, and the audit log says so.
    """
    target = None if user is None or user._state.adding else user.pk
    if not isinstance(actor, User) or target in _passing.get():
        return
    if not _concerns_owner(actor, user, gives=gives, raises_power=raises_power):
        return
    if not other_owners(actor):
        details = _details.get()
        if details is not None:
            details["second_owner"] = "none"
        return
    raise Held(actor, user if target else None, raises_power=raises_power)


def is_held(actor: Actor | None, user: User | None, *, gives: str = "") -> bool:
    """Whether require_second_owner() would hold such an act now.

    For what is planned, and for what is never asked for: imports, and bans that follow from
    violations which a person reports.
    """
    if not isinstance(actor, User) or not _concerns_owner(actor, user, gives=gives):
        return False
    return bool(other_owners(actor))


def _concerns_owner(
    actor: User, user: User | None, *, gives: str, raises_power: bool = False
) -> bool:
    if not settings.TWO_PERSON_RULE:
        return False
    is_about_owner = gives == Role.OWNER or (user is not None and user.role == Role.OWNER)
    is_own = user is not None and user.pk == actor.pk and not raises_power
    return is_about_owner and not is_own


@contextmanager
def passing(target: UUID | None) -> Iterator[None]:
    """Let the changes of one account through, because a second owner has confirmed them."""
    token = _passing.set(frozenset({target}))
    try:
        yield
    finally:
        _passing.reset(token)


@contextmanager
def recording() -> Iterator[None]:
    """Store what the block holds, after the transactions inside it are rolled back.

    For code that calls decorated services in a transaction of its own. Raises TwoPersonRequired.
    """
    if _is_recording.get():
        yield
        return
    token = _is_recording.set(True)
    try:
        yield
    except Held as held:
        raise TwoPersonRequired(ask(held)) from None
    finally:
        _is_recording.reset(token)


@contextmanager
def _own_details() -> Iterator[None]:
    """Let the outermost service say that its owner was alone."""
    if _details.get() is not None or not settings.TWO_PERSON_RULE or _passing.get():
        yield
        return
    details: dict[str, Any] = {}
    token = _details.set(details)
    try:
        with audit_log.adding(details):
            yield
    finally:
        _details.reset(token)
