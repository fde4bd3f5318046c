"""The OAuth 2.0 providers of the installed allauth, read from its files.

Importing them would need Django's settings, which are made from this.
"""

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

# Ids of allauth that cannot work with a button, and why.
UNUSABLE = {
    "agave": "it gives users no id",
    "dingtalk": "its answers have no code under the usual name",
    "drip": "it names people by their addresses alone",
    "feishu": "it asks for a callback address of its own",
    "hubic": "it names people by their addresses alone",
    "openid_connect": "Gatehouse has a client of its own; write OPENID_ISSUER and so on",
    "shopify": "it signs users in to shops, not to sites",
}
_NAME = re.compile(r"""^    name = (?:_\()?["']([^"']+)""", re.MULTILINE)
_VARIABLE = re.compile(r"([A-Z0-9]+(?:_[A-Z0-9]+)*)_CLIENT_(?:ID|SECRET)(?:_FILE)?")


@cache
def _folder() -> Path:
    spec = find_spec("allauth")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("allauth")
    return Path(spec.origin).parent / "socialaccount" / "providers"


@cache
def _source(provider: str) -> str:
    """The source of the provider's class, "" for none of allauth's."""
    file = _folder() / provider / "provider.py"
    return file.read_text(encoding="utf-8") if file.is_file() else ""


@cache
def usable_ids() -> tuple[str, ...]:
    """Every id whose provider works by a client id and a secret."""
    names = sorted(path.parent.name for path in _folder().glob("*/provider.py"))
    return tuple(name for name in names if is_usable(name))


def is_usable(provider: str) -> bool:
    is_id = provider.replace("_", "").isalnum() and provider not in UNUSABLE
    return is_id and "(OAuth2Provider)" in _source(provider)


def label_of(provider: str) -> str:
    """What the provider calls itself."""
    found = _NAME.search(_source(provider))
    return found[1] if found else provider.capitalize()


def provider_of(name: str) -> str:
    """The id whose client id or secret the variable `name` would be, "" for no such name."""
    found = _VARIABLE.fullmatch(name)
    return found[1].lower() if found else ""


def why_unusable(name: str) -> str:
    """Why the variable `name` of a provider of allauth has no effect, "" for any other name."""
    provider = provider_of(name)
    if not provider or is_usable(provider) or not _source(provider):
        return ""
    return UNUSABLE.get(provider, "it does not use OAuth 2.0")
