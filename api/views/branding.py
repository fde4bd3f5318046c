"""/api/v1/branding: name, logo, accent color and support address. Owners change them."""

import base64
import binascii
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.roles import Role
from accounts.services import branding
from api.permissions import HasRole, HasScope, RecentlyAuthenticated, Scope, auth_of
from api.serializers import Shape, StrictSerializer, example
from api.validation import validate
from core.branding import current
from core.branding.images import MAX_BYTES
from core.branding.values import MAX_NAME, MAX_SUPPORT
from core.errors import RecordInvalid

MAX_LOGO_TEXT = 4 * MAX_BYTES // 3 + 100


class BrandingLocks(Shape):
    """The environment variable that fixes each field; null where the field can be changed."""

    name = serializers.CharField(allow_null=True)
    color = serializers.CharField(allow_null=True)
    support = serializers.CharField(allow_null=True)
    logo = serializers.CharField(allow_null=True)


class BrandingRecord(Shape):
    """What pages and mails show now."""

    name = serializers.CharField()
    color = serializers.CharField(
        allow_null=True, help_text="The accent color as `#rrggbb`; null: the default."
    )
    support = serializers.CharField(
        allow_null=True, help_text="An email address or an https URL; null: none."
    )
    logo_url = serializers.URLField(allow_null=True, help_text="Null: the mark of Gatehouse.")
    locked_by = BrandingLocks()


class BrandingFields(StrictSerializer):
    """The fields to change; empty text and null stand for the default."""

    name = serializers.CharField(required=False, allow_blank=True, max_length=MAX_NAME)
    color = serializers.CharField(
        required=False,
        allow_blank=True,
        allow_null=True,
        max_length=20,
        help_text="`#rrggbb`. Links use it darker or lighter where it could not be read.",
    )
    support = serializers.CharField(
        required=False, allow_blank=True, allow_null=True, max_length=MAX_SUPPORT
    )
    logo = serializers.CharField(
        required=False,
        allow_blank=True,
        allow_null=True,
        max_length=MAX_LOGO_TEXT,
        help_text="A PNG, JPEG or WebP file of at most 180 KB in base64.",
    )


class BrandingView(APIView):
    """The look of this instance."""

    required_permissions = {
        "GET": (HasScope(Scope.READ),),
        "PATCH": (HasScope(Scope.USERS), HasRole(Role.OWNER), RecentlyAuthenticated()),
    }

    @extend_schema(
        operation_id="get_branding", summary="Get the appearance", responses=BrandingRecord
    )
    def get(self, request: Request) -> Response:
        """Return what pages and mails show, and which variables fix a field."""
        return Response(_shown())

    @extend_schema(
        operation_id="change_branding",
        summary="Change the appearance",
        request=BrandingFields,
        examples=example({"name": "Example GmbH", "color": "#1d4ed8"}),
        responses={200: BrandingRecord},
    )
    def patch(self, request: Request) -> Response:
        """Change name, color, support address or logo. Every page shows it within seconds."""
        given = validate(BrandingFields, request.data)
        changes: dict[str, Any] = {name: value or "" for name, value in given.items()}
        if "logo" in changes:
            changes["logo"] = _decoded(changes["logo"])
        branding.change_branding(actor=auth_of(request).user, changes=changes)
        return Response(_shown())


def _decoded(text: str) -> bytes:
    """The file of a base64 text. Raises RecordInvalid."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise RecordInvalid(
            {"logo": [_("Write the file in base64, without line breaks.")]}
        ) from None


def _shown() -> dict[str, Any]:
    brand, locks = current.load(), branding.locks()
    logo_url = f"{settings.PUBLIC_ORIGIN}{brand.logo_url}" if brand.logo else None
    return {
        "name": brand.name,
        "color": brand.color or None,
        "support": brand.support or None,
        "logo_url": logo_url,
        "locked_by": {name: locks.get(name) for name in current.FIELDS},
    }
