"""setup_authentik says what is wrong, in one sentence, before it changes anything."""

import io
import socket

import pytest
from django.core.management import CommandError, call_command

from devtools.servers.processes import free_port
from tests.federation.authentik.conftest import APP, Run
from tests.federation.authentik.double import PASSWORD, TOKEN, USERNAME, AuthentikDouble
from tests.federation.authentik.records import key

KEYS = "/crypto/certificatekeypairs/"
MAPPINGS = "/propertymappings/provider/scope/"


def problem(run: Run, *options: str, url: str = "") -> str:
    with pytest.raises(CommandError) as caught:
        run(*options, url=url)
    return str(caught.value)


@pytest.fixture
def _unchanged(authentik: AuthentikDouble):
    yield
    assert authentik.changes == []


@pytest.mark.usefixtures("_unchanged")
class TestBeforeAnyChange:
    def test_an_unreachable_server(self, run: Run) -> None:
        url = f"http://127.0.0.1:{free_port()}"

        assert problem(run, url=url).startswith(f"Authentik does not answer at {url} (Connection")

    @pytest.mark.parametrize("url", ["http://auth.example.com", "ftp://x", "auth.example.com", ""])
    def test_an_unsafe_url(self, run: Run, url: str) -> None:
        assert "is no https address" in problem(run, url=url or "https://")

    @pytest.mark.parametrize("url", ["https://me:word@a.example", "https://a.example/?next=1"])
    def test_a_url_with_credentials_or_query(self, run: Run, url: str) -> None:
        said = problem(run, url=url)

        assert said.startswith("An address here has no user name")
        assert "word" not in said

    def test_plain_http_to_another_host_must_be_allowed(self, run: Run) -> None:
        said = problem(run, "--insecure-http", url=f"http://127.0.0.2:{free_port()}")

        assert "does not answer" in said

    def test_a_wrong_token(self, run: Run) -> None:
        said = problem(run, "--token", "wrong-token")

        assert "(403): detail: Token invalid/expired. It takes a valid API token" in said
        assert "wrong-token" not in said

    def test_an_echoed_token_is_not_shown(self, authentik: AuthentikDouble, run: Run) -> None:
        authentik.fail_at("GET /admin/version/", 401, {"detail": f"{TOKEN} is\x1b[31m bad"})

        assert "(401): detail: (hidden) is [31m bad." in problem(run)

    @pytest.mark.parametrize("token", ["", "  ", "two words", "ümlaut"])
    def test_an_invalid_token(self, authentik: AuthentikDouble, run: Run, token: str) -> None:
        assert problem(run, "--token", token).startswith("The")
        assert authentik.sent == []

    def test_an_old_version(self, authentik: AuthentikDouble, run: Run) -> None:
        authentik.version = "2024.8.4"

        assert problem(run).startswith("This is Authentik 2024.8.4; the set-up knows 2024.12")

    def test_another_program(self, authentik: AuthentikDouble, run: Run) -> None:
        authentik.fail_at("GET /admin/version/", 200, "<html>Welcome</html>")

        assert "not as Authentik does: no JSON object" in problem(run)

    def test_an_address_without_this_api(self, authentik: AuthentikDouble, run: Run) -> None:
        authentik.fail_at("GET /admin/version/", 404)

        assert "Authentik does not know GET" in problem(run)

    def test_a_redirect_is_not_followed(self, authentik: AuthentikDouble, run: Run) -> None:
        authentik.fail_at("GET /admin/version/", 301)

        assert "is redirected to '/api/v3/admin/version/'. Give that address." in problem(run)
        assert len(authentik.sent) == 1

    def test_an_endless_response(self, authentik: AuthentikDouble, run: Run) -> None:
        authentik.fail_at("GET /admin/version/", 200, {"version_current": "x" * 600_000})

        assert "the answer is larger than 512 KiB" in problem(run)

    def test_two_providers_of_the_name(self, authentik: AuthentikDouble, run: Run) -> None:
        authentik.add_provider()
        authentik.add_provider()

        assert problem(run).startswith("Authentik has 2 OAuth2 providers called 'Gatehouse'.")

    def test_a_provider_of_another_application(self, authentik: AuthentikDouble, run: Run) -> None:
        authentik.add_application("wiki", authentik.add_provider())

        assert "belongs to the application 'wiki'" in problem(run)

    def test_an_application_with_another_provider(
        self, authentik: AuthentikDouble, run: Run
    ) -> None:
        authentik.add_application("gatehouse", authentik.add_provider("Wiki"))

        assert "'gatehouse' has the provider 'Wiki' already" in problem(run)

    def test_no_key_that_can_sign(self, authentik: AuthentikDouble, run: Run) -> None:
        authentik.state[KEYS] = [key("new", "ed25519")]

        assert problem(run).startswith("Authentik has no certificate with an RSA or EC key")

    def test_several_keys_of_which_none_is_named(
        self, authentik: AuthentikDouble, run: Run
    ) -> None:
        authentik.state[KEYS] = [key("one"), key("two", "ec")]

        assert problem(run) == (
            "Which key should sign? Authentik has 'one', 'two': give --signing-key NAME."
        )

    def test_a_key_of_another_name(self, run: Run) -> None:
        assert "'three' is not the name of one of them." in problem(run, "--signing-key", "three")

    def test_no_shipped_mapping(self, authentik: AuthentikDouble, run: Run) -> None:
        del authentik.state[MAPPINGS][1]

        assert problem(run).startswith("Authentik lacks its own scope mapping for 'email'.")

    def test_no_flow(self, authentik: AuthentikDouble, run: Run) -> None:
        authentik.state["/flows/instances/"] = []

        assert "no flow 'default-provider-authorization-implicit-consent'" in problem(run)

    @pytest.mark.parametrize("options", [("--slug", "a b"), ("--name", " ")])
    def test_a_name_that_is_none(self, run: Run, options: tuple[str, str]) -> None:
        assert problem(run, *options).startswith(options[0])

    def test_a_password_without_a_user_name(self, run: Run) -> None:
        assert problem(run, "--password-stdin") == "--password-stdin goes with --username."


def test_a_named_key_signs(authentik: AuthentikDouble, run: Run) -> None:
    run("--signing-key", "old VPN")

    [chosen] = [each["pk"] for each in authentik.state[KEYS] if each["name"] == "old VPN"]
    assert authentik.providers[0]["signing_key"] == chosen


def test_a_closed_connection_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        server.close()
        with pytest.raises(CommandError, match="Authentik does not answer"):
            call_command("setup_authentik", url, APP, "--token", "x", stderr=io.StringIO())


def _sign_in(run: Run, monkeypatch: pytest.MonkeyPatch, password: str, *options: str) -> str:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))
    said = run("--username", USERNAME, "--password-stdin", *options)
    return said.out + said.err


def test_a_password_opens_a_session_that_ends_with_the_run(
    authentik: AuthentikDouble, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = _sign_in(run, monkeypatch, PASSWORD)

    assert (len(authentik.providers), authentik.sessions) == (1, {})
    assert PASSWORD not in said
    assert [each.path for each in authentik.sent if "/core/tokens/" in each.path] == []


def test_a_dry_run_with_a_password_leaves_no_session(
    authentik: AuthentikDouble, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    _sign_in(run, monkeypatch, PASSWORD, "--dry-run")

    assert (authentik.changes, authentik.sessions) == ([], {})


def test_the_session_ends_also_when_the_run_fails(
    authentik: AuthentikDouble, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    authentik.fail_at("POST /providers/oauth2/", 500)

    with pytest.raises(CommandError, match="Authentik failed at POST"):
        _sign_in(run, monkeypatch, PASSWORD)

    assert authentik.sessions == {}


def test_a_session_that_cannot_be_ended_is_reported(
    authentik: AuthentikDouble, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    authentik.fail_at("DELETE /core/authenticated_sessions/{id}/", 500)

    said = _sign_in(run, monkeypatch, PASSWORD)

    assert f"The session of {USERNAME} at Authentik may still be open" in said


def test_a_wrong_password_is_reported_and_not_echoed(
    authentik: AuthentikDouble, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CommandError) as caught:
        _sign_in(run, monkeypatch, "a wrong one")

    assert str(caught.value) == "Authentik takes neither this user name nor this password."
    assert authentik.changes == []


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ("ak-stage-authenticator-validate", "asks for more than a password"),
        ("ak-stage-access-denied", "denies this person access"),
    ],
)
def test_an_interactive_sign_in_is_reported(
    authentik: AuthentikDouble,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
    message: str,
) -> None:
    authentik.stages.insert(2, stage)

    with pytest.raises(CommandError, match=message):
        _sign_in(run, monkeypatch, PASSWORD)

    assert authentik.changes == []
