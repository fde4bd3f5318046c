"""Links from the outbox of an instance whose environment is this process's own."""

import json
import re
from collections.abc import Collection, Iterable

import django

django.setup()

from accounts.models import User  # noqa: E402
from core.crypto.encryption import decrypt  # noqa: E402
from mail.models import OutboxMail  # noqa: E402

TOKEN = re.compile(r"/magic-link/([\w-]{20,})")
_ids: dict[str, int] = {}
_users: dict[int, str] = {}


def load_users() -> None:
    """Learn who has which number, once."""
    rows = User.objects.filter(username__startswith="person").values_list("username", "pk")
    for username, key in rows:
        number = int(username.removeprefix("person"))
        _ids[str(key)], _users[number] = number, str(key)


def tokens_of(numbers: Collection[int]) -> dict[int, str]:
    """The tokens that have arrived for these people."""
    wanted = OutboxMail.objects.filter(user_id__in=[_users[number] for number in numbers])
    return _opened(wanted)


def all_tokens() -> dict[int, str]:
    """Every token in the outbox."""
    return _opened(OutboxMail.objects.all().iterator())


def _opened(mails: Iterable[OutboxMail]) -> dict[int, str]:
    tokens = {}
    for mail in mails:
        text = json.loads(decrypt(mail.sealed_body, f"outbox.sealed_body:{mail.pk}"))["text"]
        found = TOKEN.search(text)
        if found and str(mail.user_id) in _ids:
            tokens[_ids[str(mail.user_id)]] = found.group(1)
    return tokens


load_users()
