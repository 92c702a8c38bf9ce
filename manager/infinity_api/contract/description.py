"""Description of a resource of the management API: its fields, its methods, and its paths.

Decides what can be said about a resource. Validation, filters, schema documents, OpenAPI and routes are all
derived from it, so there is no second list to keep in step. Others decide what is stored.

Invariant: a description that contradicts itself (a secret with a filter, a default that is not a choice)
cannot be made.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias

# What a field holds inside: text, number, truth, null; a time as unix seconds; a related object as its id;
# lists and sets of related objects as sequences (of ids, or of whole JSON objects in answers).
Scalar: TypeAlias = str | int | float | bool | None
Value: TypeAlias = Scalar | list["Value"] | dict[str, "Value"]
Values: TypeAlias = dict[str, Value]

ROOT: Final = "/api/admin"


class Kind(StrEnum):
    """The kinds of field that every client can read (the framework's "dict" and "decimal" make one drop the resource)."""

    STRING = "string"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    FLOAT = "float"
    DATETIME = "datetime"
    RELATED = "related"
    LIST = "list"


class Namespace(StrEnum):
    """The parts of the API."""

    CONFIGURATION = "configuration"
    STATUS = "status"
    HISTORY = "history"
    COMMAND = "command"


class Method(StrEnum):
    """Methods, in lower case as schema documents have them, and in the order in which we list them."""

    GET = "get"
    POST = "post"
    PUT = "put"
    PATCH = "patch"
    DELETE = "delete"


class FilterComparison(StrEnum):
    """How a filter compares; the bare field name is EXACT."""

    EXACT = "exact"
    IEXACT = "iexact"
    CONTAINS = "contains"
    ICONTAINS = "icontains"
    STARTSWITH = "startswith"
    ISTARTSWITH = "istartswith"
    ENDSWITH = "endswith"
    IENDSWITH = "iendswith"
    REGEX = "regex"
    IREGEX = "iregex"
    LT = "lt"
    LTE = "lte"
    GT = "gt"
    GTE = "gte"
    IN = "in"
    RANGE = "range"
    ISNULL = "isnull"


ALL_LOOKUPS: Final = frozenset(FilterComparison)
NO_LOOKUPS: Final[frozenset[FilterComparison]] = frozenset()
_NO_SPELLINGS: Final[Mapping[str, str]] = MappingProxyType({})


class RelatedType(StrEnum):
    """How many objects a related field names."""

    TO_ONE = "to_one"
    TO_MANY = "to_many"


class Unset:
    """The type of UNSET: a field without a default (null is a default)."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a resource.

    `blank` may be omitted (and, as text, be empty). `readonly` is shown and never accepted; `writeonly` is
    accepted and never shown. `secret` is writeonly and its value is never quoted; with `masked` it is shown
    as empty text. `minimum` and `maximum` are inclusive. `related` names the resource that a related field
    points to, in `related_namespace`; a to-many one with `nested` is answered as whole objects. `through`
    names text fields of the related object that filters and orders may use, as `<field>__<name>` in the row.
    With `zero_is_absent`, 0 means no value: a client writes it back for what no answer shows. A `precise`
    time always has a fraction. `spellings` are further texts by which a filter may name a value. A text with
    `or_object` may also be an object, since clients of different age send either; a `keyed` text is stored
    without any key in it. A `left_out` field is omitted when null, because a client cannot read null there.
    """

    name: str
    kind: Kind = Kind.STRING
    help: str = ""
    blank: bool = False
    nullable: bool = False
    readonly: bool = False
    writeonly: bool = False
    secret: bool = False
    masked: bool = False
    unique: bool = False
    default: Value | Unset = UNSET
    max_length: int | None = None
    minimum: int | float | None = None
    maximum: int | float | None = None
    choices: tuple[Scalar, ...] = ()
    related: str = ""
    related_namespace: Namespace = Namespace.CONFIGURATION
    related_type: RelatedType = RelatedType.TO_ONE
    nested: bool = False
    through: tuple[str, ...] = ()
    filtering: frozenset[FilterComparison] = NO_LOOKUPS
    orderable: bool = False
    zero_is_absent: bool = False
    precise: bool = False
    or_object: bool = False
    keyed: bool = False
    left_out: bool = False
    spellings: Mapping[str, str] = field(default_factory=lambda: _NO_SPELLINGS)

    def __post_init__(self) -> None:
        faults = (
            (
                self.is_hidden and (self.filtering or self.orderable),
                "what is never shown cannot be filtered or ordered by",
            ),
            (self.masked and not self.secret, "only a secret is shown as empty text"),
            (self.readonly and self.is_hidden, "a field that is neither shown nor taken"),
            (
                (self.kind is Kind.RELATED) is not bool(self.related),
                "a related field names its resource, and only such a one",
            ),
            (
                self.secret and self.default not in {UNSET, ""},
                "a secret has no default that a schema would show",
            ),
            (
                self.choices and self.default not in (UNSET, None, "", *self.choices),
                "a default is one of the choices",
            ),
            (self.through and not self.related, "only a related field leads through to another object"),
            (self.orderable and self.is_many, "a list has no order"),
            (self.or_object and (self.filtering or self.orderable), "an object has no order and no filter"),
            (self.left_out and not self.nullable, "only what can be null is left out"),
        )
        for is_so, why in faults:
            if is_so:
                raise ValueError(f"{self.name}: {why}")

    @property
    def is_hidden(self) -> bool:
        """Return whether no answer ever has its value."""
        return self.writeonly or self.secret

    @property
    def is_many(self) -> bool:
        """Return whether its value is a sequence."""
        return self.kind is Kind.LIST or (
            self.kind is Kind.RELATED and self.related_type is RelatedType.TO_MANY
        )

    @property
    def has_default(self) -> bool:
        """Return whether there is a default; null is one."""
        return not isinstance(self.default, Unset)

    @property
    def is_required(self) -> bool:
        """Return whether a create needs it; by this rule the command-line client demands its flag."""
        has_one = self.has_default and self.default is not None
        return not (self.readonly or self.blank or self.nullable or has_one)

    def is_absent(self, value: Value) -> bool:
        """Return whether to ignore a value: null where it is not one, or what clients send for "unset".

        Clients' types have an empty text in place of a choice, and 0 for a value that no answer shows. For
        links to several objects, null is the empty list.
        """
        match value:
            case None:
                return not (self.nullable or (self.kind is Kind.RELATED and self.is_many))
            case "":
                return bool(self.choices) and "" not in self.choices
            case bool():
                return False
            case int() | float() | str():
                return self.zero_is_absent and value in {0, "0"}
            case _:
                return False

    @property
    def initial(self) -> Value:
        """Return the value of a new object for which none was given."""
        if self.is_many:
            return list(self.default) if isinstance(self.default, list) else []
        if not isinstance(self.default, Unset):
            return self.default
        if self.nullable:
            return None
        return _EMPTY.get(self.kind)


_EMPTY: Final[Mapping[Kind, Value]] = MappingProxyType(
    {Kind.STRING: "", Kind.BOOLEAN: False, Kind.INTEGER: 0, Kind.FLOAT: 0.0}
)

ID: Final = Field(
    name="id",
    kind=Kind.INTEGER,
    help="The primary key.",
    blank=True,
    default="",
    readonly=True,
    unique=True,
    filtering=ALL_LOOKUPS,
    orderable=True,
)
RESOURCE_URI: Final = Field(name="resource_uri", help="The URI that identifies this resource.", readonly=True)


def order_methods(methods: Iterable[Method]) -> tuple[Method, ...]:
    """Return the methods in the order in which we list them."""
    wanted = set(methods)
    return tuple(method for method in Method if method in wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A resource: `/api/admin/<namespace>/v1/[<group>/]<name>/`.

    `aliases` are further paths that mean the same. `list_methods` are those of the collection,
    `detail_methods` those of one object. A command has only POST, on its own path. The answer that makes an
    object has the texts `shown_once`, or is empty without any; with `shown_on_creation` it is the whole
    object with these texts. What `gives_access` is made and changed with a user's own password only. No two
    objects have the same values in all fields of one of `unique_together`. A PATCH must have the fields
    `patch_needs` as long as the object lacks them. With `keeps_more`, fields without a description are stored
    and returned unchanged (`more.read_more`): clients are newer than this description.
    """

    namespace: Namespace
    name: str
    title: str
    fields: tuple[Field, ...]
    list_methods: frozenset[Method]
    detail_methods: frozenset[Method] = frozenset()
    group: str = ""
    help: str = ""
    aliases: tuple[str, ...] = ()
    keeps_more: bool = False
    shown_once: tuple[str, ...] = ()
    shown_on_creation: bool = False
    gives_access: bool = False
    patch_needs: tuple[str, ...] = ()
    unique_together: tuple[tuple[str, ...], ...] = ()
    by_name: Mapping[str, Field] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_name = {each.name: each for each in self.fields}
        if len(by_name) != len(self.fields):
            raise ValueError(f"{self.name}: two fields have the same name")
        object.__setattr__(self, "by_name", MappingProxyType(by_name))

    @property
    def is_command(self) -> bool:
        """Return whether a POST carries something out, rather than making an object."""
        return self.namespace is Namespace.COMMAND

    @property
    def path(self) -> str:
        """Return the path of the collection, or of the command."""
        return f"{self.root_path}{self.name}/"

    @property
    def root_path(self) -> str:
        """Return the path of the root document that lists it."""
        return root_path(self.namespace, self.group)

    @property
    def schema_path(self) -> str:
        """Return the path of its schema document."""
        return f"{self.path}schema/"

    def uri(self, object_id: int) -> str:
        """Return the path of one object, which is also how other objects refer to it."""
        return f"{self.path}{object_id}/"

    @property
    def shown_detail_methods(self) -> tuple[Method, ...]:
        """Return the methods for the schema's detail list, in which POST stands if objects can be made at all.

        The command-line client makes its sub-commands, `post` included, from this list alone.
        """
        posts = {Method.POST} if Method.POST in self.list_methods else set()
        return order_methods(self.detail_methods | posts)

    @property
    def writable(self) -> tuple[Field, ...]:
        """Return the fields that a request may set."""
        return tuple(each for each in self.fields if not each.readonly)

    @property
    def shown(self) -> tuple[Field, ...]:
        """Return the fields that an answer has; masked ones as empty text."""
        return tuple(each for each in self.fields if each.masked or not each.is_hidden)

    @property
    def filtering(self) -> dict[str, tuple[FilterComparison, ...]]:
        """Return the fields that can be filtered by, with their lookups in our order."""
        return {
            each.name: tuple(lookup for lookup in FilterComparison if lookup in each.filtering)
            for each in self.fields
            if each.filtering
        }

    @property
    def ordering(self) -> tuple[str, ...]:
        """Return the fields that can be ordered by."""
        return tuple(each.name for each in self.fields if each.orderable)


def root_path(namespace: Namespace, group: str = "") -> str:
    """Return the path of a root document."""
    return f"{ROOT}/{namespace}/v1/{group}/" if group else f"{ROOT}/{namespace}/v1/"
