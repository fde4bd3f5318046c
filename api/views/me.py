"""/api/v1/me: the caller's own account."""

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from api.access import Need, Scope
from api.views.base import ApiView


def user_record(user: User) -> dict[str, Any]:
    """An account as programs see it; also in the answer to a sign-in."""
    return {
        "id": str(user.pk),
        "email": user.email,
        "username": user.username,
        "name": user.name,
        "role": user.role,
        "is_active": user.is_active,
        "is_verified": user.is_verified,
        "created_at": user.created_at,
        "last_sign_in_at": user.last_login,
    }


class MeView(ApiView):
    """Own account."""

    needs = {"GET": Need(Scope.READ)}

    def get(self, request: Request) -> Response:
        """Who am I, and what may I?"""
        return Response(user_record(self.access.user))
