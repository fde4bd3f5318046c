"""Load settings from exactly what a test defines. No database."""

from collections.abc import Callable
from pathlib import Path

import pytest

from config.environment import Environment, SettingsError, load

Load = Callable[..., Environment]


@pytest.fixture
def load_env(tmp_path: Path) -> Load:
    """load_env(dotenv="…", NAME=value, …) -> Environment, with DATA_DIR in the test's folder."""

    def run(dotenv: str | None = None, **environ: str) -> Environment:
        path = tmp_path / ".env"
        if dotenv is not None:
            path.write_text(dotenv)
        return load(environ, path)

    return run


@pytest.fixture
def faults(load_env: Load) -> Callable[..., list[str]]:
    """faults(dotenv="…", NAME=value, …) -> the lines of the error that the load must raise."""

    def run(dotenv: str | None = None, **environ: str) -> list[str]:
        with pytest.raises(SettingsError) as raised:
            load_env(dotenv, **environ)
        return str(raised.value).splitlines()

    return run


@pytest.fixture
def warnings(load_env: Load) -> Callable[..., list[str]]:
    """warnings(dotenv="…", NAME=value, …) -> the problems that do not stop the start, as text."""

    def run(dotenv: str | None = None, **environ: str) -> list[str]:
        return [str(problem) for problem in load_env(dotenv, **environ).problems]

    return run
