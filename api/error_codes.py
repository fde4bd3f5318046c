"""Every code that a problem document can have, for the reference page."""

from typing import NamedTuple

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from api.docs_page import Part, parts
from core.errors import GatehouseError, RecordInvalid


class Code(NamedTuple):
    """What a program meets, and what it means."""

    code: str
    status: int
    detail: str | Promise

    @property
    def text(self) -> list[Part]:
        """The meaning, with what is code set apart."""
        return parts(str(self.detail))


# These come from the access policy and from the pages (config.error_views), as words not classes.
FURTHER = (
    Code("not_found", 404, _("No such record or path, or none that the caller may see.")),
    Code("record_invalid", 402, _("Fields need attention; `errors` names them with messages.")),
    Code("server_error", 500, _("A fault of ours; `request_id` leads to it in the server's log.")),
    Code("account_disabled", 403, _("An operator has shut the account.")),
    Code("setup_pending", 403, _("The first owner has not set the account up yet.")),
    Code("host_not_allowed", 400, _("The server does not answer under this name.")),
)


def all_codes() -> list[Code]:
    """Each code once, by status; the API's own words go before those for pages."""
    found: dict[str, Code] = {code.code: code for code in FURTHER}
    invalid = RecordInvalid.code
    found[invalid] = found[invalid]._replace(status=settings.API_RECORD_INVALID_STATUS)
    for kind in _kinds(GatehouseError):
        if "code" not in vars(kind) and kind is not GatehouseError:
            continue
        is_ours = kind.__module__.startswith("api.")
        if kind.code not in found or is_ours:
            found[kind.code] = Code(kind.code, kind.status, kind.default_message)
    return sorted(found.values(), key=lambda code: (code.status, code.code))


def _kinds(parent: type[GatehouseError]) -> list[type[GatehouseError]]:
    return [parent, *(found for child in parent.__subclasses__() for found in _kinds(child))]
