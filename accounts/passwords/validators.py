"""Password validators: length, context words, and how easy a password is to guess.

There are no composition rules and no expiry (NIST 800-63B, ASVS 6.2.5, 6.2.10).
"""

import re
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.passwords import MAX_PASSWORD_LENGTH, normalise

CONTEXT_WORDS = ("gatehouse", "password", "passwort", "owner", "admin", "editor", "viewer")
# zxcvbn's own boundary between "somewhat guessable" and "safely unguessable" offline is 10^10;
# 10^8 refuses lists, keyboard walks and repeats without refusing honest phrases.
MINIMUM_GUESSES = 10**8
# zxcvbn's run time grows with the square of the length, and a longer password is no weaker.
EXAMINED_CHARACTERS = 64


class LengthValidator:
    """Between `minimum` and 256 characters after normalisation (ASVS 6.2.1, 6.2.9)."""

    def __init__(self, minimum: int = 15) -> None:
        self.minimum = minimum

    def validate(self, password: str, user: Any = None) -> None:
        length = len(normalise(password))
        if length < self.minimum:
            raise ValidationError(
                ngettext(
                    "Use at least %(count)d character. A few words in a row are easy to remember.",
                    "Use at least %(count)d characters. A few words in a row are easy to remember.",
                    self.minimum,
                )
                % {"count": self.minimum},
                code="too_short",
            )
        if length > MAX_PASSWORD_LENGTH:
            raise ValidationError(
                _("Use at most %(count)d characters.") % {"count": MAX_PASSWORD_LENGTH},
                code="too_long",
            )

    def get_help_text(self) -> str:
        return _("At least %(count)d characters; a few words in a row are fine.") % {
            "count": self.minimum
        }


class ContextValidator:
    """Refuses passwords that are mostly the product, a role, the host or the user's names.

    ASVS 6.2.11.
    """

    def validate(self, password: str, user: Any = None) -> None:
        rest = normalise(password).casefold()
        for word in sorted(_words(user), key=len, reverse=True):
            rest = rest.replace(word, "")
        if len(rest) * 2 < len(password):
            raise ValidationError(
                _("This password is too similar to your name, address or this site. Add more."),
                code="context_words",
            )

    def get_help_text(self) -> str:
        return ""


class GuessableValidator:
    """Refuses leaked passwords, keyboard walks and repetitions; works offline (ASVS 6.2.12)."""

    def validate(self, password: str, user: Any = None) -> None:
        # Imported on first use, because its word lists need memory.
        from zxcvbn import zxcvbn

        examined = normalise(password)[:EXAMINED_CHARACTERS]
        if not examined:
            return  # LengthValidator refuses it; zxcvbn would raise
        if int(zxcvbn(examined, user_inputs=sorted(_words(user)))["guesses"]) < MINIMUM_GUESSES:
            raise ValidationError(
                _("This password is common or easy to guess. Choose other words."),
                code="guessable",
            )

    def get_help_text(self) -> str:
        return ""


def _words(user: Any) -> Iterable[str]:
    """Words of four letters or more that an attacker would try for this user on this site."""
    texts = [*CONTEXT_WORDS, settings.PUBLIC_HOSTNAME]
    texts += [getattr(user, field, None) or "" for field in ("email", "username", "name")]
    return {
        word for text in texts for word in re.split(r"[\W_]+", text.casefold()) if len(word) > 3
    }
