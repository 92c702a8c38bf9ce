"""Limits that a request is held to: in the contract, and by a command before it sends one. Pure.

Invariant: every text of a body has one of these limits, and what the limit protects may be stricter, never laxer.
"""

from typing import Final

PAGE_MAX: Final = 10_000
"""The most certificates that the manager tells in one answer."""

NAME_MAX_CHARS: Final = 255
"""Of a name or an address: a DNS name has 253 at most (RFC 1035 2.3.4), a file's name 255 (Linux's NAME_MAX)."""

LABEL_MAX_CHARS: Final = 150
"""Of what people call something."""

NOTE_MAX_CHARS: Final = 1000
"""Of a note about a certificate: a few sentences. The audit entry of a change has it whole."""

SECRET_MAX_CHARS: Final = 1024
"""Of a password or a passphrase. NIST SP 800-63B 3.1.1.2 wants 64 to be possible."""

SUBJECT_MAX_CHARS: Final = 8192
"""Of a distinguished name: RFC 5280 appendix A bounds most attributes to 64 or 128, and leaves the number of them open."""

ALTERNATIVE_MAX_CHARS: Final = 2048
"""Of one subject alternative name: the longest are URIs, of which RFC 9110 4.1 wants 8,000 to be possible and clients take 2,000."""

URL_MAX_CHARS: Final = 2048
"""Of an address at a CA; as of one alternative name."""

PUBLIC_KEY_MAX_CHARS: Final = 8192
"""Of a public key in PEM: one of RSA with 16,384 bits has 2,800."""

CONFIRMATION_MAX_CHARS: Final = 64
"""Of what stands for consequences: it has 32."""

UPLOAD_MAX_CHARS: Final = 8 * 1024 * 1024
"""Of a text or a file of certificates or keys: as much as an import may have in all. Those who read one stop earlier, and say which it was."""
