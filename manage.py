#!/usr/bin/env python
"""Gatehouse's command line: `manage.py COMMAND --help` explains each command."""

import gc
import os
import sys

# Before the imports: nothing of what they make is garbage, and to look for it took a sixth of each
# start. Servers set their own.
gc.set_threshold(50_000, 20, 20)

from django.core.management import execute_from_command_line  # noqa: E402

from config.environment import SettingsError  # noqa: E402
from operations.instance import explain  # noqa: E402


def main() -> None:
    """Run the command named in sys.argv; a bad setting stops it with a sentence, not a trace."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        execute_from_command_line(sys.argv)
    except SettingsError as error:
        sys.exit(f"Gatehouse cannot start: these settings need attention.\n{error}")
    except Exception as error:
        sentence = explain(error)
        if not sentence or "--traceback" in sys.argv:
            raise
        sys.exit(sentence)


if __name__ == "__main__":
    main()
