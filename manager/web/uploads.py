"""Texts that come pasted or as a file, and what of them may be shown again.

Invariant: a private key or a passphrase is never in a page, not even in the form that is refused.
"""

from common.errors import PkiError
from common.pki.binary import PFX, identify, looks_binary
from common.pki.findings import PkiFindingsError, located
from common.pki.pem import pem_of, text_of, without_private_keys
from manager.web.forms import Form


def given_text(form: Form, name: str) -> str:
    """Return what was pasted into a field, or the chosen file in its place; DER is written as PEM. Raises PkiError."""
    file = form.file(f"{name}_file")
    if file is None:
        return form.text(name)
    if not looks_binary(file.data):
        return text_of(file.data)
    block = identify(file.data, file=file.name)
    if block is None:
        raise PkiError("the file is neither PEM nor DER of a kind that is known", file=file.name)
    if block.label == PFX:
        raise PkiError("this is a PKCS#12 file, which 'Import files' reads", file=file.name)
    return pem_of(block.der, label=block.label)


def shown_text(text: str) -> str:
    """Return what of a text may stand in a page."""
    return without_private_keys(text)


def findings_of(error: Exception) -> list[str]:
    """Return every finding of a refusal as a sentence that says where."""
    match error:
        case PkiFindingsError():
            return [located(each) for each in error.findings]
        case PkiError():
            return [located(error)]
        case _:
            message = getattr(error, "message", "") or "that failed; the manager's log says why"
            # how the command asks; a page has a box to tick
            return [message.partition("; confirm with --force")[0]]
