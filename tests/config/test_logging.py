"""Every field of a log line is written, documented, and no other."""

import ast
import json
import logging
import re
import sys

from config.logging_config import FIELDS, JSONFormatter
from core import tracing
from core.web.request_context import RequestContext, use_context
from tests.architecture.sources import ROOT, modules
from tests.tracing.recording import recording

PAGE = (ROOT / "docs" / "logging.md").read_text()


def _record(**fields: object) -> logging.LogRecord:
    try:
        int("broken")
    except ValueError:
        trace = sys.exc_info()
    record = logging.LogRecord("gatehouse.x", logging.WARNING, "x.py", 1, "what", (), trace)
    for name, value in fields.items():
        setattr(record, name, value)
    return record


def test_the_page_lists_exactly_the_fields_in_their_order() -> None:
    record = _record(**dict.fromkeys(FIELDS, "x"), password="geheim", user="jon")
    context = RequestContext(ip="203.0.113.9", request_id="0123456789", channel="web")
    with use_context(context), recording(), tracing.span("request", is_root=True):
        line = json.loads(JSONFormatter().format(record))

    assert re.findall(r"(?m)^\| `(\w+)` \| (?:text|number|list) \|", PAGE) == list(line)


def test_a_field_that_is_not_listed_is_not_written() -> None:
    line = json.loads(JSONFormatter().format(_record(password="geheim", reason="why")))

    assert list(line) == ["time", "level", "logger", "message", "reason", "trace"]
    assert "geheim" not in json.dumps(line)


def test_every_field_that_code_gives_is_listed_and_each_listed_one_is_given() -> None:
    given = {
        key.value
        for module, file in modules()
        if not module.startswith(("tests.", "benchmarks.", "devtools."))
        for node in ast.walk(ast.parse((ROOT / file).read_text()))
        if isinstance(node, ast.keyword) and node.arg == "extra"
        if isinstance(node.value, ast.Dict)
        for key in node.value.keys
        if isinstance(key, ast.Constant)
    }

    assert given == {*FIELDS}
