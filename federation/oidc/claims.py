"""Converts verified claims to an ExternalUserInfo. Pure: no request, no database.

email_verified counts only as a literal `true` in the same token as the address.
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
    """An address, and whether the provider has verified it."""

    email: str
    is_verified: bool


def user_info_of(
    provider: Provider, claims: Mapping[str, Claims], id_token: str = ""
) -> ExternalUserInfo:
    """The user of verified claims. claims: "id", "userinfo" and "access" -> claims.

    Raises SignInFailed if a Microsoft token lacks `tid` or `oid`.
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
    """`sub`; for Microsoft `tid:oid`, because its `sub` differs for each client."""
    if not _is_microsoft(provider):
        return str(claims["sub"])
    tenant, object_id = claims.get("tid"), claims.get("oid")
    if not (_is_text(tenant) and _is_text(object_id)):
        reject("it has no tid and oid")
    return f"{tenant}:{object_id}"


def _address(provider: Provider, claims: Mapping[str, Claims]) -> Address:
    """The first verified address, otherwise the first. Microsoft verifies none ("nOAuth")."""
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
                # email_verified is about `email`, never about a user name that looks like one.
                is_confirmed = (
                    source.get("email_verified") is True or provider.assumes_email_verified
                )
                is_address = name == "email" or name == provider.claims.get("email", ("email",))[0]
                is_verified = is_confirmed and (
                    name == "email" or (is_address and provider.assumes_email_verified)
                )
                yield Address(email, is_verified)


def _first(provider: Provider, field: str, claims: Mapping[str, Claims]) -> str:
    """The first usable claim of those configured for `field`."""
    for name in provider.claims.get(field, ()):
        for kind in ("id", "userinfo"):
            value = claims.get(kind, {}).get(name)
            if _is_text(value):
                return str(value)
    return ""


def _given_and_family(claims: Mapping[str, Claims]) -> str:
    for kind in ("id", "userinfo"):
        source = claims.get(kind, {})
        parts = [source.get(name) for name in ("given_name", "family_name")]
        if any(_is_text(part) for part in parts):
            return " ".join(str(part) for part in parts if _is_text(part))
    return ""


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME_LENGTH and value.isprintable()
