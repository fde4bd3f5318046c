"""An acknowledged request for mail is kept if the database fails while it is handled."""

import pytest
from django.db import OperationalError

from accounts.models import EmailRequest, User
from accounts.services import email_requests
from accounts.services.email_requests import enqueue_request
from config.worker import run_jobs_once
from magiclinks import services as links
from mail.models import OutboxMail

pytestmark = pytest.mark.django_db


def test_a_request_is_kept_while_the_database_fails_and_handled_after(
    viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue_request(EmailRequest.Kind.MAGIC_LINK, email=viewer.email, binding="")
    with monkeypatch.context() as patch:
        patch.setattr(links, "_save_links", _lost_connection)
        run_jobs_once([links.handle_link_requests])
        assert EmailRequest.objects.count() == 1

    run_jobs_once([links.handle_link_requests])

    assert EmailRequest.objects.count() == 0
    assert [mail.recipient for mail in OutboxMail.objects.all()] == [viewer.email]


def test_a_request_whose_work_fails_does_not_block_the_rest(
    viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue_request(EmailRequest.Kind.MAGIC_LINK, email=viewer.email, binding="")

    monkeypatch.setattr(links, "_save_links", _fault)
    assert email_requests.handle_all(EmailRequest.Kind.MAGIC_LINK, links._handle_requests) == 1

    assert EmailRequest.objects.count() == 0


def _lost_connection(*_arguments: object) -> int:
    raise OperationalError("terminating connection due to administrator command")


def _fault(*_arguments: object) -> int:
    raise ValueError("of the work")
