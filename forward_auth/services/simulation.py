"""Simulates a check for a user or an API key. Nothing is written or counted.

It takes the steps of forward_auth.checker and has them recorded, so that the explanation is what
the check has done.
"""

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import access_policy
from accounts.models import User
from accounts.roles import Role
from accounts.services.second_factors import SecondFactorSetUpRequired, lacks_required_factor
from api.apikeys.authenticate import context_for_key
from api.apikeys.key_format import shown_id
from api.errors import ApiKeyInvalid
from api.models import ApiKey
from api.permissions import AuthContext, require_account_access
from applications.models import App
from applications.services.apps import find_app
from forward_auth.authentication import NOT_AUTHENTICATED
from forward_auth.cache import CheckResult, cached_credential
from forward_auth.checker import decide_request, evaluate
from forward_auth.conf import options
from forward_auth.decisions import (
    AuthFailure,
    AuthResult,
    Decision,
    Principal,
    Step,
    as_wsgi,
    decide,
    steps_of,
)
from forward_auth.django_authentication import principal_of, result_of
from forward_auth.request import target_of
from forward_auth.rules.matching import (
    Condition,
    ReadingStep,
    Rule,
    rule_requirement,
    unclear,
)
from forward_auth.services.rules import apps_of_rules, load_rules
from forward_auth.sql import texts


class Subject(NamedTuple):
    """Who makes the request. note: why the credential is invalid; "" if it is valid or unknown."""

    auth_result: AuthResult
    user: User | None = None
    key: ApiKey | None = None
    note: str = ""


NO_SUBJECT = Subject(NOT_AUTHENTICATED)


class SimulatedRequest(NamedTuple):
    """The request. method, ip: "" for unknown. override: the proxy's ?role=…"""

    url: str
    method: str = "GET"
    ip: str = ""
    override: Role | None = None


@dataclass(frozen=True, slots=True)
class Simulation:
    """The result of a check and the way to it.

    decisive: the reading of the path whose requirement counted. readings: how many there are.
    unclear: what the request does not say. steps: the questions of the decision.
    """

    result: CheckResult
    decisive: ReadingStep
    readings: int
    unclear: frozenset[Condition]
    steps: tuple[Step, ...]


def find_subject(text: str) -> Subject | None:
    """A user by email, user name or id, or an API key by its id; "" is no one.

    None when there is no such user or key.
    """
    name = text.strip()
    if not name:
        return NO_SUBJECT
    user = _user(name)
    if user is not None:
        return subject_for_user(user)
    key_id = shown_id(name)
    key = ApiKey.objects.select_related("user").filter(pk=key_id).first() if key_id else None
    return subject_for_key(key) if key is not None else None


def subject_for_user(user: User) -> Subject:
    """The user with a new session."""
    denial = access_policy.account_denial(user)
    if denial is not None or lacks_required_factor(user):
        note = denial.message if denial else str(SecondFactorSetUpRequired.default_message)
        return Subject(AuthFailure("session", "not_authenticated"), user, None, note)
    return Subject(principal_of(AuthContext(user=user)), user)


def subject_for_key(key: ApiKey) -> Subject:
    """The client that sends this key."""
    auth_result = result_of(partial(_context_of, key))
    if isinstance(auth_result, Principal) or auth_result.credential_valid:
        auth_result = replace(auth_result, networks=texts(key.networks))
    return Subject(auth_result, key.user, key, _key_note(key))


def _context_of(key: ApiKey) -> AuthContext:
    """What Django makes of the key, except that no secret, network or quota is checked."""
    if key.state(timezone.now()) != "live":
        raise ApiKeyInvalid
    require_account_access(key.user, key.created_at, by_key=True)
    return context_for_key(key)


def simulate(asked: SimulatedRequest, subject: Subject) -> Simulation:
    """Check the request by the current rules."""
    headers = {"HTTP_X_ORIGINAL_URL": as_wsgi(asked.url), "HTTP_X_ORIGINAL_METHOD": asked.method}
    target = target_of(headers)
    trace: list[ReadingStep] = []
    evaluated = evaluate(load_rules(), target, asked.ip, asked.override, trace)
    credential = cached_credential(subject.auth_result, time.time())
    result = decide_request(evaluated, credential, options())
    return Simulation(
        result,
        max(trace, key=lambda one: one.requirement.strictness),
        len(trace),
        frozenset(unclear(target, asked.ip)),
        steps_of(result.decision, subject.auth_result),
    )


def app_of_simulation(found: Simulation) -> App | None:
    """The app of the rule that decides, else the one at the address."""
    rule_id, target = found.result.decision.requirement.rule_id, found.decisive.target
    by_rule = apps_of_rules().get(rule_id) if rule_id else None
    return by_rule or find_app(target.host, target.path)


class Reach(NamedTuple):
    """A rule, and the decision about a reading request that only this rule matches."""

    rule: Rule
    decision: Decision


def reach_of(user: User) -> tuple[str, list[Reach]]:
    """Why the user may not act at all, "" if they may; and every enabled rule in order.

    Each rule is decided for the user with a new session.
    """
    subject, config = subject_for_user(user), options()
    target = target_of({"HTTP_X_ORIGINAL_URL": "https://example.invalid/"})
    return subject.note, [
        Reach(
            rule,
            decide(
                rule_requirement(rule, None),
                subject.auth_result,
                target,
                ip_allowed=True,
                requires_verified_email=config.requires_verified_email,
            ),
        )
        for rule in load_rules()
    ]


def _user(name: str) -> User | None:
    try:
        found: User | None = User.objects.filter(pk=UUID(name)).first()
    except ValueError:
        found = User.objects.with_login(name).first()
    return found


def _key_note(key: ApiKey) -> str:
    match key.state(timezone.now()):
        case "revoked":
            return _("The key is revoked.")
        case "expired":
            return _("The key has expired.")
    refusal = access_policy.get_denial(key.user, credential_at=key.created_at, is_key=True)
    return refusal.message if refusal is not None else ""
