"""Explains step by step why a request passes or not. Pure.

It reaches the decision in its own way. A property test compares it with matching.requirement_for()
and decisions.decide(), because an explanation that differs from the decision would mislead.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from accounts.roles import Role
from forward_auth.decisions import AuthFailure, AuthResult, Principal
from forward_auth.request_target import Target
from forward_auth.rules.matching import (
    Condition,
    Requirement,
    Rule,
    default_requirement,
    rule_requirement,
    strictest,
    unclear,
)


class MatchState(StrEnum):
    """MATCHES: the rule decides, unless an unclear one is stricter. UNCLEAR: it may match.
    NOT_REACHED: an earlier rule matches.
    """

    MATCHES = "matches"
    UNCLEAR = "unclear"
    NO_MATCH = "no-match"
    NOT_REACHED = "not-reached"


class RuleStep(NamedTuple):
    """A rule, and the conditions that this request does not meet."""

    rule: Rule
    state: MatchState
    unmet: tuple[Condition, ...]


class Question(StrEnum):
    """The questions in their order. The first "no" ends the check."""

    PUBLIC = "public"
    NETWORK = "network"
    CREDENTIAL = "credential"
    VERIFIED_EMAIL = "verified-email"
    NOT_DENIED = "not-denied"
    ROLE = "role"
    SCOPE = "scope"


class Check(NamedTuple):
    """code, status: the answer to the proxy if the check fails; "" and 204 if it passes."""

    question: Question
    code: str = ""
    status: int = 204

    @property
    def is_passed(self) -> bool:
        return not self.code


@dataclass(frozen=True, slots=True)
class Scenario:
    """A request and all that is known of its client; see decisions.decide()."""

    rules: tuple[Rule, ...]
    target: Target
    ip: str
    auth_result: AuthResult
    override: Role | None = None
    ip_allowed: bool = True
    requires_verified_email: bool = True


@dataclass(frozen=True, slots=True)
class Explanation:
    """steps: every rule, for the reading of the path that decides. principal: whom the headers for
    the app name. path: that reading. readings: how many there are.
    """

    steps: tuple[RuleStep, ...]
    unclear: frozenset[Condition]
    requirement: Requirement
    checks: tuple[Check, ...]
    principal: Principal | None
    path: str = ""
    readings: int = 1

    @property
    def status(self) -> int:
        return self.checks[-1].status

    @property
    def code(self) -> str:
        return self.checks[-1].code


def explain(scenario: Scenario) -> Explanation:
    """Each rule, each check, and the decision."""
    readings = [
        (one, *_evaluate(replace(scenario, target=one))) for one in scenario.target.readings
    ]
    decisive, steps, requirement = max(readings, key=lambda reading: reading[2].strictness)
    checks = _checks(scenario, requirement)
    is_named = checks[-1].is_passed and scenario.ip_allowed
    auth_result = scenario.auth_result
    principal = auth_result if is_named and isinstance(auth_result, Principal) else None
    missing = frozenset(unclear(scenario.target, scenario.ip))
    return Explanation(steps, missing, requirement, checks, principal, decisive.path, len(readings))


def _evaluate(scenario: Scenario) -> tuple[tuple[RuleStep, ...], Requirement]:
    """Each rule, and what they require together, for one reading of the path."""
    steps = _steps(scenario)
    return steps, _requirement(scenario, steps)


def _steps(scenario: Scenario) -> tuple[RuleStep, ...]:
    steps: list[RuleStep] = []
    is_decided = False
    for rule in scenario.rules:
        unmet = rule.unmet_conditions(scenario.target, scenario.ip)
        state = MatchState.NOT_REACHED if is_decided else _state(scenario, unmet)
        is_decided = is_decided or state is MatchState.MATCHES
        steps.append(RuleStep(rule, state, unmet))
    return tuple(steps)


def _state(scenario: Scenario, unmet: tuple[Condition, ...]) -> MatchState:
    if not unmet:
        return MatchState.MATCHES
    is_unclear = set(unmet) <= unclear(scenario.target, scenario.ip)
    return MatchState.UNCLEAR if is_unclear else MatchState.NO_MATCH


def _requirement(scenario: Scenario, steps: tuple[RuleStep, ...]) -> Requirement:
    considered = (MatchState.MATCHES, MatchState.UNCLEAR)
    found = [
        rule_requirement(step.rule, scenario.override) for step in steps if step.state in considered
    ]
    if not any(step.state is MatchState.MATCHES for step in steps):
        found.append(default_requirement(scenario.target, scenario.override))
    return strictest(*found)


def _checks(scenario: Scenario, requirement: Requirement) -> tuple[Check, ...]:
    """The checks up to the first that fails."""
    if requirement.min_role is None:
        return (Check(Question.PUBLIC),)
    checks: list[Check] = []
    for check in _all_checks(scenario, requirement, requirement.min_role):
        checks.append(check)
        if not check.is_passed:
            break
    return tuple(checks)


def _all_checks(scenario: Scenario, requirement: Requirement, min_role: Role) -> list[Check]:
    auth_result, ip_allowed = scenario.auth_result, scenario.ip_allowed
    checks = []
    if auth_result.networks:
        checks.append(_check(Question.NETWORK, ip_allowed, "api_key_invalid", 401))
    if isinstance(auth_result, AuthFailure):
        status = 403 if auth_result.credential_valid and ip_allowed else 401
        checks.append(Check(Question.CREDENTIAL, auth_result.code, status))
        return checks
    is_verified = auth_result.is_verified or not scenario.requires_verified_email
    role = auth_result.role
    has_role = role is not Role.NONE and role.rank >= min_role.rank
    is_reading = scenario.target.is_reading
    has_scope = auth_result.may_read if is_reading else auth_result.may_write
    return [
        *checks,
        Check(Question.CREDENTIAL),
        _check(Question.VERIFIED_EMAIL, is_verified, "email_unverified"),
        _check(Question.NOT_DENIED, not requirement.is_denied, "forbidden"),
        _check(Question.ROLE, has_role, "forbidden"),
        _check(Question.SCOPE, has_scope, "scope_missing"),
    ]


def _check(question: Question, is_passed: bool, code: str, status: int = 403) -> Check:
    return Check(question) if is_passed else Check(question, code, status)
