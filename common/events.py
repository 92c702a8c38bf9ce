"""Every log event, and every key that may stand beside one, with its meaning.

A test reads the sources and fails on an event or key that is not listed here.
"""

from collections.abc import Mapping
from types import MappingProxyType

EVENTS: Mapping[str, str] = MappingProxyType(
    {
        "manager.started": "the manager serves its ports",
        "manager.stopped": "the manager has closed its ports and its store",
        "agent.started": "the nodeagent runs",
        "agent.stopped": "the nodeagent has ended",
        "node.added": "an operator added a node",
        "node.removed": "an operator removed a node",
        "node.joined": "a node proved its join token and its key is pinned",
        "node.flooded": "a node said or connected more than an agent has to, and was sent away for a while",
        "node.rotated": "a node replaced its own pinned key",
        "node.connected": "a node's agent greeted and was welcomed",
        "node.disconnected": "a node's connection ended",
        "node.replaced": "a newer connection of the same node replaced this one",
        "connection.refused": "a connection was turned away before it could do anything",
        "request.refused": "a peer asked for something that the channel does not offer (shell, exec, sftp, forwarding ...)",
        "login.refused": "a key or secret was not accepted",
        "join.refused": "a join token was not accepted",
        "manager.dialled": "the agent reached the manager and was welcomed",
        "manager.unreachable": "the agent could not reach the manager, and will try again",
        "manager.lost": "the agent's connection to the manager ended",
        "offer.refused": "the agent refused an offer",
        "generation.published": "a node's desired content changed and became a new generation",
        "push.offered": "a generation was offered to a node",
        "push.acked": "a node applied a generation",
        "push.nacked": "a node refused, rolled back or failed a generation",
        "push.overdue": "a node owed an answer and did not give it in time",
        "reconcile.done": "one pass over all nodes ended",
        "reconcile.failed": "one pass over all nodes failed and will be repeated",
        "store.failed": "the store could not be written or read",
        "install.applied": "a generation is live and proven",
        "install.rolled_back": "a generation failed and the node serves the previous one",
        "install.failed": "a generation failed before anything was switched, or the rollback failed too",
        "install.recovered": "an installation that was interrupted was brought to an end at start",
        "phase.entered": "an installation entered a phase",
        "reload.ran": "a consumer's reload command ended",
        "probe.ran": "an endpoint was probed",
        "services.read": "services.toml was read again and is in use",
        "health.unavailable": "the agent runs without its health endpoint, whose port somebody else has",
        "services.last_good": "the services file cannot be used, so the last one that could is in use",
        "services.refused": "services.toml was read again and is not usable; the old one stays",
        "drift.found": "the live tree is not what was installed",
        "drift.repaired": "the live tree is again what was installed",
        "certificate.uploaded": "a certificate came into the store",
        "certificate.updated": "a stored certificate was replaced by one of the same issuer and serial number",
        "certificate.deleted": "a certificate left the store",
        "certificate.assigned": "a certificate was assigned to a node's slot",
        "certificate.served": "the manager's own endpoint took a certificate into use",
        "key.exported": "private keys left the store in a download, encrypted",
        "request.made": "a certificate signing request was made",
        "request.answered": "the certificate that a CA made from a request came into the store",
        "alarm.raised": "a condition that an operator must see was found",
        "alarm.lowered": "such a condition is no longer there",
        "alarms.failed": "the alarms could not be evaluated, and will be again",
        "trust.changed": "the set of custom trusted CAs changed",
        "user.added": "a user was added",
        "setup.offered": "there is no user yet; the link makes the first administrator",
        "clock.set_back": "the clock said less than before, so sessions and access tokens ended: how old they are is not known",
        "session.started": "a user signed in to the pages",
        "login.use_unnoted": "a token's last use could not be written down; the token works all the same",
        "request.failed": "a request could not be answered because of our own failure",
        "audit.extended": "the audit log has new entries; the signed head is to be kept where the manager cannot write",
        "audit.unshipped": "the signed head of the audit log could not be read, or not be written into its file",
        "lines.held_back": "a library wrote more lines than are shown",
        "task.failed": "a supervised task ended with an error and is started again",
    }
)

CAUSED_BY_STRANGERS: frozenset[str] = frozenset(
    {
        "connection.refused",
        "request.refused",
        "login.refused",
        "join.refused",
        "request.failed",
        "task.failed",
    }
)
"""What anybody may cause as often as they like; the log tells the first of a minute, and how many more there were."""

CAUSED_BY_NODES: frozenset[str] = frozenset({"node.connected", "node.disconnected", "node.replaced"})
"""The same for what a node may cause by itself; each node has its own first ones."""

KEYS: Mapping[str, str] = MappingProxyType(
    {
        "node": "the node's name",
        "address": "the peer's address",
        "reason": "a code of common.errors.Reason",
        "message": "a sentence for people",
        "epoch": "the store's epoch",
        "generation": "a node's generation",
        "digest": "a content digest",
        "push_id": "one attempt to deliver a generation",
        "phase": "a phase of an installation",
        "detail": "a consumer or endpoint",
        "consumer": "a consumer's name",
        "endpoint": "a host and port",
        "duration_ms": "how long it took",
        "count": "how many",
        "cause": "what made the change",
        "slot": "a slot's name",
        "certificate": "a certificate's id",
        "csr": "a certificate signing request's id",
        "alarm": "an alarm's kind",
        "subject": "what an alarm is about",
        "leaf": "a leaf's fingerprint",
        "user": "a user's name",
        "method": "an HTTP method",
        "path": "an HTTP path",
        "status": "an HTTP status or exit status",
        "task": "a supervised task's name",
        "retry_after_s": "when it will be tried again",
        "https": "the address of the HTTPS endpoint",
        "ssh": "the address of the agents' channel",
        "health": "the address of the health endpoint",
        "request": "what a peer asked for",
        "version": "a program's version",
        "head": "a signed head of the audit log",
        "link": "an address to open in a browser; it works once",
    }
)
