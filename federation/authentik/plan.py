"""Computes the desired state of authentik, and compares it with the current one. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from federation.authentik.http import AuthentikError

Record = dict[str, Any]
Version = tuple[int, int]

# Redirect URIs with a matching mode, and the API paths used here, exist since 2024.12.
OLDEST: Version = (2024, 12)
KNOWS_GRANT_TYPES: Version = (2026, 5)
GRANT_TYPES = ["authorization_code"]
SCOPES = ("openid", "email", "profile")
SHIPPED_MAPPING = "goauthentik.io/providers/oauth2/scope-"
SHIPPED_KEY = "authentik Self-signed Certificate"
KEY_TYPES = ("rsa", "ec")
# Subject modes that identify a user permanently; names and addresses can be reassigned.
STABLE_SUBJECT_MODES = ("hashed_user_id", "user_id", "user_uuid")
# Provider id -> the variables of its issuer, client id and client secret.
VARIABLES = {
    "authentik": ("AUTHENTIK_ISSUER", "AUTHENTIK_CLIENT_ID", "AUTHENTIK_CLIENT_SECRET"),
    "openid": ("OPENID_ISSUER", "OPENID_CLIENT_ID", "OPENID_CLIENT_SECRET"),
    "oidc": ("OIDC_DISCOVERY_URL", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET"),
}


@dataclass(frozen=True, slots=True)
class DesiredState:
    """What the administrator requests. app_url: PUBLIC_URL of this instance, without slash."""

    app_url: str
    name: str = "Gatehouse"
    slug: str = "gatehouse"
    provider_id: str = "authentik"
    signing_key: str = ""
    assumes_email_verified: bool = False
    rotates_secret: bool = False

    @property
    def redirects(self) -> list[str]:
        """Both callback URLs of Gatehouse, whichever the settings choose."""
        return [
            f"{self.app_url}/oauth/{self.provider_id}/callback",
            f"{self.app_url}/api/auth/callback/{self.provider_id}",
        ]


@dataclass(frozen=True, slots=True)
class CustomMapping:
    """A scope mapping that the set-up creates where the built-in ones do not suffice."""

    name: str
    scope_name: str
    expression: str

    @property
    def body(self) -> Record:
        return {
            "name": self.name,
            "scope_name": self.scope_name,
            "expression": self.expression,
        }


VERIFIED_EMAIL = CustomMapping(
    "Gatehouse: verified email",
    "email",
    "# States that every address in this Authentik has been verified.\n"
    'return {"email": request.user.email, "email_verified": True}',
)
GROUPS = CustomMapping(
    "Gatehouse: groups",
    "profile",
    'return {"groups": [group.name for group in request.user.all_groups()]}',
)
OWN_NAMES = {VERIFIED_EMAIL.name, GROUPS.name}


def parse_version(text: str) -> Version | None:
    """Year and month of "2025.10.1"; None for anything else."""
    found = re.match(r"(\d{4})\.(\d{1,2})(?:\D|$)", text)
    return (int(found[1]), int(found[2])) if found else None


def check_version(text: str) -> Version | None:
    """The version, None if unknown. Raises AuthentikError for an old one."""
    version = parse_version(text)
    if version is not None and version < OLDEST:
        raise AuthentikError(
            f"This is Authentik {text[:40]}; the set-up knows 2024.12 and later. Update it, or "
            "make provider and application by hand."
        )
    return version


def only(found: Sequence[Record], what: str) -> Record | None:
    """The only record, or None. Raises AuthentikError for several."""
    if len(found) > 1:
        raise AuthentikError(f"Authentik has {len(found)} {what}. Rename or remove all but one.")
    return found[0] if found else None


def check_owner(provider: Record | None, application: Record | None, desired: DesiredState) -> None:
    """Raise AuthentikError if name or slug belong to another object."""
    theirs = provider.get("assigned_application_slug") if provider else None
    if theirs not in (None, "", desired.slug):
        raise AuthentikError(
            f"The provider {desired.name!r} belongs to the application {theirs!r}. Choose another "
            f"--name, or --slug {theirs} to take it over."
        )
    held = application.get("provider") if application else None
    if held is not None and (provider is None or held != provider["pk"]):
        other = (application or {}).get("provider_obj") or {}
        name = other.get("name", held)
        raise AuthentikError(
            f"The application {desired.slug!r} has the provider {name!r} already. Choose another "
            f"--slug, or --name with that name to take it over."
        )


def pick_flow(flows: Sequence[Record], designation: str, usual: str) -> str:
    """The id of the built-in flow, or of the only one of its kind. Raises AuthentikError."""
    fitting = [flow for flow in flows if flow.get("designation") == designation]
    shipped = [flow for flow in fitting if flow.get("slug") == usual]
    if not shipped and len(fitting) != 1:
        names = ", ".join(sorted(str(flow.get("slug")) for flow in fitting)) or "none"
        raise AuthentikError(
            f"Authentik has no flow {usual!r}, and not exactly one for {designation} ({names}). "
            "Apply its blueprints, or make the provider by hand once and run again."
        )
    return str((shipped or fitting)[0]["pk"])


def pick_key(keys: Sequence[Record], desired: str, current: str | None) -> str:
    """The id of the signing key. Raises AuthentikError.

    The key of that name; otherwise the provider's current one, the built-in one, or the only one
    that can sign. Never an arbitrary one.
    """
    signing = [key for key in keys if key.get("key_type", "rsa") in KEY_TYPES]
    if desired:
        chosen = [key for key in signing if key.get("name") == desired]
    else:
        chosen = [key for key in signing if current is not None and key["pk"] == current]
        free = [key for key in signing if not key.get("managed")]
        chosen = chosen or [key for key in free if key.get("name") == SHIPPED_KEY] or free
    if len(chosen) == 1:
        return str(chosen[0]["pk"])
    names = ", ".join(sorted(repr(str(key.get("name"))) for key in signing))
    if not signing:
        raise AuthentikError(
            "Authentik has no certificate with an RSA or EC key to sign with. Make one there "
            "(System, Certificates, Generate), then run again."
        )
    asked = f"{desired!r} is not the name of one of them" if desired else "give --signing-key NAME"
    raise AuthentikError(f"Which key should sign? Authentik has {names}: {asked}.")


def pick_mappings(
    mappings: Sequence[Record], provider: Record | None, *, assumes_verified: bool
) -> tuple[list[str], list[CustomMapping]]:
    """Ids of the mappings that the provider keeps or gets, and additional custom ones.

    A mapping that an administrator has attached replaces the built-in one of its scope. With
    `assumes_verified` other mappings of email are replaced, because addresses count as verified.
    """
    attached = set((provider or {}).get("property_mappings") or ())
    theirs = [
        mapping
        for mapping in mappings
        if mapping["pk"] in attached and mapping.get("name") not in OWN_NAMES
    ]
    own: list[CustomMapping] = []
    if assumes_verified:
        own.append(VERIFIED_EMAIL)
        theirs = [mapping for mapping in theirs if mapping.get("scope_name") != "email"]
    covered = {mapping.get("scope_name") for mapping in theirs} | {each.scope_name for each in own}
    missing = [scope for scope in SCOPES if scope not in covered]
    chosen = theirs + [_shipped(mappings, scope) for scope in missing]
    if not any(re.search(r"""["']groups["']""", str(each.get("expression"))) for each in chosen):
        own.append(GROUPS)
    return [str(mapping["pk"]) for mapping in chosen], own


def _shipped(mappings: Sequence[Record], scope: str) -> Record:
    for mapping in mappings:
        if mapping.get("managed") == f"{SHIPPED_MAPPING}{scope}":
            return mapping
    raise AuthentikError(
        f"Authentik lacks its own scope mapping for {scope!r}. Apply its blueprint "
        "'System - OAuth2 Provider - Scopes' (Customization, Blueprints), then run again."
    )


def provider_fields(
    desired: DesiredState,
    found: Record,
    version: Version | None,
    *,
    key: str,
    mappings: Sequence[str],
) -> Record:
    """The fields of a provider that the set-up sets. found: the current provider, or {}.

    grant_types exists since 2026.5, and some versions refuse unknown fields. So it is sent only if
    the version or the provider itself shows that it is supported.
    """
    fields: Record = {
        "client_type": "confidential",
        "redirect_uris": redirects_of(desired, found),
        "signing_key": key,
        "property_mappings": list(mappings),
        "sub_mode": STABLE_SUBJECT_MODES[0],
        "issuer_mode": "per_provider",
        "include_claims_in_id_token": True,
    }
    if found.get("sub_mode") in STABLE_SUBJECT_MODES:
        fields["sub_mode"] = found["sub_mode"]
    if found.get("encryption_key"):
        fields["encryption_key"] = None
    is_known = version is not None and version >= KNOWS_GRANT_TYPES
    if "grant_types" in found or (not found and is_known):
        fields["grant_types"] = list(GRANT_TYPES)
    return fields


def redirects_of(desired: DesiredState, found: Record) -> list[Record]:
    """Our two callback URLs, compared exactly, and no other.

    URLs for after a sign-out are kept.
    """
    others = [each for each in _redirects(found) if each.get("redirect_uri_type") == "logout"]
    return [{"matching_mode": "strict", "url": url} for url in desired.redirects] + others


def difference(found: Record, fields: Mapping[str, Any]) -> Record:
    """Those of `fields` that differ in `found`."""
    return {
        name: value
        for name, value in fields.items()
        if _comparable(name, found.get(name)) != _comparable(name, value)
    }


def _comparable(name: str, value: Any) -> Any:
    if name == "redirect_uris":
        return sorted(
            (
                str(each.get("url")),
                str(each.get("matching_mode")),
                str(each.get("redirect_uri_type", "authorization")),
            )
            for each in _redirects({name: value})
        )
    return sorted(map(str, value)) if isinstance(value, list) else value


def _redirects(found: Record) -> list[Record]:
    entries = found.get("redirect_uris")
    return [each for each in entries if isinstance(each, dict)] if isinstance(entries, list) else []


def lost_redirects(found: Record, desired: DesiredState) -> list[str]:
    """Redirect URIs that the provider will lose."""
    kept = [each.get("url") for each in redirects_of(desired, found)]
    return [str(each.get("url")) for each in _redirects(found) if each.get("url") not in kept]
