"""How request bodies are read."""

from typing import Any

from rest_framework.parsers import JSONParser

from api.errors import Unreadable
from core.text.strict_json import read_json


class StrictJSONParser(JSONParser):
    """Parses JSON of limited size and depth, without repeated names. Raises Unreadable."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        # Django limits the size of `body`, but not of the stream.
        body = parser_context["request"]._request.body
        try:
            return read_json(body.decode())  # RFC 8259, section 11: a charset has no effect
        except (ValueError, RecursionError):
            raise Unreadable from None
