"""Providers of authentik, as its API answers (docs/moving-from/authentik.md)."""

from collections.abc import Iterable, Mapping
from typing import Any

from applications.importing.client import (
    Fields,
    ImportedClient,
    ImportFileError,
    description_of,
    kind_of,
    name_of,
    origins_of,
    read_each,
    without_query,
)

# The lists that are read, by their names in a file: paths of the API.
LISTS = {
    "applications": "/core/applications/",
    "oauth2": "/providers/oauth2/",
    "proxy": "/providers/proxy/",
    "bindings": "/policies/bindings/",
    "flows": "/flows/instances/",
}
NEEDED = ("applications", "oauth2", "proxy")
# The flows that authentik has by itself, of which the first asks people.
EXPLICIT = "default-provider-authorization-explicit-consent"
IMPLICIT = "default-provider-authorization-implicit-consent"
HIDDEN = "blank://blank"


def read_lists(document: Any) -> list[ImportedClient]:
    """The clients of the lists by their names. Each is a list of records, or of pages of the API.

    Without `bindings` and `flows` nobody knows whom an app admits, so it admits owners only.
    Raises ImportFileError.
    """
    lists = Fields(document, "the file")
    missing = [name for name in NEEDED if lists.value(name) is None]
    if missing:
        raise ImportFileError(f"the file has no “{missing[0]}”, see docs/moving-from/authentik.md")
    world = _World(lists)
    names = ("assigned_application_name", "name")
    return [
        *read_each(_records(lists, "oauth2"), names, world.client),
        *read_each(_records(lists, "proxy"), names, world.proxied),
    ]


def _records(lists: Fields, name: str) -> list[Fields]:
    """The records of a list, of one page, or of several pages."""
    value = lists.value(name)
    pages = value if isinstance(value, list) else [value]
    found: list[Any] = []
    for page in pages:
        is_page = isinstance(page, Mapping) and "results" in page
        results = page["results"] if is_page else [page]
        if not isinstance(results, list) or not all(isinstance(row, Mapping) for row in results):
            raise ImportFileError(f"{name} has to be a list of objects")
        found += results
    return [Fields(row) for row in found]


class _World:
    """What providers refer to: applications, flows, and who is admitted."""

    def __init__(self, lists: Fields) -> None:
        # By the provider that they have.
        self.applications = {
            row.value("provider"): row
            for row in _records(lists, "applications")
            if isinstance(row.value("provider"), (int, str))
        }
        self._knows_entry = all(lists.value(name) is not None for name in ("bindings", "flows"))
        flows = _records(lists, "flows") if self._knows_entry else []
        bindings = _records(lists, "bindings") if self._knows_entry else []
        self._flows = {row.text("pk"): row for row in flows}
        # A disabled binding restricts nobody.
        self._restricted = {
            row.text("target") for row in bindings if row.flag("enabled", default=True)
        }

    def client(self, row: Fields) -> ImportedClient:
        """An OAuth2 provider."""
        app, notes = self._application(row), _notes(row)
        client_id = row.text("client_id")
        if not client_id:
            raise ImportFileError("client_id is missing")
        uris, logout_uris = _uris(row, notes)
        is_public = row.text("client_type") == "public"
        launch = _launch(app)
        by_front = row.text("logout_method") == "frontchannel"
        notice = row.text("logout_uri") or row.text("backchannel_logout_uri")
        kind = kind_of(uris, is_public=is_public)
        grants = row.texts("grant_types")
        if grants and "authorization_code" not in grants:
            notes.append("grant_types: it does not use the authorization code flow")
            kind = ""
        return ImportedClient(
            label=_label(row, app),
            client_id=client_id,
            name=_label(row, app),
            description=description_of(app.text("meta_description")),
            addresses=(*launch, *origins_of(uris)),
            is_listed=bool(launch),
            kind=kind,
            redirect_uris=uris,
            logout_uris=logout_uris,
            backchannel_logout_uri="" if by_front else notice,
            frontchannel_logout_uri=notice if by_front else "",
            is_trusted=self._slug(row) == IMPLICIT,
            restriction=self._restriction(row, app),
            id_token_algorithm="RS256" if row.has("signing_key") else "",
            secret="" if is_public else row.text("client_secret"),
            notes=tuple(notes),
        )

    def proxied(self, row: Fields) -> ImportedClient:
        """A proxy provider: an app behind a proxy."""
        app = self._application(row)
        label = _label(row, app)
        if row.text("mode") == "forward_domain":
            reason = "it protects a whole domain: protect each app of it, see docs/apps.md"
            return ImportedClient(label, is_proxied=True, skipped=reason)
        notes = []
        if row.has("skip_path_regex"):
            notes.append("skip_path_regex: no path is open without signing in")
        if row.flag("basic_auth_enabled"):
            notes.append("basic_auth_enabled: no password is sent to the app")
        inside = row.text("internal_host") if row.text("mode") == "proxy" else ""
        return ImportedClient(
            label=label,
            name=label,
            description=description_of(app.text("meta_description")),
            addresses=tuple(filter(None, (without_query(row.text("external_host")),))),
            is_listed=app.text("meta_launch_url") != HIDDEN,
            is_proxied=True,
            upstream=inside.partition("://")[2].rstrip("/"),
            restriction=self._restriction(row, app),
            notes=tuple(notes),
        )

    def _application(self, row: Fields) -> Fields:
        return self.applications.get(row.value("pk"), Fields({}))

    def _slug(self, row: Fields) -> str:
        flow = self._flows.get(row.text("authorization_flow"))
        return flow.text("slug") if flow else ""

    def _restriction(self, row: Fields, app: Fields) -> str:
        """Why not everyone who can sign in is admitted there; "" only if everyone is."""
        flow = self._flows.get(row.text("authorization_flow"), Fields({}))
        bound = {app.text("pk"), flow.text("policybindingmodel_ptr_id")} - {""}
        checks: Iterable[tuple[bool, str]] = (
            (not self._knows_entry, "policies are not in the file (bindings, flows)"),
            (not app.has("pk"), "it belongs to no application there"),
            (bool(bound & self._restricted), "policies, groups or users are bound to it"),
            (flow.text("slug") not in (EXPLICIT, IMPLICIT),
             "it has an authorization flow of its own"),
            (row.has("authentication_flow"), "it has an authentication flow of its own"),
        )  # fmt: skip
        return next((reason for applies, reason in checks if applies), "")


def _label(row: Fields, app: Fields) -> str:
    return name_of(app.text("name"), row.text("assigned_application_name"), row.text("name"))


def _launch(app: Fields) -> tuple[str, ...]:
    """The address that authentik shows, without one that has a person in it."""
    found = app.text("meta_launch_url")
    return (without_query(found),) if found and found != HIDDEN and "%" not in found else ()


def _uris(row: Fields, notes: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(redirect URIs, addresses after signing out); patterns become notes.

    Until 2024.10 they were one text with a line for each, and every line was a pattern.
    """
    if isinstance(row.value("redirect_uris"), str):
        return tuple(row.text("redirect_uris").split()), ()
    found: dict[str, list[str]] = {"authorization": [], "logout": []}
    for entry in row.objects("redirect_uris"):
        uri = entry.text("url")
        if entry.text("matching_mode", "strict") != "strict":
            notes.append(f"redirect_uris: “{uri}” is a pattern; enter each address")
            continue
        found.setdefault(entry.text("redirect_uri_type", "authorization"), []).append(uri)
    return tuple(found["authorization"]), tuple(found["logout"])


def _notes(row: Fields) -> list[str]:
    found = []
    if not row.has("signing_key"):
        found.append("signing_key: ID tokens are never signed with the secret (HS256)")
    if row.has("encryption_key"):
        found.append("encryption_key: ID tokens are not encrypted")
    other = {*row.texts("grant_types")} - {"authorization_code", "refresh_token", ""}
    if other:
        found.append("grant_types: only the code flow is carried over")
    if row.has("jwks_sources") or row.has("jwt_federation_sources"):
        found.append("jwt_federation_sources: the app cannot prove itself by tokens of others")
    return found
