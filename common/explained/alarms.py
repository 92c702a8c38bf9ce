"""Meanings of alarms and what to do about each kind; their titles are in `common.explained.meanings`.

Pure, and imports nothing, so that both the command and the manager can use it. `manager.domain.alarms` decides which
kinds exist.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

ALARM_MEANINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "no_certificate": "No certificate is assigned to the node's server slot; it keeps serving what it has, if anything. Assign one.",
        "chain_incomplete": "No chain leads from the certificate to a trusted root, so clients may refuse it. Upload the intermediate certificates with it, or trust its root.",
        "certificate_expiring": "It is due to expire, and nothing has replaced it yet. Upload its successor, or let it be renewed.",
        "certificate_expired": "Its validity has ended, and every client refuses it. Upload another one in its place, or remove it if no node has it.",
        "ca_expiring": "Once it has expired, chains that end at it do not hold. Trust its successor, and replace what it issued.",
        "ca_expired": "Its validity has ended, and chains that end at it do not hold. Trust its successor, or remove it.",
        "out_of_sync": "The node did not install its assigned content within a minute. Look at its page: an installation may be under way or wait for a service.",
        "not_serving": "Everything is installed, but a port shows another certificate. Check the service: it may not have been reloaded, or may read other files.",
        "install_failed": "The node refused the last content or could not install it, and serves what it had. Fix the cause that the alarm names; it is tried again automatically.",
        "drifted": "Files on the node differ from the installed ones. The agent repairs them; find out what changes them if it happens again.",
        "offline": "The node has no connection to the manager. It serves what it has, and gets the changes once it is back. Check the machine, its network and its agent.",
        "conflict": "The node runs content that this store never published, as after a restore from an older backup. Decide whose content is right, then force a push.",
        "clock_skew": "The node's clock differs from the manager's, so it judges validities wrongly. Check its time service.",
        "evaluation_silent": "No manager has evaluated the alarms for two minutes, so the other alarms are out of date. Check the managers and their store.",
        "name_mismatch": "Clients that use a name of the node refuse its certificate, which lacks it. Assign one that has the name, or correct the names of the node.",
        "duplicate_identity": "Two agents connect with the key of one node, as after a machine was cloned, and displace each other. Stop the copy, remove its identity, and let it join as a separate node.",
        "services_invalid": "The node's own configuration has mistakes. Correct the file that the alarm names, and reload the agent.",
        "must_staple_unproven": "The certificate demands an OCSP response, and a service sends none; some clients refuse that. Switch stapling on there, or use a certificate without the demand.",
        "trusted_ca_held_out": "OpenSSL cannot load the CA, so nodes get the trust store without it. Remove it, or upload one that is well-formed.",
        "client_ca_list_too_long": "A server that asks its clients for certificates cannot name so many CAs in one handshake. Remove trusted CAs that no client needs.",
        "certificate_held_out": "OpenSSL cannot load the certificate, so nodes do not get it, and keep what they had. Upload one that is well-formed.",
        "audit_log_broken": "The audit log is not intact: entries may be missing or altered. 'certcast audit verify' says where; if the store was restored from a backup, mark it as restored.",
        "key_replaced": "The node has a new key, for example because it joined again. If that was not intended, remove the node, and let it join again.",
        "node_floods": "The node sends or connects more than any agent needs to, and is refused for a while. Check what runs on that machine.",
        "certificate_refused": "Clients refuse the certificate for what it is: its purpose, key, signature or encoding. Replace it by one without the findings that the alarm names.",
        "manager_token_reused": "A machine presented a token with which another manager had already joined, so somebody else has seen the token. If the machine that joined is not yours, remove that manager, and replace every key that it could read.",
        "renewal_failed": "The last attempt to renew it failed for the reason that the alarm names. The former certificate stays, and the renewal is tried again automatically. Fix the cause; then 'certcast renewal resume' tries at once. 'certcast renewal show' lists each step.",
        "renewal_overdue": "Half of the time for its renewal has passed without success. Read its other alarm or 'certcast renewal show'; if the cause cannot be fixed in time, upload a certificate by hand.",
        "renewal_unserved": "A node does not serve the new certificate yet, or no node has it any more because each was given another one. Check the named nodes, or do what the alarm says; the former certificate is kept until then.",
        "renewal_requested": "It is renewed by request, and a signing request was opened. Send it to the CA, then upload the CA's answer and let it take over the nodes: 'certcast csr answer' with --take-over.",
        "renewal_stopped": "Its account at the CA was deactivated, so nothing is ordered any more. Give the renewal another account: 'certcast renewal set RENEWAL --account ACCOUNT'.",
        "renewal_proof_left": "A proof for a finished order could not be removed for a day. It does no harm, but stays. Fix the cause that the alarm names (the command, or the DNS server and its key), and the next attempt removes it; or remove the record by hand, and it is forgotten after a month.",
    }
)
"""The meaning and remedy of each alarm kind."""
