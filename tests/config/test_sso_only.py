"""SSO_ONLY disables other sign-in methods, and stops a start that would lock everyone out."""

import os
import subprocess
import sys

import pytest

from devtools.servers.processes import ROOT

SHOW = """
from config import settings
print(settings.ALLOW_EMAIL_LOGIN, settings.ALLOW_MAGIC_LINK_LOGIN, settings.ALLOW_REGISTRATION,
      settings.ALLOW_PASSWORD_RESET)
"""


def start(folder, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {"PATH": os.environ["PATH"], "DATA_DIR": str(folder), **environment}
    return subprocess.run(
        [sys.executable, "-c", SHOW], env=given, cwd=ROOT, capture_output=True, text=True
    )


@pytest.mark.parametrize(("only", "shown"), [("true", "False"), ("false", "True")])
def test_sso_only_leaves_only_providers(tmp_path, only: str, shown: str) -> None:
    done = start(tmp_path, SSO_ONLY=only, GOOGLE_CLIENT_ID="x", GOOGLE_CLIENT_SECRET="y")
    assert done.stdout.split() == [shown] * 4, done.stderr


@pytest.mark.parametrize("more", [{}, {"ALLOW_SOCIAL_LOGIN": "false", "GOOGLE_CLIENT_ID": "x",
                                       "GOOGLE_CLIENT_SECRET": "y"}])  # fmt: skip
def test_sso_only_without_a_provider_stops_the_start(tmp_path, more: dict[str, str]) -> None:
    done = start(tmp_path, SSO_ONLY="true", **more)
    assert done.returncode != 0
    assert "SSO_ONLY: is true without a provider, so no one could sign in" in done.stderr
