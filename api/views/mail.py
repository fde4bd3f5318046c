"""/api/v1/mail/test: send a test mail, for administrators."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.roles import Role
from accounts.services.mail import send_test_mail
from api.permissions import HasRole, HasScope, Scope, auth_of
from api.serializers import StrictSerializer, TestMailRecord
from api.validation import validate


class TestMailSerializer(StrictSerializer):
    """The recipient of the test mail."""

    email = serializers.CharField(max_length=254)


class TestMailView(APIView):
    """Test mails."""

    required_permissions = {"POST": (HasScope(Scope.USERS), HasRole(Role.ADMIN))}

    @extend_schema(
        operation_id="send_test_mail",
        summary="Send a test mail",
        request=TestMailSerializer,
        responses={200: TestMailRecord},
    )
    def post(self, request: Request) -> Response:
        """Send a mail without secrets at once, and return the protocol with the mail server.

        Responds with 200 also if the mail service refused it; then `is_sent` is false, and `fix`
        says what to do. At most 10 in 10 minutes. Needs no recent authentication, because it
        grants no rights.
        """
        given = validate(TestMailSerializer, request.data)
        report = send_test_mail(actor=auth_of(request).user, email=given["email"])
        return Response(
            {
                "is_sent": report.is_sent,
                "email": report.recipient,
                "dialogue": list(report.dialogue),
                "reason": report.reason,
                "fix": report.fix,
            }
        )
