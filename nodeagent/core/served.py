"""Served certificates: whether a port sends the installed ones.

Decides by comparing fingerprints. Leaves the handshake to `nodeagent.install.probe`. Invariant: a port that
passes sends the installed leaf, and the installed chain unless its service is declared unable to send it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from common.bundle.manifest import Slot
from common.errors import InstallError, Reason
from common.ids import Fingerprint
from common.wire.messages import Serving
from common.words import counted


@dataclass(frozen=True, slots=True)
class Expected:
    """The certificates that a slot's ports must send: the leaf, then the chain. `gone` must no longer be sent."""

    sent: tuple[Fingerprint, ...]
    gone: frozenset[Fingerprint] = frozenset()

    @property
    def leaf(self) -> Fingerprint:
        """The fingerprint of the leaf, which is sent first."""
        return self.sent[0]


Wanted = Mapping[Slot, Expected]


def chain_fault(sent: Sequence[Fingerprint], wanted: Expected) -> tuple[str, str]:
    """Return a reason and a message if the chain sent with the right leaf is wrong, "" otherwise.

    An installed chain must be sent unchanged. If none is installed, a service may add CAs of its own: OpenSSL
    completes a lone leaf from the CAs that it was given for other purposes.
    """
    chain, expected = tuple(sent[1:]), wanted.sent[1:]
    if chain == expected or not (expected or wanted.gone.intersection(chain)):
        return "", ""
    missing = [one for one in expected if one not in chain]
    if missing:
        text = (
            f"it sends the leaf without {len(missing)} of {counted(len(expected), 'further certificate')} of its chain; "
            "if it cannot send them, say chain = false for this endpoint"
        )
        return Reason.CHAIN_INCOMPLETE, text
    return (
        Reason.VERIFY_MISMATCH,
        f"it sends the leaf with {counted(len(chain), 'further certificate')}, and the installed chain has {len(expected)}",
    )


def mismatch(seen: Serving, wanted: Wanted) -> InstallError | None:
    """Return why an endpoint is wrong, None if it serves the installed certificates.

    VERIFY_MISMATCH: another leaf or chain; CHAIN_INCOMPLETE; VERIFY_UNREACHABLE: no handshake; VERIFY_TIMEOUT: no answer.
    """
    leaf = wanted[seen.slot].leaf if seen.slot in wanted else ""
    where = f"endpoint {seen.endpoint} of '{seen.consumer}'"
    if not seen.leaf and leaf:
        return InstallError(f"{where} cannot be probed: {seen.message}", reason=Reason(seen.reason))
    if seen.leaf != leaf:
        return InstallError(
            f"{where} serves leaf {seen.leaf[:16]}… instead of {leaf[:16]}…", reason=Reason.VERIFY_MISMATCH
        )
    if seen.reason and seen.leaf:
        return InstallError(f"{where}: {seen.message}", reason=Reason(seen.reason))
    return None
