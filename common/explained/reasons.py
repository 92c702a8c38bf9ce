"""Words for the reasons of errors and failures, and for the alarm names of the existing clients' API.

Pure, and depends only on the codes. Invariant: every reason is explained, with what to do next.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from common.errors import Reason

REASONS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        Reason.STALE_GENERATION: (
            "Generation is too old",
            (
                "The node has had a generation with this number or a higher one. It gets the next number automatically; if the store was restored "
                "from a backup, look at what the node serves, then force a push."
            ),
        ),
        Reason.EPOCH_CONFLICT: (
            "Epoch does not match",
            "The node has had generations of a store that has since been restored or replaced. Decide whose content is right, then force a push.",
        ),
        Reason.BAD_DIGEST: (
            "Content does not match its digest",
            (
                "What arrived, or is on the disk, is not what was published, so it is not used. It is sent again; if that keeps happening, check the "
                "node's disk and memory."
            ),
        ),
        Reason.BAD_FRAME: (
            "Not the nodes' protocol",
            "What was sent is not the protocol of nodes, and the connection was closed. Look for another program or a proxy on that port.",
        ),
        Reason.BAD_MESSAGE: (
            "Message cannot be understood",
            "The other side sent what the protocol does not allow there. Compare the versions of manager and agent; upgrade the manager first.",
        ),
        Reason.WRONG_NODE: (
            "Bundle is for another node",
            (
                "The node was offered the content of a node with another name, and took none of it. Check that its identity was not copied from "
                "another machine."
            ),
        ),
        Reason.TOO_BIG: (
            "Too big",
            "What was given is over a limit, which the message names. Split it, or leave out what is not needed.",
        ),
        Reason.PARSE: (
            "Cannot be read",
            "The text or file is damaged or of another kind than expected; the message says where. Ask its sender for an undamaged one.",
        ),
        Reason.KEY_MISMATCH: (
            "Private key does not match",
            "The private key is not that of the certificate. Give the key with which the certificate was requested.",
        ),
        Reason.CHAIN_INCOMPLETE: (
            "Chain is not complete",
            (
                "An issuer is missing between the certificate and a trusted root, or a port does not send the installed chain. Add the missing "
                "CA, or let the service use the file with the chain."
            ),
        ),
        Reason.NOT_YET_VALID: (
            "Not valid yet",
            "The certificate becomes valid later, and is installed then automatically. If it should be valid by now, check the clocks.",
        ),
        Reason.EXPIRED: (
            "Has expired",
            "The certificate has expired, so it is not installed. Renew it and assign the new one; if it should be valid, check the clocks.",
        ),
        Reason.EMPTY_BUNDLE: (
            "Nothing would be left",
            "The bundle has no server certificate where the node had one, or no trusted CA at all. Assign a certificate or add a trusted CA.",
        ),
        Reason.SHRINK_GUARD: (
            "Trust store would lose too much",
            (
                "The new trust store has far fewer CAs than the node has now, which looks like a mistake. Add the CAs again, or force the push "
                "if that is intended."
            ),
        ),
        Reason.NO_SPACE: (
            "Disk is full",
            "There is no room to write. Free space on the machine that the message names; nodes try again by themselves.",
        ),
        Reason.PERMISSION: (
            "Permission denied",
            "The agent or manager may not read or write a file. Correct its owner or mode, or the directories that the unit allows.",
        ),
        Reason.TARGET_MISSING: (
            "Directory or file is missing",
            "A directory or file that is written to does not exist or may not be used. Create it, or correct its path in the node's services file.",
        ),
        Reason.CROSS_DEVICE: (
            "Files are on two file systems",
            "What must be swapped in one step is on different file systems. Keep the agent's data directory on one.",
        ),
        Reason.SWITCH_FAILED: (
            "New files could not be made live",
            "The link to the installed files could not be swapped; services keep the former ones. Check the disk of the node and its log.",
        ),
        Reason.RELOAD_FAILED: (
            "Service was not reloaded",
            (
                "The command that reloads a service failed; its output is in the message. Correct the service, or the command in the node's "
                "services file; it is tried again automatically, or at once by a forced push."
            ),
        ),
        Reason.RELOAD_TIMEOUT: (
            "Reload took too long",
            (
                "The command that reloads a service did not end in time and was stopped. See why it hangs, or give it a longer timeout in the "
                "node's services file."
            ),
        ),
        Reason.VERIFY_UNREACHABLE: (
            "Port does not answer",
            (
                "No TLS handshake succeeded at a port after the reload. See whether the service runs and listens there, and whether the "
                "endpoint in the node's services file is right."
            ),
        ),
        Reason.VERIFY_MISMATCH: (
            "Port serves another certificate",
            (
                "A port serves another certificate than the installed one. See which file the service is configured with, and whether its "
                "reload really loads it."
            ),
        ),
        Reason.VERIFY_TIMEOUT: (
            "Port did not serve it in time",
            (
                "A port did not show the installed certificate within its time after the reload. Give a slow service a longer one in the "
                "node's services file."
            ),
        ),
        Reason.ROLLED_BACK: (
            "Was rolled back",
            (
                "A service did not take the new files, so the former ones were put back and are served. The message and the node's last "
                "failure say which; correct it, and it is tried again."
            ),
        ),
        Reason.ROLLBACK_FAILED: (
            "Rollback failed too",
            (
                "Neither the new nor the previous files could be proven at the ports. Check the services on the node now: what they serve is "
                "not known to be right."
            ),
        ),
        Reason.NO_PREVIOUS: (
            "No previous generation",
            "The node has no earlier generation. Correct what failed, and push again.",
        ),
        Reason.QUARANTINED: (
            "Paused after a failure",
            (
                "This content failed on the node recently, and is tried again after a pause that grows to an hour. Other content is accepted "
                "at once, and a forced push tries this one now."
            ),
        ),
        Reason.CLOCK_SKEW: (
            "Clock is wrong",
            (
                "The node's clock is more than five minutes from the manager's, so certificates cannot be judged by it. Set up time "
                "synchronisation on the node; it is tried again as soon as the clock is right."
            ),
        ),
        Reason.BUSY: (
            "Too much at once",
            "There are more requests than are handled at a time, or too many attempts failed. Wait as long as the answer says, and ask again.",
        ),
        Reason.UNSUPPORTED: (
            "Not supported",
            "The kind, algorithm or version is not supported; the message names it. Convert it, or upgrade the older side.",
        ),
        Reason.INTERRUPTED: (
            "Was interrupted",
            "A stop, crash or power cut ended it before its end; nothing is left half-done. It is completed or tried again automatically.",
        ),
        Reason.SERVICES_INVALID: (
            "Services file cannot be used",
            "The node's services file has a mistake, which the message names with its line. Correct it; the last good one is in use until then.",
        ),
        Reason.NOT_FOUND: (
            "Does not exist",
            "Nothing has that name or number, or it was deleted in the meantime. List what there is, and ask again.",
        ),
        Reason.CONFLICT: (
            "Conflicts with what is stored",
            "The name is in use, or the object was changed by somebody else in the meantime. Load it again, and repeat what still applies.",
        ),
        Reason.IDENTITY_CONFLICT: (
            "Same identity, other key",
            (
                "A stored certificate has the same issuer and serial number but another private key. See which is right; replacing it "
                "needs confirmation."
            ),
        ),
        Reason.CONFIRMATION_NEEDED: (
            "Needs confirmation",
            "The change has consequences, which the answer lists; nothing has been done yet. Repeat it with the confirmation if they are intended.",
        ),
        Reason.INVALID: (
            "Value cannot be accepted",
            "A field of the request is missing or wrong; the message names it and what it must be. Correct it, and ask again.",
        ),
        Reason.UNAUTHENTICATED: (
            "Not signed in",
            "The password or token is missing, wrong, expired or revoked. Sign in again, or make a new token.",
        ),
        Reason.FORBIDDEN: (
            "Not allowed",
            (
                "The role or the token's scope does not allow it; of a node, its key is not known any more. Ask an administrator, or join "
                "the node again."
            ),
        ),
        Reason.PASSWORD_REQUIRED: (
            "Needs your own password",
            "This may let somebody in or give away a key, so a token or an old session is not enough. Give your password, and repeat it.",
        ),
        Reason.TOKEN_UNKNOWN: (
            "Token is not known",
            "The token was mistyped, revoked, used, has expired, or is another manager's. Make a new one.",
        ),
        Reason.TOKEN_USED: (
            "Token was used",
            "A join token works once. Make a new one; if the node did not use it itself, find out who did.",
        ),
        Reason.TOKEN_EXPIRED: ("Token has expired", "It has expired. Make a new one."),
        Reason.UNREACHABLE: (
            "No connection",
            "The other side did not answer or refused the connection. Check that it runs, its address, and the network between.",
        ),
        Reason.TIMEOUT: (
            "Took too long",
            "It did not finish or answer in time, and was abandoned. Try again; if that keeps happening, check the load and the network.",
        ),
        Reason.STORAGE: (
            "Store failed",
            "The manager's database could not be read or written. Check its disk and its log; the request may be repeated.",
        ),
        Reason.OUTCOME_UNKNOWN: (
            "Not known whether it was kept",
            "The manager lost its database server just when a change was kept. Look whether it is there before you do it again.",
        ),
        Reason.INTERNAL: (
            "Internal error",
            "Something unexpected happened; the log of the manager or agent has the details. Report it with those lines.",
        ),
    }
)
"""The name, meaning and remedy of each reason."""

CLIENT_ALARMS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "tls_certificate_missing": ("no_certificate",),
        "tls_certificate_missing_management": ("no_certificate",),
        "tls_certificate_chains": ("chain_incomplete",),
        "tls_certificate_expiring": ("certificate_expiring", "certificate_expired"),
        "trustedca_expiring": ("ca_expiring", "ca_expired"),
        "configuration_sync_failure": ("out_of_sync", "not_serving", "install_failed", "drifted", "conflict"),
        "connectivity_lost": ("offline",),
        "ntp_not_synchronised": ("clock_skew",),
    }
)
"""The alarm kinds behind each alarm name of the existing clients' API."""
