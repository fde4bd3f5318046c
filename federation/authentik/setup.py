"""Sets up authentik for Gatehouse: scope mappings, provider, application, in this order.

Everything is read and checked before anything is changed, and only differences are changed, so that
another run completes an interrupted one.
"""

import secrets
from dataclasses import dataclass, field

from core.http import FetchError, fetch_json
from federation.authentik.api import Authentik, Record
from federation.authentik.http import AuthentikError
from federation.authentik.plan import (
    VARIABLES,
    CustomMapping,
    DesiredState,
    Version,
    check_owner,
    check_version,
    difference,
    lost_redirects,
    only,
    pick_flow,
    pick_key,
    pick_mappings,
    provider_fields,
)

PROVIDERS = "/providers/oauth2/"
APPLICATIONS = "/core/applications/"
MAPPINGS = "/propertymappings/provider/scope/"
KEYS = "/crypto/certificatekeypairs/"
FLOWS = "/flows/instances/"
AUTHORIZATION_FLOW = "default-provider-authorization-implicit-consent"
INVALIDATION_FLOW = "default-provider-invalidation-flow"
SECRET_BYTES = 48


@dataclass(frozen=True, slots=True)
class SetupResult:
    """Values for the settings. client_secret: "" if authentik does not show it.

    is_new: the secret is new, or the provider was not used before.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    is_new: bool = True

    def variables(self, provider_id: str) -> dict[str, str]:
        """Name -> value, without empty ones."""
        values = (self.issuer, self.client_id, self.client_secret)
        return {
            name: value for name, value in zip(VARIABLES[provider_id], values, strict=True) if value
        }


@dataclass(frozen=True, slots=True)
class CurrentState:
    """The state before any change; provider and application: None if they do not exist."""

    version: Version | None
    provider: Record | None
    application: Record | None
    mappings: list[Record]
    kept_mappings: list[str]
    custom_mappings: list[CustomMapping]
    key: str
    flows: dict[str, str]


def set_up(authentik: Authentik, desired: DesiredState) -> SetupResult:
    """Change what differs. Raises AuthentikError."""
    state = _read(authentik, desired)
    mappings = state.kept_mappings + [
        _custom_mapping(authentik, own, state.mappings) for own in state.custom_mappings
    ]
    provider = _provider(authentik, desired, state, mappings)
    _application(authentik, desired, state, provider)
    return SetupResult(
        issuer=_issuer(authentik, desired),
        client_id=str(provider.get("client_id") or ""),
        client_secret=str(provider.get("client_secret") or ""),
        is_new=_is_new(state, desired, provider),
    )


def _is_new(state: CurrentState, desired: DesiredState, provider: Record) -> bool:
    before, application = state.provider, state.application
    if before is None or application is None or application.get("provider") is None:
        return True
    return desired.rotates_secret or before.get("client_secret") == ""


def _read(authentik: Authentik, desired: DesiredState) -> CurrentState:
    """Read and check everything that the changes need."""
    version = check_version(str(authentik.get("/admin/version/").get("version_current", "")))
    provider = only(
        [
            each
            for each in authentik.all(PROVIDERS, name=desired.name)
            if each["name"] == desired.name
        ],
        f"OAuth2 providers called {desired.name!r}",
    )
    applications = authentik.all(APPLICATIONS, slug=desired.slug, superuser_full_list="true")
    application = only(
        [each for each in applications if each["slug"] == desired.slug],
        f"applications called {desired.slug!r}",
    )
    check_owner(provider, application, desired)
    mappings = authentik.all(MAPPINGS)
    kept, own = pick_mappings(mappings, provider, assumes_verified=desired.assumes_email_verified)
    current = provider.get("signing_key") if provider else None
    return CurrentState(
        version=version,
        provider=provider,
        application=application,
        mappings=mappings,
        kept_mappings=kept,
        custom_mappings=own,
        key=pick_key(authentik.all(KEYS, has_key="true"), desired.signing_key, current),
        flows={} if provider else _flows(authentik),
    )


def _flows(authentik: Authentik) -> dict[str, str]:
    """The flows of a new provider; an existing one keeps its own."""
    flows = authentik.all(FLOWS)
    return {
        "authorization_flow": pick_flow(flows, "authorization", AUTHORIZATION_FLOW),
        "invalidation_flow": pick_flow(flows, "invalidation", INVALIDATION_FLOW),
    }


def _custom_mapping(authentik: Authentik, own: CustomMapping, mappings: list[Record]) -> str:
    """Create or update the mapping; returns its id."""
    found = next((each for each in mappings if each.get("name") == own.name), None)
    if found is None:
        made = authentik.change("POST", MAPPINGS, own.body, f"make the scope mapping {own.name!r}")
        return str(made.get("pk", "(new mapping)"))
    changed = difference(found, own.body)
    if changed:
        path = f"{MAPPINGS}{found['pk']}/"
        authentik.change("PATCH", path, changed, f"mend the scope mapping {own.name!r}")
    return str(found["pk"])


def _provider(
    authentik: Authentik, desired: DesiredState, state: CurrentState, mappings: list[str]
) -> Record:
    """Create or update the provider; returns it with its secret, if known."""
    found = state.provider or {}
    fields = provider_fields(desired, found, state.version, key=state.key, mappings=mappings)
    if not found or desired.rotates_secret or found.get("client_secret") == "":
        fields["client_secret"] = secrets.token_urlsafe(SECRET_BYTES)
    if not found:
        body = {"name": desired.name, **state.flows, **fields}
        made = authentik.change("POST", PROVIDERS, body, f"make the provider {desired.name!r}")
        secret = fields["client_secret"]
        # The response may show further supported fields (grant_types). They are set at once, so
        # that a second run finds nothing to do.
        fields = provider_fields(desired, made, state.version, key=state.key, mappings=mappings)
        changed = difference(made, fields)
        if changed and not authentik.is_dry:
            path = f"{PROVIDERS}{made['pk']}/"
            made |= authentik.change("PATCH", path, changed, _description(desired, made, changed))
        return {**made, "client_secret": secret}
    changed = difference(found, fields)
    if not changed:
        return found
    path = f"{PROVIDERS}{found['pk']}/"
    after = authentik.change("PATCH", path, changed, _description(desired, found, changed))
    return {**found, **after, **{name: changed[name] for name in changed if "secret" in name}}


def _description(desired: DesiredState, found: Record, changed: Record) -> str:
    """Describe the change: which fields, and which redirect URIs are lost."""
    text = f"change {', '.join(sorted(changed))} of the provider {desired.name!r}"
    lost = lost_redirects(found, desired)
    return f"{text}, which takes away {', '.join(lost)}" if lost else text


def _application(
    authentik: Authentik, desired: DesiredState, state: CurrentState, provider: Record
) -> None:
    """Create the application, or assign its provider."""
    pk = provider.get("pk", "(new provider)")
    if state.application is None:
        body = {
            "name": desired.name,
            "slug": desired.slug,
            "provider": pk,
            "meta_launch_url": f"{desired.app_url}/",
        }
        authentik.change("POST", APPLICATIONS, body, f"make the application {desired.slug!r}")
    elif state.application.get("provider") is None:
        path = f"{APPLICATIONS}{desired.slug}/"
        what = f"give the application {desired.slug!r} its provider"
        authentik.change("PATCH", path, {"provider": pk}, what)


def _issuer(authentik: Authentik, desired: DesiredState) -> str:
    """The issuer in authentik's discovery document; in a dry run the expected one."""
    expected = f"{authentik.client.base}/application/o/{desired.slug}/"
    if authentik.is_dry:
        return expected
    url = f"{expected}.well-known/openid-configuration"
    try:
        document = fetch_json(url, authentik.client.allows_http)
    except FetchError as error:
        raise AuthentikError(
            f"Provider and application are set up, but the discovery document is not there: "
            f"{error}. Run again; that changes nothing twice."
        ) from None
    return str(document.get("issuer") or expected)
