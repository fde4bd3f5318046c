"""From verified claims to an ExternalUserInfo. Pure: no request, no database.

email_verified counts only where it stands beside the very address as a literal `true` (TRAPS 30).
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from federation.oidc.idtokens import reject
from federation.providers import Provider
from federation.services.identities import ExternalUserInfo

Claims = Mapping[str, Any]
MAX_EMAIL_LENGTH = 254
MAX_NAME_LENGTH = 200


class Address(NamedTuple):
    """An address at the provider, and whether it vouches for it."""

    email: str
    is_verified: bool


def user_info_of(
    provider: Provider, claims: Mapping[str, Claims], id_token: str = ""
) -> ExternalUserInfo:
    """Who came. claims: "id", "userinfo" and "access" -> claims, all verified.

    Raises SignInFailed when Microsoft's token does not name person and tenant.
    """
    address = _address(provider, claims)
    return ExternalUserInfo(
        subject=_subject(provider, claims["id"]),
        issuer=provider.issuer,
        email=address.email,
        email_verified=address.is_verified,
        name=_first(provider, "name", claims) or _given_and_family(claims),
        username=_first(provider, "username", claims),
        claims=claims,
        id_token=id_token,
    )


def _is_microsoft(provider: Provider) -> bool:
    return provider.options.get("subject") == "tid:oid"


def _subject(provider: Provider, claims: Claims) -> str:
    """`sub`; of Microsoft tenant and object, which are the same for every client there."""
    if not _is_microsoft(provider):
        return str(claims["sub"])
    tenant, person = claims.get("tid"), claims.get("oid")
    if not (_is_text(tenant) and _is_text(person)):
        reject("names no tid and oid")
    return f"{tenant}:{person}"


def _address(provider: Provider, claims: Mapping[str, Claims]) -> Address:
    """The first address that is vouched for, else the first; of Microsoft none is (TRAPS 32)."""
    found = list(_addresses(provider, claims))
    if not _is_microsoft(provider) or provider.assumes_email_verified:
        for address in found:
            if address.is_verified:
                return address
    return Address(found[0].email, is_verified=False) if found else Address("", is_verified=False)


def _addresses(provider: Provider, claims: Mapping[str, Claims]) -> Iterator[Address]:
    for name in provider.claims.get("email", ("email",)):
        for kind in ("id", "userinfo"):
            source = claims.get(kind, {})
            email = source.get(name)
            if isinstance(email, str) and "@" in email and len(email) <= MAX_EMAIL_LENGTH:
                # A user name that looks like an address is nobody's word for it.
                said = source.get("email_verified") is True or provider.assumes_email_verified
                is_address = name == "email" or name == provider.claims.get("email", ("email",))[0]
                vouched = said and (
                    name == "email" or (is_address and provider.assumes_email_verified)
                )
                yield Address(email, vouched)


def _first(provider: Provider, ours: str, claims: Mapping[str, Claims]) -> str:
    """The first of the claims of `ours` that says something."""
    for name in provider.claims.get(ours, ()):
        for kind in ("id", "userinfo"):
            said = claims.get(kind, {}).get(name)
            if _is_text(said):
                return str(said)
    return ""


def _given_and_family(claims: Mapping[str, Claims]) -> str:
    for kind in ("id", "userinfo"):
        source = claims.get(kind, {})
        parts = [source.get(name) for name in ("given_name", "family_name")]
        if any(_is_text(part) for part in parts):
            return " ".join(str(part) for part in parts if _is_text(part))
    return ""


def _is_text(said: object) -> bool:
    return isinstance(said, str) and 0 < len(said) <= MAX_NAME_LENGTH and said.isprintable()
