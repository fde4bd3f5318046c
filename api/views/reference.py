"""/api/v1/schema and /api/v1/docs: the description of the API, for programs and for people.

Both are the same for every caller, cached in each process, and load nothing from other sites. The
page needs no script: `api-reference.js` adds a search and buttons that copy.
"""

from functools import cache
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.cache import patch_vary_headers
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.docs_page import PLACEHOLDER_KEY, groups, introduction
from api.error_codes import all_codes
from api.negotiation import NoNegotiation
from api.schema import document

DOCUMENT_SCHEMA = {
    "type": "object",
    "required": ["openapi", "info", "paths"],
    "properties": {
        "openapi": {"type": "string"},
        "info": {"type": "object", "additionalProperties": True},
        "paths": {"type": "object", "additionalProperties": True},
    },
    "additionalProperties": True,
}


class SchemaView(APIView):
    """The OpenAPI document."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(
        operation_id="get_schema", summary="OpenAPI 3.1", responses={200: DOCUMENT_SCHEMA}
    )
    def get(self, request: Request) -> Response:
        """Return this reference as an OpenAPI document. For tools see openapis.org."""
        return Response(document())


class PageRenderer(BaseRenderer):
    """A renderer for responses that are already HTML."""

    media_type = "text/html"
    format = "html"


class ReferenceView(APIView):
    """The reference as a page."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    content_negotiation_class = NoNegotiation
    renderer_classes = (PageRenderer,)

    @extend_schema(
        operation_id="get_docs",
        summary="Reference",
        responses={(200, "text/html"): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> HttpResponse:
        """Show every path with its fields, responses and an example, as a page.

        The names, texts and examples are in English; what is around them is in the language that
        the browser asks for.
        """
        language = translation.get_language() or "en"
        page = _page(settings.PUBLIC_URL, settings.API_RECORD_INVALID_STATUS, language)
        response = HttpResponse(page, headers={"Content-Language": language})
        patch_vary_headers(response, ["Accept-Language", "Cookie"])
        return response


@cache
def _page(base_url: str, record_invalid_status: int, language: str) -> str:
    """Render the page. The arguments are all that it depends on."""
    description = document()
    with translation.override("en"):
        codes = [(code.code, code.status, code.text) for code in all_codes()]
    context: dict[str, Any] = {
        "introduction": introduction(description),
        "groups": groups(description, base_url),
        "codes": codes,
        "base_url": base_url,
        "placeholder": PLACEHOLDER_KEY,
        "record_invalid_status": record_invalid_status,
    }
    with translation.override(language):
        return render_to_string("api/reference.html", context)
