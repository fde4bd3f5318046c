"""A client of another system, and how its fields are read from an export nobody has checked."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

MAX_NAME, MAX_DESCRIPTION = 80, 200
LOOPBACK = ("127.0.0.1", "::1", "localhost")
ALGORITHMS = ("ES256", "RS256")


class ImportFileError(ValueError):
    """A file, or a client in it, is not what the system exports. The text names the field."""


@dataclass(frozen=True, slots=True)
class ImportedClient:
    """One client. The defaults are the strictest values, and admit nobody who was refused there.

    label: what the other system calls it. client_id: "" for an app behind a proxy. kind: a value
    of App.openid_kind that signs people in; "" for none. addresses: where people open it, the best
    first. restriction: why it admits only some people there; "" if it admits everyone who can sign
    in. secret: readable, "" if not. notes: "field: what is not carried over". skipped: why it is
    left out. problem: why it cannot be read.
    """

    label: str
    client_id: str = ""
    name: str = ""
    description: str = ""
    addresses: tuple[str, ...] = ()
    is_listed: bool = False
    is_proxied: bool = False
    upstream: str = ""
    kind: str = ""
    redirect_uris: tuple[str, ...] = ()
    logout_uris: tuple[str, ...] = ()
    backchannel_logout_uri: str = ""
    frontchannel_logout_uri: str = ""
    is_trusted: bool = False
    restriction: str = ""
    second_factor: bool = False
    id_token_algorithm: str = ""
    signed_userinfo: bool = False
    requires_pushed_requests: bool = False
    allows_device_flow: bool = False
    proves_by_key: bool = False
    keys_url: str = ""
    keys_text: str = ""
    secret: str = field(default="", repr=False)
    notes: tuple[str, ...] = ()
    skipped: str = ""
    problem: str = ""


class Fields:
    """The fields of one exported object. Raises ImportFileError for a value of another type."""

    def __init__(self, values: Any, where: str = "") -> None:
        if not isinstance(values, Mapping):
            raise ImportFileError(f"{where or 'a client'} has to be an object")
        self._values, self._prefix = values, f"{where}." if where else ""

    def has(self, name: str) -> bool:
        """Whether there is a value that says something: no null, no empty text or list."""
        return bool(self._values.get(name))

    def text(self, name: str, default: str = "") -> str:
        """A text; `default` without one."""
        value = self._values.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise ImportFileError(f"{self._prefix}{name} has to be text")
        return value.strip()

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A truth value; also as the text that Keycloak's attributes have."""
        value = self._values.get(name)
        if value is None or value == "":
            return default
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        if not isinstance(value, bool):
            raise ImportFileError(f"{self._prefix}{name} has to be true or false")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts; one text is a list of one."""
        value = self._values.get(name)
        if value is None or value == "":
            return ()
        found = [value] if isinstance(value, str) else value
        if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
            raise ImportFileError(f"{self._prefix}{name} has to be a list of texts")
        return tuple(text for each in found if (text := each.strip()))

    def objects(self, name: str) -> "list[Fields]":
        """A list of objects."""
        value = self._values.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise ImportFileError(f"{self._prefix}{name} has to be a list")
        return [Fields(each, f"{self._prefix}{name}") for each in value]

    def object(self, name: str) -> "Fields":
        """An object; an empty one without a value."""
        value = self._values.get(name)
        return Fields({} if value is None else value, f"{self._prefix}{name}")

    def value(self, name: str) -> Any:
        """The value as it is, to compare it; None without one."""
        return self._values.get(name)


def read_each(
    rows: Iterable[Fields], names: tuple[str, ...], read: Callable[[Fields], ImportedClient]
) -> list[ImportedClient]:
    """A client for each row. One that cannot be read says why, and does not stop the others.

    names: fields of which the first text is shown as the name of such a client.
    """
    found = []
    for number, row in enumerate(rows, 1):
        try:
            found.append(read(row))
        except ImportFileError as error:
            texts = (row.value(name) for name in names)
            label = next((text for text in texts if text and isinstance(text, str)), "")
            found.append(ImportedClient(label or f"client {number}", problem=str(error)))
    return found


def kind_of(uris: Iterable[str], *, is_public: bool) -> str:
    """web, spa or native. A public client whose addresses are all on the device is native."""
    if not is_public:
        return "web"
    return "native" if all(map(_is_on_device, uris)) else "spa"


def _is_on_device(uri: str) -> bool:
    parts = _split(uri)
    return parts[0] not in ("http", "https") or parts[1] in LOOPBACK


def origins_of(uris: Iterable[str]) -> tuple[str, ...]:
    """Scheme, host and port of the web addresses, each once, https first."""
    found = dict.fromkeys(
        f"{scheme}://{netloc}"
        for scheme, host, netloc in map(_split, uris)
        if scheme in ("http", "https") and host and "*" not in netloc and "@" not in netloc
    )
    return tuple(sorted(found, key=lambda origin: not origin.startswith("https:")))


def without_query(url: str) -> str:
    """An address without what follows ? or #."""
    return url.partition("#")[0].partition("?")[0]


def name_of(*texts: str) -> str:
    """The first text, short enough for the name of an app."""
    return next(filter(None, (_line(text, MAX_NAME) for text in texts)), "")


def description_of(text: str) -> str:
    """One line, short enough for the description of an app."""
    return _line(text, MAX_DESCRIPTION)


def algorithm_of(name: str, notes: list[str], field_name: str) -> str:
    """The algorithm of ID tokens, "" with a note if there is no such one here."""
    if name in ALGORITHMS:
        return name
    notes.append(f"{field_name}: only ES256 and RS256 are known here; the server's own is used")
    return ""


def _line(text: str, most: int) -> str:
    shown = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(shown.split())[:most].strip()


def _split(uri: str) -> tuple[str, str, str]:
    """(scheme, host, host with port); empty texts for what is no address."""
    try:
        parts = urlsplit(uri)
        return parts.scheme.lower(), parts.hostname or "", parts.netloc
    except ValueError:
        return "", "", ""
