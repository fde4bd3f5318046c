"""Why a sign-in through a provider failed, with messages for the user."""

from django.utils.translation import gettext_lazy as _

from core.errors import GatehouseError

MESSAGES = {
    "cancelled": _("You did not finish signing in there. Nothing has changed here."),
    "state_lost": _(
        "This sign-in was not started in this browser, or it took too long. Please start again."
    ),
    "provider_unreachable": _("The provider is not responding. Try again in a minute."),
    "provider_error": _("The provider answered with an error. Please try again."),
    "sign_in_there": _("The provider wants you to sign in there first. Do that, then start again."),
    "provider_busy": _("The provider cannot sign anyone in right now. Try again later."),
    "provider_off": _(
        "Sign-in through this provider is switched off. Sign in another way, or ask an "
        "administrator."
    ),
    "token_refused": _("The provider's response could not be verified. You were not signed in."),
}
STATUSES = {
    "cancelled": 403,
    "state_lost": 400,
    "provider_unreachable": 503,
    "provider_error": 502,
    "sign_in_there": 403,
    "provider_busy": 503,
    "provider_off": 403,
    "token_refused": 403,
}


class SignInFailed(GatehouseError):
    """The sign-in failed. code: a key of MESSAGES; detail: for log and audit, without secrets."""

    title = _("Sign-in did not work")

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(str(MESSAGES[code]))
        self.code, self.status, self.detail = code, STATUSES[code], detail[:300]
