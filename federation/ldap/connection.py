"""One connection to the directory, for sign-in by django-auth-ldap and for searches of our own.

python-ldap is an optional package, so it is loaded when a connection is opened. An error of the
server is always a DirectoryError: taken for "nothing found", it would end the access of every user.
"""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, NamedTuple

from core import tracing
from federation.ldap import circuit_breaker
from federation.ldap.conf import LDAPConfig
from federation.ldap.failures import DirectoryError, Failures
from federation.ldap.transport import connect

PAGE_SIZE = 500
# How many searches search_each() sends before it reads the first result.
IN_FLIGHT = 50
BASE, SUBTREE = 0, 2
# Answers to a bind with a wrong name or password, and to one of an entry without a password.
REFUSED = ("INVALID_CREDENTIALS", "INVALID_DN_SYNTAX", "NO_SUCH_OBJECT", "INAPPROPRIATE_AUTH",
           "UNWILLING_TO_PERFORM")  # fmt: skip
# Names of python-ldap's errors; any other is Failures.OTHER.
FAILURES = {
    "TIMEOUT": Failures.TOO_SLOW,
    "TIMELIMIT_EXCEEDED": Failures.TOO_SLOW,
    "SERVER_DOWN": Failures.NO_ANSWER,
    "CONNECT_ERROR": Failures.NO_ANSWER,
    "CONFIDENTIALITY_REQUIRED": Failures.TLS_REQUIRED,
    "STRONG_AUTH_REQUIRED": Failures.TLS_REQUIRED,
    "NO_SUCH_OBJECT": Failures.NO_BASE,
    "REFERRAL": Failures.NO_BASE,
    "INVALID_DN_SYNTAX": Failures.NO_BASE,
    "INSUFFICIENT_ACCESS": Failures.NO_RIGHT,
    "INAPPROPRIATE_AUTH": Failures.NO_RIGHT,
    "OPERATIONS_ERROR": Failures.NO_RIGHT,
    "FILTER_ERROR": Failures.BAD_FILTER,
    "INAPPROPRIATE_MATCHING": Failures.BAD_FILTER,
    "SIZELIMIT_EXCEEDED": Failures.TOO_MANY,
    "ADMINLIMIT_EXCEEDED": Failures.TOO_MANY,
    "INVALID_CREDENTIALS": Failures.SERVICE_PASSWORD,
}


class Entry(NamedTuple):
    """One entry; attribute names in lower case, values as octets."""

    dn: str
    values: Mapping[str, Sequence[bytes]]

    def texts(self, attribute: str) -> tuple[str, ...]:
        """The values of `attribute` that are text, in the server's order."""
        found = []
        for value in self.values.get(attribute.lower(), ()):
            with suppress(UnicodeDecodeError):
                found.append(value.decode())
        return tuple(found)

    def first(self, *attributes: str) -> str:
        """The first value of the first of `attributes` that has one, or ""."""
        return next((text for name in attributes for text in self.texts(name) if text.strip()), "")


class Connection:
    """An open connection; opened() makes and closes it."""

    def __init__(self, config: LDAPConfig) -> None:
        """Connect, including TLS, but without a bind. Raises DirectoryError."""
        self._seconds = config.step_seconds
        self._is_bound = False
        with tracing.span("LDAP connect", is_client=True):
            self._connect(config)

    def _connect(self, config: LDAPConfig) -> None:
        names = library()
        if config.url.startswith("ldapi://"):
            self._handle = names.initialize(config.url)
        else:
            # TLS is behind the socket, so the scheme is always ldap.
            number = connect(config).detach()
            self._handle = names.initialize("ldap://directory", fileno=number)
        _set_options(self._handle, self._seconds)

    def bind(self, dn: str, password: str) -> bool:
        """Sign in; False for a wrong password or name. Raises DirectoryError.

        An empty password is never sent: servers accept it as anonymous (RFC 4513, section 5.1.2).
        """
        if not dn or not password or "\x00" in password:
            return False
        self._is_bound = self._bind(dn, password)
        return self._is_bound

    def simple_bind_s(self, dn: str, password: str) -> None:
        """Sign in as django-auth-ldap does; "" and "" make the connection anonymous again.

        Raises INVALID_CREDENTIALS of python-ldap where bind() returns False.
        """
        if dn or password:
            if not self.bind(dn, password):
                raise library().INVALID_CREDENTIALS
        elif self._is_bound:
            # Also if the server refuses it: any failed bind does so (RFC 4511, section 4.2.1).
            self._bind("", "")
            self._is_bound = False

    def _bind(self, dn: str, password: str) -> bool:
        with tracing.span("LDAP bind", is_client=True), _translated():
            try:
                self._handle.result3(self._handle.simple_bind(dn, password), timeout=self._seconds)
            except tuple(getattr(library(), name) for name in REFUSED):
                return False
        return True

    def search(
        self, base: str, text: str, attributes: Sequence[str], *, at_most: int = 0
    ) -> list[Entry]:
        """Entries below `base` that match the filter `text`; leaves referrals out.

        Raises DirectoryError, with TOO_MANY if there are more than `at_most`.
        """
        with tracing.span("LDAP search", is_client=True), _translated():
            number = self._handle.search_ext(
                base, SUBTREE, text, list(attributes), sizelimit=at_most
            )
            return _entries(self._handle.result3(number, timeout=self._seconds)[1])

    def read(self, dn: str, attributes: Sequence[str]) -> Entry | None:
        """The entry `dn` itself; None when there is none. Raises DirectoryError."""
        with tracing.span("LDAP read", is_client=True), _translated():
            number = self._handle.search_ext(dn, BASE, "(objectClass=*)", list(attributes))
            found = _entries(self._handle.result3(number, timeout=self._seconds)[1])
        return found[0] if found else None

    def pages(
        self, base: str, text: str, attributes: Sequence[str], *, size: int = PAGE_SIZE
    ) -> Iterator[list[Entry]]:
        """All entries page by page (RFC 2696). Raises DirectoryError, also for a missing page."""
        controls = importlib.import_module("ldap.controls")
        control = controls.SimplePagedResultsControl(True, size=size, cookie="")
        while True:
            with _translated():
                number = self._handle.search_ext(
                    base, SUBTREE, text, list(attributes), serverctrls=[control]
                )
                found = self._handle.result3(number, timeout=self._seconds)
            yield _entries(found[1])
            control.cookie = next(
                (answer.cookie for answer in found[3]
                 if answer.controlType == control.controlType), b""
            )  # fmt: skip
            if not control.cookie:
                return

    def search_each(
        self, base: str, texts: Sequence[str], attributes: Sequence[str]
    ) -> Iterator[list[Entry]]:
        """The entries of each filter, in order; sends several searches at once."""
        with _translated():
            for start in range(0, len(texts), IN_FLIGHT):
                numbers = [
                    self._handle.search_ext(base, SUBTREE, text, list(attributes))
                    for text in texts[start : start + IN_FLIGHT]
                ]
                for number in numbers:
                    found = self._handle.result3(number, timeout=self._seconds)
                    yield _entries(found[1])

    def close(self) -> None:
        """Unbind and free the socket, in any state."""
        with suppress(library().LDAPError):
            self._handle.unbind_s()


@contextmanager
def opened(config: LDAPConfig) -> Iterator[Connection]:
    """A connection to the first server that answers; closes it at the end.

    Raises DirectoryError if none does.
    """
    server, connection = _connect_to_first(config)
    try:
        try:
            yield connection
        finally:
            connection.close()
    except DirectoryError as error:
        circuit_breaker.record(server.url, error)
        raise


def _connect_to_first(config: LDAPConfig) -> tuple[LDAPConfig, Connection]:
    """Raises the error of the first server if none answers."""
    first: DirectoryError | None = None
    for server in config.servers:
        try:
            circuit_breaker.check(server.url)
            return server, Connection(server)
        except DirectoryError as error:
            circuit_breaker.record(server.url, error)
            first = first or error
    raise first or DirectoryError(Failures.NOT_CONFIGURED)


@contextmanager
def opened_as_service(config: LDAPConfig) -> Iterator[Connection]:
    """A connection bound as the service account, or anonymous. Raises DirectoryError."""
    with opened(config) as connection:
        if config.bind_dn and not connection.bind(config.bind_dn, config.bind_password):
            raise DirectoryError(Failures.SERVICE_PASSWORD)
        yield connection


@cache
def library() -> Any:
    """python-ldap. Raises DirectoryError when it is not installed."""
    try:
        return importlib.import_module("ldap")
    except ImportError as error:
        raise DirectoryError(Failures.NOT_INSTALLED, str(error)) from None


def _set_options(handle: Any, seconds: float) -> None:
    """Set time limits for this connection only, and follow no referrals."""
    names = library()
    handle.set_option(names.OPT_PROTOCOL_VERSION, 3)
    handle.set_option(names.OPT_REFERRALS, 0)
    handle.set_option(names.OPT_DEREF, names.DEREF_NEVER)
    handle.set_option(names.OPT_NETWORK_TIMEOUT, seconds)
    handle.set_option(names.OPT_TIMEOUT, seconds)


def _entries(found: Any) -> list[Entry]:
    """Entries without referrals, which have no name."""
    return [
        Entry(dn, {name.lower(): values for name, values in attributes.items()})
        for dn, attributes, *_rest in found or ()
        if dn is not None
    ]


@contextmanager
def _translated() -> Iterator[None]:
    """Raise errors of python-ldap as DirectoryError."""
    try:
        yield
    except library().LDAPError as error:
        raise directory_error(error) from None


def directory_error(error: Exception) -> DirectoryError:
    """An error of python-ldap as a DirectoryError."""
    return DirectoryError(FAILURES.get(type(error).__name__, Failures.OTHER), _detail(error))


def _detail(error: Exception) -> str:
    """The description of the error, and what the server said; neither contains a password."""
    said = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    parts = [str(said[key]) for key in ("desc", "info") if said.get(key)]
    return ": ".join(parts)[:300]
