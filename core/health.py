"""Health of the services that the server needs. Each check returns a bool and raises nothing."""

from importlib import import_module
from pkgutil import iter_modules

from django.apps import apps
from django.core.cache import caches
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder


def database_answers() -> bool:
    """Whether the database responds."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Exception:  # any error of the driver means "not ready"
        return False
    return True


def counters_answer() -> bool:
    """Whether the counters of the rate limits can be written and read."""
    store = caches["counters"]
    try:
        store.set("health", 1, 10)
        return bool(store.get("health") == 1)
    except Exception:  # any error of the driver means "not ready"
        return False


def is_migrated() -> bool:
    """Whether all migrations have been applied."""
    try:
        return not pending_migrations(connection)
    except Exception:  # any error of the driver means "not ready"
        return False


def pending_migrations(database: BaseDatabaseWrapper) -> list[str]:
    """The migrations that are not applied yet, in order, as app.name. Raises database errors."""
    # Loading the history is slow, and needed only if a file of it is not in the table.
    if _migration_files() <= MigrationRecorder(database).applied_migrations().keys():
        return []
    executor = MigrationExecutor(database)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _backwards in plan]


def _migration_files() -> set[tuple[str, str]]:
    """(app, name) of each migration of the installed apps, as MigrationLoader.load_disk() names
    them, without importing one."""
    found = set()
    for app in apps.get_app_configs():
        module, _is_explicit = MigrationLoader.migrations_module(app.label)
        if module is None:
            continue
        try:
            folders = import_module(module).__path__
        except ModuleNotFoundError:  # the app has none, or the executor will say what is wrong
            continue
        found |= {
            (app.label, each.name)
            for each in iter_modules(folders)
            if not each.ispkg and each.name[0] not in "_~"
        }
    return found
