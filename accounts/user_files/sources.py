"""What the tables of other systems say of their users, in the fields of Gatehouse. Pure.

Each reader takes one row of the system's own table or export, and returns texts by the names of
fields.READ_FIELDS. Docs: docs/moving-from/.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from core.text.email_addresses import gettext_noop

Values = Mapping[str, str]
NOT_SUCH_A_FILE = gettext_noop("The file has no “%(column)s”, which every user of %(source)s has.")


@dataclass(frozen=True, slots=True)
class Source:
    """A system. needs: a column without which the file is another one.

    role_map: {its role in lower case: ours}; "" takes the default role.
    """

    label: str
    needs: str
    read: Callable[[Values], dict[str, str]]
    role_map: Mapping[str, str]


def _khoj(row: Values) -> dict[str, str]:
    """The table database_khojuser: Django's own columns, and `verified_email`."""
    is_admin = _is_yes(row, "is_superuser") or _is_yes(row, "is_staff")
    return {
        **_columns(row, "email", "username", "first_name", "last_name"),
        "role": "admin" if is_admin else "user",
        "state": row.get("is_active", ""),
        "verified": row.get("verified_email", ""),
        "created_at": row.get("date_joined", ""),
        "password_hash": row.get("password", ""),
    }


def _librechat(row: Values) -> dict[str, str]:
    """The collection `users`, as mongoexport writes it. People of providers have no password."""
    return {
        **_columns(row, "email", "name", "username", "role"),
        "verified": row.get("emailVerified", ""),
        "created_at": row.get("createdAt", ""),
        "password_hash": row.get("password", ""),
    }


def _lobechat(row: Values) -> dict[str, str]:
    """The table `users`, whose passwords, if any, are in another table."""
    status = row.get("status", "")
    return {
        **_columns(row, "email", "username", "first_name", "last_name"),
        "name": row.get("full_name", ""),
        "role": row.get("role", ""),
        "state": "disabled" if status in ("suspended", "banned") or _is_yes(row, "banned") else "",
        "verified": row.get("email_verified_at", "") or row.get("email_verified", ""),
        "created_at": row.get("created_at", ""),
    }


# The bits of the column `roles`, before Mage had a table of roles, highest role first.
_MAGE_BITS = ((1, "admin"), (2, "editor"), (4, "viewer"))


def _mage(row: Values) -> dict[str, str]:
    """The table `user`, also joined with the names of roles as `role`. It verifies no address."""
    return {
        **_columns(row, "email", "username", "first_name", "last_name", "created_at"),
        "password_hash": row.get("password_hash", ""),
        "role": _mage_role(row),
    }


def _mage_role(row: Values) -> str:
    if _is_yes(row, "owner"):
        return "owner"
    bits = row.get("roles", "")
    number = int(bits) if bits.isdecimal() and len(bits) < 6 else 0
    return row.get("role", "") or next((role for bit, role in _MAGE_BITS if number & bit), "")


def _reflector(row: Values) -> dict[str, str]:
    """The table `user`: who has signed in through Authentik, which has the passwords and roles."""
    return _columns(row, "email", "created_at")


def _columns(row: Values, *names: str) -> dict[str, str]:
    return {name: row.get(name, "") for name in names}


def _is_yes(row: Values, column: str) -> bool:
    return row.get(column, "").casefold() in ("true", "t", "1")


SOURCES: dict[str, Source] = {
    "khoj": Source("Khoj", "date_joined", _khoj, {"user": ""}),
    "librechat": Source("LibreChat", "provider", _librechat, {"user": ""}),
    "lobechat": Source("LobeChat", "is_onboarded", _lobechat, {"user": ""}),
    "mage": Source("Mage", "password_hash", _mage, {}),
    "reflector": Source("Reflector", "authentik_uid", _reflector, {}),
}
