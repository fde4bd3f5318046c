"""Which apps a user may open, decided by the engine that answers proxies."""

import time

from accounts.models import User
from accounts.roles import Role
from applications.models import App
from forward_auth.cache import cached_credential
from forward_auth.checker import decide_request, evaluate
from forward_auth.conf import options
from forward_auth.decisions import Principal, as_wsgi
from forward_auth.request import target_of
from forward_auth.services.rules import load_rules
from forward_auth.services.simulation import subject_for_user


def apps_of(user: User, ip: str) -> list[App]:
    """The listed apps whose address the user may open from `ip`, in order.

    Each is the check of `GET` of the app's address with a new session. The number of queries does
    not depend on the number of apps. [] for an account that may not act or waits for a role, even
    if an app is public.
    """
    auth_result = subject_for_user(user).auth_result
    if not isinstance(auth_result, Principal) or auth_result.role is Role.NONE:
        return []
    rules, config = load_rules(), options()
    credential = cached_credential(auth_result, time.time())
    found = []
    for app in App.objects.filter(is_listed=True):
        evaluated = evaluate(rules, target_of(opening(app)), ip, None)
        if decide_request(evaluated, credential, config).decision.status == 204:
            found.append(app)
    return found


def opening(app: App) -> dict[str, str]:
    """The headers by which a proxy asks about a browser that opens the app's address."""
    url = app.url if app.path else f"{app.url}/"
    return {"HTTP_X_ORIGINAL_URL": as_wsgi(url), "HTTP_X_ORIGINAL_METHOD": "GET"}
