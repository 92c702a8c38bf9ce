"""The small resources that nodes and locations refer to (the contract's section 20).

Nothing here depends on them: they are kept and given back as they came. What is secret among them is checked and not kept.
"""

from typing import Final

from manager.infinity_api.contract.description import ALL_LOOKUPS, Field, Kind
from manager.infinity_api.contract.resources.fields import (
    choice,
    flag,
    kept,
    nullable,
    number,
    one,
    required_text,
    secret,
    text,
)

PORT_MAX: Final = 65535


def _name(what: str) -> Field:
    return required_text("name", f"The name of the {what}.", most=250, unique=True)


def _address(help_text: str = "The IP address or FQDN.") -> Field:
    return required_text("address", help_text, most=255)


_DESCRIPTION: Final = text("description", "A description.", most=250, nullable=True)
_USERNAME: Final = text("username", "The user name there.", most=100, nullable=True)
_PASSWORD: Final = secret("password", "The password there. It is never shown, and not kept.")


def _port(default: int) -> Field:
    return number("port", "The port.", default=default, least=0, most=PORT_MAX)


def _nullable_port() -> Field:
    return nullable("port", "The port; null where it is found by DNS.", kind=Kind.INTEGER)


DNS_SERVER: Final = kept(
    "dns_server",
    "DNS server",
    required_text("address", "The IP address.", most=45, unique=True),
    _DESCRIPTION,
)

NTP_SERVER: Final = kept(
    "ntp_server",
    "NTP server",
    required_text("address", "The IP address or FQDN.", most=255, unique=True),
    text("description", "A description.", most=255, nullable=True),
    nullable("key_id", "The key's number.", kind=Kind.INTEGER),
    secret("key", "The key. It is never shown, and not kept.", most=255),
)

SYSLOG_SERVER: Final = kept(
    "syslog_server",
    "Syslog server",
    _address(),
    _DESCRIPTION,
    _port(514),
    choice("transport", "The transport.", "udp", "tcp", "tls"),
    flag("audit_log", "Whether the audit log is sent.", default=True),
    flag("support_log", "Whether the support log is sent.", default=True),
    flag("web_log", "Whether the web log is sent.", default=True),
    text("proto_format", "The format of its messages.", most=64, default="rfc3164"),
    unique_together=(("address", "port", "transport"),),
)

STATIC_ROUTE: Final = kept(
    "static_route",
    "Static route",
    _name("route"),
    required_text("address", "The network.", most=45),
    number("prefix", "The length of the network's prefix.", default=24, least=0, most=128),
    required_text("gateway", "The gateway.", most=45),
)

EVENT_SINK: Final = kept(
    "event_sink",
    "Event sink",
    _name("event sink"),
    _DESCRIPTION,
    required_text("url", "Where events are sent.", most=500),
    _USERNAME,
    _PASSWORD,
    flag("bulk_support", "Whether events are sent together."),
    flag("verify_tls_certificate", "Whether its certificate is verified."),
    number("version", "The version of the format.", default=1, least=1),
    nullable("restart_date", "When it is started again.", kind=Kind.DATETIME),
)

SSH_AUTHORIZED_KEY: Final = kept(
    "ssh_authorized_key",
    "SSH authorized key",
    text("keytype", "The type of the key, like ssh-ed25519.", most=64),
    required_text("key", "The public key, in base64.", most=16384, unique=True),
    text("comment", "A comment.", most=250, nullable=True),
    Field(
        name="nodes", kind=Kind.LIST, help="The URIs of the nodes that accept it.", blank=True, max_length=255
    ),
)

HTTP_PROXY: Final = kept(
    "http_proxy",
    "Web proxy",
    _name("proxy"),
    _address(),
    nullable("port", "The port.", kind=Kind.INTEGER),
    _USERNAME,
    _PASSWORD,
    text("protocol", "The protocol.", most=64, default="http"),
)

SNMP_NETWORK_MANAGEMENT_SYSTEM: Final = kept(
    "snmp_network_management_system",
    "SNMP network management system",
    _name("system"),
    _DESCRIPTION,
    _address(),
    _port(161),
    text("snmp_trap_community", "The community of its traps.", most=250, default="public"),
)

MSSIP_PROXY: Final = kept(
    "mssip_proxy",
    "Skype for Business server",
    _name("server"),
    _DESCRIPTION,
    _address(),
    _nullable_port(),
    text("transport", "The transport.", most=64, default="tls"),
)

SIP_PROXY: Final = kept(
    "sip_proxy",
    "SIP proxy",
    _name("proxy"),
    _DESCRIPTION,
    _address(),
    _nullable_port(),
    text("transport", "The transport.", most=64, default="tls"),
)

POLICY_SERVER: Final = kept(
    "policy_server",
    "Policy server",
    _name("policy server"),
    _DESCRIPTION,
    text("url", "Where it is asked.", most=500, nullable=True),
    _USERNAME,
    _PASSWORD,
    *(
        flag(f"enable_{what}_lookup", f"Whether it is asked about {people}.")
        for what, people in (
            ("service", "services"),
            ("participant", "participants"),
            ("registration", "registrations"),
            ("directory", "the directory"),
            ("avatar", "avatars"),
            ("media_location", "media locations"),
        )
    ),
    *(
        flag(f"enable_internal_{what}_policy", "Whether the template is used.")
        for what in ("service", "participant", "media_location")
    ),
    *(
        text(f"internal_{what}_policy_template", "The template.", most=49152, nullable=True)
        for what in ("service", "participant", "media_location")
    ),
    flag("prefer_local_avatar_configuration", "Whether local avatars come first."),
)

H323_GATEKEEPER: Final = kept(
    "h323_gatekeeper",
    "H.323 gatekeeper",
    _name("gatekeeper"),
    _DESCRIPTION,
    _address(),
    nullable("port", "The port.", kind=Kind.INTEGER),
)

TURN_SERVER: Final = kept(
    "turn_server",
    "TURN server",
    _name("server"),
    _DESCRIPTION,
    _address(),
    nullable("port", "The port.", kind=Kind.INTEGER),
    _USERNAME,
    _PASSWORD,
    secret("secret_key", "The shared secret. It is never shown, and not kept.", most=256),
    text("server_type", "How its clients prove themselves.", most=64, default="namepsw"),
    text("transport_type", "The transport.", most=64, default="udp"),
)

STUN_SERVER: Final = kept(
    "stun_server",
    "STUN server",
    _name("server"),
    _DESCRIPTION,
    _address(),
    _port(3478),
)

AZURE_TENANT: Final = kept(
    "azure_tenant",
    "Azure tenant",
    _name("tenant"),
    _DESCRIPTION,
    required_text("tenant_id", "The tenant's identifier.", most=250),
)

TEAMS_PROXY: Final = kept(
    "teams_proxy",
    "Teams Connector",
    _name("connector"),
    text("description", "A description.", most=250),
    _address(),
    _port(443),
    one("azure_tenant", "The tenant.", "azure_tenant", required=True),
    nullable("eventhub_id", "The identifier of the event hub.", most=1024),
    number("min_number_of_instances", "The least number of instances.", default=1, least=0),
    flag("notifications_enabled", "Whether it receives events."),
    Field(
        name="notifications_queue",
        help="The connection string of the queue of these, without its key, which is not kept.",
        max_length=1024,
        blank=True,
        nullable=True,
        default=None,
        keyed=True,
        filtering=ALL_LOOKUPS,
        orderable=True,
    ),
    nullable("updated", "When it was changed.", kind=Kind.DATETIME),
)

SMALL: Final = (
    DNS_SERVER,
    NTP_SERVER,
    SYSLOG_SERVER,
    STATIC_ROUTE,
    EVENT_SINK,
    SSH_AUTHORIZED_KEY,
    HTTP_PROXY,
    SNMP_NETWORK_MANAGEMENT_SYSTEM,
    MSSIP_PROXY,
    SIP_PROXY,
    POLICY_SERVER,
    H323_GATEKEEPER,
    TURN_SERVER,
    STUN_SERVER,
    AZURE_TENANT,
    TEAMS_PROXY,
)
