"""Browsers of the people of a demo: sign-in, later visits and sign-out, without HTTP."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

from allauth.account.internal.flows.login import record_authentication
from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest

from accounts import access_policy
from accounts.models import User
from accounts.services.sessions import end_this_session, sign_in
from accounts.sessions.store import SessionStore
from accounts.sign_in.methods import SignInMethod
from core.web.request_context import RequestContext, use_context

_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
_APPLE = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
USER_AGENTS = (
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} Chrome/139.0.0.0 Safari/537.36",
    f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_APPLE} Version/18.5 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0",
    f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) {_APPLE} Version/18.6 Safari/604.1",
    f"Mozilla/5.0 (Linux; Android 16; Pixel 9) {_WEBKIT} Chrome/139.0.0.0 Mobile Safari/537.36",
)


@contextmanager
def web_request(ip: str, user_agent: str = USER_AGENTS[0]) -> Iterator[None]:
    """What happens inside comes from a browser at `ip`."""
    with use_context(
        RequestContext(ip=ip, request_id=uuid4().hex[:16], user_agent=user_agent, channel="web")
    ):
        yield


class DemoBrowser:
    """One browser of one user, at one network address."""

    def __init__(self, ip: str, user_agent: str) -> None:
        self.ip, self.user_agent = ip, user_agent
        self._session_key: str | None = None

    def sign_in(
        self, user: User, method: SignInMethod, before: Callable[[], None] = lambda: None
    ) -> None:
        """Start a session, unless the access policy refuses. before: what leads to it."""
        with web_request(self.ip, self.user_agent):
            before()
            user.refresh_from_db()
            if access_policy.get_denial(user) is not None:
                return
            request = self._request()
            record_authentication(request, user, method=str(method))
            sign_in(request, user)
            self._session_key = request.session.session_key

    def visit(self) -> None:
        """Use the session again, which notes the time; nothing if it has ended meanwhile."""
        request = self._request()
        if SESSION_KEY in request.session:
            request.session.modified = True
            request.session.save()

    def sign_out(self, user: User) -> None:
        """End the session, unless it has ended meanwhile."""
        with web_request(self.ip, self.user_agent):
            request = self._request()
            if SESSION_KEY in request.session:
                request.user = user
                end_this_session(request)

    def _request(self) -> HttpRequest:
        request = HttpRequest()
        request.session = SessionStore(self._session_key)
        return request
