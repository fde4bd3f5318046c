"""Normalizes and validates the fields of a rule. Pure.

A rule that can never match is worse than an error, because it looks like protection. So everything
that no request can match (ports, escapes, repeated slashes) is an error.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from django.utils.translation import gettext as _

from accounts.roles import Role
from core.text.cleaning import clean_each
from core.text.networks import networks_of
from forward_auth.request import clean_host
from forward_auth.rules.matching import Effect
from forward_auth.rules.path_readings import composed, is_plain

MAX_NAME_LENGTH, MAX_HOST_LENGTH, MAX_PATH_LENGTH = 80, 253, 500
MAX_GROUPS = 50
# The registered methods (iana.org/assignments/http-methods, RFC 9110, section 16.1.1), common ones
# first; without `*` and PRI, which no request can have.
COMMON_METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
RARE_METHODS = (
    *("ACL", "BASELINE-CONTROL", "BIND", "CHECKIN", "CHECKOUT", "CONNECT", "COPY", "LABEL", "LINK"),
    *("LOCK", "MERGE", "MKACTIVITY", "MKCALENDAR", "MKCOL", "MKREDIRECTREF", "MKWORKSPACE", "MOVE"),
    *("ORDERPATCH", "PROPFIND", "PROPPATCH", "QUERY", "REBIND", "REPORT", "SEARCH", "TRACE"),
    *("UNBIND", "UNCHECKOUT", "UNLINK", "UNLOCK", "UPDATE", "UPDATEREDIRECTREF", "VERSION-CONTROL"),
)
METHODS = COMMON_METHODS + RARE_METHODS
ROLES = (Role.VIEWER, Role.EDITOR, Role.ADMIN, Role.OWNER)
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")


def clean_fields(typed: dict[str, Any]) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """(values to store, error messages by field). Use the values only if there are no errors.

    Fields: name, effect, role, host, path, methods (list), networks (list of texts), group_ids
    (list of ids as texts, which the service looks up).
    """
    cleaned, errors = clean_each(typed, _CLEANERS)
    effect = cleaned.get("effect", Effect.ROLE)
    if cleaned.get("group_ids") and effect != Effect.ROLE and "effect" not in errors:
        errors.setdefault("group_ids", []).append(
            _("Only a rule that allows a role can ask for groups as well.")
        )
    return cleaned, errors


def name_of(text: str) -> str:
    """Raises ValueError with a message for the user, as do all functions below."""
    name = " ".join(text.split())
    if not name:
        raise ValueError(_("Enter a name for the rule. Lists and denials show it."))
    if len(name) > MAX_NAME_LENGTH:
        raise ValueError(_("The name is too long: at most %(most)d characters.")
                         % {"most": MAX_NAME_LENGTH})  # fmt: skip
    return name


def host_of(text: str) -> str:
    """A host name in lower case, `*.` and a name, or an IP address; "" for every host."""
    host = text.strip().lower().rstrip(".")
    if not host:
        return ""
    if "/" in host:
        raise ValueError(_("Enter the host name only, without https:// and without a path."))
    if not host.isascii():
        raise ValueError(_("Enter the name as browsers send it: in ASCII, starting with xn--."))
    is_below, name = host.startswith("*."), host.removeprefix("*.")
    if "*" in name:
        raise ValueError(_("A star is allowed only at the beginning, as in *.example.com."))
    address = clean_host(name if name.startswith("[") else f"[{name}]")
    if address and not is_below and "]:" not in name:
        return address
    if ":" in name:
        raise ValueError(_("Enter the name without a port: a rule applies to every port."))
    if len(host) > MAX_HOST_LENGTH or not _NAME.fullmatch(name):
        raise ValueError(_("Enter a valid host name, such as app.example.com."))
    return host


def path_of(text: str) -> str:
    """A decoded path prefix; "" for every path."""
    path = composed(text.strip())
    if path in ("", "/"):
        return ""
    if not path.startswith("/"):
        raise ValueError(_("A path must begin with a slash, as in /admin."))
    if "*" in path:
        raise ValueError(_("A path has no star: /admin already matches everything below it."))
    if "?" in path or "#" in path:
        raise ValueError(_("Enter the path only: rules ignore what follows ? or #."))
    if "%" in path:
        # xgettext:no-python-format  # noqa: ERA001 - read by makemessages
        raise ValueError(_("Enter the characters themselves, not %-escapes."))
    if len(path) > MAX_PATH_LENGTH or not is_plain(path):
        raise ValueError(_("No request can match such a path. Remove //, /../, ; and backslashes."))
    return path


def methods_of(values: Iterable[str]) -> list[str]:
    """Methods in the order of METHODS; [] stands for all of them."""
    chosen = set(values)
    if not chosen <= set(METHODS):
        raise ValueError(_("Choose methods from the list."))
    return [] if chosen == set(METHODS) else [name for name in METHODS if name in chosen]


def group_ids_of(values: Iterable[str]) -> list[str]:
    """Ids of groups without duplicates; [] asks for none."""
    found = list(dict.fromkeys(map(str, values)))
    if len(found) > MAX_GROUPS:
        raise ValueError(_("At most %(most)d groups in a rule.") % {"most": MAX_GROUPS})
    return found


def effect_of(text: str) -> str:
    """A value of Effect."""
    if text not in set(Effect):
        raise ValueError(_("Choose whom the rule allows."))
    return text


def role_of(text: str) -> str:
    """A role that a rule can require."""
    if text not in ROLES:
        raise ValueError(_("Choose a role from the list."))
    return text


_CLEANERS: dict[str, Callable[[Any], Any]] = {
    "name": name_of,
    "effect": effect_of,
    "role": role_of,
    "host": host_of,
    "path": path_of,
    "methods": methods_of,
    "networks": networks_of,
    "group_ids": group_ids_of,
}
