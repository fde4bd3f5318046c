"""Where clients are read from: a file, or the API of authentik. Nothing is changed there."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from applications.importing import authelia, authentik, keycloak
from applications.importing.client import ImportedClient, ImportFileError
from core.text.strict_json import read_json
from federation.authentik.api import Authentik
from federation.authentik.http import Client, parse_base

MIB = 1024 * 1024
# A realm export also has the users; YAML takes long to parse.
MAX_JSON, MAX_YAML = 64 * MIB, MIB
# Without it the list has only what the owner of the token may open.
EVERY = {"applications": {"superuser_full_list": "true"}}
Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Export:
    """What a system has. remarks: sentences about the whole of it."""

    clients: list[ImportedClient]
    remarks: tuple[str, ...] = ()


def _authentik(document: Any) -> Export:
    return Export(authentik.read_lists(document))


def _keycloak(document: Any) -> Export:
    return Export(keycloak.read_realm(document))


def _authelia(document: Any) -> Export:
    clients, rules = authelia.read_configuration(document), authelia.count_of_rules(document)
    remark = (
        f"access_control: {rules} rules are not imported. Write access rules in their order, see "
        "docs/forward-auth-rules.md."
    )
    return Export(clients, (remark,) if rules else ())


READERS: dict[str, Callable[[Any], Export]] = {
    "authelia": _authelia,
    "authentik": _authentik,
    "keycloak": _keycloak,
}


def read_file(source: str, stream: BinaryIO) -> Export:
    """The clients in a file. Raises ImportFileError."""
    most = MAX_YAML if source == "authelia" else MAX_JSON
    content = stream.read(most + 1)
    if len(content) > most:
        raise ImportFileError(f"the file is larger than {most // MIB} MiB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ImportFileError("the file is no UTF-8 text") from None
    return READERS[source](authelia.parse(text) if source == "authelia" else _json(text))


def fetch(url: str, token: str, *, allows_http: bool, progress: Progress) -> Export:
    """The clients of an authentik. progress: is called with the name of a list and its length.

    Raises AuthentikError, ImportFileError.
    """
    client = Client(parse_base(url, allows_http=allows_http), token=token, allows_http=allows_http)
    api = Authentik(client, lambda _line: None, is_dry=True)
    lists = {}
    for name, path in authentik.LISTS.items():
        lists[name] = api.all(path, **EVERY.get(name, {}))
        progress(name, len(lists[name]))
    return _authentik(lists)


def _json(text: str) -> Any:
    try:
        return read_json(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 0)
        raise ImportFileError(f"the file is no JSON{f' in line {line}' if line else ''}") from None
