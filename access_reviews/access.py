"""What an account may do, as a review shows it: role, ends, API keys with their scopes. Pure."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class KeyAccess:
    """A live API key. expires_at: ISO 8601; "" for a key without an end."""

    id: str
    scopes: tuple[str, ...]
    expires_at: str = ""


@dataclass(frozen=True, slots=True)
class Access:
    """The access of an account. Ends are ISO 8601 in UTC; "" for none. keys: by id."""

    role: str
    is_active: bool = True
    role_until: str = ""
    role_after: str = ""
    expires_at: str = ""
    keys: tuple[KeyAccess, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Identifies this access: what a reviewer sends back to say what they saw."""
        text = json.dumps(self.as_json(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def as_json(self) -> dict[str, Any]:
        """For a JSON column; see from_json()."""
        return asdict(self) | {
            "keys": [asdict(key) | {"scopes": list(key.scopes)} for key in self.keys]
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Access":
        """The access that as_json() has stored."""
        keys = tuple(
            KeyAccess(key["id"], tuple(key["scopes"]), key["expires_at"]) for key in stored["keys"]
        )
        rest = {name: value for name, value in stored.items() if name != "keys"}
        return cls(**rest, keys=keys)


def iso(moment: datetime | None) -> str:
    """ISO 8601; "" for None."""
    return "" if moment is None else moment.isoformat()
