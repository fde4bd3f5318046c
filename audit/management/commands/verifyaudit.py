"""`manage.py verifyaudit`"""

from typing import Any

from django.core.management import CommandError

from audit import audit_log
from core.commands import GatehouseCommand


class Command(GatehouseCommand):
    """Verify the hash chain of the audit log."""

    help = (
        "Check that no row of the audit log has been changed, removed, reordered or cut off. "
        "Reads only. Exits with 1 and names the first wrong row."
    )

    def act(self, **_options: Any) -> None:
        result = audit_log.verify()
        if result.broken_at is not None:
            raise CommandError(
                f"The audit log is broken at row {result.broken_at}: {result.reason}."
            )
        self.stdout.write(f"The audit log is intact: {result.checked} rows.")
