#!/usr/bin/env python
"""Gatehouse's command line: `manage.py COMMAND --help` explains each command."""

import os
import sys

from django.core.management import execute_from_command_line


def main() -> None:
    """Run the command named in sys.argv."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
