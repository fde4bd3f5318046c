"""DRF throttles: the configured limits of actions, for views of apps."""

from typing import TYPE_CHECKING

from django.conf import settings
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from api.permissions import AuthContext
from core.web.client_ip import network_key
from core.web.request_context import get_request_context
from moderation.services.actions import ActionSubject, count_action

if TYPE_CHECKING:  # DRF imports this module while it defines its views
    from rest_framework.views import APIView


class ActionThrottle(BaseThrottle):
    """Counts each change by a view that names an action of the settings as `throttle_scope`.

    The limits are those of ACTION_LIMITS for the user and their address. An exceeded limit is a
    violation, which may cause a ban. An action without limits is not counted. The quota of API keys
    is counted for every request (api.apikeys.quota).
    """

    def allow_request(self, request: Request, view: "APIView") -> bool:
        """Return True. Raises LimitExceeded."""
        action = getattr(view, "throttle_scope", "")
        is_counted = action in settings.ACTIONS and request.method not in SAFE_METHODS
        if is_counted and isinstance(request.auth, AuthContext):
            user, network = request.auth.user, network_key(get_request_context().ip)
            subject = ActionSubject(user=user, network=network, reported_by=user)
            count_action(action, subject)
        return True
