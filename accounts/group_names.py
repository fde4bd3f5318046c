"""Which names a group may have. Pure: no database, no settings, no translation.

A name stands in the header Remote-Groups between commas, beside the role, and in URLs of the API.
"""

import re
from uuid import UUID

from accounts.roles import Role

MAX_NAME_LENGTH = 40
# Apps that read the header could take such a group for the role.
RESERVED_NAMES = frozenset(role.value for role in Role)
_SHAPE = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?")


def folded(text: str) -> str:
    """The form in which names are stored and compared."""
    return text.strip().lower()


def has_shape(name: str) -> bool:
    """Whether the folded name has only the characters that one may have."""
    return _SHAPE.fullmatch(name) is not None


def is_id(name: str) -> bool:
    """Whether the text is an id, which no name may be."""
    try:
        UUID(name)
    except ValueError:
        return False
    return True


def is_group_name(text: str) -> bool:
    """Whether a group may have this name."""
    name = folded(text)
    is_free = name not in RESERVED_NAMES and not is_id(name)
    return is_free and len(name) <= MAX_NAME_LENGTH and has_shape(name)
