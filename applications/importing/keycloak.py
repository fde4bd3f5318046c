"""Clients of a realm that Keycloak has exported as JSON (docs/moving-from/keycloak.md)."""

from collections.abc import Mapping
from typing import Any

from applications.importing.client import (
    Fields,
    ImportedClient,
    ImportFileError,
    algorithm_of,
    description_of,
    kind_of,
    name_of,
    origins_of,
    read_each,
    without_query,
)

# Keycloak makes them in every realm, for itself.
BUILT_IN = frozenset(
    {"account", "account-console", "admin-cli", "broker", "realm-management",
     "security-admin-console"}
)  # fmt: skip
USUAL_FLOW = "browser"
MASK = "**********"
SEVERAL = "##"


def read_realm(document: Any) -> list[ImportedClient]:
    """The clients of the realm, without Keycloak's own. Raises ImportFileError."""
    realm = Fields(document, "the export")
    if not isinstance(realm.value("clients"), list):
        raise ImportFileError(
            "the export has no clients: export one realm, with clients, as one JSON object"
        )
    usual = _Realm(realm)
    rows = [Fields(each) for each in realm.value("clients") if isinstance(each, Mapping)]
    if len(rows) != len(realm.value("clients")):
        raise ImportFileError("clients has to be a list of objects")
    own = [row for row in rows if row.value("clientId") not in BUILT_IN and not _is_realm(row)]
    return read_each(own, ("clientId",), usual.client)


def _is_realm(row: Fields) -> bool:
    """Whether it stands for another realm, in the realm `master`."""
    client_id = row.value("clientId")
    return (
        isinstance(client_id, str)
        and client_id.endswith("-realm")
        and not row.has("redirectUris")
        and row.value("bearerOnly") is True
    )


class _Realm:
    """What the clients of a realm have in common."""

    def __init__(self, realm: Fields) -> None:
        flow = realm.text("browserFlow", USUAL_FLOW) or USUAL_FLOW
        self.restriction = "" if flow == USUAL_FLOW else (
            f"the sign-in flow “{flow}” of the realm may refuse people"
        )  # fmt: skip
        self.algorithm = realm.text("defaultSignatureAlgorithm", "RS256") or "RS256"
        roles = realm.object("roles").value("client")
        self.with_roles = frozenset(
            name for name, found in (roles.items() if isinstance(roles, Mapping) else ()) if found
        )

    def client(self, row: Fields) -> ImportedClient:
        client_id = row.text("clientId")
        if not client_id:
            raise ImportFileError("clientId is missing")
        reason = _why_left_out(row)
        if reason:
            return ImportedClient(client_id, client_id, skipped=reason)
        notes = _notes(row)
        if client_id in self.with_roles:
            notes.append("roles: the app gets its role and groups from the claim groups instead")
        attributes = row.object("attributes")
        wanted = attributes.text("id.token.signed.response.alg") or self.algorithm
        uris = _uris(row, notes)
        proof = row.text("clientAuthenticatorType", "client-secret")
        is_public = row.flag("publicClient")
        secret = "" if is_public else _secret(row)
        if proof not in ("client-secret", "client-jwt") and not is_public:
            notes.append(f"clientAuthenticatorType: {proof} is not known here; a secret proves it")
            secret = ""
        base = _resolved(row.text("baseUrl"), row)
        return ImportedClient(
            label=client_id,
            client_id=client_id,
            # Keycloak's own names are references such as ${client_account}.
            name=name_of("" if "${" in row.text("name") else row.text("name"), client_id),
            description=description_of(row.text("description")),
            addresses=(*filter(None, (without_query(base), without_query(row.text("rootUrl")))),
                       *origins_of(uris)),
            is_listed=bool(base),
            kind=_kind(row, uris, notes),
            redirect_uris=uris if _uses_code(row) else (),
            logout_uris=_logout_uris(attributes, uris),
            backchannel_logout_uri=attributes.text("backchannel.logout.url"),
            frontchannel_logout_uri=(
                attributes.text("frontchannel.logout.url") if row.flag("frontchannelLogout") else ""
            ),
            is_trusted=not row.flag("consentRequired"),
            restriction=self.restriction or _restriction(row),
            id_token_algorithm=algorithm_of(wanted, notes, "id.token.signed.response.alg"),
            signed_userinfo=_is_signed(attributes.text("user.info.response.signature.alg")),
            requires_pushed_requests=attributes.flag("require.pushed.authorization.requests"),
            allows_device_flow=attributes.flag("oauth2.device.authorization.grant.enabled"),
            proves_by_key=proof == "client-jwt" and not is_public,
            keys_url=attributes.text("jwks.url") if attributes.flag("use.jwks.url") else "",
            keys_text=attributes.text("jwks.string") if attributes.flag("use.jwks.string") else "",
            secret=secret,
            notes=tuple(notes),
        )  # fmt: skip


def _why_left_out(row: Fields) -> str:
    protocol = row.text("protocol", "openid-connect") or "openid-connect"
    if protocol != "openid-connect":
        return f"it speaks {protocol}, not OpenID Connect"
    if row.flag("bearerOnly"):
        return "it only verifies tokens (bearerOnly): see docs/verify-tokens.md"
    return ""


def _restriction(row: Fields) -> str:
    if row.has("authenticationFlowBindingOverrides"):
        return "it has a sign-in flow of its own (authenticationFlowBindingOverrides)"
    if row.flag("authorizationServicesEnabled"):
        return "it decides by policies (authorizationServicesEnabled)"
    return ""


def _kind(row: Fields, uris: tuple[str, ...], notes: list[str]) -> str:
    if not row.flag("enabled", default=True):
        notes.append("enabled: it is disabled there, so nobody can sign in to it here")
        return ""
    is_device = row.object("attributes").flag("oauth2.device.authorization.grant.enabled")
    if not _uses_code(row) and not is_device:
        notes.append("standardFlowEnabled: it does not use the authorization code flow")
        return ""
    return kind_of(uris, is_public=row.flag("publicClient"))


def _uses_code(row: Fields) -> bool:
    return row.flag("standardFlowEnabled", default=True)


def _notes(row: Fields) -> list[str]:
    attributes = row.object("attributes")
    found = []
    if row.flag("implicitFlowEnabled"):
        found.append("implicitFlowEnabled: there is no implicit flow; the app has to use the code")
    if row.flag("directAccessGrantsEnabled"):
        found.append("directAccessGrantsEnabled: no app may ask for passwords")
    if row.flag("serviceAccountsEnabled"):
        found.append(
            "serviceAccountsEnabled: make a service account, and an app of the kind program"
        )
    if attributes.text("pkce.code.challenge.method") == "plain":
        found.append("pkce.code.challenge.method: only S256; the app has to send that")
    elif row.flag("publicClient") and not attributes.has("pkce.code.challenge.method"):
        found.append("pkce.code.challenge.method: the app has to send PKCE with S256")
    if row.has("protocolMappers"):
        found.append("protocolMappers: claims are those of docs/openid-provider.md")
    return found


def _secret(row: Fields) -> str:
    secret = row.text("secret")
    return "" if secret.startswith(MASK[:5]) or "${" in secret else secret


def _uris(row: Fields, notes: list[str]) -> tuple[str, ...]:
    """The redirect URIs in full; of one that is relative to nothing, a note."""
    found = []
    for uri in row.texts("redirectUris"):
        full = _resolved(uri, row)
        if full:
            found.append(full)
        else:
            notes.append(f"redirectUris: “{uri}” is relative, and there is no rootUrl")
    return tuple(found)


def _resolved(address: str, row: Fields) -> str:
    root = row.text("rootUrl")
    if not address.startswith("/"):
        return address
    return f"{root.rstrip('/')}{address}" if root and "${" not in root else ""


def _logout_uris(attributes: Fields, redirect_uris: tuple[str, ...]) -> tuple[str, ...]:
    """ "+" stands for the redirect URIs, "-" for none."""
    texts = attributes.text("post.logout.redirect.uris").split(SEVERAL)
    found: list[str] = []
    for text in texts:
        found += redirect_uris if text == "+" else [text] if text not in ("", "-") else []
    return tuple(dict.fromkeys(found))


def _is_signed(algorithm: str) -> bool:
    return algorithm not in ("", "unsigned", "none")
