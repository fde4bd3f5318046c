import os
import signal
from pathlib import Path
from typing import ClassVar

from django.conf import settings
from django.db import migrations


def break_it(apps, _schema_editor):
    how = os.environ["BROKEN"]
    if how == "backup":
        for file in Path(settings.DATA_DIR, "backups").iterdir():
            file.write_bytes(b"")
    if how in ("migration", "backup"):
        raise RuntimeError("the column is too narrow")
    if how == "signal":
        os.kill(os.getpid(), signal.SIGTERM)
    if how == "owners":
        apps.get_model("accounts", "User").objects.update(is_active=False)
    if how == "result":
        events = apps.get_model("audit", "AuditEvent").objects
        events.filter(seq=20).update(action="x")


class Migration(migrations.Migration):
    dependencies: ClassVar = [("broken_app", "0001_notes")]
    operations: ClassVar = [migrations.RunPython(break_it)]
