"""Which public functions of the project take locks or write audit rows, as its source says.

Of the services every one that comes to a lock by any way; elsewhere those that take one themselves
or by a private function of their module. Needs no pytest.
"""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
APPS = (
    "access_reviews", "accounts", "api", "applications", "audit", "config", "core", "federation",
    "forward_auth",
    "magiclinks", "mail", "mfa", "moderation", "oidc_provider",
    "operations", "scim", "webhooks",
)  # fmt: skip
TAKES = {"atomic", "select_for_update", "acquire_lock", "lock_users", "hold_free", "delete_free"}
AUDITS = {"record", "append"}
# Modules of services: by name, or by the package they stand in.
SERVICES = (".services", "api.apikeys.", "api.tokens.", "federation.ldap.", "mfa.trusted_browsers")
# They are no acts of their own, and why.
EXCEPTIONS = {
    "audit.audit_log.append": "the chain itself",
    "accounts.services.approvals.rule.needs_second_owner": "decorates services, which have acts",
    "core.locks.delete_free": "a part of actions; it waits for no lock",
    "core.locks.hold_free": "a part of actions; it waits for no lock",
    "core.locks.acquire_lock": "a lock itself",
    "core.locks.lock_users": "a lock itself",
    "federation.ldap.backend.LDAPBackend.account_of": "only sign_in(), which has acts",
    "federation.ldap.backend.LDAPBackend.get_or_build_user": "only sign_in(), which has acts",
    "federation.ldap.rehearsal.RehearsalBackend.account_of": "has an act if python-ldap is there",
    "applications.services.introspection.introspect": "context_for_token(), which has acts",
    "applications.services.introspection.read_token": "context_for_token(), which has acts",
    "applications.services.client_credentials.require_app": "one audit row of a refusal",
    "applications.services.client_credentials.require_secret": "one audit row of a refusal",
    "applications.services.client_credentials.record_failure": "one audit row of a refusal",
    "applications.services.client_authentication.require_client": "one audit row of a refusal",
    "federation.views.oauth.callback": "one audit row of a denial; its services have actions",
    "operations.backup.post_restore.finish_restore": "runs before the server starts",
    "operations.upgrade.smoke.run_tests": "while no server runs; it is rolled back",
    "operations.demo.create.create_demo": "on an empty instance; its parts have actions",
}
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Name(NamedTuple):
    """A function, a method being `Class.method`."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"

    @property
    def is_public(self) -> bool:
        return not any(part.startswith("_") for part in self.name.split("."))

    @property
    def is_service(self) -> bool:
        return any(name in self.module for name in SERVICES)


def services_that_lock() -> set[str]:
    """Whatever needs an act."""
    return all_that_lock() - {*EXCEPTIONS}


def all_that_lock() -> set[str]:
    """Dotted names."""
    return {str(name) for name in _locking() if name.is_public}


def _locking() -> set[Name]:
    modules = {_dotted(path): ast.parse(path.read_text()) for path in _files()}
    functions = {
        Name(module, name): node
        for module, tree in modules.items()
        for name, node in _functions_of(tree.body)
    }
    imports = {module: _imports(modules, module) for module in modules}
    calls = {
        name: set(_calls(name, node, functions, imports[name.module]))
        for name, node in functions.items()
    }
    own = {name for name, node in functions.items() if _takes(node)}
    by_way = _spread(own, calls, lambda caller, called: True)
    by_itself = _spread(
        own, calls, lambda caller, called: caller.module == called.module and not called.is_public
    )
    return {name for name in by_way if name.is_service} | by_itself


def _spread(first: set[Name], calls: dict[Name, set[Name]], counts: object) -> set[Name]:
    """`first` and their callers, transitively; as far as `counts` says."""
    found = set(first)
    assert callable(counts)
    while True:
        more = {
            caller
            for caller, called in calls.items()
            if caller not in found and any(counts(caller, one) for one in called & found)
        }
        if not more:
            return found
        found |= more


def _files() -> Iterator[Path]:
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path


def _dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _functions_of(body: Iterable[ast.stmt], within: str = "") -> Iterator[tuple[str, Function]]:
    for node in body:
        if isinstance(node, Function):
            yield within + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from _functions_of(node.body, f"{within}{node.name}.")


def _takes(function: Function) -> bool:
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute):
            base = node.value.id if isinstance(node.value, ast.Name) else ""
            if node.attr in TAKES or (base == "audit_log" and node.attr in AUDITS):
                return True
        elif isinstance(node, ast.Name) and node.id in TAKES:
            return True
    return False


def _imports(modules: dict[str, ast.Module], module: str) -> dict[str, Name]:
    """What a name of the module means: a function elsewhere, or a module (its name is "")."""
    found = {}
    for node in ast.walk(modules[module]):
        if isinstance(node, ast.ImportFrom) and node.module:
            for each in node.names:
                inner = f"{node.module}.{each.name}"
                name = Name(inner, "") if inner in modules else Name(node.module, each.name)
                found[each.asname or each.name] = name
    return found


def _calls(
    caller: Name, function: Function, functions: dict[Name, Function], imports: dict[str, Name]
) -> Iterator[Name]:
    """Every function of ours that is named inside, called or handed on."""
    for node in ast.walk(function):
        found = None
        if isinstance(node, ast.Name):
            found = imports.get(node.id, Name(caller.module, node.id))
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            base = imports.get(node.value.id)
            if node.value.id in ("self", "cls"):
                found = Name(caller.module, f"{caller.name.rpartition('.')[0]}.{node.attr}")
            elif base is not None:
                inner = f"{base.name}.{node.attr}" if base.name else node.attr
                found = Name(base.module, inner)
        if found in functions and found != caller:
            yield found
