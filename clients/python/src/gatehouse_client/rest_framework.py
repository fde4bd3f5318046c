"""Authentication and a permission for Django REST framework. Settings: see django_middleware.

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["gatehouse_client.rest_framework.GatehouseAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
}
"""

from typing import Any

from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from gatehouse_client.django_middleware import find_user
from gatehouse_client.errors import GatehouseClientError, NotAuthenticated
from gatehouse_client.identity import Identity


class GatehouseUnavailable(exceptions.APIException):
    """Gatehouse could not be asked."""

    status_code = 503
    default_code = "unavailable"


class GatehouseAuthentication(BaseAuthentication):
    """`request.user` and `request.auth` are the Identity."""

    def authenticate(self, request: Request) -> tuple[Any, Identity] | None:
        try:
            found = find_user(request._request)
        except NotAuthenticated as error:
            raise exceptions.AuthenticationFailed(str(error)) from error
        except GatehouseClientError as error:
            if error.status == 403:
                raise exceptions.PermissionDenied(str(error)) from error
            raise GatehouseUnavailable(str(error)) from error
        return None if found is None else (found, found)

    def authenticate_header(self, request: Request) -> str:
        return NotAuthenticated.challenge


class HasRole(BasePermission):
    """Requires a role or a higher one: `permission_classes = [HasRole("editor")]`."""

    def __init__(self, role: str = "viewer") -> None:
        self.role = role

    def __call__(self) -> "HasRole":
        return self

    def has_permission(self, request: Request, view: Any) -> bool:
        return isinstance(request.auth, Identity) and request.auth.has_role(self.role)
