"""docs/reference/openapi.json, made from the views of the API.

`python -m scripts.openapi` writes the file; `--check` exits 1 when it is out of date.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

FILE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "openapi.json"


def render() -> str:
    """The whole file, for default settings."""
    # A description has no use for real data, and must not make any in an instance's data folder.
    os.environ["DATA_DIR"] = tempfile.mkdtemp(prefix="gatehouse-openapi-")
    os.environ["API_RECORD_INVALID_STATUS"] = "402"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

    import django

    django.setup()
    from api.schema import document

    return json.dumps(document(), indent=2, ensure_ascii=False, default=str) + "\n"


def main() -> int:
    """Write, or with --check compare; 1 when the file differs."""
    text = render()
    if "--check" in sys.argv[1:]:
        return int(not FILE.exists() or FILE.read_text() != text)
    FILE.write_text(text)
    print(f"wrote {FILE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
