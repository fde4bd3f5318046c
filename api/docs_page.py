"""Turn the OpenAPI document into the values that the reference page shows. Pure."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlencode

Document = dict[str, Any]
METHODS = ("get", "post", "put", "patch", "delete")
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
MAX_DEPTH = 4
PLACEHOLDER_KEY = "gth_YOUR_KEY"
MARKED = re.compile(r"(`[^`]+`|\*\*[^*]+\*\*)")
PLACE = re.compile(r"{(\w+)}")
# Example values by field name; other fields get an example of their type.
EXAMPLES: dict[str, Any] = {
    "password_hash": "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
    "email": "anna@example.com",
    "username": "anna",
    "name": "Anna Arnold",
    "role": "viewer",
    "role_after": "none",
    "kind": "person",
    "responsible": "",
    "groups": ["finance", "staff"],
    "role_until": "2035-01-31T09:30:00Z",
    "expires_at": "2035-03-31T09:30:00Z",
    "password": "correct horse battery staple",
    "url": "https://gate.example.com/…",
    "link": "https://gate.example.com/invitation/…",
    "next": "https://gate.example.com/api/v1/…?cursor=…",
    "previous": None,
    "lifetime": 3600,
    "limit": 50,
    "device": "Firefox on Linux",
    "ip": "203.0.113.7",
    "action": "account:role:change",
    "result": "success",
    "undoes": None,
    "undone_by": None,
    "undoable": True,
    "undo_reason": "",
    "channel": "web",
    "detail": {"before": "viewer", "after": "editor"},
    "seq": 4711,
    "proof": "anna@example.com",
    "networks": ["203.0.113.0/24"],
    "scopes": ["read"],
    "otp": "123456",
    "reason": "spam",
}
PATH_EXAMPLES = {
    "action": "message",
    "group": "finance",
    "key_id": "Xk3vQ9mT2p",
    "reference": "7KQ2M9XR",
    "seq": "4711",
}
BY_TYPE: dict[str, Any] = {
    "string": "…",
    "integer": 1,
    "number": 1.5,
    "boolean": True,
    "null": None,
}
BY_FORMAT = {
    "uuid": "0199d3a0-7a3e-7c51-9d2f-5b1f0c9e4a77",
    "date-time": "2026-01-31T09:30:00Z",
    "uri": "https://gate.example.com/…",
}
WORDS = {
    "boolean": "true or false",
    "integer": "whole number",
    "string": "text",
    "object": "object",
    "date-time": "date and time",
    "uuid": "UUID",
    "uri": "URL",
}


class Part(NamedTuple):
    """A piece of text. kind: "", "code" or "strong"."""

    text: str
    kind: str = ""


class Field(NamedTuple):
    """A field of a request or response."""

    name: str
    kind: str
    is_required: bool
    help: list[Part]


class Answer(NamedTuple):
    """A response of success; `example` is JSON, "" without a body."""

    status: str
    text: list[Part]
    fields: list[Field]
    example: str


@dataclass(frozen=True, slots=True)
class Operation:
    """A method of a path."""

    id: str
    method: str
    path: str
    summary: str
    paragraphs: list[list[Part]]
    scope: str
    role: str
    is_open: bool
    is_sensitive: bool
    parameters: list[Field]
    body: list[Field]
    answers: list[Answer]
    curl: str


class Group(NamedTuple):
    """The operations of one tag."""

    name: str
    title: str
    text: list[Part]
    operations: list[Operation]


def parts(text: str) -> list[Part]:
    """Split `text` at backticks and double asterisks."""
    return [_part(piece) for piece in MARKED.split(" ".join(text.split())) if piece]


def _part(piece: str) -> Part:
    if piece.startswith("`"):
        return Part(piece.strip("`"), "code")
    return Part(piece.strip("*"), "strong") if piece.startswith("**") else Part(piece)


def groups(document: Document, base_url: str) -> list[Group]:
    """Return every operation of `document`, in the order of its tags.

    base_url: prefix of the URLs in examples.
    """
    found: dict[str, list[Operation]] = {tag["name"]: [] for tag in document.get("tags", ())}
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                operation = _operation(document, path, method, item[method], base_url)
                found.setdefault(item[method]["tags"][0], []).append(operation)
    tags = {tag["name"]: tag for tag in document.get("tags", ())}
    return [
        _group(name, tags.get(name, {}), operations)
        for name, operations in found.items()
        if operations
    ]


def _group(name: str, tag: Document, operations: list[Operation]) -> Group:
    title = tag.get("x-displayName", name.replace("-", " ").capitalize())
    return Group(name, title, parts(tag.get("description", "")), operations)


def introduction(document: Document) -> list[list[Part]]:
    """Return the paragraphs of the document's description."""
    return [parts(text) for text in document["info"]["description"].strip().split("\n\n")]


def _operation(
    document: Document, path: str, method: str, raw: Document, base_url: str
) -> Operation:
    body = _sent(raw).get("schema")
    sentences = [text for text in raw.get("description", "").split("\n\n") if text]
    return Operation(
        id=raw["operationId"],
        method=method.upper(),
        path=path,
        summary=raw.get("summary", raw["operationId"].replace("_", " ").capitalize()),
        paragraphs=[parts(text) for text in sentences if not _is_permission_text(text)],
        scope=raw.get("x-scope", ""),
        role=raw.get("x-role", ""),
        is_open=not raw.get("security"),
        is_sensitive=raw.get("x-recent-authentication", False),
        parameters=[_parameter(document, each) for each in raw.get("parameters", ())],
        body=list(_fields(document, body)) if body else [],
        # Those of failure are the same everywhere, and explained once.
        answers=[
            _answer(document, status, each)
            for status, each in raw["responses"].items()
            if status.startswith("2")
        ],
        curl=_curl(document, path, method, raw, body, base_url),
    )


def _is_permission_text(text: str) -> bool:
    """Whether this is the sentence of schema.permission_text(), which the page shows as badges."""
    return text.startswith(("Requires the ", "Requires a credential", "Open to everyone"))


def _parameter(document: Document, raw: Document) -> Field:
    kind = _kind(document, raw["schema"])
    return Field(raw["name"], kind, raw.get("required", False), parts(raw.get("description", "")))


def _answer(document: Document, status: str, raw: Document) -> Answer:
    raw = _resolved(document, raw)
    schema = raw.get("content", {}).get(JSON, {}).get("schema")
    text = parts(raw["description"])
    if schema is None:
        return Answer(status, text, [], "")
    example = json.dumps(_example(document, schema), indent=2, ensure_ascii=False)
    return Answer(status, text, list(_fields(document, schema)), example)


def _resolved(document: Document, node: Document) -> Document:
    """Return `node` with its reference resolved."""
    if "allOf" in node and len(node["allOf"]) == 1:
        return {**_resolved(document, node["allOf"][0]), **_without(node, "allOf")}
    if "$ref" not in node:
        return node
    found = document
    for name in node["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return {**_resolved(document, found), **_without(node, "$ref")}


def _without(node: Document, name: str) -> Document:
    return {key: value for key, value in node.items() if key != name}


def _fields(
    document: Document, node: Document, prefix: str = "", depth: int = 0
) -> Iterator[Field]:
    """Yield the fields of an object and of nested objects, with dotted names."""
    node = _resolved(document, node)
    required = node.get("required", ())
    for name, raw in node.get("properties", {}).items():
        member = _resolved(document, raw)
        help_text = parts(
            raw.get("description", "") if "$ref" in raw else member.get("description", "")
        )
        full = f"{prefix}{name}"
        yield Field(full, _kind(document, raw), name in required, help_text)
        inner = member.get("items", member)
        if depth < MAX_DEPTH and isinstance(inner, dict):
            place = f"{full}[]." if "items" in member else f"{full}."
            yield from _fields(document, inner, place, depth + 1)


def _kind(document: Document, node: Document) -> str:
    """Describe the type of a value."""
    node = _resolved(document, node)
    if "enum" in node:
        return f"one of {', '.join(str(value) for value in node['enum'] if value is not None)}"
    choices = node.get("oneOf") or node.get("anyOf")
    if choices:
        return " or ".join(dict.fromkeys(_kind(document, choice) for choice in choices))
    types = node.get("type", "any value")
    names = types if isinstance(types, list) else [types]
    if "array" in names:
        return f"list of {_kind(document, node.get('items', {}))}"
    words = [_word(node, name) for name in names if name != "null"]
    return " or ".join(words + ["null"] * ("null" in names)) + _bounds(node)


def _word(node: Document, name: str) -> str:
    """Describe the format of a value, or else its type `name`."""
    return WORDS.get(node.get("format", ""), WORDS.get(name, name))


def _bounds(node: Document) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    if low is not None and high is not None:
        return f", {low} to {high}"
    if node.get("maxLength"):
        return f", at most {node['maxLength']} characters"
    return ""


def _example(document: Document, node: Document, name: str = "", depth: int = 0) -> Any:
    """Return an example value for a schema."""
    node = _resolved(document, node)
    if "properties" in node and depth <= MAX_DEPTH:
        inner = node["properties"].items()
        return {key: _example(document, raw, key, depth + 1) for key, raw in inner}
    types = node.get("type", "string")
    kind = types[0] if isinstance(types, list) else types
    if name in EXAMPLES and _fits(EXAMPLES[name], node, kind):
        return EXAMPLES[name]
    if "enum" in node:
        return node["enum"][0]
    choices = node.get("oneOf") or node.get("anyOf")
    if choices:
        return _example(document, choices[0], name, depth + 1)
    if kind == "array":
        return [_example(document, node.get("items", {}), name, depth + 1)]
    if kind == "object":
        return {}
    return BY_FORMAT.get(node.get("format", ""), BY_TYPE.get(kind, "…"))


def _fits(value: Any, node: Document, kind: str) -> bool:
    kinds = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}
    if value is None:
        return "null" in node.get("type", ())
    return isinstance(value, kinds.get(kind, str)) and value in node.get("enum", [value])


def _curl(
    document: Document, path: str, method: str, raw: Document, body: Any, base_url: str
) -> str:
    """Return the call as a curl command. It is complete but for the API key."""
    parameters = {each["name"]: each for each in raw.get("parameters", ())}

    def value(found: re.Match[str]) -> str:
        schema = parameters[found[1]]["schema"]
        return PATH_EXAMPLES.get(found[1]) or str(_example(document, schema, found[1]))

    url = f'"{base_url}{PLACE.sub(value, path)}"'
    lines = [f"curl -s {url}" if method == "get" else f"curl -s -X {method.upper()} {url}"]
    if raw.get("security"):
        lines.append(f'-H "X-API-Key: {PLACEHOLDER_KEY}"')
    if body:
        lines += _body_lines(raw, _body_example(document, raw, body))
    return " \\\n  ".join(lines)


def _sent(raw: Document) -> Document:
    """The description of the body: JSON, or of a question of an app a form; {} without one."""
    content: Document = raw.get("requestBody", {}).get("content", {})
    found: Document = content.get(JSON) or content.get(FORM) or {}
    return found


def _body_lines(raw: Document, example: Any) -> list[str]:
    if FORM in raw["requestBody"]["content"]:
        kind = f"-H 'Content-Type: {FORM}'"
        return [
            "-u YOUR_CLIENT_ID:YOUR_SECRET",
            kind,
            f"-d {shlex.quote(urlencode(example, safe='…'))}",
        ]
    written = shlex.quote(json.dumps(example, ensure_ascii=False))
    return ["-H 'Content-Type: application/json'", f"-d {written}"]


def _body_example(document: Document, raw: Document, body: Document) -> Any:
    """Return the example that the operation has, else the required fields, else all fields."""
    for given in _sent(raw).get("examples", {}).values():
        return given["value"]
    example = _example(document, body)
    needed = _resolved(document, body).get("required", ())
    return {key: value for key, value in example.items() if key in needed} or example
