"""All codes of problem documents, for the reference page."""

from typing import NamedTuple

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from api.docs_page import Part, parts
from core.errors import GatehouseError, RecordInvalid


class Code(NamedTuple):
    """An error code and its meaning."""

    code: str
    status: int
    detail: str | Promise

    @property
    def text(self) -> list[Part]:
        """The meaning, split into text and code."""
        return parts(str(self.detail))


# The access policy and config.error_views use these codes without an error class.
EXTRA_CODES = (
    Code("not_found", 404, _("No such record or path, or none that the caller may see.")),
    Code("record_invalid", 402, _("Fields need attention; `errors` names them with messages.")),
    Code("server_error", 500, _("An internal error; look `request_id` up in the server's log.")),
    Code("account_disabled", 403, _("An administrator has disabled the account.")),
    Code("account_expired", 403, _("The access of the account has ended by itself.")),
    Code(
        "service_account",
        403,
        _("A service account does not sign in. It uses API keys."),
    ),
    Code("setup_pending", 403, _("The owner account has not been set up yet.")),
    Code("host_not_allowed", 400, _("The server does not accept this host name.")),
)


def all_codes() -> list[Code]:
    """Return each code once, sorted by status; errors of the API take precedence."""
    found: dict[str, Code] = {code.code: code for code in EXTRA_CODES}
    invalid = RecordInvalid.code
    found[invalid] = found[invalid]._replace(status=settings.API_RECORD_INVALID_STATUS)
    for kind in _subclasses(GatehouseError):
        if "code" not in vars(kind) and kind is not GatehouseError:
            continue
        is_of_api = kind.__module__.startswith("api.")
        if kind.code not in found or is_of_api:
            found[kind.code] = Code(kind.code, kind.status, kind.default_message)
    return sorted(found.values(), key=lambda code: (code.status, code.code))


def _subclasses(parent: type[GatehouseError]) -> list[type[GatehouseError]]:
    return [parent, *(found for child in parent.__subclasses__() for found in _subclasses(child))]
