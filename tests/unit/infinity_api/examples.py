"""Resources for the tests of the core, in which each kind of field and each rule has one example."""

from manager.infinity_api.contract.description import (
    ALL_LOOKUPS,
    ID,
    RESOURCE_URI,
    Field,
    FilterComparison,
    Kind,
    Method,
    Namespace,
    RelatedType,
    Resource,
)

GET, POST, PUT, PATCH, DELETE = Method.GET, Method.POST, Method.PUT, Method.PATCH, Method.DELETE

CERTIFICATE = Resource(
    namespace=Namespace.CONFIGURATION,
    name="tls_certificate",
    title="TLS certificate",
    list_methods=frozenset({DELETE, GET, POST, PATCH}),
    detail_methods=frozenset({DELETE, GET, PATCH}),
    fields=(
        ID,
        Field(name="certificate", help="The PEM text."),
        Field(name="private_key", secret=True, max_length=12288),
        Field(
            name="private_key_passphrase", secret=True, masked=True, blank=True, default="", max_length=100
        ),
        Field(name="parameters", blank=True, default="", max_length=1000),
        Field(name="nodes", kind=Kind.LIST, blank=True),
        Field(name="start_date", kind=Kind.DATETIME, readonly=True, filtering=ALL_LOOKUPS, orderable=True),
        Field(name="end_date", kind=Kind.DATETIME, readonly=True, filtering=ALL_LOOKUPS, orderable=True),
        Field(name="subject_name", readonly=True, max_length=250, filtering=ALL_LOOKUPS, orderable=True),
        Field(
            name="key_id",
            readonly=True,
            nullable=True,
            filtering=frozenset({FilterComparison.EXACT, FilterComparison.ISNULL}),
        ),
        RESOURCE_URI,
    ),
)

WORKER = Resource(
    namespace=Namespace.CONFIGURATION,
    name="worker_vm",
    title="Conferencing Node",
    list_methods=frozenset(Method),
    detail_methods=frozenset({GET, PUT, PATCH, DELETE}),
    fields=(
        ID,
        Field(name="name", max_length=32, unique=True, filtering=ALL_LOOKUPS, orderable=True),
        Field(name="description", blank=True, default="", max_length=250, filtering=ALL_LOOKUPS),
        Field(
            name="node_type",
            default="CONFERENCING",
            choices=("CONFERENCING", "PROXYING"),
            filtering=ALL_LOOKUPS,
        ),
        Field(
            name="vm_cpu_count",
            kind=Kind.INTEGER,
            default=4,
            minimum=2,
            maximum=128,
            filtering=ALL_LOOKUPS,
            orderable=True,
        ),
        Field(name="load", kind=Kind.FLOAT, default=0.0, minimum=0, filtering=ALL_LOOKUPS, orderable=True),
        Field(
            name="maintenance_mode", kind=Kind.BOOLEAN, default=False, filtering=ALL_LOOKUPS, orderable=True
        ),
        Field(name="ipv6_address", nullable=True, filtering=ALL_LOOKUPS, orderable=True),
        Field(name="password", secret=True, blank=True, max_length=100),
        Field(name="note", writeonly=True, blank=True),
        Field(
            name="system_location",
            kind=Kind.RELATED,
            related="system_location",
            filtering=ALL_LOOKUPS,
            through=("name",),
            orderable=True,
        ),
        Field(
            name="tls_certificate",
            kind=Kind.RELATED,
            related="tls_certificate",
            nullable=True,
            filtering=ALL_LOOKUPS,
        ),
        Field(
            name="dns_servers",
            kind=Kind.RELATED,
            related="dns_server",
            related_type=RelatedType.TO_MANY,
            nested=True,
            blank=True,
            filtering=ALL_LOOKUPS,
        ),
        Field(
            name="ssh_authorized_keys",
            kind=Kind.RELATED,
            related="ssh_authorized_key",
            related_type=RelatedType.TO_MANY,
            blank=True,
        ),
        Field(name="start_time", kind=Kind.DATETIME, nullable=True, filtering=ALL_LOOKUPS, orderable=True),
        RESOURCE_URI,
    ),
)

IMPORT = Resource(
    namespace=Namespace.COMMAND,
    group="platform",
    name="certificates_import",
    title="Import certificates",
    list_methods=frozenset({POST}),
    aliases=("/api/admin/command/v1/certificates/import/",),
    fields=(
        Field(name="bundle", secret=True),
        Field(name="private_key_passphrase", secret=True, blank=True, default=""),
    ),
)

ALARM = Resource(
    namespace=Namespace.STATUS,
    name="alarm",
    title="Alarm",
    list_methods=frozenset({GET}),
    detail_methods=frozenset({GET}),
    fields=(
        ID,
        Field(name="level", readonly=True, filtering=ALL_LOOKUPS, orderable=True),
        Field(name="time_raised", kind=Kind.DATETIME, readonly=True, nullable=True, orderable=True),
        RESOURCE_URI,
    ),
)

ALL = (CERTIFICATE, WORKER, IMPORT, ALARM)
