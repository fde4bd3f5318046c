"""The sign-in stage that asks for the second factor."""

from datetime import datetime, timedelta

from allauth.account.internal.flows.login import record_authentication
from allauth.account.internal.stagekit import clear_login
from allauth.account.stages import LoginStage, LoginStageController
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from accounts import access_policy
from accounts.models import User
from accounts.services import second_factors
from accounts.sign_in.methods import SignInMethod
from accounts.sign_in.stages import last_method
from mfa import trusted_browsers

# How long a sign-in may wait for the second factor.
PENDING_LIFETIME = timedelta(minutes=10)
# The method that verifies two factors at once.
MULTI_FACTOR_METHOD = SignInMethod.PASSKEY


class SecondFactorStage(LoginStage):
    """Asks for the second factor with every sign-in method, or for its set-up if it is required.

    Until then there is no authenticated session: the browser only has a pending sign-in, which
    gives access to nothing but the pages of this stage.
    """

    key = "second-factor"
    urlname = "mfa:second-factor"

    def handle(self) -> tuple[HttpResponse | None, bool]:
        user = self.login.user
        if not isinstance(user, User):
            return None, False
        if last_method(self.request, user) == MULTI_FACTOR_METHOD:
            return None, True
        if second_factors.has_factor(user):
            if not trusted_browsers.is_trusted(self.request, user):
                return self._begin_waiting()
            record_authentication(self.request, user, method=str(SignInMethod.REMEMBERED))
        elif second_factors.lacks_required_factor(user):
            return self._begin_waiting()
        return None, True

    @property
    def user(self) -> User:
        """The user of the pending sign-in."""
        if not isinstance(self.login.user, User):
            raise TypeError("pending_stage() returns no stage without a user")
        return self.login.user

    @property
    def page(self) -> str:
        """URL name of the page that asks for the factor, or sets up the first one."""
        has_factor = second_factors.has_factor(self.user)
        return "mfa:second-factor" if has_factor else "mfa:second-factor-set-up"

    def complete(self, method: str) -> HttpResponse:
        """The factor was verified by `method`: start the session; returns the redirect."""
        record_authentication(self.request, self.user, method=str(SignInMethod(method)))
        response: HttpResponse = self.exit()
        return response

    def is_alive(self) -> bool:
        """Whether it is younger than PENDING_LIFETIME and the access policy still allows it.

        A change of password or role, a sign-out everywhere, a ban or a reset ends it.
        """
        user, since, issued = self.login.user, self.state.get("since"), self.state.get("issued_at")
        if not (isinstance(user, User) and isinstance(since, str) and isinstance(issued, str)):
            return False
        is_late = timezone.now() - datetime.fromisoformat(since) > PENDING_LIFETIME
        issued_at = datetime.fromisoformat(issued)
        return not is_late and access_policy.get_denial(user, credential_at=issued_at) is None

    def _begin_waiting(self) -> tuple[HttpResponse, bool]:
        """since: for its own lifetime. issued_at: to compare with `credentials_valid_from`, which a
        node whose clock is ahead may have set (decision 10)."""
        now = timezone.now()
        self.state["since"] = now.isoformat()
        self.state["issued_at"] = self.user.issue_time(now).isoformat()
        return redirect(self.page), True


def pending_stage(request: HttpRequest) -> SecondFactorStage | None:
    """The pending sign-in of this browser, or None; removes an expired one."""
    stage = LoginStageController.enter(request, SecondFactorStage.key)
    if isinstance(stage, SecondFactorStage) and stage.is_alive():
        return stage
    if stage is not None:
        clear_login(request)
    return None
