"""The HTTP session of allauth's providers: allowed requests and responses."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from allauth.socialaccount.adapter import get_adapter

from federation.oidc.errors import SignInFailed
from federation.social.session import ProviderSession


@pytest.fixture
def server():
    """`server.asked`: headers of each request. `server.answer`: (status, headers, body)."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.headers)
            status, headers, body = found.answer
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_args: object) -> None:
            """Quiet."""

    found = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.asked, found.answer = [], (200, {"Content-Type": "application/json"}, b"{}")
    found.url = f"http://127.0.0.1:{found.server_address[1]}"
    Thread(target=found.serve_forever, daemon=True).start()
    yield found
    found.shutdown()
    found.server_close()


def test_allauth_uses_this_session() -> None:
    assert isinstance(get_adapter(None).get_requests_session(), ProviderSession)


def test_no_local_proxy_or_netrc_is_used(
    server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login admin password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    server.answer = (200, {"Set-Cookie": "a=b", "Content-Type": "application/json"}, b"{}")

    for _time in range(2):
        assert ProviderSession().get(f"{server.url}/").json() == {}
    headers = server.asked[1]
    assert headers["User-Agent"] == "Gatehouse"
    assert {"Authorization", "Cookie"}.isdisjoint(headers.keys())
    assert headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["get", "post"])
def test_no_redirect_is_followed_not_even_to_the_same_host(server, status, method) -> None:
    server.answer = (status, {"Location": f"{server.url}/other"}, b"")
    with pytest.raises(SignInFailed, match="error") as error:
        getattr(ProviderSession(), method)(f"{server.url}/", allow_redirects=True)
    assert error.value.detail == f"127.0.0.1 answered {status}"
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://gitlab.example.com/",
        "http://169.254.169.254/latest",
        "https:///x",
        "https://None:x/",
    ],
)
def test_only_https_urls_are_requested(url: str) -> None:
    with pytest.raises((SignInFailed, ValueError)):
        ProviderSession().get(url)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.com/", "data:,x"])
def test_other_schemes_have_no_transport(url: str) -> None:
    with pytest.raises(ValueError, match="No connection adapters"):
        ProviderSession().get(url)


def test_limits_of_the_caller_are_ignored(server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.http.MAX_BYTES", 10)
    server.answer = (200, {}, b"x" * 100)
    with pytest.raises(SignInFailed) as error:
        ProviderSession().get(f"{server.url}/", timeout=None, stream=True, verify=False)
    assert error.value.detail == "the URL or the answer of 127.0.0.1 is not acceptable"


def test_errors_name_the_host_and_no_secret(server) -> None:
    server.shutdown()
    server.server_close()
    with pytest.raises(SignInFailed) as error:
        ProviderSession().get(f"{server.url}/me?access_token=very-secret")
    assert error.value.code == "provider_unreachable"
    assert "very-secret" not in error.value.detail
    assert error.value.__cause__ is None
