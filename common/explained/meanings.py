"""Words for node states, alarm kinds, configuration mistakes, waits and consequences, on pages, in alarms and commands.

Pure, and imports nothing, so that both the command and the manager can use it. `common.codes` and `manager.domain` decide
which codes exist.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

NODE_STATES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "in_sync": (
            "In sync",
            "All that it should have is installed, and every port named in its services file serves it. If the file names no port, only the installed files are known to be right.",
        ),
        "installing": ("Installing", "A push is under way."),
        "pending": (
            "Pending",
            "It does not have the latest content yet; that is pushed as soon as changes pause.",
        ),
        "failed": (
            "Failed",
            "The last installation failed, or succeeded only in part; it is tried again.",
        ),
        "not_serving": ("Not serving", "Everything is installed, but a port serves something else."),
        "drifted": ("Drifted", "Files on the node were changed; the agent repairs them."),
        "reload_waiting": (
            "Reload waits",
            "Everything is installed; a service waits for its reload window, for its interval to pass, or to be started.",
        ),
        "scheduled": (
            "Scheduled",
            "A certificate that is not valid yet is installed when it begins; until then the previous one stays.",
        ),
        "conflict": ("Conflict", "It runs what this store never published; it waits for your decision."),
        "offline": ("Offline", "It has no connection; it gets what has changed once it is back."),
        "never_joined": ("Never joined", "It was added, but its agent has not joined yet."),
    }
)
"""The name and meaning of each node state."""

ALARM_TITLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "no_certificate": "Node has no TLS certificate",
        "chain_incomplete": "TLS certificate has an incomplete chain of trust",
        "certificate_expiring": "TLS certificate expires soon",
        "certificate_expired": "TLS certificate has expired",
        "ca_expiring": "Trusted CA certificate expires soon",
        "ca_expired": "Trusted CA certificate has expired",
        "out_of_sync": "Node does not have what it should",
        "not_serving": "Service does not serve the installed certificate",
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
        "key_replaced": "Node has another key",
        "node_floods": "Node sends too much",
        "certificate_refused": "Clients refuse a certificate in use",
        "manager_token_reused": "Another machine showed a used token of a manager",
        "renewal_failed": "TLS certificate could not be renewed",
        "renewal_overdue": "Renewal of a TLS certificate is overdue",
        "renewal_unserved": "Renewed TLS certificate is not served everywhere",
        "renewal_requested": "Signing request is to be sent to its CA",
        "renewal_stopped": "Account of a TLS certificate's renewal was deactivated",
        "renewal_proof_left": "Proof for a CA could not be taken away",
    }
)
"""The title of each alarm kind."""

DIFFERENCES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "names_lost": (
            "Names are lost",
            "The new certificate lacks names of the one that it replaces; clients that use them will refuse it.",
        ),
        "names_missing": (
            "Names are missing",
            "The certificate lacks names that its signing request asked for.",
        ),
        "weaker": (
            "Key is weaker",
            "The new private key is weaker than that of the certificate that it replaces.",
        ),
        "purpose_lost": (
            "A purpose is lost",
            "The former certificate may be used as a TLS server or client, and the new one may not.",
        ),
        "ends_earlier": ("Ends earlier", "The new certificate expires before the one that it replaces."),
        "shorter_lifetime": (
            "Shorter lifetime",
            "The new certificate is issued for a shorter time; it must be renewed more often.",
        ),
        "key_type_changed": (
            "Kind of key changes",
            "The new key is of another kind (RSA, ECDSA); old clients may not support it.",
        ),
        "key_reused": (
            "Key is used again",
            "The new certificate has the same private key as the one that it replaces.",
        ),
        "subject_changed": (
            "Subject changes",
            "The subject is not that of the former certificate, or not what the signing request asked for.",
        ),
        "issuer_changed": (
            "Issuer changes",
            "Another CA issued the new certificate; clients that trust only the former one will refuse it.",
        ),
    }
)
"""The name and meaning of each difference between two certificates, or between a certificate and its request."""

CONSEQUENCES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "name_mismatch": (
            "Not valid for the node's names",
            "Clients that use these names of the node will refuse the certificate.",
        ),
        "expired": ("Has expired", "Every client refuses the certificate; nodes do not install it."),
        "self_signed": (
            "Self-signed in place of one that a CA issued",
            "Clients that do not trust this very certificate will refuse it.",
        ),
        "key_replaced": ("Private key is replaced", "The entry gets another private key than it has now."),
        "key_lost": ("Private key is lost", "The only copy of a private key here is deleted for good."),
        "nodes_left_without": (
            "Node is left without a certificate",
            "No certificate is assigned to the node any more; it keeps serving what it has until another is assigned.",
        ),
        "slot_taken": (
            "Node's certificate will be replaced",
            "A certificate is ordered that takes the place of another one at the node, as soon as its CA has signed it.",
        ),
        "node_removed": ("Node is removed", "The node gets no more updates, and its key is deleted."),
        "request_unanswered": (
            "Signing request was not answered",
            "The request and its private key are deleted; a certificate that is issued for it later cannot be used.",
        ),
        "trust_shrinks": (
            "Many trusted CAs are removed",
            "All, or more than a fifth, of the trusted CAs that were added here are removed at once.",
        ),
        "untrusted": (
            "CA is no longer trusted",
            "Nodes refuse peers whose certificates lead only to this CA, since it goes, or cannot sign with what takes its place.",
        ),
        "chain_broken": ("Chain of trust breaks", "A certificate's chain no longer reaches a trusted root."),
        "chain_kept": (
            "Intermediates are kept",
            "Intermediates that came with the certificate earlier, and were not given again, still complete its chain.",
        ),
        "not_served": (
            "Certificate is not served",
            "It came along with another certificate and has no part in that one's chain of trust: a CA that is unrelated or not needed, or another server's certificate without its key.",
        ),
        "not_trusted": (
            "CA is kept as a TLS certificate",
            "A certificate that can sign as a CA came with its private key, or its key is stored: nodes do not trust what it signs unless it is added to the trusted CAs.",
        ),
        "same_name": (
            "Different CAs have the same name",
            "A CA is added whose name a trusted CA has already, with another key: it is no renewal of that one, and both are trusted.",
        ),
        "left_out": (
            "File is left out",
            "A file of the archive obviously holds neither a certificate nor a private key, such as a README or a signing request.",
        ),
        "client_ca_list_too_long": (
            "Trusted CAs have too many names for TLS",
            "A server that asks clients for a certificate cannot send that many CA names; its handshakes fail.",
        ),
    }
)
"""The name and meaning of each consequence of a change; some need a confirmation."""

CONFIGURATION: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "services_invalid": (
            "Services file has mistakes",
            "The agent goes on with the services that it last read without a mistake. Correct the file at the place that is named, and let the agent read it again.",
        ),
        "program_missing": (
            "Program is missing",
            "The reload or start command of a service is not a program on this node. Install it, or give the full path of the right one.",
        ),
        "program_untrusted": (
            "Program could be replaced by others",
            "Somebody besides root and the agent's own user could change the program, something that its command names, or a directory above it, or the command has characters of a shell, which may name anything. It is not run. Correct the owner or the mode, or put the command into a script that only root can change.",
        ),
        "unit_missing": (
            "Unit is unknown to systemd",
            "Whether the service runs cannot be seen. Correct the name of its unit, or install the service.",
        ),
        "copy_target": (
            "Copy cannot be written",
            "A copy that a service needs cannot be written where it is declared. Create the directory, or let the agent write to it; the service waits until then.",
        ),
        "identity": (
            "Identity cannot be read",
            "After a restart the agent could not sign in. Restore its data directory, or let the node join again.",
        ),
        "challenges": (
            "Challenges cannot be shown",
            "A CA that asks this node over port 80 would get no answer, so certificates for its names cannot be renewed that way. Correct the directory, or see which program has the port.",
        ),
        "health_port": (
            "Health port is not open",
            "Monitoring gets no answer on the agent's own port. See which program uses it, or choose another port.",
        ),
        "settings_invalid": (
            "Manager's settings have mistakes",
            "The manager keeps running, but could not start again. Correct what the message names before the next restart.",
        ),
        "store_key": (
            "Key of the store cannot be read",
            "The manager keeps running, but could not open its store again. Restore the key file, or its owner and mode.",
        ),
    }
)
"""The name, meaning and remedy of each mistake in a node's own configuration or the manager's."""

WAITS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "window": (
            "Waits for its window",
            "The service is reloaded within its window only, since a reload drops calls. Nothing needs to be done.",
        ),
        "interval": (
            "Waits for its interval",
            "The service was reloaded recently, and the minimum interval between reloads has not passed. Nothing needs to be done.",
        ),
        "service": (
            "Waits for its service",
            "The service does not run, or a copy that it needs cannot be written. Start it, or create the directory; the rest follows by itself.",
        ),
    }
)
"""The name, meaning and remedy of each reason for which a reload waits."""
