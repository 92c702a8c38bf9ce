"""Uploaded texts, pasted or as a file, and the parts of them that may be shown again.

Invariant: a private key or a passphrase is never in a page, not even in a refused form.
"""

from collections.abc import Iterable
from typing import Final

from common.errors import PkiError
from manager.pki.read.findings import PkiFindingsError, locate
from manager.pki.read.reader import as_text
from manager.pki.read.redaction import without_private_keys
from manager.pki.read.upload import CERTIFICATE_FIELD, KEY_FIELD, PARAMETERS_FIELD
from manager.web.forms import Form
from manager.web.words import Placed

PASTED: Final = "what was pasted"
_FIELDS: Final = frozenset((CERTIFICATE_FIELD, KEY_FIELD, PARAMETERS_FIELD, PASTED))
"""The place of a finding without a file; it begins a sentence."""


def given_text(form: Form, name: str) -> str:
    """Return a field's pasted text, or its chosen file instead; binary data is written as PEM.

    Raises PkiFindingsError.
    """
    file = form.file(f"{name}_file")
    if file is None:
        return form.text(name)
    return as_text(file.data, "a certificate or key", file=file.name)


def shown_text(text: str) -> str:
    """Return the part of a text that a page may show."""
    return without_private_keys(text)


def findings_of(error: Exception) -> list[str]:
    """Return every finding of a refusal as a sentence with its place."""
    match error:
        case PkiFindingsError():
            return sentences(error.findings)
        case PkiError():
            return sentences([error])
        case _:
            return [getattr(error, "message", "") or "that failed; see the manager's log"]


def sentences(findings: Iterable[PkiError]) -> list[str]:
    """Return findings as sentences with their places; file names stay unchanged."""
    return [
        Placed(locate(each)) if each.file and each.file not in _FIELDS else locate(each) for each in findings
    ]
