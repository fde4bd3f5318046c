"""Mail by Resend's API, through its package."""

import re
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import requests
import resend
from django.utils.translation import gettext as _
from resend.exceptions import ResendError
from resend.http_client import HTTPClient

from mail.conf import MailSettings
from mail.outbox import Examined, MailFailed, Message, unexpected
from mail.transports import HIDDEN, reach_fix

TIMEOUT_SECONDS, DEADLINE_SECONDS = 5, 30.0
MAX_RESPONSE_BYTES = 64 * 1024
# Resend names the refused field in words (https://resend.com/docs/api-reference/errors).
RESEND_REFUSALS = (400, 403, 422)
RESEND_KEY_ERRORS = ("missing_api_key", "invalid_api_key", "restricted_api_key")
RESEND_QUOTAS = ("daily_quota_exceeded", "monthly_quota_exceeded")
_RESEND_RECIPIENT = re.compile(r"`to`|\bto\b field|recipient", re.IGNORECASE)
_RESEND_SENDER = re.compile(r"`from`|\bfrom\b field|domain|sender|testing emails", re.IGNORECASE)


class ResendTransport:
    """POST /emails with the mail's id as Idempotency-Key, so a retry sends no second mail."""

    def __init__(self, mail: MailSettings) -> None:
        self.mail = mail
        resend.api_key = mail.api_key
        resend.api_url = mail.api_url
        resend.default_http_client = _Client()

    def send(self, message: Message) -> None:
        params: resend.Emails.SendParams = {
            "from": self.mail.sender,
            "to": [message.recipient],
            "subject": message.subject,
            "text": message.text,
            "html": message.html,
        }
        try:
            resend.Emails.send(params, {"idempotency_key": message.id})
        except ResendError as error:
            raise self._failure(error) from None

    def examine(self, message: Message | None = None) -> Examined:
        """Send `message` and report the response; without a message test the API key."""
        url = f"{self.mail.api_url}/{'emails' if message else 'domains'}"
        lines = [f"> {'POST' if message else 'GET'} {url}"]
        failure: MailFailed | None = None
        try:
            if message:
                self.send(message)
            else:
                self._check_key()
        except MailFailed as found:
            failure = found
        except Exception as error:
            failure = unexpected(error)
        lines.append(f"< {failure.reason if failure else 'Resend: accepted'}")
        return Examined(tuple(self._hide(line) for line in lines), failure)

    def _check_key(self) -> None:
        """Raise MailFailed unless Resend accepts the API key."""
        headers = {"Authorization": f"Bearer {self.mail.api_key}"}
        try:
            body, status, _more = _Client().request("get", f"{self.mail.api_url}/domains", headers)
        except RuntimeError as error:
            raise MailFailed(f"Resend: {error}", fix=reach_fix()) from None
        # A key for sending only gets 401 restricted_api_key here.
        is_restricted = status == 401 and b"restricted_api_key" in body
        if status in (400, 401, 403) and not is_restricted:
            raise MailFailed(
                f"Resend: {status}", fix=_("Correct RESEND_API_KEY."), waits_for_fix=True
            )

    def _failure(self, error: ResendError) -> MailFailed:
        code, kind, text = _number(error.code), str(error.error_type), str(error.message)
        reason = self._hide(f"Resend: {error.code} {kind}: {text}")
        after = _retry_after(error.headers)
        if code in (400, 422) and _RESEND_RECIPIENT.search(text) and not _is_about_sender(text):
            return MailFailed(reason, is_permanent=True)
        fix = _resend_fix(code, kind, text)
        return MailFailed(reason, retry_after=after, fix=fix, waits_for_fix=bool(fix))

    def _hide(self, text: str) -> str:
        return text.replace(self.mail.api_key, HIDDEN) if self.mail.api_key else text


def _is_about_sender(text: str) -> bool:
    return bool(_RESEND_SENDER.search(text)) and "`to`" not in text


def _resend_fix(code: int, kind: str, text: str) -> str:
    """What an administrator has to do; "" if waiting may be enough."""
    if kind in RESEND_QUOTAS:
        return _("The sending limit at Resend is used up. Wait, or ask for a higher one.")
    if code == 401 or kind in RESEND_KEY_ERRORS or "API key" in text:
        return _("Correct RESEND_API_KEY.")
    if code not in RESEND_REFUSALS:
        return ""
    if _RESEND_SENDER.search(text) or kind == "invalid_from_address":
        return _("Set RESEND_EMAIL to an address of a domain that Resend has verified for you.")
    return ""


class _Client(HTTPClient):
    """Limits time and size. Follows no redirect, which would leak the key."""

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        json: Any = None,
        files: dict[str, Any] | None = None,
        data: dict[str, str] | None = None,
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Raises RuntimeError without the key; the package turns it into a ResendError."""
        end = time.monotonic() + DEADLINE_SECONDS
        try:
            with requests.request(
                method,
                url,
                headers=dict(headers),
                json=json,
                timeout=TIMEOUT_SECONDS,
                stream=True,
                allow_redirects=False,
            ) as answer:
                body = b""
                for chunk in answer.iter_content(8192):
                    body += chunk
                    if len(body) > MAX_RESPONSE_BYTES or time.monotonic() > end:
                        raise RuntimeError("the answer is too long")
                return body, answer.status_code, answer.headers
        except (requests.RequestException, UnicodeError) as error:
            raise RuntimeError(f"no answer ({type(error).__name__})") from None


def _retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """The Retry-After header in seconds; None without it, or if it is a date."""
    lowered: dict[str, Any] = {name.lower(): value for name, value in headers.items()}
    seconds = _number(lowered.get("retry-after", ""))
    return timedelta(seconds=seconds) if seconds else None


def _number(value: object) -> int:
    """Up to nine digits; 0 for anything else."""
    text = str(value).strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
