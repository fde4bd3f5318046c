"""`manage.py moveidentities`"""

from typing import Any

from django.core.management import CommandError, CommandParser

from accounts.actors import SYSTEM
from core.commands import GatehouseCommand
from federation.services.identity_moves import (
    Namespace,
    count_in,
    move_identities,
    orphaned_identities,
    present_issuer,
)


class Command(GatehouseCommand):
    """Take connected identities along when a provider has moved."""

    help = (
        "After a provider got another issuer (a new host name, a new realm) or another name in the "
        "settings, its people are not recognised any more, because an equal subject of another "
        "issuer may be somebody else. If it really is the same provider, this lets them in again. "
        "Safe to repeat; asks before it does anything."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("old", metavar="PROVIDER", help="the provider's name so far")
        parser.add_argument("new", nargs="?", metavar="NEW", help="its name now, if another one")
        parser.add_argument(
            "--from-issuer", metavar="ISSUER", help="needed where more than one is left behind"
        )
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def act(self, **options: Any) -> None:
        provider = options["new"] or options["old"]
        new = Namespace(provider, present_issuer(provider))
        old = Namespace(options["old"], self._issuer(options["old"], options["from_issuer"]))
        self.ask_yes(
            f"{count_in(old)} identities of {old.provider} ({old.issuer or 'no issuer'}) become "
            f"those of {new.provider} ({new.issuer or 'no issuer'}): whoever has such a subject "
            "there opens these accounts. Go on?",
            assume_yes=options["yes"],
        )
        moved, left = move_identities(actor=SYSTEM, old=old, new=new)
        more = f", {left} left because their subject is there already" if left else ""
        self.stdout.write(f"{moved} identities moved{more}.")

    def _issuer(self, provider: str, given: str | None) -> str:
        if given is not None:
            return given.rstrip("/")
        issuers = [
            left.namespace.issuer
            for left in orphaned_identities()
            if left.namespace.provider == provider
        ]
        if len(issuers) == 1:
            return issuers[0]
        if not issuers:
            raise CommandError(f"No identities of {provider!r} are left behind. Nothing was done.")
        names = ", ".join(issuer or "''" for issuer in issuers)
        raise CommandError(f"Name one of them with --from-issuer: {names}. Nothing was done.")
