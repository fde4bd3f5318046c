"""What the architecture tests read: the repository's own files and their imports."""

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from core.app_labels import OWN_APPS

ROOT = Path(__file__).resolve().parents[2]
APPS = tuple(sorted(OWN_APPS))


@dataclass(frozen=True, slots=True)
class Import:
    """`importer` and `imported` are dotted module names; hidden: inside a function."""

    importer: str
    imported: str
    line: int
    hidden: bool

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def modules() -> Iterator[tuple[str, Path]]:
    """Every first-party module outside of migrations: (dotted name, file)."""
    for app in APPS:
        for file in sorted((ROOT / app).rglob("*.py")):
            if "migrations" not in file.parts:
                parts = file.relative_to(ROOT).with_suffix("").parts
                yield ".".join(part for part in parts if part != "__init__"), file


@cache
def imports() -> tuple[Import, ...]:
    """Every import statement of every first-party module, relative ones resolved."""
    return tuple(_imports())


def _imports() -> Iterator[Import]:
    for module, file in modules():
        tree = ast.parse(file.read_text())
        hidden = {
            id(node)
            for function in ast.walk(tree)
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            for node in ast.walk(function)
        }
        for node in ast.walk(tree):
            for name in _names(node, module, is_package=file.name == "__init__.py"):
                yield Import(module, name, node.lineno, id(node) in hidden)


def _names(node: ast.AST, module: str, *, is_package: bool) -> list[str]:
    """`from a import b` may mean the module a.b or a name in a: both are returned."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    if node.level:
        parts = module.split(".")
        parent = parts[: len(parts) - node.level + (1 if is_package else 0)]
        base = ".".join([*parent, base] if base else parent)
    return [base, *(f"{base}.{alias.name}" for alias in node.names)]


def tracked_files() -> list[Path]:
    """Files that git knows or would add; without git, every file outside of hidden folders."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
    )
    if listed.returncode == 0:
        names = [name for name in listed.stdout.decode().split("\0") if name]
        return [ROOT / name for name in names if (ROOT / name).is_file()]
    skipped = {"data", "node_modules", "__pycache__"}
    return [
        file
        for file in ROOT.rglob("*")
        if file.is_file()
        and not skipped & set(file.parts)
        and not any(part.startswith(".") for part in file.relative_to(ROOT).parts[:-1])
    ]
