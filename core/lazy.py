"""Modules and functions that are loaded when they are first used.

A command waits for everything that it imports. So what only some of them need (a driver, a library
for one kind of page) is named at the start and loaded later.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any


class LazyModule:
    """Stands for a module. Its importers declare its type beside it:

    if TYPE_CHECKING:
        import psycopg
    else:
        psycopg = LazyModule("psycopg")
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)


class LazyFunction:
    """Stands for the function `path`, as in "app.module.function", which it calls.

    For AppConfig.ready(): it registers functions of modules that most commands never need. Two that
    stand for the same function are equal. `every` has all of this process, for the test that each
    of them exists.
    """

    every: "list[LazyFunction]" = []

    def __init__(self, path: str) -> None:
        self.path = path
        self.every.append(self)

    def load(self) -> Callable[..., Any]:
        """The function itself."""
        module, _dot, name = self.path.rpartition(".")
        function: Callable[..., Any] = getattr(import_module(module), name)
        return function

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.load()(*arguments, **named)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LazyFunction) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    def __repr__(self) -> str:
        return f"LazyFunction({self.path!r})"
