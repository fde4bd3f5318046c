"""TLS, certificates, servers that are down or slow: ATTACKS A115, F19; TRAPS 38."""

import dataclasses
import threading
from pathlib import Path

import pytest

from accounts.models import User
from devtools.servers.processes import free_port, wait_for
from federation.ldap.connection import Connection, opened, opened_as_service
from federation.ldap.failures import DirectoryError, Failures
from tests.federation.ldap.conftest import SignIn, UseDirectory
from tests.servers.ldap import DirectoryServer, SilentServer, StrippingServer, write_certificates

pytestmark = pytest.mark.django_db


def failure_of(directory: object) -> Failures:
    with pytest.raises(DirectoryError) as caught, opened_as_service(directory):
        pass
    return caught.value.failure


@pytest.mark.parametrize("uses_starttls", [False, True])
def test_a_valid_certificate_allows_sign_ins(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn, uses_starttls: bool
) -> None:
    server.add_user("anna")
    url = server.url if uses_starttls else server.tls_url
    use_directory(
        LDAP_URL=url,
        LDAP_CA_CERT_PATH=str(server.ca_file),
        LDAP_STARTTLS=str(uses_starttls).lower(),
    )

    assert sign_in("anna").status_code == 302


@pytest.mark.parametrize("uses_starttls", [False, True])
def test_an_unknown_authority_is_rejected(
    server: DirectoryServer, use_directory: UseDirectory, tmp_path: Path, uses_starttls: bool
) -> None:
    write_certificates(tmp_path, "127.0.0.1")
    url = server.url if uses_starttls else server.tls_url
    changes = {"LDAP_URL": url, "LDAP_STARTTLS": str(uses_starttls).lower()}

    other = use_directory(**changes, LDAP_CA_CERT_PATH=str(tmp_path / "ca.pem"))
    assert failure_of(other) is Failures.CERTIFICATE
    assert failure_of(use_directory(**changes)) is Failures.CERTIFICATE


@pytest.mark.parametrize("uses_starttls", [False, True])
def test_a_certificate_of_another_host_is_refused(
    server: DirectoryServer, use_directory: UseDirectory, uses_starttls: bool
) -> None:
    port = server.port if uses_starttls else server.tls_port
    directory = use_directory(
        LDAP_URL=f"{'ldap' if uses_starttls else 'ldaps'}://localhost:{port}",
        LDAP_STARTTLS=str(uses_starttls).lower(),
        LDAP_CA_CERT_PATH=str(server.ca_file),
    )

    assert failure_of(directory) is Failures.CERTIFICATE


def test_a_certificate_is_unverified_only_if_configured(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn
) -> None:
    server.add_user("anna")
    use_directory(LDAP_URL=server.tls_url, LDAP_TLS_REJECT_UNAUTHORIZED="false")

    assert sign_in("anna").status_code == 302


def test_without_offered_starttls_no_password_is_sent(
    use_directory: UseDirectory, sign_in: SignIn
) -> None:
    stripping = StrippingServer()
    directory = use_directory(LDAP_URL=f"ldap://127.0.0.1:{stripping.port}", LDAP_STARTTLS="true")

    assert failure_of(directory) is Failures.NO_STARTTLS
    assert sign_in("anna").status_code == 503
    sent = b"".join(stripping.received)
    stripping.stop()
    assert b"service of the test" not in sent
    assert b"correct horse" not in sent


def test_an_unreachable_server_is_reported_and_the_local_owner_signs_in(
    use_directory: UseDirectory, sign_in: SignIn, owner: User
) -> None:
    directory = use_directory(LDAP_URL=f"ldap://127.0.0.1:{free_port()}")

    assert failure_of(directory) is Failures.NO_ANSWER
    assert sign_in("anna").status_code == 503
    assert sign_in(owner.email).status_code == 302


def test_while_it_is_down_local_and_unknown_logins_have_the_same_response(
    use_directory: UseDirectory, sign_in: SignIn, owner: User
) -> None:
    use_directory(LDAP_URL=f"ldap://127.0.0.1:{free_port()}")

    answers = [sign_in(name, "wrong password") for name in (owner.email, "nobody")]

    assert [answer.status_code for answer in answers] == [503, 503]


@pytest.mark.parametrize("transport", ["plain", "starttls", "ldaps"])
def test_a_silent_server_times_out(
    use_directory: UseDirectory, silent_server: SilentServer, transport: str
) -> None:
    scheme = "ldaps" if transport == "ldaps" else "ldap"
    directory = dataclasses.replace(
        use_directory(
            LDAP_URL=f"{scheme}://127.0.0.1:{silent_server.port}",
            LDAP_STARTTLS=str(transport == "starttls").lower(),
        ),
        step_seconds=0.5,
    )

    assert failure_of(directory) in (Failures.TOO_SLOW, Failures.NO_ANSWER)


def test_a_server_that_timed_out_is_skipped_for_a_while(
    use_directory: UseDirectory, silent_server: SilentServer
) -> None:
    directory = dataclasses.replace(
        use_directory(LDAP_URL=f"ldap://127.0.0.1:{silent_server.port}"), step_seconds=0.2
    )
    failure_of(directory)
    asked = len(silent_server.received)

    assert failure_of(directory) is Failures.TOO_SLOW
    assert len(silent_server.received) == asked


def test_a_wrong_service_password_is_an_error_and_not_a_wrong_password(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn
) -> None:
    server.add_user("anna")
    directory = use_directory(LDAP_BIND_PASSWORD="another one")

    assert failure_of(directory) is Failures.SERVICE_PASSWORD
    assert sign_in("anna").status_code == 503


def test_a_base_that_does_not_exist_is_an_error(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn
) -> None:
    use_directory(LDAP_BASE_DN="ou=nowhere,dc=example,dc=org")

    assert sign_in("anna").status_code == 503


def test_connections_are_always_closed(
    server: DirectoryServer, use_directory: UseDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[Connection] = []
    monkeypatch.setattr(Connection, "close", lambda self: closed.append(self))
    directory = use_directory()

    with pytest.raises(KeyError), opened(directory):
        raise KeyError
    with pytest.raises(DirectoryError), opened_as_service(directory) as connection:
        connection.search("ou=nowhere,dc=example,dc=org", "(uid=anna)", ["1.1"])

    assert len(closed) == 2


def test_tls_threads_end_with_their_connection(
    server: DirectoryServer, use_directory: UseDirectory
) -> None:
    directory = use_directory(LDAP_URL=server.tls_url, LDAP_CA_CERT_PATH=str(server.ca_file))

    for _ in range(5):
        with opened_as_service(directory) as connection:
            assert connection.search("dc=example,dc=org", "(uid=anna)", ["1.1"]) == []

    assert wait_for(lambda: "directory-tls" not in [one.name for one in threading.enumerate()])


def test_a_long_response_by_tls_is_complete(
    server: DirectoryServer, use_directory: UseDirectory
) -> None:
    texts = [f"{number:07d}" * 40 for number in range(12_000)]
    server.add_user("anna", description=texts)
    directory = use_directory(LDAP_URL=server.tls_url, LDAP_CA_CERT_PATH=str(server.ca_file))

    with opened_as_service(directory) as connection:
        (found,) = connection.search("dc=example,dc=org", "(uid=anna)", ["description"])

    assert sorted(found.texts("description")) == sorted(texts)


def test_tls_at_a_plain_port_is_reported(
    server: DirectoryServer, use_directory: UseDirectory
) -> None:
    directory = use_directory(LDAP_URL=f"ldaps://127.0.0.1:{server.port}")

    assert failure_of(directory) in (Failures.NO_TLS, Failures.NO_ANSWER)


def test_the_next_server_is_used_if_one_is_down(
    server: DirectoryServer, use_directory: UseDirectory, sign_in: SignIn
) -> None:
    server.add_user("anna")
    dead = f"ldap://127.0.0.1:{free_port()}"
    directory = use_directory(LDAP_URL=f"{dead}, {server.url}")

    assert [one.url for one in directory.servers] == [dead, server.url]
    assert sign_in("anna").status_code == 302
    assert sign_in("anna", "wrong").status_code == 401


def test_if_all_servers_are_down_the_first_is_reported(use_directory: UseDirectory) -> None:
    directory = use_directory(
        LDAP_URL=f"ldap://127.0.0.1:{free_port()},ldaps://127.0.0.1:{free_port()}"
    )

    with pytest.raises(DirectoryError) as caught, opened(directory):
        pass
    assert caught.value.failure is Failures.NO_ANSWER


def test_starttls_is_used_only_without_tls(use_directory: UseDirectory) -> None:
    directory = use_directory(
        LDAP_URL="ldaps://a.example.com ldap://b.example.com", LDAP_STARTTLS="true"
    )

    assert [(one.url, one.starts_tls) for one in directory.servers] == [
        ("ldaps://a.example.com", False),
        ("ldap://b.example.com", True),
    ]
