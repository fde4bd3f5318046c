"""Access tokens that another issuer has made (AUTH_BACKEND=jwt): whose they are, and whether.

The caller checks the account: require_account_access(user, claims.issued_at).
"""

from accounts.models import User
from api.external_jwt.policy import current_policy
from api.external_jwt.users import find_or_create_user
from api.external_jwt.verify import ExternalClaims, issuer_named_by, verifier_of

__all__ = ["ExternalClaims", "authenticate", "is_enabled", "is_external"]


def is_enabled() -> bool:
    """Are tokens of other issuers taken at all?"""
    return current_policy() is not None


def is_external(token: str) -> bool:
    """Does `token` claim to be of a listed issuer? Nothing is verified: this only shows the way."""
    policy = current_policy()
    return policy is not None and issuer_named_by(token) in policy.issuers


def authenticate(token: str) -> tuple[User, ExternalClaims]:
    """The person that `token` stands for, and what it says. The gate is not asked yet.

    May fetch the issuer's keys, and makes an account where that is allowed. Raises
    AccessTokenInvalid, AccessTokenExpired, Forbidden.
    """
    policy = current_policy()
    claims = verifier_of(policy).verify(token)
    return find_or_create_user(claims), claims
