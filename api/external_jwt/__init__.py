"""Access tokens that another issuer has made (AUTH_BACKEND=jwt): whose they are, and whether.

The caller asks the gate with the token's time of issue: pass_gate(user, claims.issued_at).
"""

from accounts.models import User
from api.external_jwt.people import person_of
from api.external_jwt.policy import current_policy
from api.external_jwt.verify import ForeignClaims, issuer_named_by, verifier_of

__all__ = ["ForeignClaims", "authenticate", "is_enabled", "is_foreign"]


def is_enabled() -> bool:
    """Are tokens of other issuers taken at all?"""
    return current_policy() is not None


def is_foreign(token: str) -> bool:
    """Does `token` claim to be of a listed issuer? Nothing is verified: this only shows the way."""
    policy = current_policy()
    return policy is not None and issuer_named_by(token) in policy.issuers


def authenticate(token: str) -> tuple[User, ForeignClaims]:
    """The person that `token` stands for, and what it says. The gate is not asked yet.

    May fetch the issuer's keys, and makes an account where that is allowed. Raises
    AccessTokenInvalid, AccessTokenExpired, Forbidden.
    """
    policy = current_policy()
    claims = verifier_of(policy).verify(token)
    return person_of(claims), claims
