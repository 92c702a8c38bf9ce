"""The documents that tell clients what there is: one root for each part of the API, one schema for each resource.

Decides their form (the contract's sections 3.1 and 3.2); everything in them comes from the descriptions.
Invariant: a document has only types that every client can read, and no secret's value.
"""

from manager.infinity_api.contract.description import Field, Kind, Resource, order_methods
from manager.infinity_api.contract.index import RESOURCES
from manager.infinity_api.contract.query import DEFAULT_LIMIT


def root_document(path: str) -> dict[str, dict[str, str]]:
    """Return the root document at a path; empty where nothing stands below."""
    return {
        resource.name: {"list_endpoint": resource.path, "schema": resource.schema_path}
        for resource in RESOURCES
        if resource.root_path == path
    }


def schema_document(resource: Resource) -> dict[str, object]:
    """Return a resource's schema document."""
    return {
        "allowed_detail_http_methods": list(resource.shown_detail_methods),
        "allowed_list_http_methods": list(order_methods(resource.list_methods)),
        "default_format": "application/json",
        "default_limit": DEFAULT_LIMIT,
        "fields": {field.name: _field(field) for field in resource.fields},
        "filtering": {name: list(lookups) for name, lookups in resource.filtering.items()},
        "ordering": list(resource.ordering),
    }


def _field(field: Field) -> dict[str, object]:
    written: dict[str, object] = {
        "blank": field.blank,
        "help_text": field.help,
        "nullable": field.nullable,
        "readonly": field.readonly,
        "type": field.kind.value,
        "unique": field.unique,
    }
    if field.has_default:
        written["default"] = field.default
    if field.max_length is not None:
        written["max_length"] = field.max_length
    if field.kind is Kind.RELATED:
        written["related_type"] = field.related_type.value
    choices = [True, False] if field.kind is Kind.BOOLEAN else list(field.choices)
    if choices:
        written["valid_choices"] = choices
    return written
