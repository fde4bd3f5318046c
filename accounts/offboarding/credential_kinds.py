"""Kinds of credentials: the interface through which apps take part in offboarding.

`settings.CREDENTIAL_KINDS` lists subclasses of CredentialKind by dotted path. An app that issues
credentials of its own adds its kind there, and accounts never imports that app.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, ClassVar

from django.conf import settings
from django.utils.module_loading import import_string

from accounts import access_policy
from accounts.models import User

# The reason of a credential that is stored no more, or stored as ended.
ENDED = "ended"


class CredentialKind:
    """Base class of kinds. A credential is known by its row: no secret is ever read or kept.

    name: stable, in reports and in the audit log. label: for people.
    """

    name: ClassVar[str]
    label: ClassVar[Any]

    def find(self, user: User, now: datetime) -> Sequence[Any]:
        """The credentials of `user` that have not ended, whether the account may act or not."""
        raise NotImplementedError

    def end(self, user: User, now: datetime) -> None:
        """End them. Called in a transaction that has locked the user and the roles.

        For what the access policy alone refuses, such as a password, there is nothing to end.
        """

    def refusal(self, user: User, credential: Any) -> str:
        """Why a request with `credential` is refused now: a code; "" if it is accepted.

        user: as stored now. Ask the code that a request would be answered by. The default asks the
        access policy, which every sign-in method asks.
        """
        denial = access_policy.get_denial(user)
        return "" if denial is None else denial.code

    def limits(self) -> str:
        """What of this kind cannot be ended from here, for people; "" if everything can."""
        return ""


def credential_kinds() -> list[CredentialKind]:
    """The configured kinds, in the order of the setting."""
    return [_load(path) for path in settings.CREDENTIAL_KINDS]


@cache
def _load(path: str) -> CredentialKind:
    kind: CredentialKind = import_string(path)()
    return kind
