"""The page of one user says that SCIM manages the account."""

from collections.abc import Iterable

from django.http import HttpRequest
from django.utils.translation import gettext as _

from accounts.admin.columns import NOTHING
from accounts.admin.users.sections import Notice, add_notices
from accounts.models import User
from scim.resources import record_of


def managed_by_scim(_request: HttpRequest, user: User) -> Iterable[Notice]:
    """Under which name and id the system that provisions accounts knows the person."""
    record = record_of(user)
    if record is None:
        return
    names = {"name": record.user_name, "id": record.external_id or NOTHING}
    if record.released_at is None:
        text = _("The identity system knows the person as %(name)s, with the external id %(id)s. "
                 "It overwrites their name, address, state and groups.") % names  # fmt: skip
        yield Notice("plain", _("Managed by SCIM"), text)
    elif not user.is_active:
        text = _("The account of %(name)s, with the external id %(id)s, stays here disabled. It "
                 "comes back if the same person is provisioned again.") % names  # fmt: skip
        yield Notice("warn", _("Deleted by SCIM"), text)


add_notices(managed_by_scim)
