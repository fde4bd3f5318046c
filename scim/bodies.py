"""What clients send: resources in the form of the schema, messages, and which attributes they want.

Pure. Names of attributes count in any case (RFC 7643, section 2.1). What the schema does not have,
or clients may only read, is left out; a value of the wrong type is refused.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from scim.errors import InvalidSyntax, InvalidValue
from scim.filters import KEYWORDS, is_unicode, split_name
from scim.schemas import Attribute, Schema

MAX_TEXT_LENGTH = 1000
MAX_ELEMENTS = 10_000


def clean_resource(body: Any, schema: Schema) -> dict[str, Any]:
    """The writable attributes of a POST or PUT. Raises InvalidSyntax, InvalidValue."""
    message = _message(body)
    urns = message.get("schemas")
    if not isinstance(urns, list) or schema.urn.lower() not in map(_folded, urns):
        raise InvalidSyntax(f"`schemas` must name {schema.urn}.")
    found: dict[str, Any] = {}
    for name, value in message.items():
        attribute = schema.find(name)
        if attribute is None or attribute.is_read_only:
            continue
        cleaned = clean_value(attribute, value)
        if cleaned is not None:
            found[attribute.name] = cleaned
    return found


def clean_value(attribute: Attribute, value: Any) -> Any:
    """The value in the form of the attribute; None for none (RFC 7643, section 2.5)."""
    if value is None or value == [] or value == {}:
        return None
    if not attribute.multi:
        return _clean_one(attribute, value)
    elements = value if isinstance(value, list) else [value]
    if len(elements) > MAX_ELEMENTS:
        raise InvalidValue(f"{attribute.name}: at most {MAX_ELEMENTS} values.")
    cleaned = (clean_element(attribute, element) for element in elements)
    return [element for element in cleaned if element] or None


def clean_element(attribute: Attribute, value: Any) -> dict[str, Any]:
    """One value of an attribute that has several. A text alone is its `value`."""
    found: dict[str, Any] = _clean_complex(
        attribute, {"value": value} if isinstance(value, str) else value
    )
    return found


def _clean_one(attribute: Attribute, value: Any) -> Any:
    if attribute.type == "complex":
        return _clean_complex(attribute, value) or None
    if attribute.type == "boolean":
        return _boolean(attribute, value)
    if not isinstance(value, str):
        raise InvalidValue(f"{attribute.name} must be a text.")
    if len(value) > MAX_TEXT_LENGTH or "\0" in value or not is_unicode(value):
        raise InvalidValue(f"{attribute.name} is too long, or has signs that cannot be stored.")
    return value.strip() or None


def _clean_complex(attribute: Attribute, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidValue(f"{attribute.name} must be an object.")
    found = {}
    for name, inner in value.items():
        sub = attribute.sub(name)
        if sub is None or sub.is_read_only or inner is None:
            continue
        cleaned = _clean_one(sub, inner)
        if cleaned is not None:
            found[sub.name] = cleaned
    return found


def _boolean(attribute: Attribute, value: Any) -> bool:
    """Also "True" and "False", which Entra sends."""
    found = KEYWORDS.get(value.strip().lower()) if isinstance(value, str) else value
    if not isinstance(found, bool):
        raise InvalidValue(f"{attribute.name} must be true or false.")
    return found


def message_of(body: Any, urn: str) -> dict[str, Any]:
    """The members of a message of this kind, names in lower case. Raises InvalidSyntax."""
    found = {name.lower(): value for name, value in _message(body).items()}
    urns = found.get("schemas")
    if not isinstance(urns, list) or urn.lower() not in map(_folded, urns):
        raise InvalidSyntax(f"`schemas` must name {urn}.")
    return found


def _message(body: Any) -> Mapping[str, Any]:
    if not isinstance(body, Mapping):
        raise InvalidSyntax("The body must be a JSON object.")
    names = [name.lower() for name in body]
    if len(set(names)) < len(names):
        raise InvalidSyntax("The body has a name twice; case does not count.")
    return body


def _folded(value: Any) -> str:
    return value.lower() if isinstance(value, str) else ""


def project(
    resource: dict[str, Any], schema: Schema, wanted: Iterable[str], excluded: Iterable[str]
) -> dict[str, Any]:
    """The resource as the parameters attributes and excludedAttributes ask (RFC 7644, 3.9)."""
    asked, left_out = _paths(wanted, schema), _paths(excluded, schema)
    if asked is None and left_out is None:
        return resource
    found = {}
    for name, value in resource.items():
        if name in ("schemas", "id"):
            found[name] = value
            continue
        kept = value if asked is None else _pick(value, name, asked)
        kept = kept if left_out is None else _drop(kept, name, left_out)
        if kept is not None:
            found[name] = kept
    return found


def is_wanted(name: str, schema: Schema, wanted: Iterable[str], excluded: Iterable[str]) -> bool:
    """Whether an attribute, which costs a query, is a part of the answer."""
    asked, left_out = _paths(wanted, schema), _paths(excluded, schema)
    if left_out is not None and (name,) in left_out:
        return False
    return asked is None or any(path[0] == name for path in asked)


def _paths(names: Iterable[str], schema: Schema) -> set[tuple[str, ...]] | None:
    """Lower-case paths; None without any. What the schema does not have selects nothing."""
    texts = [name.strip() for name in names if name.strip()]
    found = set()
    for text in texts:
        try:
            path = split_name(text, schema)
        except ValueError:
            path = None
        if path is not None:
            found.add(tuple(part.lower() for part in path))
    return found if texts else None


def _pick(value: Any, name: str, asked: set[tuple[str, ...]]) -> Any:
    folded = name.lower()
    if (folded,) in asked:
        return value
    subs = {path[1] for path in asked if path[0] == folded and len(path) == 2}
    return _some(value, lambda sub: sub in subs) if subs else None


def _drop(value: Any, name: str, left_out: set[tuple[str, ...]]) -> Any:
    folded = name.lower()
    if (folded,) in left_out:
        return None
    subs = {path[1] for path in left_out if path[0] == folded and len(path) == 2}
    return _some(value, lambda sub: sub not in subs) if subs else value


def _some(value: Any, keeps: Any) -> Any:
    if isinstance(value, list):
        return [_some(each, keeps) for each in value]
    if not isinstance(value, dict):
        return value
    return {name: inner for name, inner in value.items() if keeps(name.lower())}
