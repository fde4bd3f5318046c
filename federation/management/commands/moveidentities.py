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
    """Move connected identities after a provider has moved."""

    help = (
        "After a provider got another issuer (a new host name, a new realm) or another name in "
        "the settings, its users are not recognized any more, because an equal subject of another "
        "issuer may be another person. If it is the same provider, this command moves their "
        "identities. Safe to repeat; asks before it changes anything. Exits with 1 if there is "
        "nothing to move."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("old", metavar="PROVIDER", help="the old name of the provider")
        parser.add_argument("new", nargs="?", metavar="NEW", help="the new name, if it differs")
        parser.add_argument(
            "--from-issuer", metavar="ISSUER", help="the old issuer; required if there are several"
        )
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def act(self, **options: Any) -> None:
        provider = options["new"] or options["old"]
        new = Namespace(provider, present_issuer(provider))
        old = Namespace(options["old"], self._issuer(options["old"], options["from_issuer"]))
        self.ask_yes(
            f"{count_in(old)} identities of {old.provider} ({old.issuer or 'no issuer'}) become "
            f"those of {new.provider} ({new.issuer or 'no issuer'}): users with such a subject "
            "there get access to these accounts. Continue?",
            assume_yes=options["yes"],
        )
        moved, left = move_identities(actor=SYSTEM, old=old, new=new)
        more = f", {left} skipped because their subject exists there already" if left else ""
        self.stdout.write(f"{moved} identities moved{more}.")

    def _issuer(self, provider: str, given: str | None) -> str:
        if given is not None:
            return given.rstrip("/")
        issuers = [
            orphaned.namespace.issuer
            for orphaned in orphaned_identities()
            if orphaned.namespace.provider == provider
        ]
        if len(issuers) == 1:
            return issuers[0]
        if not issuers:
            raise CommandError(f"No identities of {provider!r} are orphaned. Nothing was changed.")
        names = ", ".join(issuer or "''" for issuer in issuers)
        raise CommandError(f"Name one of them with --from-issuer: {names}. Nothing was changed.")
