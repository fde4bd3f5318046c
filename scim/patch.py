"""PATCH (RFC 7644, section 3.5.2) over a resource as a dictionary. Pure.

Also what Entra and Okta send beside it: operations in any case, `"False"` for false, an object of
paths without a path, `remove` of members with a value.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from scim.bodies import clean_element, clean_value, message_of
from scim.errors import InvalidPath, InvalidSyntax, InvalidValue, Mutability, NoTarget
from scim.filters import Both, Comparison, Filter, Path, element_matches, parse_path
from scim.schemas import PATCH_URN, Attribute, Schema

MAX_OPERATIONS = 100
Element = dict[str, Any]


def apply_patch(resource: dict[str, Any], body: Any, schema: Schema) -> dict[str, Any]:
    """The resource after all operations, in order. `resource` stays as it is.

    Raises InvalidSyntax, InvalidPath, InvalidFilter, InvalidValue, NoTarget, Mutability.
    """
    operations = message_of(body, PATCH_URN).get("operations")
    if not isinstance(operations, list) or not 1 <= len(operations) <= MAX_OPERATIONS:
        raise InvalidSyntax(f"`Operations` must be a list of 1 to {MAX_OPERATIONS} operations.")
    patched = deepcopy(resource)
    for operation in operations:
        _apply(patched, operation, schema)
    for attribute in schema.attributes:
        if attribute.required and attribute.name in resource and attribute.name not in patched:
            raise Mutability(f"{attribute.name} is required. Replace it instead of removing it.")
    return patched


def _apply(resource: dict[str, Any], operation: Any, schema: Schema) -> None:
    if not isinstance(operation, Mapping):
        raise InvalidSyntax("An operation must be an object.")
    given = {name.lower(): value for name, value in operation.items()}
    op = given.get("op")
    op = op.lower() if isinstance(op, str) else ""
    if op not in ("add", "replace", "remove"):
        raise InvalidSyntax("`op` must be add, replace or remove.")
    if op != "remove" and "value" not in given:
        raise InvalidSyntax(f"An operation {op} needs a `value`.")
    path = given.get("path")
    if path in (None, ""):
        _apply_object(resource, op, given.get("value"), schema)
        return
    if not isinstance(path, str):
        raise InvalidPath("`path` must be a text.")
    _apply_path(resource, op, parse_path(path, schema), given.get("value"))


def _apply_object(resource: dict[str, Any], op: str, value: Any, schema: Schema) -> None:
    """Without a path, the value names what changes. What clients may only read is left out."""
    if op == "remove":
        raise NoTarget("An operation remove needs a `path`.")
    if not isinstance(value, Mapping):
        raise InvalidValue("Without a path, `value` must be an object of attributes.")
    for name, inner in value.items():
        if name.lower() == schema.urn.lower():
            _apply_object(resource, op, inner, schema)
            continue
        try:
            path = parse_path(name, schema)
        except InvalidPath:
            continue  # as in a POST
        if path.attribute is not None and not path.attribute.is_read_only:
            _apply_path(resource, op, path, inner)


def _apply_path(resource: dict[str, Any], op: str, path: Path, value: Any) -> None:
    attribute, sub = path.attribute, path.sub
    if attribute is None:
        return
    if attribute.is_read_only or (sub is not None and sub.is_read_only):
        raise Mutability(f"{(sub or attribute).name} cannot be changed.")
    if path.inner is not None:
        _change_elements(resource, op, path, value)
    elif sub is not None and attribute.multi:
        _change_each(resource, op, attribute, sub, value)
    elif sub is not None:
        inner = dict(resource.get(attribute.name, {}))
        _set(inner, sub.name, None if op == "remove" else clean_value(sub, value))
        _set(resource, attribute.name, inner)
    elif attribute.multi:
        _change_list(resource, op, attribute, value)
    else:
        _change_single(resource, op, attribute, value)


def _set(target: dict[str, Any], name: str, value: Any) -> None:
    """None, an empty list and an empty object are no value (RFC 7643, section 2.5)."""
    if value in (None, [], {}):
        target.pop(name, None)
    else:
        target[name] = value


def _change_single(resource: dict[str, Any], op: str, attribute: Attribute, value: Any) -> None:
    cleaned = None if op == "remove" else clean_value(attribute, value)
    if attribute.type == "complex" and cleaned is not None:
        cleaned = {**resource.get(attribute.name, {}), **cleaned}
    _set(resource, attribute.name, cleaned)


def _change_list(resource: dict[str, Any], op: str, attribute: Attribute, value: Any) -> None:
    before: list[Element] = resource.get(attribute.name, [])
    given: list[Element] = clean_value(attribute, value) or []
    if op == "remove":
        gone = {element.get("value") for element in given}
        kept = [each for each in before if each.get("value") not in gone] if given else []
        _set(resource, attribute.name, kept)
    elif op == "replace":
        _set(resource, attribute.name, given)
    else:
        _add(resource, attribute, given)


def _add(resource: dict[str, Any], attribute: Attribute, given: list[Element]) -> None:
    """What is there already is not added again. A new primary one takes that from the others."""
    elements: list[Element] = list(resource.get(attribute.name, []))
    places = {element.get("value"): number for number, element in enumerate(elements)}
    for element in given:
        if element.get("primary"):
            elements = [{**each, "primary": False} for each in elements]
        place = places.get(element.get("value"))
        if place is None:
            places[element.get("value")] = len(elements)
            elements.append(element)
        else:
            elements[place] = {**elements[place], **element}
    _set(resource, attribute.name, elements)


def _change_each(
    resource: dict[str, Any], op: str, attribute: Attribute, sub: Attribute, value: Any
) -> None:
    """`emails.value`: the sub-attribute of every element."""
    cleaned = None if op == "remove" else clean_value(sub, value)
    elements = [dict(element) for element in resource.get(attribute.name, [])]
    if not elements and cleaned is not None:
        elements = [{}]
    for element in elements:
        _set(element, sub.name, cleaned)
    _set(resource, attribute.name, [element for element in elements if element])


def _change_elements(resource: dict[str, Any], op: str, path: Path, value: Any) -> None:
    """The elements that the filter of the path selects."""
    attribute, inner, sub = path.attribute, path.inner, path.sub
    if attribute is None or inner is None:
        return
    elements: list[Element] = list(resource.get(attribute.name, []))
    is_chosen = [element_matches(inner, element) for element in elements]
    if not any(is_chosen):
        if op == "replace":
            raise NoTarget(f"No value of {attribute.name} matches the path.")
        if op == "add":
            given = {sub.name: clean_value(sub, value)} if sub else clean_element(attribute, value)
            _add(resource, attribute, [{**_described(inner), **given}])
        return
    change = _element_change(op, attribute, sub, value)
    changed = [
        change(element) if chosen else element
        for element, chosen in zip(elements, is_chosen, strict=True)
    ]
    _set(resource, attribute.name, [element for element in changed if element])


def _element_change(
    op: str, attribute: Attribute, sub: Attribute | None, value: Any
) -> Callable[[Element], Element]:
    if sub is not None:
        cleaned = None if op == "remove" else clean_value(sub, value)

        def change(element: Element) -> Element:
            found = dict(element)
            _set(found, sub.name, cleaned)
            return found

        return change
    if op == "remove":
        return lambda _element: {}
    given = clean_element(attribute, value)
    return lambda element: given if op == "replace" else {**element, **given}


def _described(inner: Filter) -> Element:
    """What an element must have for the filter to select it: `type eq "work"` is a work one."""
    match inner:
        case Both(left, right, False):
            return {**_described(left), **_described(right)}
        case Comparison(_path, "eq", value, attribute) if value is not None:
            return {attribute.name: value}
    return {}
