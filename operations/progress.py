"""A progress bar on a terminal; elsewhere one line for each step."""

from typing import Protocol

WIDTH = 24


class Writer(Protocol):
    """The interface of BaseCommand.stdout."""

    def write(
        self, msg: str = "", style_func: None = None, ending: str | None = None
    ) -> object: ...

    def isatty(self) -> bool: ...


class Bar:
    """Shows how many of `total` items are done, and the current step."""

    def __init__(self, out: Writer, total: int) -> None:
        self.out, self.total, self.done = out, total, 0
        self._label = ""

    def step(self, label: str, count: int) -> None:
        """Add `count` done items of the step `label`."""
        self.done += count
        part = min(1.0, self.done / self.total) if self.total else 1.0
        if self.out.isatty():
            filled = "#" * int(part * WIDTH)
            line = f"\r[{filled:<{WIDTH}}] {part:4.0%} {self.done} of {self.total} {label:<32.32}"
            self.out.write(line, ending="")
        elif label != self._label:
            self.out.write(f"{part:4.0%} {label}")
        self._label = label

    def end(self) -> None:
        """End the line of the bar."""
        if self.out.isatty():
            self.out.write("")
