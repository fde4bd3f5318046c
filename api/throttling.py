"""DRF throttles: the configured limits of actions, for views of apps."""

from typing import TYPE_CHECKING

from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from api.permissions import AuthContext
from core.client_ip import network_key
from core.request_context import get_request_context
from moderation.services.actions import ActionSubject, count_action

if TYPE_CHECKING:  # DRF imports this module while it defines its views
    from rest_framework.views import APIView


class ActionThrottle(BaseThrottle):
    """Counts each change by a view that names an action of the settings as `throttle_scope`.

    The limits are those of the action for the user and their address, such as MESSAGE_MAX. An
    exceeded limit is a violation, which may cause a ban. Views without `throttle_scope` have no
    limit here; the quota of API keys is counted for every request (api.apikeys.quota).
    """

    def allow_request(self, request: Request, view: "APIView") -> bool:
        """Return True. Raises LimitExceeded, NotABrowser."""
        action = getattr(view, "throttle_scope", "")
        if action and request.method not in SAFE_METHODS and isinstance(request.auth, AuthContext):
            count_action(action, _subject(request, request.auth))
        return True


def _subject(request: Request, auth: AuthContext) -> ActionSubject:
    return ActionSubject(
        user=auth.user,
        network=network_key(get_request_context().ip),
        user_agent=request.META.get("HTTP_USER_AGENT", ""),
        reported_by=auth.user,
    )
