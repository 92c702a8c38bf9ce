"""What several of these tests send and expect."""

from typing import Any

from tests.integration.infinity_api.platform import (
    CONFIGURATION,
    MANAGERS,
    ROOT,
    Client,
)

ROOTS = [
    f"{ROOT}/{path}/"
    for path in (
        *("command/v1/conference", "command/v1/participant", "command/v1/platform"),
        *("configuration/v1", "history/v1", "status/v1"),
    )
]

AT = {"address": "192.0.2.7"}

NAMED = {"name": "n", **AT}


async def tenant(client: Client) -> str:
    return await client.post(f"{CONFIGURATION}/azure_tenant/", {"name": "t", "tenant_id": "t-1"})


async def whole_bodies(client: Client) -> dict[str, dict[str, Any]]:
    """Return a body with every field for each small resource, none of them the default, as the current Go client sends it."""
    login = {"username": "u", "password": "a-secret-of-theirs"}
    lookups = ("service", "participant", "registration", "directory", "avatar", "media_location")
    internal = ("service", "participant", "media_location")
    return {
        "dns_server": {**AT, "description": "d"},
        "ntp_server": {**AT, "description": "d", "key_id": 7, "key": "a-secret-of-theirs"},
        "syslog_server": {
            **AT,
            "description": "d",
            "port": 6514,
            "transport": "tls",
            "audit_log": False,
            "support_log": False,
            "web_log": False,
            "proto_format": "rfc5424",
        },
        "static_route": {"name": "n", "address": "198.51.100.0", "prefix": 25, "gateway": "192.0.2.1"},
        "event_sink": {
            "name": "n",
            "description": None,
            "url": f"https://sink.example.test/{'p' * 400}",
            **login,
            "bulk_support": True,
            "verify_tls_certificate": True,
            "version": 3,
            "restart_date": "2026-01-02T03:04:05",
        },
        "ssh_authorized_key": {
            "keytype": "ssh-ed25519",
            "key": "AAAAC3",
            "comment": "c",
            "nodes": [f"{MANAGERS}1/"],
        },
        "http_proxy": {**NAMED, "port": 8080, **login, "protocol": "http"},
        "snmp_network_management_system": {
            **NAMED,
            "description": "d",
            "port": 162,
            "snmp_trap_community": "c",
        },
        "mssip_proxy": {**NAMED, "description": "d", "port": None, "transport": "tcp"},
        "sip_proxy": {**NAMED, "description": "d", "port": 5061, "transport": "tcp"},
        "policy_server": {
            "name": "n",
            "description": "d",
            "url": "https://policy.example.test",
            **login,
            **{f"enable_{what}_lookup": True for what in lookups},
            **{f"enable_internal_{what}_policy": True for what in internal},
            **{f"internal_{what}_policy_template": "{}\n" for what in internal},
            "prefer_local_avatar_configuration": True,
        },
        "h323_gatekeeper": {**NAMED, "description": "d", "port": 1719},
        "turn_server": {
            **NAMED,
            "description": "d",
            "port": 443,
            **login,
            "secret_key": "a-secret-of-theirs",
            "server_type": "coturn_shared",
            "transport_type": "tls",
        },
        "stun_server": {**NAMED, "description": "d", "port": 3479},
        "azure_tenant": {"name": "n", "description": "d", "tenant_id": "t-2"},
        "teams_proxy": {
            **NAMED,
            "description": "d",
            "port": 8443,
            "azure_tenant": await tenant(client),
            "eventhub_id": "e",
            "min_number_of_instances": 3,
            "notifications_enabled": True,
            "notifications_queue": "q",
            "updated": None,
        },
    }


SECRET = {"password", "secret_key", "key"}


def shown_again(resource: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return what an answer must have of a body: all but secrets."""
    hidden = SECRET if resource != "ssh_authorized_key" else set[str]()
    return {name: value for name, value in body.items() if name not in hidden}
