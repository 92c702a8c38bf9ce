"""Conferencing Nodes, the Management Node and system locations (the contract's sections 1.4 to 1.6).

Of all these fields Certcast itself uses names, addresses and certificates; the others are kept and given back as they came.
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
    Resource,
)
from manager.infinity_api.contract.resources.fields import (
    LIST,
    ONE,
    choice,
    flag,
    many,
    nullable,
    number,
    one,
    required_text,
    secret,
    text,
)

_TLS: Final = (
    one("tls_certificate", "The TLS certificate that the node presents as a server.", "tls_certificate"),
    one(
        "tls_client_certificate",
        "The TLS certificate that the node presents when it is asked for one as a client.",
        "tls_certificate",
    ),
)

_SNMP: Final = (
    choice("snmp_mode", "The SNMP mode.", "DISABLED", "STANDARD", "AUTHPRIV"),
    text("snmp_community", "The SNMP group.", most=16, default="public"),
    text("snmp_username", "The SNMPv3 user name.", most=100),
    secret("snmp_authentication_password", "The SNMPv3 authentication password. It is never shown."),
    secret("snmp_privacy_password", "The SNMPv3 privacy password. It is never shown."),
    text("snmp_system_contact", "The SNMP contact.", most=70, default="admin@domain.com"),
    text("snmp_system_location", "The SNMP location.", most=70, default="Virtual machine"),
)

_SSH: Final = (
    choice("enable_ssh", "Whether an administrator can log in over SSH.", "GLOBAL", "OFF", "ON"),
    many("ssh_authorized_keys", "The SSH keys that may log in.", "ssh_authorized_key", nested=False),
    flag("ssh_authorized_keys_use_cloud", "Whether keys of the cloud are used too.", default=True),
)

WORKER_VM: Final = Resource(
    namespace=Namespace.CONFIGURATION,
    name="worker_vm",
    title="Conferencing Node",
    help="Nodes. A new one joins with the token that its creation answers with; the texts are empty for a token that may not obtain it.",
    shown_once=("join_token", "join_command"),
    list_methods=LIST,
    detail_methods=ONE,
    keeps_more=True,
    fields=(
        ID,
        required_text("name", "The name of the node.", most=32, unique=True),
        required_text("hostname", "The host name; with the domain it is the node's FQDN.", most=63),
        required_text("domain", "The domain; with the host name it is the node's FQDN.", most=192),
        required_text("address", "The IPv4 address.", most=45, unique=True),
        required_text("netmask", "The IPv4 network mask.", most=45),
        required_text("gateway", "The IPv4 gateway.", most=45),
        one("system_location", "The location of the node.", "system_location", required=True),
        *_TLS,
        text("alternative_fqdn", "Another name that clients know the node by.", most=255),
        text("description", "A description.", most=250),
        choice("node_type", "The node's role.", "CONFERENCING", "PROXYING"),
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
            zero_is_absent=True,
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
            zero_is_absent=True,
            writeonly=True,
        ),
        nullable("ipv6_address", "The IPv6 address.", most=45),
        nullable("ipv6_gateway", "The IPv6 gateway.", most=45),
        nullable("secondary_address", "A second IPv4 address.", most=45),
        nullable("secondary_netmask", "The network mask of the second address.", most=45),
        nullable("static_nat_address", "The public IPv4 address.", most=45),
        flag("maintenance_mode", "Whether the node is in maintenance."),
        text("maintenance_mode_reason", "Why.", most=250),
        number("media_priority_weight", "The weight in choosing a node for media.", default=0),
        flag("cloud_bursting", "Whether the node is one of those started on demand."),
        flag("enable_distributed_database", "Whether the node takes part in the database.", default=True),
        *_SSH,
        *_SNMP,
        secret("password", "The password of the node's administrator. It is never shown."),
        many("static_routes", "Static routes.", "static_route"),
        flag("service_manager", "Kept for older clients.", default=True),
        flag("service_policy", "Kept for older clients.", default=True),
        flag("signalling", "Kept for older clients.", default=True),
        flag("transcoding", "Kept for older clients.", default=True),
        flag("managed", "Kept for older clients."),
        RESOURCE_URI,
    ),
)

MANAGEMENT_VM: Final = Resource(
    namespace=Namespace.CONFIGURATION,
    name="management_vm",
    title="Management Node",
    help="The node that the manager itself runs on.",
    list_methods=frozenset({Method.GET}),
    # PUT is what one client sends where PATCH is meant
    detail_methods=frozenset({Method.GET, Method.PUT, Method.PATCH}),
    keeps_more=True,
    fields=(
        ID,
        text("name", "The name of the node.", most=32),
        text("description", "A description.", most=250),
        text("hostname", "The host name; with the domain it is the node's FQDN.", most=63),
        text("domain", "The domain; with the host name it is the node's FQDN.", most=192),
        text("address", "The IPv4 address.", most=45),
        text("netmask", "The IPv4 network mask.", most=45),
        text("gateway", "The IPv4 gateway.", most=45),
        text("alternative_fqdn", "Another name that clients know the node by.", most=255),
        nullable("ipv6_address", "The IPv6 address.", most=45),
        nullable("ipv6_gateway", "The IPv6 gateway.", most=45),
        number("mtu", "The largest packet.", default=1500, least=512, most=1500),
        nullable("static_nat_address", "The public IPv4 address.", most=45),
        many("dns_servers", "DNS servers.", "dns_server"),
        many("ntp_servers", "NTP servers.", "ntp_server"),
        many("syslog_servers", "Syslog servers.", "syslog_server"),
        many("static_routes", "Static routes.", "static_route"),
        many("event_sinks", "Event sinks.", "event_sink"),
        one("http_proxy", "The web proxy.", "http_proxy"),
        *_TLS,
        *_SSH,
        *_SNMP,
        one(
            "snmp_network_management_system",
            "Where SNMP traps go.",
            "snmp_network_management_system",
        ),
        secret(
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
    list_methods=LIST,
    detail_methods=ONE,
    keeps_more=True,
    fields=(
        ID,
        required_text("name", "The name of the location.", most=250, unique=True),
        text("description", "A description.", most=250),
        number("mtu", "The largest packet.", default=1500, least=512, most=1500),
        nullable("media_qos", "The DSCP value of media.", kind=Kind.INTEGER),
        nullable("signalling_qos", "The DSCP value of signalling.", kind=Kind.INTEGER),
        text("local_mssip_domain", "The domain for Skype for Business.", most=255),
        choice(
            "bdpm_pin_checks_enabled", "Whether PINs are guarded against guessing.", "GLOBAL", "ON", "OFF"
        ),
        choice("bdpm_scan_quarantine_enabled", "Whether scans are stopped.", "GLOBAL", "ON", "OFF"),
        flag("use_relay_candidates_only", "Whether media always passes through a relay."),
        many("dns_servers", "DNS servers.", "dns_server"),
        many("ntp_servers", "NTP servers.", "ntp_server"),
        many("syslog_servers", "Syslog servers.", "syslog_server"),
        many("event_sinks", "Event sinks.", "event_sink"),
        many("client_turn_servers", "TURN servers for clients.", "turn_server", nested=False),
        many("client_stun_servers", "STUN servers for clients.", "stun_server", nested=False),
        *(one(name, "A link that is kept for the client.", related) for name, related in _LOCATION_LINKS),
        RESOURCE_URI,
    ),
)
