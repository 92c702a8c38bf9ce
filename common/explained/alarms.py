"""Meanings of alarms: of each kind what it says, and what to do; its name is in `common.explained.meanings`.

Pure, and imports nothing, so that the command may use it as well as the manager. Which kinds there are is decided in `manager.domain.alarms`.
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
        "out_of_sync": "The node has not installed within a minute what it should have. Look at its page: an installation may be under way or wait for a service.",
        "not_serving": "Everything is installed, but a port shows another certificate. See to the service: it may not have been reloaded, or read other files.",
        "install_failed": "The node has refused what it was sent, or could not install it, and serves what it had. Its reason says what to mend; it is tried again.",
        "drifted": "Files on the node are not as they were installed. The agent repairs them; find out who changes them if it comes again.",
        "offline": "The node has no connection to the manager; it serves what it has, and gets what has changed once it is back. See to the machine, its network and its agent.",
        "conflict": "The node runs what this store never published, as after a restore from an older backup. Decide whose content is right, then force a push.",
        "clock_skew": "The node's clock differs from the manager's, so it judges validities wrongly. See to its time service.",
        "evaluation_silent": "No manager has looked for what is wrong for two minutes, so the other alarms are as old. See to the managers and their store.",
        "name_mismatch": "Clients that use a name of the node refuse its certificate, which lacks it. Assign one that has the name, or correct the names of the node.",
        "duplicate_identity": "Two agents connect with the key of one node, as after a machine was cloned, and displace each other. Stop the copy, remove its identity, and let it join as a node of its own.",
        "services_invalid": "What the node's own configuration says cannot be used as it is. Correct the file that is named, and reload the agent.",
        "must_staple_unproven": "The certificate demands an OCSP response, and a service sends none; some clients refuse that. Switch stapling on there, or use a certificate without the demand.",
        "trusted_ca_held_out": "OpenSSL cannot load the CA, so nodes get the trust store without it. Remove it, or upload one that is well-formed.",
        "client_ca_list_too_long": "A server that asks its clients for certificates cannot name so many CAs in one handshake. Remove trusted CAs that no client needs.",
        "certificate_held_out": "OpenSSL cannot load the certificate, so nodes do not get it, and keep what they had. Upload one that is well-formed.",
        "audit_log_broken": "The audit log does not hold together: entries may be missing, or were altered. 'certcast audit verify' says where; if the store was restored from a backup, mark it as restored.",
        "key_replaced": "The node has another key than before, as after it joined again. If nobody did that on purpose, remove the node, and let it join again.",
        "node_floods": "The node says or connects more than any agent does, and is refused for a while. Look at what runs on that machine.",
        "certificate_refused": "Clients refuse the certificate for what it is: its purpose, key, signature or encoding. Replace it by one without the findings that the alarm names.",
        "manager_token_reused": "A token by which a manager had joined was shown by another machine, so somebody else has seen it. If the machine that joined is not yours, remove that manager, and replace what it could read.",
        "renewal_failed": "The last attempt to renew it failed, in the words of the alarm; the former certificate stays, and it is tried again by itself. Mend what the alarm names, then 'certcast renewal resume' tries it at once; 'certcast renewal show' has each step.",
        "renewal_overdue": "Half of the time is gone in which it could be renewed, and it is not yet. See what its other alarm or 'certcast renewal show' says; if it cannot be mended in time, upload a certificate by hand.",
        "renewal_unserved": "The new certificate is there, and a node that should serve it does not, or no node has it any more, since each was given another one. See to the nodes that are named, or do what the alarm says; the former certificate is kept until then.",
        "renewal_requested": "It is renewed by request, and a signing request was opened. Send it to the CA, then upload the CA's answer and let it take over the nodes: 'certcast csr answer' with --take-over.",
        "renewal_stopped": "The account that it is ordered with was deactivated, so nothing is ordered any more. Give the renewal another account: 'certcast renewal set RENEWAL --account ACCOUNT'.",
        "renewal_proof_left": "What was shown to the CA for an order that is over could not be taken away for a day. It does no harm, but stays. Mend what the alarm names (the command, or the DNS server and its key), and it goes at the next attempt; or take the record away by hand, and it is forgotten after a month.",
    }
)
"""Of each alarm kind what it means, and what to do."""
