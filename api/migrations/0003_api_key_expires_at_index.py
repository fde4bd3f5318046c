"""Keys that ended long ago are found without reading all of them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("api", "0002_api_key_rotated_at")]

    operations = [
        migrations.AddIndex(
            model_name="apikey",
            index=models.Index(fields=["expires_at"], name="api_key_expires_at"),
        ),
    ]
