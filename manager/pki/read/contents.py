"""Contents of a batch's files: certificates, keys and parameters, each with the block that it came from.

Decides which blocks are read, and how many may cost time; `batch` sorts them.
Invariant: every block of a file is in its content, or named.
Opening keys may take seconds each: run it where it can be killed.
"""

from dataclasses import dataclass, field

from common.errors import PkiError, Reason
from common.pki.certificate import Certificate
from common.pki.pem import CERTIFICATE, Block, at
from manager.pki.read.binary import PFX
from manager.pki.read.keys import PrivateKey, is_private_key, load_private_key
from manager.pki.read.parameters import MAX_PARAMETERS, is_parameters, parameters_pem
from manager.pki.read.pfx import open_pfx
from manager.pki.read.reader import read_file
from manager.pki.read.refusal import refusal
from manager.pki.read.unread import Unread
from manager.pki.read.upload import decode_block

MAX_FILE_BYTES = 1024 * 1024
MAX_KEYS = 100
"""Each may cost seconds to open."""

_KEY_MARK = b"PRIVATE KEY-"


@dataclass(slots=True)
class FileContent:
    """One file's content, each with the block that it came from."""

    certificates: dict[Certificate, Block] = field(default_factory=dict)
    keys: list[tuple[PrivateKey, Block]] = field(default_factory=list)
    parameters: list[tuple[str, Block]] = field(default_factory=list)


class Contents:
    """Turns files into content, and collects findings about the rest."""

    def __init__(self, passphrase: str | None) -> None:
        self._passphrase = passphrase
        self._keys_left = MAX_KEYS
        self._parameters_left = MAX_PARAMETERS
        self.files: list[FileContent] = []
        self.findings: list[PkiError] = []
        self.left_out: list[PkiError] = []
        self.unread = Unread()

    def read(self, name: str, data: bytes) -> None:
        """Read one file."""
        content = FileContent()
        self.files.append(content)
        for block in self._blocks(name, data):
            try:
                self._take(block, content)
            except PkiError as error:
                if is_private_key(block) or block.label == PFX:
                    self.unread.add_keys(block.file)
                self.findings.append(
                    error if error.file is not None else at(block, error.message, error.reason)
                )

    def _blocks(self, name: str, data: bytes) -> tuple[Block, ...]:
        if len(data) > MAX_FILE_BYTES:
            message = f"the file is larger than {MAX_FILE_BYTES} bytes"
            self.findings.append(PkiError(message, reason=Reason.TOO_BIG, file=name))
            self.unread.add_damaged([name])
            return ()
        reading = read_file(data, "a certificate or key", file=name)
        self.findings.extend(reading.findings)
        self.left_out.extend(reading.left_out)
        if reading.findings and (not reading.blocks or _KEY_MARK in data):
            self.unread.add_damaged(each.file for each in reading.findings)
        return reading.blocks

    def _take(self, block: Block, content: FileContent) -> None:
        if block.label == CERTIFICATE:
            content.certificates.setdefault(decode_block(block), block)
        elif is_private_key(block):
            self._spend_key()
            content.keys.append((load_private_key(block, self._passphrase), block))
        elif is_parameters(block):
            self._spend_parameters()
            content.parameters.append((parameters_pem(block), block))
        elif block.label == PFX:
            self._spend_key()
            opened = open_pfx(block.der, self._passphrase)
            self.findings.extend(at(block, each.message, each.reason) for each in opened.findings)
            self.unread.add_keys(block.file, len(opened.findings))
            content.keys.extend((key, block) for key in opened.keys)
            for certificate in opened.certificates:
                content.certificates.setdefault(certificate, block)
        else:
            raise refusal(block, "a private key or a certificate")

    def _spend_parameters(self) -> None:
        self._parameters_left -= 1
        if self._parameters_left < 0:
            raise PkiError(f"there are more than {MAX_PARAMETERS} parameters", reason=Reason.TOO_BIG)

    def _spend_key(self) -> None:
        self._keys_left -= 1
        if self._keys_left < 0:
            raise PkiError(f"there are more than {MAX_KEYS} private keys", reason=Reason.TOO_BIG)
