"""Tests, benchmarks and tools for developers depend on the product, and never the other way."""

import ast

import pytest

from devtools import mutants, mutations
from tests.architecture.sources import APPS, ROOT

FORBIDDEN = {
    **{app: {"tests", "benchmarks", "devtools"} for app in APPS},
    "scripts": {"tests", "benchmarks", "devtools"},
    "benchmarks": {"tests"},
    "devtools": {"tests", "benchmarks"},
}


@pytest.mark.parametrize("package", FORBIDDEN)
def test_nothing_is_imported_from_above(package: str) -> None:
    found = [
        f"{file.relative_to(ROOT)}: {name}"
        for file in sorted((ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        for name in _imported(node)
        if name.partition(".")[0] in FORBIDDEN[package]
    ]

    assert found == []


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


def test_the_tests_that_mutants_meet_exist() -> None:
    named = {ROOT / "tests" / test for tests in mutants.TARGETS.values() for test in tests}

    assert [
        path for path in [*named, *(ROOT / path for path in mutants.TARGETS)] if not path.exists()
    ] == []


def test_every_explained_mutant_is_one_of_the_code() -> None:
    explanations = [tuple(each.values()) for each in mutations.explanations()]
    files = {function.partition(":")[0] for function, *_ in explanations}
    existing = {mutant.identity for file in files for mutant in mutations.mutants_in(ROOT / file)}

    assert [each for each in explanations if each[:4] not in existing or not each[4]] == []
