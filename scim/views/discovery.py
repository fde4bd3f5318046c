"""What this server can do (RFC 7644, section 4), and what it does not do."""

from typing import Any, NoReturn

from django.conf import settings
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from core.errors import Forbidden, NotFound
from scim.errors import NotImplementedHere
from scim.resources import base_url
from scim.schemas import BY_URN, SCHEMAS, list_response, provider_config
from scim.views.base import CLIENT, COUNT_MAX, ScimView, folded


class ProviderConfigView(ScimView):
    """What clients need before they have a key, and the same for everyone (RFC 7643, section 5)."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def get(self, request: Request) -> Response:
        """What this server can do."""
        refuse_filter(request)
        docs_url = f"{settings.DOCS_URL.rstrip('/')}/scim.md"
        return Response(provider_config(base_url(), docs_url, COUNT_MAX))


class SchemasView(ScimView):
    """The attributes of resources."""

    required_permissions = {"GET": CLIENT}

    def get(self, request: Request) -> Response:
        """All schemas."""
        refuse_filter(request)
        found = [schema.document(base_url()) for schema in SCHEMAS]
        return Response(list_response(found, len(found)))


class SchemaView(ScimView):
    """The attributes of one resource."""

    required_permissions = {"GET": CLIENT}

    def get(self, request: Request, urn: str) -> Response:
        """A schema by its URN."""
        schema = BY_URN.get(urn.lower())
        if schema is None:
            raise NotFound
        return Response(schema.document(base_url()))


class ResourceTypesView(ScimView):
    """The types of resources."""

    required_permissions = {"GET": CLIENT}

    def get(self, request: Request) -> Response:
        """All types."""
        refuse_filter(request)
        found = [schema.resource_type(base_url()) for schema in SCHEMAS]
        return Response(list_response(found, len(found)))


class ResourceTypeView(ScimView):
    """One type of resources."""

    required_permissions = {"GET": CLIENT}

    def get(self, request: Request, name: str) -> Response:
        """A type by its name."""
        for schema in SCHEMAS:
            if schema.name == name:
                return Response(schema.resource_type(base_url()))
        raise NotFound


class NotImplementedView(ScimView):
    """Bulk operations, `/Me` and searches over all types: /ServiceProviderConfig says so."""

    methods = ("GET", "POST", "PUT", "PATCH", "DELETE")
    required_permissions = dict.fromkeys(methods, CLIENT)

    def get(self, request: Request, **_path: Any) -> NoReturn:
        """501 (RFC 7644, sections 3.7 and 3.11)."""
        raise NotImplementedHere("This server does not have this. Use /Users and /Groups.")

    post = put = patch = delete = get


class UnknownPathView(ScimView):
    """Every other path."""

    methods = ("GET", "POST", "PUT", "PATCH", "DELETE")
    required_permissions = dict.fromkeys(methods, CLIENT)

    def get(self, request: Request, **_path: Any) -> NoReturn:
        """404, in the form of SCIM."""
        raise NotFound

    post = put = patch = delete = get


def refuse_filter(request: Request) -> None:
    """Raise Forbidden for a filter (RFC 7644, section 4)."""
    if "filter" in folded(request.query_params):
        raise Forbidden("This endpoint takes no filter.")
