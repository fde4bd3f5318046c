"""An identity is of one issuer: rows that name none get the one that is configured at this moment.

Only GitHub Enterprise and numbers of the directory (LDAP_ID) have named none so far. Whoever
changes the issuer together with the version moves rows by `manage.py moveidentities`.
"""

from django.apps.registry import Apps
from django.conf import settings
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from accounts.directory.names import naming_context


def name_issuers(apps: Apps, _editor: BaseDatabaseSchemaEditor) -> None:
    nameless = apps.get_model("accounts", "Identity").objects.filter(issuer="")
    for provider in settings.SIGN_IN_PROVIDERS:
        if provider.authority:
            nameless.filter(provider=provider.id).update(issuer=provider.authority)
    if settings.LDAP is not None:
        context = naming_context(settings.LDAP.base_dn)
        nameless.filter(provider="ldap", subject__startswith="id:").update(issuer=context)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0007_user_searched")]

    operations = [
        migrations.RemoveConstraint(model_name="identity", name="identity_once"),
        # The old constraint holds no longer, and a row that is stamped has no other beside it.
        migrations.RunPython(name_issuers, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="identity",
            constraint=models.UniqueConstraint(
                fields=("provider", "issuer", "subject"), name="identity_of_issuer_once"
            ),
        ),
    ]
