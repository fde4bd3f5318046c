"""/api/v1/auth/magic-link: request a sign-in link."""

from django.conf import settings
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import EmailRequest
from accounts.rate_limits import check_rate_limit
from accounts.services.email_requests import enqueue_request
from api.serializers import Message, StrictSerializer
from api.validation import validate
from core.errors import Forbidden
from core.text.email_addresses import AddressError, parse_email
from core.web.redirects import MAX_LENGTH, safe_destination


class MagicLinkSerializer(StrictSerializer):
    """The address of the account, and where the link leads."""

    email = serializers.CharField(max_length=254)
    next = serializers.CharField(
        default="",
        allow_blank=True,
        max_length=MAX_LENGTH,
        help_text="Path on this server to open after sign-in, such as `/account/`.",
    )

    def validate_email(self, value: str) -> str:
        try:
            return parse_email(value)
        except AddressError as error:
            raise serializers.ValidationError(_(str(error))) from None

    def validate_next(self, value: str) -> str:
        path = safe_destination(value)
        if value and not path.startswith("/"):
            raise serializers.ValidationError(_("Give a path on this server, like /account/."))
        return path


class MagicLinkView(APIView):
    """Requests for sign-in links."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(
        operation_id="ask_magic_link",
        summary="Request a sign-in link",
        request=MagicLinkSerializer,
        responses={202: Message},
    )
    def post(self, request: Request) -> Response:
        """Mail a sign-in link to an address. The response never reveals whether an account exists.

        The link is not bound to a browser, so opening it always asks for confirmation.
        """
        if not settings.ALLOW_MAGIC_LINK_LOGIN:
            raise Forbidden(_("Sign-in by link is switched off here."))
        given = validate(MagicLinkSerializer, request.data)
        check_rate_limit(request._request, "magic-link", given["email"])
        enqueue_request(
            EmailRequest.Kind.MAGIC_LINK,
            email=given["email"],
            binding="",
            next_url=given["next"],
        )
        detail = _("If this address has an account, a link is on its way to it.")
        return Response({"detail": detail}, status=202)
