"""Make Authentik know Gatehouse: scope mappings, provider, application, in this order.

Everything is read and checked before anything is changed, and each change is compared with what is
there: a run that broke off in the middle is mended by the next one.
"""

import secrets
from dataclasses import dataclass, field

from federation.authentik.api import Authentik, Record
from federation.authentik.http import AuthentikFailed
from federation.authentik.plan import (
    VARIABLES,
    OwnMapping,
    Version,
    Wanted,
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
from federation.oidc.fetching import FetchError, fetch_json

PROVIDERS = "/providers/oauth2/"
APPLICATIONS = "/core/applications/"
MAPPINGS = "/propertymappings/provider/scope/"
KEYS = "/crypto/certificatekeypairs/"
FLOWS = "/flows/instances/"
AUTHORIZATION_FLOW = "default-provider-authorization-implicit-consent"
INVALIDATION_FLOW = "default-provider-invalidation-flow"
SECRET_BYTES = 48


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the settings have to say. client_secret: "" when Authentik does not show it.

    is_new: the secret was made now, or nothing here has used this provider before.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    is_new: bool = True

    def variables(self, provider_id: str) -> dict[str, str]:
        """Name -> value; none that is empty."""
        values = (self.issuer, self.client_id, self.client_secret)
        return {
            name: value for name, value in zip(VARIABLES[provider_id], values, strict=True) if value
        }


@dataclass(frozen=True, slots=True)
class Ground:
    """What was read before anything was changed; provider and application: None when new."""

    version: Version | None
    provider: Record | None
    application: Record | None
    mappings: list[Record]
    kept_mappings: list[str]
    own_mappings: list[OwnMapping]
    key: str
    flows: dict[str, str]


def set_up(authentik: Authentik, wanted: Wanted) -> Outcome:
    """Change what differs. Raises AuthentikFailed."""
    ground = _read(authentik, wanted)
    mappings = ground.kept_mappings + [
        _own_mapping(authentik, own, ground.mappings) for own in ground.own_mappings
    ]
    provider = _provider(authentik, wanted, ground, mappings)
    _application(authentik, wanted, ground, provider)
    return Outcome(
        issuer=_issuer(authentik, wanted),
        client_id=str(provider.get("client_id") or ""),
        client_secret=str(provider.get("client_secret") or ""),
        is_new=_is_new(ground, wanted, provider),
    )


def _is_new(ground: Ground, wanted: Wanted, provider: Record) -> bool:
    before, application = ground.provider, ground.application
    if before is None or application is None or application.get("provider") is None:
        return True
    return wanted.rotates_secret or before.get("client_secret") == ""


def _read(authentik: Authentik, wanted: Wanted) -> Ground:
    """All that the changes need, checked."""
    version = check_version(str(authentik.get("/admin/version/").get("version_current", "")))
    provider = only(
        [
            each
            for each in authentik.all(PROVIDERS, name=wanted.name)
            if each["name"] == wanted.name
        ],
        f"OAuth2 providers called {wanted.name!r}",
    )
    applications = authentik.all(APPLICATIONS, slug=wanted.slug, superuser_full_list="true")
    application = only(
        [each for each in applications if each["slug"] == wanted.slug],
        f"applications called {wanted.slug!r}",
    )
    check_owner(provider, application, wanted)
    mappings = authentik.all(MAPPINGS)
    kept, own = pick_mappings(mappings, provider, vouches=wanted.vouches_for_email)
    current = provider.get("signing_key") if provider else None
    return Ground(
        version=version,
        provider=provider,
        application=application,
        mappings=mappings,
        kept_mappings=kept,
        own_mappings=own,
        key=pick_key(authentik.all(KEYS, has_key="true"), wanted.signing_key, current),
        flows={} if provider else _flows(authentik),
    )


def _flows(authentik: Authentik) -> dict[str, str]:
    """The flows of a new provider; an old one keeps those that it has."""
    flows = authentik.all(FLOWS)
    return {
        "authorization_flow": pick_flow(flows, "authorization", AUTHORIZATION_FLOW),
        "invalidation_flow": pick_flow(flows, "invalidation", INVALIDATION_FLOW),
    }


def _own_mapping(authentik: Authentik, own: OwnMapping, mappings: list[Record]) -> str:
    """The id of that mapping, made or mended."""
    found = next((each for each in mappings if each.get("name") == own.name), None)
    if found is None:
        made = authentik.change("POST", MAPPINGS, own.body, f"make the scope mapping {own.name!r}")
        return str(made.get("pk", "(new mapping)"))
    changed = difference(found, own.body)
    if changed:
        path = f"{MAPPINGS}{found['pk']}/"
        authentik.change("PATCH", path, changed, f"mend the scope mapping {own.name!r}")
    return str(found["pk"])


def _provider(authentik: Authentik, wanted: Wanted, ground: Ground, mappings: list[str]) -> Record:
    """The provider as it is afterwards, its secret included where it is known."""
    found = ground.provider or {}
    fields = provider_fields(wanted, found, ground.version, key=ground.key, mappings=mappings)
    if not found or wanted.rotates_secret or found.get("client_secret") == "":
        fields["client_secret"] = secrets.token_urlsafe(SECRET_BYTES)
    if not found:
        body = {"name": wanted.name, **ground.flows, **fields}
        made = authentik.change("POST", PROVIDERS, body, f"make the provider {wanted.name!r}")
        secret = fields["client_secret"]
        # What this version has and its number did not tell (grant_types) is settled at once, so
        # that a second run finds nothing to do.
        fields = provider_fields(wanted, made, ground.version, key=ground.key, mappings=mappings)
        changed = difference(made, fields)
        if changed and not authentik.is_dry:
            path = f"{PROVIDERS}{made['pk']}/"
            made |= authentik.change("PATCH", path, changed, _what(wanted, made, changed))
        return {**made, "client_secret": secret}
    changed = difference(found, fields)
    if not changed:
        return found
    path = f"{PROVIDERS}{found['pk']}/"
    after = authentik.change("PATCH", path, changed, _what(wanted, found, changed))
    return {**found, **after, **{name: changed[name] for name in changed if "secret" in name}}


def _what(wanted: Wanted, found: Record, changed: Record) -> str:
    """The change in words: which fields, and which addresses go."""
    text = f"change {', '.join(sorted(changed))} of the provider {wanted.name!r}"
    lost = lost_redirects(found, wanted)
    return f"{text}, which takes away {', '.join(lost)}" if lost else text


def _application(authentik: Authentik, wanted: Wanted, ground: Ground, provider: Record) -> None:
    """The application with this provider."""
    pk = provider.get("pk", "(new provider)")
    if ground.application is None:
        body = {
            "name": wanted.name,
            "slug": wanted.slug,
            "provider": pk,
            "meta_launch_url": f"{wanted.app_url}/",
        }
        authentik.change("POST", APPLICATIONS, body, f"make the application {wanted.slug!r}")
    elif ground.application.get("provider") is None:
        path = f"{APPLICATIONS}{wanted.slug}/"
        what = f"give the application {wanted.slug!r} its provider"
        authentik.change("PATCH", path, {"provider": pk}, what)


def _issuer(authentik: Authentik, wanted: Wanted) -> str:
    """The issuer that Authentik's own discovery document names; a dry run expects it."""
    expected = f"{authentik.wire.base}/application/o/{wanted.slug}/"
    if authentik.is_dry:
        return expected
    url = f"{expected}.well-known/openid-configuration"
    try:
        document = fetch_json(url, authentik.wire.allows_http)
    except FetchError as error:
        raise AuthentikFailed(
            f"Provider and application are set up, but the discovery document is not there: "
            f"{error}. Run again; that changes nothing twice."
        ) from None
    return str(document.get("issuer") or expected)
