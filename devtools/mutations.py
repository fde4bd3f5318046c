"""The changes that `make mutants` makes, one in each place of a function that decides something."""

import ast
import builtins
import functools
import gc
import importlib
import os
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.toml")
# Mutant.name of what processes that tests start shall run instead.
VARIABLE = "GATEHOUSE_MUTANT"
# The name of what a recorded function calls.
RECORD = "__record_call__"
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Lt: ast.LtE, ast.LtE: ast.Lt,
    ast.Gt: ast.GtE, ast.GtE: ast.Gt,
}  # fmt: skip
BOOLEANS: dict[type[ast.boolop], type[ast.boolop]] = {ast.And: ast.Or, ast.Or: ast.And}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
NONE = compile("", "", "exec")
Node = ast.stmt | ast.expr
FOR_READERS = {"__str__", "__repr__"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """function: `file:qualified name:first line`; number: its place among those of the file."""

    function: str
    number: int
    line: int
    before: str
    after: str

    @property
    def file(self) -> str:
        return self.function.partition(":")[0]

    @property
    def name(self) -> str:
        """`file:number`, for VARIABLE."""
        return f"{self.file}:{self.number}"

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """(`file:qualified name`, the line of code, before, after): survives changes elsewhere."""
        line = (ROOT / self.file).read_text().splitlines()[self.line - 1].strip()
        return self.function.rpartition(":")[0], line, self.before, self.after

    def __str__(self) -> str:
        return f"{self.file}:{self.line}\n    - {self.before}\n    + {self.after}"

    def code(self) -> CodeType | None:
        """What the function runs instead."""
        tree = ast.parse((ROOT / self.file).read_text())
        for number, _function, _node, _change in _variants(tree):
            if number == self.number:
                return _code_of(compile(tree, str(ROOT / self.file), "exec"), self.function)
        return None


def mutants_in(path: Path) -> Iterator[Mutant]:
    """Every mutant of a file, or of all modules below a folder except migrations."""
    for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
        if "migrations" in file.parts:
            continue
        for number, function, node, change in _variants(ast.parse(file.read_text())):
            place = f"{file.relative_to(ROOT)}:{function}"
            yield Mutant(place, number, node.lineno, _first_line(node), _first_line(change))


def equivalent_among(mutants: Iterable[Mutant]) -> set[Mutant]:
    """Those of which EQUIVALENT says why no test can notice them."""
    known = {
        (each["function"], each["line"], each["before"], each["after"]) for each in explanations()
    }
    return {mutant for mutant in mutants if mutant.identity in known}


def explanations() -> list[dict[str, str]]:
    """Each has function, line, before, after (as Mutant.identity) and reason."""
    entries: list[dict[str, str]] = tomllib.loads(EQUIVALENT.read_text()).get("mutant", [])
    return entries


def name_of(code: CodeType) -> str:
    """Mutant.function of a code object."""
    file = code.co_filename.removeprefix(f"{ROOT}/")
    return f"{file}:{code.co_qualname}:{code.co_firstlineno}"


def install(mutant: Mutant, process: "Living | None" = None) -> bool:
    """Give the living function the changed code; False if there is none or it does not fit."""
    process = process or Living({mutant.function})
    functions = process.functions[mutant.function]
    code = mutant.code()
    if code is None or not functions:
        return False
    try:
        for function in functions:
            function.__code__ = code
    except ValueError:  # the change removed the last use of an outer variable
        return False
    for each in process.caches:
        each.cache_clear()
    return True


class Living:
    """The function objects of this process that have one of these names, and all its caches."""

    def __init__(self, names: set[str]) -> None:
        gc.unfreeze()  # gc.get_objects() leaves out what is frozen
        self.functions: dict[str, list[FunctionType]] = {name: [] for name in names}
        self.caches: list[Any] = []
        for each in gc.get_objects():
            # isinstance() would ask a weak reference about its object, which may be gone.
            if type(each) is functools._lru_cache_wrapper:
                self.caches.append(each)
            elif type(each) is FunctionType and name_of(each.__code__) in names:
                self.functions[name_of(each.__code__)].append(each)


@contextmanager
def recording(wanted: set[str]) -> Iterator[set[str]]:
    """Inside the block, these functions (Mutant.function) add their names to the set when they run.

    Functions with functools.cache run at their first call only: clear the set between two tests.
    """
    for file in {name.partition(":")[0] for name in wanted}:
        importlib.import_module(file.removesuffix(".py").replace("/", "."))
    process = Living(wanted)
    called = _Called()
    called.caches = [
        each
        for each in process.caches
        if name_of(getattr(each.__wrapped__, "__code__", NONE)) in wanted
    ]
    setattr(builtins, RECORD, called.add)
    before = [(each, each.__code__) for same in process.functions.values() for each in same]
    codes = _recording_codes(wanted)
    for function, code in before:
        function.__code__ = codes[name_of(code)]
    yield called
    for function, code in before:
        function.__code__ = code


class _Called(set[str]):
    """Names of functions. clear() also clears their caches, so that the next call runs them."""

    caches: list[Any]

    def clear(self) -> None:
        super().clear()
        for each in self.caches:
            each.cache_clear()


def _recording_codes(wanted: set[str]) -> dict[str, CodeType]:
    codes: dict[str, CodeType] = {}
    for file in {name.partition(":")[0] for name in wanted}:
        tree = ast.parse((ROOT / file).read_text())
        names = {f"{file}:{name}": function for name, function in _functions(tree, "")}
        for name in wanted & names.keys():
            note = ast.parse(f"{RECORD}({name!r})").body[0]
            names[name].body.insert(0, note)
        code = compile(tree, str(ROOT / file), "exec")
        codes |= {name: found for name in wanted if (found := _code_of(code, name))}
    return codes


def pytest_collection_finish() -> None:
    """As a plug-in of pytest: change the code before the tests run."""
    install_by_variable()


def install_by_variable() -> None:
    """In a process that a test starts: change the code that VARIABLE names, if it is set."""
    file, _colon, number = os.environ.get(VARIABLE, "").partition(":")
    for mutant in mutants_in(ROOT / file) if file else ():
        if str(mutant.number) == number:
            install(mutant)


def _code_of(code: CodeType, function: str) -> CodeType | None:
    if name_of(code) == function:
        return code
    inner = (_code_of(each, function) for each in code.co_consts if isinstance(each, CodeType))
    return next(filter(None, inner), None)


def _first_line(node: Node) -> str:
    return ast.unparse(node).partition("\n")[0][:120]


def _variants(tree: ast.Module) -> Iterator[tuple[int, str, Node, Node]]:
    """(number, `qualified name:first line`, node, change); meanwhile the tree has the change."""
    number = 0
    for name, function in _functions(tree, ""):
        for holder, key, position, node in _places(function):
            for change in _changes(node):
                ast.fix_missing_locations(ast.copy_location(change, node))
                _put(holder, key, position, change)
                yield number, name, node, change
                _put(holder, key, position, node)
                number += 1


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef) and child.name not in FOR_READERS:
            line = min([child.lineno, *(each.lineno for each in child.decorator_list)])
            yield f"{prefix}{child.name}:{line}", child
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{prefix}{child.name}.")


def _places(function: ast.FunctionDef) -> Iterator[tuple[ast.AST, str, int | None, Node]]:
    """Every node of the body, and where it stands. What only readers see is left out: the log,
    the words of errors, annotations."""
    waiting: list[tuple[ast.AST, str]] = [(function, "body")]
    while waiting:
        holder, key = waiting.pop()
        value = getattr(holder, key)
        for position, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(node, (ast.stmt, ast.expr)) and not _is_logging(node):
                yield holder, key, position, node
                if not isinstance(node, ast.Raise):
                    waiting += [(node, each) for each in node._fields if each != "annotation"]


def _is_logging(node: Node) -> bool:
    return isinstance(node, ast.Expr) and ast.unparse(node).startswith("logger.")


def _put(holder: ast.AST, key: str, position: int | None, node: Node) -> None:
    if position is None:
        setattr(holder, key, node)
    else:
        getattr(holder, key)[position] = node


def _changes(node: Node) -> Iterator[Node]:  # noqa: C901  # a list of cases
    """What may stand in its place."""
    match node:
        case ast.Compare(left=left, ops=[operator], comparators=right):
            yield ast.Compare(left, [COMPARISONS[type(operator)]()], right)
        case ast.BoolOp(op=operator, values=values):
            yield ast.BoolOp(BOOLEANS[type(operator)](), values)
            for place in range(len(values)):
                rest = values[:place] + values[place + 1 :]
                yield rest[0] if len(rest) == 1 else ast.BoolOp(operator, rest)
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in ARITHMETIC:
            yield ast.BinOp(left, ARITHMETIC[type(operator)](), right)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield ast.Constant(value + 1)
        case ast.If(test=ast.Name() | ast.Attribute() | ast.Call() as test):
            yield ast.If(ast.UnaryOp(ast.Not(), test), node.body, node.orelse)
        case ast.IfExp(test=test, body=body, orelse=other):
            yield ast.IfExp(test, other, body)
        case ast.Expr(value=ast.Call()) | ast.Raise():
            yield ast.Pass()
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield ast.Return(ast.Constant(None))
