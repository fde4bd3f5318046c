"""Why a request passes or not, step by step. Pure.

It goes its own way to the verdict, and a property test finds it equal to rules.demand() and
answers.verdict(): an explanation that differs from the act would be worse than none.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from accounts.roles import Role
from forward_auth.authentication import Outcome, Pass, Refusal
from forward_auth.request_target import Target
from forward_auth.rules.matching import (
    Condition,
    Demand,
    Rule,
    by_method,
    of_rule,
    strictest,
    unclear,
)


class Standing(StrEnum):
    """FITS: it decides, unless an unclear one is stricter. UNCLEAR: it might fit. LATER: a rule
    before it fits, so that it is not asked.
    """

    FITS = "fits"
    UNCLEAR = "unclear"
    OTHER = "other"
    LATER = "later"


class Step(NamedTuple):
    """A rule, and the conditions that this request does not meet."""

    rule: Rule
    standing: Standing
    misfits: tuple[Condition, ...]


class Question(StrEnum):
    """What is asked in this order, until one is answered with no."""

    PUBLIC = "public"
    NETWORK = "network"
    CREDENTIAL = "credential"
    PROOF = "proof"
    OPEN = "open"
    ROLE = "role"
    SCOPE = "scope"


class Check(NamedTuple):
    """code, status: what the proxy is told when it fails; "" and 204 when it passes."""

    question: Question
    code: str = ""
    status: int = 204

    @property
    def is_passed(self) -> bool:
        return not self.code


@dataclass(frozen=True, slots=True)
class Case:
    """A request and all that is known of whoever makes it; see answers.verdict()."""

    rules: tuple[Rule, ...]
    target: Target
    ip: str
    outcome: Outcome
    raised: Role | None = None
    is_here: bool = True
    needs_proof: bool = True


@dataclass(frozen=True, slots=True)
class Explanation:
    """steps: every rule, asked about the reading of the path that decides. demand: what the request
    takes. bearer: whose headers the app gets. path: that reading. readings: how many there are.
    """

    steps: tuple[Step, ...]
    unclear: frozenset[Condition]
    demand: Demand
    checks: tuple[Check, ...]
    bearer: Pass | None
    path: str = ""
    readings: int = 1

    @property
    def status(self) -> int:
        return self.checks[-1].status

    @property
    def code(self) -> str:
        return self.checks[-1].code


def explain(case: Case) -> Explanation:
    """Each rule, each question, and the verdict."""
    ways = [(one, *_asked_about(replace(case, target=one))) for one in case.target.readings]
    decisive, steps, wanted = max(ways, key=lambda way: way[2].strictness)
    checks = _checks(case, wanted)
    is_named = checks[-1].is_passed and case.is_here and isinstance(case.outcome, Pass)
    bearer = case.outcome if is_named and isinstance(case.outcome, Pass) else None
    missing = frozenset(unclear(case.target, case.ip))
    return Explanation(steps, missing, wanted, checks, bearer, decisive.path, len(ways))


def _asked_about(case: Case) -> tuple[tuple[Step, ...], Demand]:
    """Each rule, and what they ask for, of a path with one reading."""
    steps = _steps(case)
    return steps, _demand(case, steps)


def _steps(case: Case) -> tuple[Step, ...]:
    found: list[Step] = []
    is_decided = False
    for rule in case.rules:
        misfits = rule.misfits(case.target, case.ip)
        standing = Standing.LATER if is_decided else _standing(case, misfits)
        is_decided = is_decided or standing is Standing.FITS
        found.append(Step(rule, standing, misfits))
    return tuple(found)


def _standing(case: Case, misfits: tuple[Condition, ...]) -> Standing:
    if not misfits:
        return Standing.FITS
    is_unclear = all(condition in unclear(case.target, case.ip) for condition in misfits)
    return Standing.UNCLEAR if is_unclear else Standing.OTHER


def _demand(case: Case, steps: tuple[Step, ...]) -> Demand:
    speaking = (Standing.FITS, Standing.UNCLEAR)
    found = [of_rule(step.rule, case.raised) for step in steps if step.standing in speaking]
    if not any(step.standing is Standing.FITS for step in steps):
        found.append(by_method(case.target, case.raised))
    return strictest(*found)


def _checks(case: Case, wanted: Demand) -> tuple[Check, ...]:
    if wanted.floor is None:
        return (Check(Question.PUBLIC),)
    found: list[Check] = []
    for check in _asked(case, wanted, wanted.floor):
        found.append(check)
        if not check.is_passed:
            break
    return tuple(found)


def _asked(case: Case, wanted: Demand, floor: Role) -> list[Check]:
    outcome = case.outcome
    known = isinstance(outcome, Refusal) and outcome.is_known and case.is_here
    found = []
    if outcome.networks:
        found.append(_check(Question.NETWORK, case.is_here, "api_key_invalid", 401))
    if isinstance(outcome, Refusal):
        found.append(Check(Question.CREDENTIAL, outcome.code, 403 if known else 401))
        return found
    role = outcome.role
    has_role = role is not Role.NONE and role.rank >= floor.rank
    has_scope = outcome.may_read if case.target.is_reading else outcome.may_write
    return [
        *found,
        Check(Question.CREDENTIAL),
        _check(Question.PROOF, outcome.is_verified or not case.needs_proof, "email_unverified"),
        _check(Question.OPEN, not wanted.is_denied, "forbidden"),
        _check(Question.ROLE, has_role, "forbidden"),
        _check(Question.SCOPE, has_scope, "scope_missing"),
    ]


def _check(question: Question, is_passed: bool, code: str, status: int = 403) -> Check:
    return Check(question) if is_passed else Check(question, code, status)
