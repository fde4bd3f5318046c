"""What a source has told of name and address, so that changes there are followed here.

Of old rows the last address is known, and the account's may differ: such a person of the directory,
or of the only provider of an account without a password, gets no link to the old one until the next
sign-in or sync moves the account. Who has chosen another address here is left alone.
"""

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def hold_links(apps: Apps, _editor: BaseDatabaseSchemaEditor) -> None:
    identities = apps.get_model("accounts", "Identity").objects.exclude(email="")
    events = apps.get_model("accounts", "AuditEvent").objects
    changed = set(
        events.filter(action="account:email:change", target_id__isnull=False).values_list(
            "target_id", flat=True
        )
    )
    for identity in identities.select_related("user").iterator():
        user = identity.user
        is_alone = user.password.startswith("!") and user.identities.count() == 1
        differs = identity.email.strip().lower() != user.email
        is_followed = identity.provider == "ldap" or is_alone
        if differs and is_followed and user.pk not in changed:
            identity.former_email = user.email
            identity.save(update_fields=["former_email"])


class Migration(migrations.Migration):
    dependencies = [("accounts", "0009_token_account_email")]

    operations = [
        migrations.AddField(
            model_name="identity",
            name="former_email",
            field=models.CharField(blank=True, editable=False, max_length=254),
        ),
        migrations.AddField(
            model_name="identity",
            name="name",
            field=models.CharField(blank=True, editable=False, max_length=150),
        ),
        migrations.RunPython(hold_links, migrations.RunPython.noop),
    ]
