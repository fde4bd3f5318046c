"""Clients of Authelia, from its configuration.yml (docs/moving-from/authelia.md)."""

from collections.abc import Callable
from typing import Any

import yaml

from applications.importing.client import (
    Fields,
    ImportedClient,
    ImportFileError,
    algorithm_of,
    kind_of,
    name_of,
    origins_of,
    read_each,
)

# A file that repeats itself through aliases and merge keys may grow without bound.
MAX_ALIASES, MAX_MERGED = 200, 5000
PLAIN = "$plaintext$"
SCOPES = frozenset({"openid", "profile", "email", "groups", "offline_access"})
BY_SECRET = ("", "client_secret_basic", "client_secret_post", "none")
ONE_FACTOR, TWO_FACTORS = "one_factor", "two_factor"


class _Loader(yaml.SafeLoader):
    """yaml.safe_load() with few aliases."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._aliases = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            self._aliases += 1
            if self._aliases > MAX_ALIASES:
                raise ImportFileError(f"the file has more than {MAX_ALIASES} aliases")
        return super().compose_node(parent, index)

    def flatten_mapping(self, node: Any) -> None:
        super().flatten_mapping(node)
        if len(node.value) > MAX_MERGED:
            raise ImportFileError("the merge keys of the file make too many fields")


def parse(text: str) -> Any:
    """The document of a configuration file. Raises ImportFileError."""
    loader = None
    try:
        loader = _Loader(text)
        return loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" in line {mark.line + 1}" if mark else ""
        raise ImportFileError(f"the file is no YAML{where}: {error.problem}") from None
    except (yaml.YAMLError, RecursionError, TypeError, ValueError) as error:
        if isinstance(error, ImportFileError):
            raise
        raise ImportFileError("the file is no YAML that can be read") from None
    finally:
        if loader is not None:
            loader.dispose()


def read_configuration(document: Any) -> list[ImportedClient]:
    """The OpenID clients of a configuration. Raises ImportFileError."""
    whole = Fields(document, "the file")
    provider = whole.object("identity_providers").object("oidc")
    rows = provider.value("clients")
    if not isinstance(rows, list):
        raise ImportFileError("the file has no identity_providers.oidc.clients")
    if not all(isinstance(row, dict) for row in rows):
        raise ImportFileError("identity_providers.oidc.clients has to be a list of objects")
    return read_each(map(Fields, rows), ("client_id", "id"), _client)


def count_of_rules(document: Any) -> int:
    """How many rules of access control the file has: they are not imported."""
    rules = Fields(document, "the file").object("access_control").value("rules")
    return len(rules) if isinstance(rules, list) else 0


def _client(row: Fields) -> ImportedClient:
    client_id = row.text("client_id") or row.text("id")
    if not client_id:
        raise ImportFileError("client_id is missing")
    notes = _notes(row)
    uris, is_public = row.texts("redirect_uris"), row.flag("public")
    policy = row.text("authorization_policy", TWO_FACTORS) or TWO_FACTORS
    wanted = row.text("id_token_signed_response_alg", "RS256") or "RS256"
    userinfo = row.text("userinfo_signed_response_alg") or row.text("userinfo_signing_algorithm")
    proof = row.text("token_endpoint_auth_method")
    kind = kind_of(uris, is_public=is_public)
    if not _uses_code(row):
        notes.append("grant_types: it does not use the authorization code flow")
        kind = ""
    return ImportedClient(
        label=client_id,
        client_id=client_id,
        name=name_of(row.text("client_name"), row.text("description"), client_id),
        addresses=origins_of(uris),
        kind=kind,
        redirect_uris=uris,
        is_trusted=row.text("consent_mode") == "implicit",
        restriction=(
            "" if policy in (ONE_FACTOR, TWO_FACTORS)
            else f"authorization_policy “{policy}” admits only some people"
        ),
        second_factor=policy != ONE_FACTOR,
        id_token_algorithm=algorithm_of(wanted, notes, "id_token_signed_response_alg"),
        signed_userinfo=userinfo not in ("", "none"),
        requires_pushed_requests=row.flag("require_pushed_authorization_requests"),
        proves_by_key=proof == "private_key_jwt" and not is_public,
        keys_url=row.text("jwks_uri"),
        secret="" if is_public or proof not in BY_SECRET else _secret(row),
        notes=tuple(notes),
    )  # fmt: skip


def _uses_code(row: Fields) -> bool:
    grants = row.texts("grant_types")
    return not grants or "authorization_code" in grants


def _secret(row: Fields) -> str:
    """A readable secret. Hashed ones, and those from files of a template, are not."""
    secret = row.text("client_secret") or row.text("secret")
    if secret.startswith(PLAIN):
        secret = secret.removeprefix(PLAIN)
    elif secret.startswith("$"):
        return ""
    return "" if "{{" in secret else secret


def _notes(row: Fields) -> list[str]:
    """What a client has and an app has not."""
    checks: tuple[tuple[Callable[[], object], str], ...] = (
        (lambda: {*row.texts("scopes")} - SCOPES,
         "scopes: other scopes than openid, profile, email, groups and offline_access"),
        (lambda: {*row.texts("response_types")} - {"code"},
         "response_types: there is no implicit and no hybrid flow"),
        (lambda: {*row.texts("grant_types")} - {"authorization_code", "refresh_token"},
         "grant_types: programs need a service account, and an app of the kind program"),
        (lambda: row.text("pkce_challenge_method") == "plain",
         "pkce_challenge_method: only S256; the app has to send that"),
        (lambda: row.flag("public") and row.text("pkce_challenge_method") != "S256",
         "require_pkce: the app has to send PKCE with S256"),
        (lambda: row.text("token_endpoint_auth_method") == "client_secret_jwt",
         "token_endpoint_auth_method: client_secret_jwt is not known here; a secret proves it"),
        (lambda: row.has("jwks"), "jwks: enter the public keys on the page of the app"),
        (lambda: row.has("claims_policy"),
         "claims_policy: claims are those of docs/openid-provider.md"),
        (lambda: row.has("sector_identifier_uri"),
         "sector_identifier_uri: all apps get the same sub of a person"),
        (lambda: row.has("request_uris"), "request_uris: there are no request objects"),
        (lambda: row.has("audience"), "audience: tokens are for the app itself"),
    )  # fmt: skip
    return [text for applies, text in checks if applies()]
