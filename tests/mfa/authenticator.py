"""An authenticator app for tests."""

from dataclasses import dataclass

from django.utils import timezone

from accounts.models import User
from mfa import totp
from mfa.models import Authenticator
from mfa.services import authenticators


@dataclass(frozen=True, slots=True)
class App:
    """The phone of a person: its seed, and the recovery codes that came with it."""

    secret: bytes
    recovery_codes: tuple[str, ...] = ()

    def code(self, steps: int = 0) -> str:
        """The code that it shows now, or so many steps of 30 seconds later."""
        return totp.code_of(self.secret, totp.step_at(timezone.now().timestamp()) + steps)

    def wrong_code(self) -> str:
        """Six digits that are right at no time near now."""
        near = {self.code(steps) for steps in range(-5, 6)}
        return next(code for code in ("000000", "111111", *map(str, range(200000, 200020)))
                    if code not in near)  # fmt: skip


def set_up_app(user: User) -> App:
    """An app whose codes of now are all unspent, as after some minutes."""
    begun = authenticators.begin_totp_setup(user)
    app = App(totp.from_text(begun.secret))
    codes = authenticators.confirm_totp_setup(user, begun.secret, app.code())
    Authenticator.objects.filter(user=user).update(last_step=0)
    return App(app.secret, codes)
