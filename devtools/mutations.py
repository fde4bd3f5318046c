"""The changes that `make mutants` makes, one in each place of a function that decides something."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

ROOT = Path(__file__).resolve().parents[1]
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Lt: ast.LtE, ast.LtE: ast.Lt,
    ast.Gt: ast.GtE, ast.GtE: ast.Gt,
}  # fmt: skip
BOOLEANS: dict[type[ast.boolop], type[ast.boolop]] = {ast.And: ast.Or, ast.Or: ast.And}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
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


def name_of(code: CodeType) -> str:
    """Mutant.function of a code object."""
    file = code.co_filename.removeprefix(f"{ROOT}/")
    return f"{file}:{code.co_qualname}:{code.co_firstlineno}"


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
