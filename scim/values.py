"""What a resource of a client means for an account or a group. Pure."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from accounts.group_names import is_id
from core.text.email_addresses import AddressError, parse_email, parse_username
from scim.errors import InvalidValue, shown

MAX_USER_NAME_LENGTH, MAX_EXTERNAL_ID_LENGTH, MAX_PART_LENGTH = 254, 255, 150
MAX_GROUP_NAME_LENGTH = 40


class UserValues(NamedTuple):
    """active: None leaves it as it is. username: with which the person may sign in, or None."""

    user_name: str
    external_id: str
    email: str
    username: str | None
    name: str
    given_name: str
    family_name: str
    has_name: bool
    is_primary: bool
    active: bool | None

    @property
    def key(self) -> str:
        """By which userName is unique."""
        return self.user_name.lower()


class GroupValues(NamedTuple):
    """members: ids as texts."""

    display_name: str
    external_id: str
    members: tuple[str, ...]


def user_values(resource: Mapping[str, Any], before: Mapping[str, Any]) -> UserValues:
    """The values of an account. before: the resource until now, {} for a new one.

    Raises InvalidValue.
    """
    user_name = _required(resource, "userName", MAX_USER_NAME_LENGTH)
    parts = resource.get("name", {})
    return UserValues(
        user_name=user_name,
        external_id=_text(resource, "externalId", MAX_EXTERNAL_ID_LENGTH),
        email=_email(resource, user_name, before),
        username=_username(user_name, before),
        name=_name(resource, before),
        given_name=_text(parts, "givenName", MAX_PART_LENGTH),
        family_name=_text(parts, "familyName", MAX_PART_LENGTH),
        has_name=bool(parts),
        is_primary=_chosen(resource.get("emails", [])).get("primary", True),
        active=resource.get("active"),
    )


def group_values(resource: Mapping[str, Any]) -> GroupValues:
    """The values of a group. Raises InvalidValue."""
    members = resource.get("members", [])
    for member in members:
        if member.get("type", "User").lower() != "user" or "value" not in member:
            raise InvalidValue("A member must be a user, named by `value`: groups contain none.")
    return GroupValues(
        display_name=_required(resource, "displayName", 80),
        external_id=_text(resource, "externalId", MAX_EXTERNAL_ID_LENGTH),
        members=tuple(dict.fromkeys(member["value"] for member in members)),
    )


def _required(resource: Mapping[str, Any], name: str, most: int) -> str:
    found = _text(resource, name, most)
    if not found:
        raise InvalidValue(f"{name} is required.")
    return found


def _text(resource: Mapping[str, Any], name: str, most: int) -> str:
    found = str(resource.get(name, ""))
    if len(found) > most:
        raise InvalidValue(f"{name}: at most {most} characters.")
    return found


def _email(resource: Mapping[str, Any], user_name: str, before: Mapping[str, Any]) -> str:
    """The address in its stored form: of emails, else the userName if it is one."""
    sent = chosen_address(resource.get("emails", []))
    raw = sent or (user_name if "@" in user_name else chosen_address(before.get("emails", [])))
    if not raw:
        raise InvalidValue("emails: an account needs an address, here or as userName.")
    if raw.lower() == chosen_address(before.get("emails", [])):
        return raw.lower()  # as it is, even if it is a placeholder
    try:
        return parse_email(raw)
    except AddressError:
        raise InvalidValue(f"emails: {shown(raw)} is not an accepted address.") from None


def chosen_address(emails: Sequence[Mapping[str, Any]]) -> str:
    """The address that is kept; "" for none."""
    return str(_chosen(emails).get("value", ""))


def _chosen(emails: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The primary one, else the first of type work, else the first that has an address."""
    rows = [each for each in emails if each.get("value")]
    ranked = sorted(
        rows, key=lambda each: (not each.get("primary"), each.get("type", "").lower() != "work")
    )
    return ranked[0] if ranked else {}


def _username(user_name: str, before: Mapping[str, Any]) -> str | None:
    """The userName, if it changes and can be the user name of an account, which has no @."""
    if "@" in user_name or user_name == before.get("userName"):
        return None
    try:
        return parse_username(user_name)
    except AddressError:
        return None


def _name(resource: Mapping[str, Any], before: Mapping[str, Any]) -> str:
    """The one name that an account has: whichever of the ways to write it has changed."""
    parts, old = resource.get("name", {}), before.get("name", {})
    written = (
        (resource.get("displayName"), before.get("displayName")),
        (parts.get("formatted"), old.get("formatted")),
    )
    for now, then in written:
        if now and now != then:
            return str(now)
    if before.get("displayName") and not resource.get("displayName"):
        return _joined(parts)
    if _joined(parts) != _joined(old) and before.get("displayName", "") in ("", _joined(old)):
        return _joined(parts)
    return str(before.get("displayName", ""))


def _joined(parts: Mapping[str, Any]) -> str:
    return " ".join(
        filter(None, [str(parts.get("givenName", "")), str(parts.get("familyName", ""))])
    )


def group_name(display_name: str, taken: frozenset[str]) -> str:
    """A name for rules and headers, which have stricter rules: `Größe & Co` is `grosse-co`.

    taken: names that it cannot have. Nor can it be an id.
    """
    folded = unicodedata.normalize("NFKD", display_name.casefold())
    signs = "".join(sign if sign.isascii() and sign.isalnum() else " " for sign in folded
                    if not unicodedata.combining(sign))  # fmt: skip
    plain = "-".join(signs.split())[:MAX_GROUP_NAME_LENGTH].strip("-") or "group"
    for number in range(1, len(taken) + 3):
        end = "" if number == 1 else f"-{number}"
        name = f"{plain[: MAX_GROUP_NAME_LENGTH - len(end)].strip('-')}{end}"
        if name not in taken and not is_id(name):
            return name
    raise AssertionError("more names than taken ones")
