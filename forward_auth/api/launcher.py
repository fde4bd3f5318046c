"""/api/v1/me/apps: the apps that the caller may open."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.pagination import single_page
from api.permissions import HasScope, Scope, auth_of
from api.serializers import Shape, page_of, record
from core.web.client_ip import client_ip
from forward_auth.services.launcher import apps_of


class OwnAppRecord(Shape):
    """An app that you may open."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    url = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    initials = serializers.CharField(source="mark", help_text="One or two characters for a tile.")


class OwnAppsView(APIView):
    """Your apps."""

    required_permissions = {"GET": (HasScope(Scope.READ),)}

    @extend_schema(
        operation_id="list_own_apps", summary="List your apps", responses=page_of(OwnAppRecord)
    )
    def get(self, request: Request) -> Response:
        """The apps that you may open in a browser from this network address. Always one page."""
        found = apps_of(auth_of(request).user, client_ip(request))
        return single_page(request, (record(OwnAppRecord, app) for app in found))
