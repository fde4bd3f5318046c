"""The algorithms for which there are signing keys: one of the seams of docs/architecture.md."""

from collections.abc import Callable, Iterable

from django.conf import settings

_sources: list[Callable[[], Iterable[str]]] = []


def add_algorithms(source: Callable[[], Iterable[str]]) -> None:
    """Let there be keys of the algorithms that `source` returns, published and rotated alike."""
    if source not in _sources:
        _sources.append(source)


def used_algorithms() -> tuple[str, ...]:
    """JWT_ALGORITHM first, then those that add_algorithms() adds, each once."""
    further = (name for source in _sources for name in source())
    return tuple(dict.fromkeys((settings.JWT_ALGORITHM, *further)))
