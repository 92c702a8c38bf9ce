"""How the command-line client reads what it caches: strictly, as section 3 of the contract says. What it would drop or die of raises."""

from typing import Annotated, Any, Literal

import msgspec

Methods = list[Literal["get", "post", "put", "delete", "patch"]]
Count = Annotated[int, msgspec.Meta(ge=0)]


class RootEntry(msgspec.Struct):
    list_endpoint: str
    schema: str


class Field(msgspec.Struct, kw_only=True):
    blank: bool
    nullable: bool
    readonly: bool
    unique: bool
    help_text: str
    type: Literal[
        "string", "boolean", "datetime", "date", "time", "integer", "float", "related", "list", "file"
    ]
    default: Any = None
    related_type: Literal["to_one", "to_many"] | None = None
    valid_choices: list[Any] | None = None


class Schema(msgspec.Struct, kw_only=True):
    allowed_detail_http_methods: Methods
    allowed_list_http_methods: Methods
    default_limit: Count
    fields: dict[str, Field]
    filtering: dict[str, int | list[str]] = {}
    ordering: list[str] = []

    def required_flags(self) -> set[str]:
        """Return the flags that `post` cannot do without."""
        return {
            name
            for name, field in self.fields.items()
            if not (field.readonly or field.blank or field.nullable or field.default is not None)
        }


class Meta(msgspec.Struct, kw_only=True):
    limit: Count
    offset: Count
    total_count: Count
    next: str | None = None
    previous: str | None = None

    def __post_init__(self) -> None:
        for address in (self.next, self.previous):
            if address is not None and not address.startswith("/"):
                raise ValueError(f"{address!r} does not begin with a slash")


class Envelope(msgspec.Struct, kw_only=True):
    meta: Meta
    objects: list[dict[str, Any]]


def read_root(document: object) -> dict[str, RootEntry]:
    return msgspec.convert(document, dict[str, RootEntry])


def read_schema(document: object) -> Schema:
    return msgspec.convert(document, Schema)


def read_list(body: bytes) -> Envelope:
    return msgspec.json.decode(body, type=Envelope)
