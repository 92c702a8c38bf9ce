"""Words for node states and alarm kinds: what the pages, the alarms and the operator's command say of each code.

Pure, and stands on nothing, so that the command may use it as well as the manager. Which codes there are is decided in `manager.domain`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

NODE_STATES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "in_sync": ("In sync", "It runs what it should, and its ports show it."),
        "installing": ("Installing", "A push is under way."),
        "pending": ("Pending", "It does not have the latest yet; it is pushed when things are quiet."),
        "failed": ("Failed", "The last attempt failed; it still serves what it had."),
        "not_serving": ("Not serving", "It is installed, but a port shows something else."),
        "drifted": ("Drifted", "Files on the node were changed; the agent repairs them."),
        "reload_waiting": (
            "Reload waits",
            "Everything is installed; a service waits for its window, since its last reload, or to be started.",
        ),
        "scheduled": (
            "Scheduled",
            "A certificate that is not valid yet is installed when it begins; until then the former one stays.",
        ),
        "conflict": ("Conflict", "It runs what this store never published; it waits for your decision."),
        "offline": ("Offline", "It has no connection; it gets what changed when it is back."),
        "never_joined": ("Never joined", "It was added, but its agent has not joined yet."),
    }
)
"""Of each state of a node its name, and what it means."""

ALARM_TITLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "no_certificate": "Node has no TLS certificate",
        "chain_incomplete": "TLS certificate has an incomplete chain of trust",
        "certificate_expiring": "TLS certificate expires soon",
        "certificate_expired": "TLS certificate has expired",
        "ca_expiring": "Trusted CA certificate expires soon",
        "ca_expired": "Trusted CA certificate has expired",
        "out_of_sync": "Node does not have what it should",
        "not_serving": "Service does not show the installed certificate",
        "install_failed": "Installation failed",
        "drifted": "Files on the node were changed",
        "offline": "Node is offline",
        "conflict": "Node has a generation that the manager does not know",
        "clock_skew": "Node's clock is wrong",
        "evaluation_silent": "Alarms were not evaluated",
        "name_mismatch": "TLS certificate is not valid for the node's names",
        "duplicate_identity": "Two agents use the key of one node",
        "services_invalid": "Node's own configuration has mistakes",
        "must_staple_unproven": "Service does not staple though its certificate demands it",
        "trusted_ca_held_out": "Trusted CA is held out of what nodes get",
        "client_ca_list_too_long": "Trusted CAs have too many names for TLS",
        "certificate_held_out": "TLS certificate is held out of what nodes get",
        "audit_log_broken": "Audit log was altered",
    }
)
"""Of each alarm kind what is wrong."""
