"""The repository contains no secrets and no paths of a developer's machine."""

import re
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, tracked_files

# Written in pieces, so that this file does not find itself.
FORBIDDEN = {
    "private key": "-----BEGIN (?:[A-Z]+ )*PRIVATE " + "KEY-----",
    "AWS key": r"\bAKIA" + r"[0-9A-Z]{16}\b",
    "Resend key": r"\bre" + r"_[A-Za-z0-9]{20,}\b",
    "GitHub token": r"\bgh[pousr]" + r"_[A-Za-z0-9]{36}\b",
    "Google key": r"\bAIza" + r"[0-9A-Za-z_-]{35}\b",
    "Slack token": r"\bxox[abprs]" + r"-[0-9A-Za-z-]{10,}",
    "home folder": r"/(?:home|Users)/" + r"[a-z][a-z0-9_-]+/",
    "machine path": r"(?<![\w.])/(?:work/(?:main|shared)|root/)" + r"",
    "package registry": r"https?://(?:pypi\.org/simple|files\.pythonhosted"
    r"\.org|registry\.npmjs\.org)",
}
# Published example secrets, from the documentation of the systems that people come from. Only the
# list of values that a production start refuses may name them.
PUBLISHED = (
    "16f8c0ef4a5d391b26034086c628469d" + "3f9f497f08163ab9b40137092f2909ef",
    "eaa5191f2914e30b9387fd84e254e4ba" + "6fc51b4654968a9b0803b456a54b8418",
)
REFUSE_LIST_FOLDER = ROOT / "config" / "environment"
BINARY = {".png", ".ico", ".mo", ".woff2", ".jpg", ".gz"}


def _texts() -> list[tuple[Path, str]]:
    files = [file for file in tracked_files() if file.suffix not in BINARY]
    return [(file, file.read_text(errors="replace")) for file in files]


@pytest.mark.parametrize("kind", sorted(FORBIDDEN))
def test_repository_holds_no(kind: str) -> None:
    pattern = re.compile(FORBIDDEN[kind])
    found = [
        f"{file.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}"
        for file, text in _texts()
        for match in pattern.finditer(text)
    ]

    assert found == []


def test_published_secrets_are_only_in_the_list_of_known_secrets() -> None:
    found = [
        str(file.relative_to(ROOT))
        for file, text in _texts()
        if any(secret in text for secret in PUBLISHED)
        and REFUSE_LIST_FOLDER not in file.parents
        and ROOT / "tests" / "config" not in file.parents
    ]

    assert found == []


def test_no_generated_data_is_tracked() -> None:
    suffixes = {".sqlite3", ".pem", ".key", ".log", ".env"}
    found = [file for file in tracked_files() if file.suffix in suffixes or file.name == ".env"]

    assert [str(file.relative_to(ROOT)) for file in found] == []
