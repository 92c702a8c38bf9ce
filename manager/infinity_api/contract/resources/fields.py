"""Fields of resources: those that are shown, and those that are kept for clients of the management API.

Decides what such fields have in common: they can be filtered and ordered by. Invariant: a secret is taken and never shown.
"""

from typing import Final

from manager.infinity_api.contract.description import (
    ALL_LOOKUPS,
    ID,
    RESOURCE_URI,
    Field,
    Kind,
    Method,
    Namespace,
    RelatedType,
    Resource,
    Scalar,
)

LIST: Final = frozenset({Method.GET, Method.POST, Method.PATCH, Method.DELETE})
"""Not PUT, which would replace the whole collection, and delete what its sender had not heard of."""


ONE: Final = frozenset({Method.GET, Method.PUT, Method.PATCH, Method.DELETE})


def text(name: str, help_text: str, *, most: int, default: str = "", nullable: bool = False) -> Field:
    """Return a text field that is kept for the client; where it is `nullable`, null comes back as null."""
    return Field(
        name=name,
        help=help_text,
        max_length=most,
        blank=True,
        nullable=nullable,
        default=default,
        filtering=ALL_LOOKUPS,
        orderable=True,
    )


def required_text(name: str, help_text: str, *, most: int, unique: bool = False) -> Field:
    """Return a text field that must be given."""
    return Field(
        name=name, help=help_text, max_length=most, unique=unique, filtering=ALL_LOOKUPS, orderable=True
    )


def shown(name: str, help_text: str, *, kind: Kind = Kind.STRING, nullable: bool = False) -> Field:
    """Return a field that clients see and cannot set."""
    return Field(
        name=name,
        kind=kind,
        help=help_text,
        readonly=True,
        nullable=nullable,
        filtering=ALL_LOOKUPS,
        orderable=True,
    )


def nullable(name: str, help_text: str, *, kind: Kind = Kind.STRING, most: int | None = 255) -> Field:
    """Return a field that may be null."""
    return Field(
        name=name,
        kind=kind,
        help=help_text,
        max_length=most if kind is Kind.STRING else None,
        blank=True,
        nullable=True,
        default=None,
        filtering=ALL_LOOKUPS,
        orderable=True,
    )


def flag(name: str, help_text: str, *, default: bool = False) -> Field:
    """Return a field that is true or false."""
    return Field(
        name=name,
        kind=Kind.BOOLEAN,
        help=help_text,
        blank=True,
        default=default,
        filtering=ALL_LOOKUPS,
        orderable=True,
    )


def number(
    name: str, help_text: str, *, default: int, least: int | None = None, most: int | None = None
) -> Field:
    """Return a field with a number, between these if they are given. 0 where it cannot be is what clients send for "unset"."""
    return Field(
        name=name,
        kind=Kind.INTEGER,
        help=help_text,
        blank=True,
        default=default,
        minimum=least,
        maximum=most,
        zero_is_absent=least is not None and least > 0,
        filtering=ALL_LOOKUPS,
        orderable=True,
    )


def choice(name: str, help_text: str, *choices: Scalar) -> Field:
    """Return a field with one of these values; the first is the default."""
    return Field(
        name=name,
        help=help_text,
        blank=True,
        default=choices[0],
        choices=choices,
        filtering=ALL_LOOKUPS,
        orderable=True,
    )


def one(name: str, help_text: str, related: str, *, required: bool = False) -> Field:
    """Return a link to one object."""
    return Field(
        name=name,
        kind=Kind.RELATED,
        related=related,
        help=help_text,
        blank=not required,
        nullable=not required,
        through=("name",) if related == "system_location" else (),
        filtering=ALL_LOOKUPS,
    )


def many(name: str, help_text: str, related: str, *, nested: bool = True) -> Field:
    """Return links to several objects; `nested` ones are answered whole."""
    return Field(
        name=name,
        kind=Kind.RELATED,
        related=related,
        related_type=RelatedType.TO_MANY,
        nested=nested,
        help=help_text,
        blank=True,
    )


def secret(name: str, help_text: str, *, most: int = 100) -> Field:
    """Return a field that is checked, never shown and not kept: nothing here would use it."""
    return Field(name=name, help=help_text, max_length=most, blank=True, default="", secret=True)


def kept(
    name: str, title: str, *fields: Field, unique_together: tuple[tuple[str, ...], ...] = ()
) -> Resource:
    """Return a resource that is kept and given back as it came, what is not described too."""
    return Resource(
        namespace=Namespace.CONFIGURATION,
        name=name,
        title=title,
        help="Kept and given back as it came.",
        list_methods=LIST,
        detail_methods=ONE,
        fields=(ID, *fields, RESOURCE_URI),
        keeps_more=True,
        unique_together=unique_together,
    )
