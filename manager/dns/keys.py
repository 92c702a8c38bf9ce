"""Keys that sign updates (TSIG, RFC 8945), in the format that `tsig-keygen` writes and `named` reads.

Decides which keys are accepted, and who else may read their file. Invariant: no error quotes a file's
content, and no `repr` shows a secret.
"""

import base64
import binascii
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import dns.exception
import dns.name
import dns.tsig

from common.runtime.regular_file import open_regular
from common.runtime.trusted import ROOT_UID
from manager.dns.settings import Update
from manager.usecases.renewal.ports import CaError

FILE_MAX_BYTES: Final = 4096
"""A key of 512 bits is a file of about 200 bytes."""

ALGORITHMS: Final = ("hmac-sha256", "hmac-sha384", "hmac-sha512")
"""Algorithms that RFC 8945 6 recommends or allows and that are no weaker than untruncated SHA-256."""

ROOT_GID: Final = 0

_COMMENT: Final = re.compile(r'("[^"\n]*")|/\*.*?\*/|(?://|#)[^\n]*', re.DOTALL)
"""Comments as in named.conf. Two slashes within quotes, as a secret may have, are not a comment."""

_KEY: Final = re.compile(r'\s*key\s+"?([A-Za-z0-9_.-]{1,253})"?\s*\{([^{}]*)\}\s*;?\s*')
_ALGORITHM: Final = re.compile(r'\balgorithm\s+"?([A-Za-z0-9.-]+?)\.?"?\s*;')
_SECRET: Final = re.compile(r'\bsecret\s+"?([A-Za-z0-9+/]+=*)"?\s*;')


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key, with its `name` and `algorithm`, which both sides know."""

    name: str
    algorithm: str
    secret: bytes = field(repr=False)

    def of_library(self) -> dns.tsig.Key:
        """Return dnspython's form of the key, whose `repr` shows the secret."""
        return dns.tsig.Key(dns.name.from_text(self.name), self.secret, dns.name.from_text(self.algorithm))


def read_key(way: Update) -> Key:
    """Read a key from its present place. Blocking. Raises CaError."""
    place = way.key_file or _credential(way.key_credential or "")
    try:
        with os.fdopen(open_regular(place, os.O_RDONLY), "rb") as file:
            if way.key_file is not None:
                _check_private(os.fstat(file.fileno()), place)
            data = file.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        raise _refused(f"the DNS key {place} cannot be read: {error.strerror}") from error
    return parse_key(data, str(place))


def parse_key(data: bytes, place: str) -> Key:
    """Read a key from a file's content. Raises CaError."""
    if len(data) > FILE_MAX_BYTES:
        raise _refused(f"the DNS key {place} is larger than {FILE_MAX_BYTES} bytes")
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    found = _KEY.fullmatch(_COMMENT.sub(lambda match: match[1] or " ", text))
    algorithms, secrets = (pattern.findall(found[2] if found else "") for pattern in (_ALGORITHM, _SECRET))
    if found is None or len(algorithms) != 1 or len(secrets) != 1:
        raise _refused(
            f'{place} is not a DNS key: it must be one of the form key "NAME" {{ algorithm hmac-sha256; secret "..."; }};'
        )
    algorithm = algorithms[0].lower()
    if algorithm not in ALGORITHMS:
        raise _refused(f"the algorithm of the DNS key {place} is none of {', '.join(ALGORITHMS)}")
    try:
        value = base64.b64decode(secrets[0], validate=True)
        dns.name.from_text(found[1])
    except (binascii.Error, dns.exception.DNSException):
        # without its cause, which may quote the secret
        raise _refused(
            f"the secret of the DNS key {place} is not base64, or its name is not one of DNS"
        ) from None
    return Key(name=found[1], algorithm=algorithm, secret=value)


def _credential(name: str) -> Path:
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        raise _refused(f"the credential {name} is not there: the service manager handed over none")
    return Path(directory, name)


def _check_private(facts: os.stat_result, place: Path) -> None:
    mode = stat.S_IMODE(facts.st_mode)
    is_own = facts.st_uid in {ROOT_UID, os.geteuid()}
    groups = {ROOT_GID, os.getegid(), *os.getgroups()}
    is_shared = bool(mode & stat.S_IRWXO) or bool(mode & stat.S_IRWXG and facts.st_gid not in groups)
    if not is_own or is_shared:
        raise _refused(
            f"the DNS key {place} can be read by others (mode {mode:04o}); only root and the manager's account may, "
            "so change its owner and mode, and make a new key here and at the server"
        )


def _refused(message: str) -> CaError:
    return CaError(message, is_final=True)
