"""What address an account had when one of its links was issued: the link dies with it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0008_identity_of_issuer")]

    operations = [
        migrations.AddField(
            model_name="accounttoken",
            name="account_email",
            field=models.EmailField(blank=True, db_default="", default="", max_length=254),
        ),
    ]
