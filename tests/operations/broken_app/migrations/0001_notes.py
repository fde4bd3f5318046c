from typing import ClassVar

from django.db import migrations, models


def rename_everyone(apps, _schema_editor):
    apps.get_model("accounts", "User").objects.update(name="renamed")
    apps.get_model("accounts", "BrowserSession").objects.all().delete()


class Migration(migrations.Migration):
    dependencies: ClassVar = [("accounts", "0001_initial"), ("audit", "0001_initial")]
    operations: ClassVar = [
        migrations.CreateModel("Note", [("id", models.BigAutoField(primary_key=True))]),
        migrations.RunPython(rename_everyone),
    ]
