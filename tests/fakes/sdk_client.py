"""How the Go client reads what it gets: as strictly as sections 4.3 and 4.4 of the contract say. What it cannot decode raises.

A missing or null text, number, truth or list is its zero; a "time" may be neither, a "time?" both, a "time!" (of the older client)
missing but not null; another type fails.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6}(Z|[+-]\d\d:\d\d)|(\.\d{1,9})?)")
LOCATION = re.compile(r"/(\d+)/?$")

Shape = Mapping[str, Any]

_DECODED = {
    **dict.fromkeys(
        [
            *("certificate", "subject_name", "subject_hash", "raw_subject", "issuer_name", "issuer_hash"),
            *("raw_issuer", "serial_no", "key_id", "issuer_key_id", "text", "resource_uri"),
        ],
        "string",
    ),
    **dict.fromkeys(["start_date", "end_date"], "time"),
    "id": "int",
}
_SERVER = {"id": "int", "address": "string", "description": "string"}
_SERVERS = {name: [_SERVER] for name in ("dns_servers", "ntp_servers", "syslog_servers")}
_SNMP = dict.fromkeys(
    [
        *("enable_ssh", "snmp_mode", "snmp_community", "snmp_username", "snmp_authentication_password"),
        *("snmp_privacy_password", "snmp_system_contact", "snmp_system_location"),
    ],
    "string",
)
_KEYS = {"ssh_authorized_keys": ["string"], "ssh_authorized_keys_use_cloud": "bool"}
_NODE = dict.fromkeys(
    [
        *("name", "hostname", "domain", "address", "netmask", "gateway", "alternative_fqdn", "description"),
        *("ipv6_address", "ipv6_gateway", "static_nat_address", "tls_certificate", "tls_client_certificate"),
        "resource_uri",
    ],
    "string",
)
_STATUS = {
    "id": "int",
    "configuration_id": "int",
    **dict.fromkeys(["name", "version", "sync_status", "upgrade_status", "resource_uri"], "string"),
    **dict.fromkeys(["last_attempted_contact", "last_updated"], "time?"),
}
_ALARM = {
    "id": "int",
    "identifier": "int",
    **dict.fromkeys(["name", "level", "details", "instance", "node", "resource_uri"], "string"),
    "time_raised": "time?",
}

_SMALL = {"id": "int", **dict.fromkeys(["name", "description", "address", "resource_uri"], "string")}
_LOGIN = dict.fromkeys(["username", "password"], "string")
_PERMISSION = {"id": "int", **dict.fromkeys(["name", "codename", "resource_uri"], "string")}
_POLICY = [
    *(
        f"enable_{what}_lookup"
        for what in ("service", "participant", "registration", "directory", "avatar", "media_location")
    ),
    *(f"enable_internal_{what}_policy" for what in ("service", "participant", "media_location")),
    "prefer_local_avatar_configuration",
]
_COUNTS = dict.fromkeys(["total_nodes", "active_nodes", "active_calls"], "int")

SMALL_SHAPES: Mapping[str, Shape] = {
    "configuration/v1/dns_server": _SMALL,
    "configuration/v1/ntp_server": {**_SMALL, "key_id": "int"},
    "configuration/v1/static_route": {**_SMALL, "prefix": "int", "gateway": "string"},
    "configuration/v1/syslog_server": {
        **_SMALL,
        "port": "int",
        **dict.fromkeys(["transport", "proto_format"], "string"),
        **dict.fromkeys(["audit_log", "support_log", "web_log"], "bool"),
    },
    "configuration/v1/event_sink": {
        **_SMALL,
        **_LOGIN,
        "url": "string",
        **dict.fromkeys(["bulk_support", "verify_tls_certificate"], "bool"),
        "version": "int",
        "restart_date": "time?",
    },
    "configuration/v1/ssh_authorized_key": {
        "id": "int",
        **dict.fromkeys(["keytype", "key", "comment", "resource_uri"], "string"),
        "nodes": ["string"],
    },
    "configuration/v1/http_proxy": {**_SMALL, **_LOGIN, "port": "int", "protocol": "string"},
    "configuration/v1/snmp_network_management_system": {
        **_SMALL,
        "port": "int",
        "snmp_trap_community": "string",
    },
    "configuration/v1/mssip_proxy": {**_SMALL, "port": "int", "transport": "string"},
    "configuration/v1/sip_proxy": {**_SMALL, "port": "int", "transport": "string"},
    "configuration/v1/policy_server": {
        **_SMALL,
        **_LOGIN,
        "url": "string",
        **dict.fromkeys(_POLICY, "bool"),
        **{
            f"internal_{what}_policy_template": "string"
            for what in ("service", "participant", "media_location")
        },
    },
    "configuration/v1/h323_gatekeeper": {**_SMALL, "port": "int"},
    "configuration/v1/turn_server": {
        **_SMALL,
        **_LOGIN,
        "port": "int",
        **dict.fromkeys(["secret_key", "server_type", "transport_type"], "string"),
    },
    "configuration/v1/stun_server": {**_SMALL, "port": "int"},
    "configuration/v1/azure_tenant": {**_SMALL, "tenant_id": "string"},
    "configuration/v1/teams_proxy": {
        **_SMALL,
        **dict.fromkeys(["azure_tenant", "eventhub_id", "notifications_queue"], "string"),
        **dict.fromkeys(["port", "min_number_of_instances"], "int"),
        "notifications_enabled": "bool",
        "updated": "time?",
    },
}
"""The small resources, of which there are none at first."""

SHAPES: Mapping[str, Shape] = {
    **SMALL_SHAPES,
    "configuration/v1/oauth2_client": dict.fromkeys(
        ["client_id", "client_name", "role", "private_key_jwt", "resource_uri"], "string"
    )
    | {"id": "int"},
    "configuration/v1/role": {
        "id": "int",
        "name": "string",
        "permissions": [_PERMISSION],
        "resource_uri": "string",
    },
    "configuration/v1/permission": _PERMISSION,
    "configuration/v1/global": {
        "id": "int",
        **dict.fromkeys(
            ["sip_tls_cert_verify_mode", "ocsp_state", "ocsp_responder_url", "azure_tenant", "resource_uri"],
            "string",
        ),
        **dict.fromkeys(["enable_sip", "enable_ssh", "bursting_enabled"], "bool"),
        **dict.fromkeys(["media_ports_start", "management_qos", "max_callrate_in"], "int"),
        "disabled_codecs": [{"value": "string"}],
    },
    "status/v1/system_location": {
        "id": "int",
        **dict.fromkeys(["name", "description", "resource_uri"], "string"),
        **_COUNTS,
    },
    "configuration/v1/tls_certificate": {
        **_DECODED,
        **dict.fromkeys(
            ["private_key", "private_key_passphrase", "parameters", "subject_alt_names"], "string"
        ),
        "nodes": ["string"],
    },
    "configuration/v1/ca_certificate": {**_DECODED, "trusted_intermediate": "bool"},
    "configuration/v1/certificate_signing_request": {
        "id": "int",
        **dict.fromkeys(
            [
                *("subject_name", "dn", "additional_subject_alt_names", "private_key_type", "private_key"),
                *("private_key_passphrase", "tls_certificate", "csr", "certificate", "resource_uri"),
            ],
            "string",
        ),
        "ad_compatible": "bool",
    },
    "configuration/v1/worker_vm": {
        **_NODE,
        **_SNMP,
        **_KEYS,
        "id": "int",
        **dict.fromkeys(
            [
                *(
                    "system_location",
                    "node_type",
                    "deployment_type",
                    "secondary_address",
                    "secondary_netmask",
                ),
                *("maintenance_mode_reason", "password"),
            ],
            "string",
        ),
        **dict.fromkeys(["vm_cpu_count", "vm_system_memory", "media_priority_weight"], "int"),
        **dict.fromkeys(
            [
                *("maintenance_mode", "cloud_bursting", "enable_distributed_database", "service_manager"),
                *("service_policy", "signalling", "transcoding", "managed"),
            ],
            "bool",
        ),
        "static_routes": [{"id": "int", "name": "string", "address": "string", "prefix": "int"}],
    },
    "configuration/v1/management_vm": {
        **_NODE,
        **_SNMP,
        **_KEYS,
        **_SERVERS,
        "id": "int",
        "mtu": "int",
        **dict.fromkeys(["http_proxy", "snmp_network_management_system"], "string"),
        **dict.fromkeys(["initializing", "primary"], "bool"),
        "static_routes": [{"id": "int"}],
        "event_sinks": [{"id": "int"}],
    },
    "configuration/v1/system_location": {
        "id": "int",
        **_SERVERS,
        **dict.fromkeys(
            [
                *("name", "description", "local_mssip_domain", "bdpm_pin_checks_enabled", "resource_uri"),
                *("bdpm_scan_quarantine_enabled", "h323_gatekeeper", "sip_proxy", "http_proxy"),
                *("overflow_location1", "overflow_location2", "transcoding_location", "turn_server"),
            ],
            "string",
        ),
        **dict.fromkeys(["mtu", "media_qos", "signalling_qos"], "int"),
        "use_relay_candidates_only": "bool",
        "event_sinks": [{"id": "int"}],
        "client_turn_servers": ["string"],
        "client_stun_servers": ["string"],
    },
    "status/v1/alarm": {**_ALARM, "acknowledged": "bool"},
    "history/v1/alarm": {**_ALARM, "time_lowered": "time?"},
    "status/v1/management_vm": {**_STATUS, "primary": "bool"},
    "status/v1/worker_vm": {
        **_STATUS,
        **dict.fromkeys(
            [
                *("node_type", "system_location", "deploy_status", "hypervisor", "cpu_capabilities"),
                *("cpu_model", "maintenance_mode_reason"),
            ],
            "string",
        ),
        "boot_time": "time?",
        **dict.fromkeys(["last_attempted_contact", "last_updated", "last_reported"], "time!"),
        "maintenance_mode": "bool",
        **dict.fromkeys(
            [
                *("cpu_count", "total_ram", "max_audio_calls", "max_sd_calls", "max_hd_calls"),
                *("max_full_hd_calls", "max_direct_participants", "max_media_tokens", "media_tokens_used"),
                *("media_load", "signaling_count"),
            ],
            "int",
        ),
    },
}


class DecodeError(ValueError):
    """What the Go decoder would stop at."""


def decode(shape: Any, value: Any, place: str = "$") -> Any:
    """Return a value as the client has it."""
    match shape:
        case Mapping():
            if not isinstance(value, dict):
                raise DecodeError(f"{place}: {value!r} is no object")
            return {
                name: decode(kind, value.get(name), f"{place}.{name}")
                for name, kind in shape.items()
                if name in value or kind != "time!"
            }
        case [each]:
            if value is not None and not isinstance(value, list):
                raise DecodeError(f"{place}: {value!r} is no list")
            return [decode(each, item, f"{place}[{number}]") for number, item in enumerate(value or [])]
        case "time" | "time?" | "time!":
            return _time(value, place, nullable=shape == "time?")
        case _:
            types = {"string": str, "int": int, "bool": bool}[shape]
            if value is not None and type(value) is not types:
                raise DecodeError(f"{place}: {value!r} is no {shape}")
            return types() if value is None else value


def read_object(resource: str, body: bytes) -> dict[str, Any]:
    return decode(SHAPES[resource], msgspec.json.decode(body))


def read_list(resource: str, body: bytes) -> dict[str, Any]:
    meta = {"limit": "int", "offset": "int", "total_count": "int", "next": "string", "previous": "string"}
    return decode({"meta": meta, "objects": [SHAPES[resource]]}, msgspec.json.decode(body))


def created_id(location: str) -> int:
    found = LOCATION.search(location)
    if found is None:
        raise DecodeError(f"no id in the location {location!r}")
    return int(found[1])


def _time(value: Any, place: str, *, nullable: bool) -> Any:
    if value is None and nullable:
        return None
    if not isinstance(value, str) or not TIME.fullmatch(value):
        raise DecodeError(f"{place}: {value!r} is no time")
    return value
