"""Creates all tables of an empty database at once: what the migrations come to in the end.

Django's `migrate` makes the models of the whole history anew at each of its steps, which was most
of the time of a first start. The tables are the same (tests/operations/test_new_database.py
compares them), and all migrations are recorded as applied.
"""

from collections.abc import Callable, Iterator

from django.apps import apps
from django.core.management.sql import emit_post_migrate_signal
from django.db import router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations import Migration, RunPython, RunSQL, SeparateDatabaseAndState
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import StateApps
from django.db.models import Model

# Beside the schema, these change rows that an empty database does not have.
OF_OLD_ROWS = frozenset(
    {
        "auth.0011_update_proxy_permissions",
        "contenttypes.0002_remove_content_type_name",
        "account.0006_emailaddress_lower",
        "account.0008_emailaddress_unique_primary_email_fixup",
    }
)
# The functions of these write the first rows, and work with the models of the last migration.
OF_FIRST_ROWS = frozenset({"core.0001_initial"})
OPERATIONS = "django.db.migrations.operations."
NOT_OF_SCHEMA = (RunPython, RunSQL, SeparateDatabaseAndState)


def create_tables(database: BaseDatabaseWrapper, note_applied: Callable[[str], None]) -> bool:
    """Create the tables and the first rows in one transaction. False: nothing was done.

    That is so if the database has tables, or if a migration does more than to define models, as one
    of an app that was added may: then only `migrate` is right. note_applied: see prepare().
    """
    if database.introspection.table_names():
        return False
    executor = MigrationExecutor(database)
    graph = executor.loader.graph
    plan = [migration for migration, _back in executor.migration_plan(graph.leaf_nodes())]
    if not all(map(is_known, plan)):
        return False
    state, recorded = executor.loader.project_state().apps, executor.recorder.Migration
    with database.schema_editor() as editor:
        editor.create_model(recorded)
        for model in _models(state, executor):
            editor.create_model(model)
        for statement in editor.deferred_sql:
            editor.execute(statement, None)
        editor.deferred_sql.clear()
        for migration in plan:
            if _name(migration) in OF_FIRST_ROWS:
                _write_first_rows(migration, state, editor)
        recorded.objects.using(database.alias).bulk_create(
            [recorded(app=migration.app_label, name=migration.name) for migration in plan]
        )
    for migration in plan:
        note_applied(_name(migration))
    emit_post_migrate_signal(0, False, database.alias, apps=apps, plan=[])
    return True


def is_known(migration: Migration) -> bool:
    """Does it do nothing but what the models and the two lists above say?"""
    return _name(migration) in OF_OLD_ROWS | OF_FIRST_ROWS or all(
        map(_is_of_schema, migration.operations)
    )


def _is_of_schema(operation: Operation) -> bool:
    is_django = type(operation).__module__.startswith(OPERATIONS)
    return is_django and not isinstance(operation, NOT_OF_SCHEMA)


def _models(state: StateApps, executor: MigrationExecutor) -> Iterator[type[Model]]:
    """The models with a table in this database, of apps that have migrations."""
    database = executor.connection
    for model in state.get_models():
        if (
            model._meta.app_label in executor.loader.migrated_apps
            and model._meta.can_migrate(database)
            and router.allow_migrate_model(database.alias, model)
        ):
            yield model


def _write_first_rows(
    migration: Migration, state: StateApps, editor: BaseDatabaseSchemaEditor
) -> None:
    if router.allow_migrate(editor.connection.alias, migration.app_label):
        for operation in migration.operations:
            if isinstance(operation, RunPython):
                operation.code(state, editor)


def _name(migration: Migration) -> str:
    return f"{migration.app_label}.{migration.name}"
