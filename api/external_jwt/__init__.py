"""Access tokens of other issuers (AUTH_BACKEND=jwt).

The caller checks the account: require_account_access(user, claims.issued_at).
"""

from accounts.models import User
from api.external_jwt.policy import current_policy
from api.external_jwt.users import find_or_create_user
from api.external_jwt.verify import ExternalClaims, ExternalToken, issuer_named_by

__all__ = ["ExternalClaims", "authenticate", "find_or_create_user", "is_enabled", "is_external"]


def is_enabled() -> bool:
    """Whether tokens of other issuers are accepted."""
    return current_policy() is not None


def is_external(token: str) -> bool:
    """Whether `token` names a configured issuer. Verifies nothing; only selects the verifier."""
    policy = current_policy()
    return policy is not None and issuer_named_by(token) in policy.issuers


def authenticate(token: str) -> tuple[User, ExternalClaims]:
    """Return the user and the claims of `token`. Does not check the access policy.

    May fetch the issuer's keys, and creates an account if AUTH_JWT_REGISTRATION allows it. Raises
    AccessTokenInvalid, AccessTokenExpired, Forbidden.
    """
    claims = ExternalToken.read(token).claims
    return find_or_create_user(claims), claims
