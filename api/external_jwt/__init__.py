"""Access tokens of other issuers (AUTH_BACKEND=jwt)."""

from api.external_jwt.policy import current_policy
from api.external_jwt.verify import issuer_named_by


def is_external(token: str) -> bool:
    """Whether `token` names a configured issuer. Verifies nothing; only selects the verifier."""
    policy = current_policy()
    return policy is not None and issuer_named_by(token) in policy.issuers
