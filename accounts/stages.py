"""Steps between a right credential and a session."""

from datetime import datetime, timedelta

from allauth.account.internal.flows.login import get_authentication_records, record_authentication
from allauth.account.internal.stagekit import clear_login
from allauth.account.stages import LoginStage, LoginStageController
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from accounts import gates, remembered
from accounts.methods import SignInMethod
from accounts.models import User
from accounts.services import authenticators
from accounts.services.verification import send_verification

# How long the second factor may be waited for.
PENDING_LIFETIME = timedelta(minutes=10)
# Methods that prove two factors at once, and the one that stands for a factor proved earlier.
BOTH_FACTORS = SignInMethod.PASSKEY
REMEMBERED = SignInMethod.REMEMBERED


class VerifiedAddressStage(LoginStage):
    """Nobody gets in with an address he has not proved, unless ALLOW_UNVERIFIED_EMAIL_LOGIN.

    Reached only with a right credential, so the page may say what is missing.
    """

    key = "verified-address"

    def handle(self) -> tuple[HttpResponse | None, bool]:
        user = self.login.user
        if not isinstance(user, User) or user.is_verified or settings.ALLOW_UNVERIFIED_EMAIL_LOGIN:
            return None, True
        send_verification(self.request, user)
        clear_login(self.request)
        return render(self.request, "accounts/verify_sent.html", {"email": user.email}), False


class SecondFactorStage(LoginStage):
    """Asks for the second factor at every door, and for its set-up where the role needs one.

    Until then there is no session: the browser holds a note of who waits, and nothing opens by it
    but the pages of this stage (A059).
    """

    key = "second-factor"
    urlname = "accounts:second-factor"

    def handle(self) -> tuple[HttpResponse | None, bool]:
        user = self.login.user
        if not isinstance(user, User):
            return None, False
        if last_method(self.request, user) == BOTH_FACTORS:
            return None, True
        if authenticators.has_factor(user):
            if not remembered.is_remembered(self.request, user):
                return self._wait()
            record_authentication(self.request, user, method=str(REMEMBERED))
        elif authenticators.lacks_required_factor(user):
            return self._wait()
        return None, True

    @property
    def person(self) -> User:
        """Who waits."""
        if not isinstance(self.login.user, User):
            raise TypeError("pending() answers no stage without a person")
        return self.login.user

    @property
    def page(self) -> str:
        """The name of the page that asks for the factor, or sets up the first one."""
        has_factor = authenticators.has_factor(self.person)
        return "accounts:second-factor" if has_factor else "accounts:second-factor-set-up"

    def passed(self, method: str) -> HttpResponse:
        """The factor is proved by `method`: start the session; answers where it leads."""
        record_authentication(self.request, self.person, method=str(SignInMethod(method)))
        response: HttpResponse = self.exit()
        return response

    def is_alive(self) -> bool:
        """Is it less than PENDING_LIFETIME ago, and may the person still come in?

        A change of password or role, a sign-out everywhere, a ban or a reset ends the waiting.
        """
        user, since, issued = self.login.user, self.state.get("since"), self.state.get("issued_at")
        if not (isinstance(user, User) and isinstance(since, str) and isinstance(issued, str)):
            return False
        is_late = timezone.now() - datetime.fromisoformat(since) > PENDING_LIFETIME
        issued_at = datetime.fromisoformat(issued)
        return not is_late and gates.refusal(user, credential_at=issued_at) is None

    def _wait(self) -> tuple[HttpResponse, bool]:
        """since: for its own end. issued_at: for the marks of the account, which a node whose clock
        is ahead may have set (decision 10)."""
        now = timezone.now()
        self.state["since"] = now.isoformat()
        self.state["issued_at"] = self.person.issue_time(now).isoformat()
        return redirect(self.page), True


def pending(request: HttpRequest) -> SecondFactorStage | None:
    """The sign-in of this browser that waits for its second factor; a dead one is wiped."""
    stage = LoginStageController.enter(request, SecondFactorStage.key)
    if isinstance(stage, SecondFactorStage) and stage.is_alive():
        return stage
    if stage is not None:
        clear_login(request)
    return None


def cancel(request: HttpRequest) -> None:
    """Forget who waits, and all else that an unfinished sign-in has left in this browser."""
    if not request.user.is_authenticated:
        request.session.flush()
    else:
        clear_login(request)


def last_method(request: HttpRequest, user: User) -> str:
    """How `user` has proved himself last in this browser's sign-in; "" for not at all."""
    records = get_authentication_records(request, user)
    return str(records[-1].get("method", "")) if records else ""
