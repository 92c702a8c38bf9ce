"""Conferencing Nodes, the Management Node and system locations (the contract's sections 1.4 to 1.6).

Of all these fields Certcast itself uses names, addresses and certificates; the others are kept and given back as they came.
"""

from typing import Final

from manager.management.description import (
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

_LIST: Final = frozenset({Method.GET, Method.POST, Method.PATCH, Method.DELETE})
"""Not PUT, which would replace the whole collection, and delete what its sender had not heard of."""


def _text(name: str, help_text: str, *, most: int, default: str = "", required: bool = False) -> Field:
    """Return a text field that is kept for the client."""
    return Field(
        name=name,
        help=help_text,
        max_length=most,
        blank=not required,
        default="" if required else default,
        filtering=ALL_LOOKUPS,
        orderable=True,
    )


def _named(name: str, help_text: str, *, most: int, unique: bool = False) -> Field:
    """Return a text field that must be given."""
    return Field(
        name=name, help=help_text, max_length=most, unique=unique, filtering=ALL_LOOKUPS, orderable=True
    )


def _perhaps(name: str, help_text: str, *, kind: Kind = Kind.STRING, most: int | None = 255) -> Field:
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


def _flag(name: str, help_text: str, *, default: bool = False) -> Field:
    return Field(
        name=name,
        kind=Kind.BOOLEAN,
        help=help_text,
        blank=True,
        default=default,
        filtering=ALL_LOOKUPS,
        orderable=True,
    )


def _number(
    name: str, help_text: str, *, default: int, least: int | None = None, most: int | None = None
) -> Field:
    return Field(
        name=name,
        kind=Kind.INTEGER,
        help=help_text,
        blank=True,
        default=default,
        minimum=least,
        maximum=most,
        filtering=ALL_LOOKUPS,
        orderable=True,
    )


def _choice(name: str, help_text: str, *choices: Scalar) -> Field:
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


def _one(name: str, help_text: str, related: str, *, required: bool = False) -> Field:
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


def _many(name: str, help_text: str, related: str, *, nested: bool = True) -> Field:
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


def _secret(name: str, help_text: str, *, most: int = 100) -> Field:
    return Field(name=name, help=help_text, max_length=most, blank=True, default="", secret=True)


_TLS: Final = (
    _one("tls_certificate", "The TLS certificate that the node presents as a server.", "tls_certificate"),
    _one(
        "tls_client_certificate",
        "The TLS certificate that the node presents when it is asked for one as a client.",
        "tls_certificate",
    ),
)

_SNMP: Final = (
    _choice("snmp_mode", "The SNMP mode.", "DISABLED", "STANDARD", "AUTHPRIV"),
    _text("snmp_community", "The SNMP group.", most=16, default="public"),
    _text("snmp_username", "The SNMPv3 user name.", most=100),
    _secret("snmp_authentication_password", "The SNMPv3 authentication password. It is never shown."),
    _secret("snmp_privacy_password", "The SNMPv3 privacy password. It is never shown."),
    _text("snmp_system_contact", "The SNMP contact.", most=70, default="admin@domain.com"),
    _text("snmp_system_location", "The SNMP location.", most=70, default="Virtual machine"),
)

_SSH: Final = (
    _choice("enable_ssh", "Whether an administrator can log in over SSH.", "GLOBAL", "OFF", "ON"),
    _many("ssh_authorized_keys", "The SSH keys that may log in.", "ssh_authorized_key", nested=False),
    _flag("ssh_authorized_keys_use_cloud", "Whether keys of the cloud are used too.", default=True),
)

WORKER_VM: Final = Resource(
    namespace=Namespace.CONFIGURATION,
    name="worker_vm",
    title="Conferencing Node",
    help="Nodes. A new one joins with the token that its creation answers with.",
    shown_once=("join_token", "join_command"),
    list_methods=_LIST,
    detail_methods=frozenset({Method.GET, Method.PUT, Method.PATCH, Method.DELETE}),
    fields=(
        ID,
        _named("name", "The name of the node.", most=32, unique=True),
        _named("hostname", "The host name; with the domain it is the node's FQDN.", most=63),
        _named("domain", "The domain; with the host name it is the node's FQDN.", most=192),
        _named("address", "The IPv4 address.", most=45, unique=True),
        _named("netmask", "The IPv4 network mask.", most=45),
        _named("gateway", "The IPv4 gateway.", most=45),
        _one("system_location", "The location of the node.", "system_location", required=True),
        *_TLS,
        _text("alternative_fqdn", "Another name that clients know the node by.", most=255),
        _text("description", "A description.", most=250),
        _choice("node_type", "The node's role.", "CONFERENCING", "PROXYING"),
        Field(
            name="deployment_type",
            help="How the node is deployed.",
            max_length=64,
            blank=True,
            default="MANUAL-PROVISION-ONLY",
            writeonly=True,
        ),
        Field(
            name="vm_cpu_count",
            kind=Kind.INTEGER,
            help="The number of CPUs.",
            blank=True,
            default=4,
            minimum=2,
            maximum=128,
            writeonly=True,
        ),
        Field(
            name="vm_system_memory",
            kind=Kind.INTEGER,
            help="The memory in MB.",
            blank=True,
            default=4096,
            minimum=2000,
            maximum=64000,
            writeonly=True,
        ),
        _perhaps("ipv6_address", "The IPv6 address.", most=45),
        _perhaps("ipv6_gateway", "The IPv6 gateway.", most=45),
        _perhaps("secondary_address", "A second IPv4 address.", most=45),
        _perhaps("secondary_netmask", "The network mask of the second address.", most=45),
        _perhaps("static_nat_address", "The public IPv4 address.", most=45),
        _flag("maintenance_mode", "Whether the node is in maintenance."),
        _text("maintenance_mode_reason", "Why.", most=250),
        _number("media_priority_weight", "The weight in choosing a node for media.", default=0),
        _flag("cloud_bursting", "Whether the node is one of those started on demand."),
        _flag("enable_distributed_database", "Whether the node takes part in the database.", default=True),
        *_SSH,
        *_SNMP,
        _secret("password", "The password of the node's administrator. It is never shown."),
        _many("static_routes", "Static routes.", "static_route"),
        _flag("service_manager", "Kept for older clients.", default=True),
        _flag("service_policy", "Kept for older clients.", default=True),
        _flag("signalling", "Kept for older clients.", default=True),
        _flag("transcoding", "Kept for older clients.", default=True),
        _flag("managed", "Kept for older clients."),
        RESOURCE_URI,
    ),
)

MANAGEMENT_VM: Final = Resource(
    namespace=Namespace.CONFIGURATION,
    name="management_vm",
    title="Management Node",
    help="The node that the manager itself runs on.",
    list_methods=frozenset({Method.GET}),
    detail_methods=frozenset({Method.GET, Method.PATCH}),
    fields=(
        ID,
        _text("name", "The name of the node.", most=32),
        _text("description", "A description.", most=250),
        _text("hostname", "The host name; with the domain it is the node's FQDN.", most=63),
        _text("domain", "The domain; with the host name it is the node's FQDN.", most=192),
        _text("address", "The IPv4 address.", most=45),
        _text("netmask", "The IPv4 network mask.", most=45),
        _text("gateway", "The IPv4 gateway.", most=45),
        _text("alternative_fqdn", "Another name that clients know the node by.", most=255),
        _perhaps("ipv6_address", "The IPv6 address.", most=45),
        _perhaps("ipv6_gateway", "The IPv6 gateway.", most=45),
        _number("mtu", "The largest packet.", default=1500, least=512, most=1500),
        _perhaps("static_nat_address", "The public IPv4 address.", most=45),
        _many("dns_servers", "DNS servers.", "dns_server"),
        _many("ntp_servers", "NTP servers.", "ntp_server"),
        _many("syslog_servers", "Syslog servers.", "syslog_server"),
        _many("static_routes", "Static routes.", "static_route"),
        _many("event_sinks", "Event sinks.", "event_sink"),
        _one("http_proxy", "The web proxy.", "http_proxy"),
        *_TLS,
        *_SSH,
        *_SNMP,
        _one(
            "snmp_network_management_system",
            "Where SNMP traps go.",
            "snmp_network_management_system",
        ),
        _secret(
            "secondary_config_passphrase", "The passphrase of the secondary configuration. It is never shown."
        ),
        Field(
            name="initializing",
            kind=Kind.BOOLEAN,
            help="Whether the node is still starting.",
            readonly=True,
            filtering=ALL_LOOKUPS,
        ),
        Field(
            name="primary",
            kind=Kind.BOOLEAN,
            help="Whether this is the active Management Node.",
            readonly=True,
            filtering=ALL_LOOKUPS,
        ),
        RESOURCE_URI,
    ),
)

_LOCATION_LINKS: Final = (
    ("h323_gatekeeper", "h323_gatekeeper"),
    ("sip_proxy", "sip_proxy"),
    ("mssip_proxy", "mssip_proxy"),
    ("teams_proxy", "teams_proxy"),
    ("turn_server", "turn_server"),
    ("stun_server", "stun_server"),
    ("http_proxy", "http_proxy"),
    ("policy_server", "policy_server"),
    ("snmp_network_management_system", "snmp_network_management_system"),
    ("overflow_location1", "system_location"),
    ("overflow_location2", "system_location"),
    ("transcoding_location", "system_location"),
    ("live_captions_dial_out_1", "system_location"),
    ("live_captions_dial_out_2", "system_location"),
    ("live_captions_dial_out_3", "system_location"),
)

SYSTEM_LOCATION: Final = Resource(
    namespace=Namespace.CONFIGURATION,
    name="system_location",
    title="System location",
    help="Groups of nodes.",
    list_methods=_LIST,
    detail_methods=frozenset({Method.GET, Method.PUT, Method.PATCH, Method.DELETE}),
    fields=(
        ID,
        _named("name", "The name of the location.", most=250, unique=True),
        _text("description", "A description.", most=250),
        _number("mtu", "The largest packet.", default=1500, least=512, most=1500),
        _perhaps("media_qos", "The DSCP value of media.", kind=Kind.INTEGER),
        _perhaps("signalling_qos", "The DSCP value of signalling.", kind=Kind.INTEGER),
        _text("local_mssip_domain", "The domain for Skype for Business.", most=255),
        _choice(
            "bdpm_pin_checks_enabled", "Whether PINs are guarded against guessing.", "GLOBAL", "ON", "OFF"
        ),
        _choice("bdpm_scan_quarantine_enabled", "Whether scans are stopped.", "GLOBAL", "ON", "OFF"),
        _flag("use_relay_candidates_only", "Whether media always passes a relay."),
        _many("dns_servers", "DNS servers.", "dns_server"),
        _many("ntp_servers", "NTP servers.", "ntp_server"),
        _many("syslog_servers", "Syslog servers.", "syslog_server"),
        _many("event_sinks", "Event sinks.", "event_sink"),
        _many("client_turn_servers", "TURN servers for clients.", "turn_server", nested=False),
        _many("client_stun_servers", "STUN servers for clients.", "stun_server", nested=False),
        *(_one(name, "A link that is kept for the client.", related) for name, related in _LOCATION_LINKS),
        RESOURCE_URI,
    ),
)


def _small(name: str, title: str, *fields: Field) -> Resource:
    """Return one of the small resources that a node or a location refers to."""
    return Resource(
        namespace=Namespace.CONFIGURATION,
        name=name,
        title=title,
        help="Kept and given back as it came.",
        list_methods=_LIST,
        detail_methods=frozenset({Method.GET, Method.PUT, Method.PATCH, Method.DELETE}),
        fields=(ID, *fields, RESOURCE_URI),
    )


DNS_SERVER: Final = _small(
    "dns_server",
    "DNS server",
    _named("address", "The IP address.", most=45, unique=True),
    _text("description", "A description.", most=250),
)

NTP_SERVER: Final = _small(
    "ntp_server",
    "NTP server",
    _named("address", "The IP address or FQDN.", most=255, unique=True),
    _text("description", "A description.", most=250),
    _perhaps("key_id", "The key's number.", kind=Kind.INTEGER),
    _secret("key", "The key. It is never shown.", most=255),
)

SYSLOG_SERVER: Final = _small(
    "syslog_server",
    "Syslog server",
    _named("address", "The IP address or FQDN.", most=255),
    _text("description", "A description.", most=250),
    _number("port", "The port.", default=514, least=1, most=65535),
    _choice("transport", "The transport.", "udp", "tcp", "tls"),
    _flag("audit_log", "Whether the audit log is sent.", default=True),
    _flag("support_log", "Whether the support log is sent.", default=True),
    _flag("web_log", "Whether the web log is sent.", default=True),
)

STATIC_ROUTE: Final = _small(
    "static_route",
    "Static route",
    _named("name", "The name of the route.", most=250, unique=True),
    _named("address", "The network.", most=45),
    _number("prefix", "The length of the network's prefix.", default=24, least=0, most=128),
    _named("gateway", "The gateway.", most=45),
)

EVENT_SINK: Final = _small(
    "event_sink",
    "Event sink",
    _named("name", "The name of the event sink.", most=250, unique=True),
    _text("description", "A description.", most=250),
    _named("url", "Where events are sent.", most=255),
    _text("username", "The user name there.", most=100),
    _secret("password", "The password there. It is never shown."),
    _flag("bulk_support", "Whether events are sent together."),
    _flag("verify_tls_certificate", "Whether its certificate is verified."),
    _number("version", "The version of the format.", default=1, least=1, most=2),
)

SMALL: Final = (DNS_SERVER, NTP_SERVER, SYSLOG_SERVER, STATIC_ROUTE, EVENT_SINK)
