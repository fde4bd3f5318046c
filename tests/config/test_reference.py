"""The generated pages are up to date, complete and valid."""

import subprocess
import sys
from pathlib import Path

import pytest

from config.environment.__main__ import ROOT, main
from config.environment.dotenv import parse_dotenv
from config.environment.reference import EXAMPLE, REFERENCE, pages, render_example, render_reference
from config.environment.variables import VARIABLES


def test_the_generated_pages_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().err


def test_an_outdated_page_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--write", "--root", str(tmp_path)])
    (tmp_path / EXAMPLE).write_text("PORT=1\n")

    status = main(["--check", "--root", str(tmp_path)])

    assert status == 1
    assert capsys.readouterr().err == (
        "Stale: .env.example. Run python -m config.environment --write and commit the result.\n"
    )


def test_missing_pages_are_written(tmp_path: Path) -> None:
    assert main(["--check", "--root", str(tmp_path)]) == 1
    assert main(["--write", "--root", str(tmp_path)]) == 0
    assert main(["--check", "--root", str(tmp_path)]) == 0
    assert (tmp_path / REFERENCE).read_text() == pages()[REFERENCE]


def test_the_page_has_every_setting_and_every_name() -> None:
    page = render_reference()

    for variable in VARIABLES:
        assert page.count(f"\n### {variable.name}\n") == 1
        assert all(f"`{alias.name}` ({alias.origin}" in page for alias in variable.aliases)


def test_the_page_contains_no_table() -> None:
    assert not [line for line in render_reference().splitlines() if line.startswith("|")]


def test_the_example_file_sets_nothing_and_names_everything() -> None:
    example = render_example()
    lines = example.splitlines()

    assert parse_dotenv(example) == ({}, [])
    for variable in VARIABLES:
        assert sum(line.startswith(f"#{variable.name}=") for line in lines) == 1
        if variable.may_hold_password:
            assert f"#{variable.name}=" in lines


def test_help_is_whole_sentences() -> None:
    assert [variable.name for variable in VARIABLES if not variable.help.endswith(".")] == []


def test_the_environment_package_needs_no_django() -> None:
    program = (
        "import sys, config.environment, config.environment.reference; "
        "print([name for name in sys.modules if name.partition('.')[0] == 'django'])"
    )

    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert run.stdout == "[]\n"
