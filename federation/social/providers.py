"""allauth's provider classes, with strict reading of what a provider answers.

A provider of allauth needs no entry here. SOCIALACCOUNT_PROVIDERS may name a subclass as
`provider_class`, as in allauth.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any

from allauth.socialaccount import app_settings
from allauth.socialaccount.providers.discord.provider import DiscordProvider as AllauthDiscord
from allauth.socialaccount.providers.github.provider import GitHubProvider as AllauthGitHub
from allauth.socialaccount.providers.oauth2.provider import OAuth2Provider
from django.http import HttpRequest
from django.utils.module_loading import import_string

from federation.oidc.errors import SignInFailed
from federation.oidc.idtokens import reject

# Of allauth's uid column, which we do not write, but allauth checks.
MAX_SUBJECT_LENGTH = 191
# What a missing or malformed id becomes by str().
NO_IDS = frozenset({"None", "True", "False", "inf", "nan", ""})
SEPARATORS = re.compile(r"[^0-9A-Za-z]+")
# Parts of numbers with a fraction, lists and objects.
NO_PARTS = re.compile(r"""[0-9](?:\.|e[+-])[0-9]|[\[\]{}'"]""")


def provider_class(provider_id: str) -> type[Any]:
    """The class of allauth's provider with that id. Raises ModuleNotFoundError."""
    path = app_settings.PROVIDERS.get(provider_id, {}).get("provider_class", "")
    return _strict(provider_id, path)


@lru_cache(maxsize=64)
def _strict(provider_id: str, path: str) -> type[Any]:
    if path:
        found = import_string(path)
    else:
        module = import_module(f"allauth.socialaccount.providers.{provider_id}.provider")
        (found,) = (each for each in vars(module).values() if _is_provider_of(each, module))
    return type(found.__name__, (StrictProvider, found), {})


def _is_provider_of(value: Any, module: ModuleType) -> bool:
    is_own = isinstance(value, type) and value.__module__ == module.__name__
    return is_own and issubclass(value, OAuth2Provider)


class StrictProvider:
    """Mixin: refuses ids that are none, and keeps the answer beside the login that it becomes."""

    def sociallogin_from_response(self, request: HttpRequest, response: Any) -> Any:
        """allauth's SocialLogin, with `response`. Raises SignInFailed."""
        if not isinstance(response, dict):
            raise SignInFailed("provider_error", "the profile is no object")
        login = super().sociallogin_from_response(request, response)  # type: ignore[misc]
        login.response = response
        return login

    def extract_uid(self, data: dict[str, Any]) -> str:
        """The user id, if it is a string or a whole number there. Raises SignInFailed."""
        try:
            uid = super().extract_uid(data)  # type: ignore[misc]
        except Exception:  # allauth reads the answer without checks
            uid = None
        if not isinstance(uid, str) or len(uid) > MAX_SUBJECT_LENGTH or not _is_id(uid, data):
            reject("no user id")
        return str(uid)

    def extract_common_fields(self, data: dict[str, Any]) -> dict[str, Any]:
        fields: dict[str, Any] = super().extract_common_fields(data)  # type: ignore[misc]
        fields.pop("phone", None)  # allauth would check it, and we keep none
        if not fields.get("name") and not fields.get("first_name"):
            fields["name"] = data.get("name")
        return fields

    def cleanup_email_addresses(
        self, email: Any, addresses: list[Any], email_verified: bool = False
    ) -> str | None:
        addresses[:] = [each for each in addresses if isinstance(each.email, str)]
        text = email if isinstance(email, str) else None
        found: str | None = super().cleanup_email_addresses(  # type: ignore[misc]
            text, addresses, email_verified
        )
        return found


class GitHubProvider(AllauthGitHub):
    """The primary address alone; only that one is verified by being in use."""

    def extract_email_addresses(self, data: dict[str, Any]) -> list[Any]:
        emails = data.get("emails")
        entries = emails if isinstance(emails, list) else []
        primary = [
            each for each in entries if isinstance(each, dict) and each.get("primary") is True
        ]
        found: list[Any] = super().extract_email_addresses({"emails": primary})
        return found


class DiscordProvider(AllauthDiscord):
    """The name that Discord shows, which allauth does not read."""

    def extract_common_fields(self, data: dict[str, Any]) -> dict[str, Any]:
        fields: dict[str, Any] = super().extract_common_fields(data)
        return fields | {"name": data.get("global_name") or data.get("username")}


def _is_id(uid: str, data: dict[str, Any]) -> bool:
    """Is `uid` a string or whole number of the answer, or made of such (Slack: team and user)?

    allauth makes text of what it finds: `null` would be the id "None" of everyone without an id.
    """
    if not uid.strip() or uid in NO_IDS:
        return False
    if uid in set(_ids_in(data)):
        return True
    return not NO_PARTS.search(uid) and not NO_IDS & set(SEPARATORS.split(uid))


def _ids_in(value: Any) -> Iterator[str]:
    """Every string and whole number of a JSON value, as text."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _ids_in(each)
    elif isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        yield str(value)
