"""Finds private keys, passphrases and secrets that are shared with CAs and DNS servers in what a running API answers and logs.

Knows them from what tests send, what tests make, what the store has sealed, and what it sealed of accounts and orders and keeps no more; looks for the keys' secret numbers in every
usual notation, so that another encoding of the same key is found too.
"""

import base64
import binascii
import json
import logging
import re
import ssl
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qsl

import aiohttp
import pytest
import structlog
from aiohttp.client_proto import ResponseHandler
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from manager.store.sealing import Keyring
from manager.store.store import Store
from tests import bind, pki

PHRASE_MIN = 12
"""Shorter ones are words of our own sentences ("short"); no password and no passphrase for a key may be."""

PART_BYTES = 12
"""96 bits are in no answer by chance."""

Seal = Callable[[Keyring, str, bytes], bytes]

_BASE64 = re.compile(rb"[A-Za-z0-9+/]{100,}={0,2}")
_PRIVATE_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]*)PRIVATE KEY-----.*?-----END \1PRIVATE KEY-----", re.DOTALL)
_BREAKS = re.compile(rb"\\r|\\n|[\r\n]")


class Leaks:
    """Keeps what is said and logged while it listens, and what must be in neither."""

    def __init__(self) -> None:
        self._said: list[bytearray] = []
        self._logged: list[str] = []
        self._first_key = len(pki.MADE_KEYS)
        self.keys: set[str] = set()
        self.phrases: set[str] = set()
        self.shared: set[str] = set()

    def session(self, tls: ssl.SSLContext, **options: Any) -> aiohttp.ClientSession:
        """Return a session whose every byte that comes back is kept, and in whose requests secrets are recognised."""
        connector = aiohttp.TCPConnector(ssl=tls)
        connector._factory = partial(_KeepingHandler, self._said, loop=connector._loop)
        trace = aiohttp.TraceConfig()
        trace.on_request_chunk_sent.append(self._sent)
        return aiohttp.ClientSession(connector=connector, trace_configs=[trace], **options)

    async def _sent(self, _session: object, _context: object, chunk: Any) -> None:
        self.learn(chunk.chunk)

    def learn(self, body: bytes) -> None:
        """Take the keys and passphrases of a request's body."""
        try:
            self._learn("", json.loads(body))
        except (ValueError, RecursionError):
            text = body.decode(errors="replace")
            self._learn("", [text, dict(parse_qsl(text))])

    def _learn(self, name: str, value: object) -> None:
        match value:
            case Mapping():
                for key, each in value.items():
                    self._learn(str(key), each)
            case list():
                for each in value:
                    self._learn(name, each)
            case str():
                if ("passphrase" in name or "password" in name) and len(value) >= PHRASE_MIN:
                    self.phrases.add(value)
                if name == "binding_key" and len(value) >= PHRASE_MIN:
                    self.shared.add(value)
                self._learn_keys(value)
                if name == "content":
                    try:
                        self._learn_keys(base64.b64decode(value).decode(errors="replace"))
                    except binascii.Error:
                        return

    def _learn_keys(self, text: str) -> None:
        self.keys.update(found[0] for found in _PRIVATE_PEM.finditer(text))

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Keep every line of the log, also where a test captures it, and what is sealed meanwhile."""
        logged = self._logged
        before = structlog.get_config()

        class Keeping(before["wrapper_class"]):
            def _process_event(self, method_name: str, event: str | None, event_kw: dict[str, Any]) -> Any:
                trace = traceback.format_exc() if event_kw.get("exc_info") else ""
                logged.append(f"{event} {self._context} {event_kw} {trace}")
                return super()._process_event(method_name, event, event_kw)

        class Handler(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                logged.append(self.format(record))

        handler = Handler()
        structlog.configure(wrapper_class=Keeping)
        logging.getLogger().addHandler(handler)
        try:
            with patch.object(Keyring, "seal", self._learning(Keyring.seal)):
                yield
        finally:
            logging.getLogger().removeHandler(handler)
            structlog.configure(**before)

    def _learning(self, seal: Seal) -> Seal:
        """Return `seal` that keeps what of accounts and orders is sealed: their former keys are secrets too, and those of orders that are over."""

        def sealing(keyring: Keyring, identity: str, plain: bytes) -> bytes:
            if identity.endswith(":sealed_binding"):
                self.shared.add(plain.decode())
            elif identity.startswith("acme_"):
                self.keys.add(plain.decode())
            return seal(keyring, identity, plain)

        return sealing

    def hear(self, log: str) -> None:
        """Keep what another process has logged."""
        self._logged.append(log)

    async def learn_store(self, store: Store) -> None:
        """Take every secret that the store has sealed."""
        numbers = [record.id for record in await store.certificates.list()]
        materials = await store.certificates.slot_material(numbers)
        self.keys.update(material.private_key_pem for material in materials.values())
        for record in await store.csrs.list():
            self.keys.add(await store.csrs.private_key(record.id))
        for order in await store.orders.unfinished():
            self.keys.add(await store.orders.private_key(order.id))
        for account in await store.accounts.list():
            keys = await store.accounts.keys(account.id)
            self.keys.update({keys.key_pem, keys.next_key_pem} - {""})
            self.shared.update({keys.binding_key} - {""})

    def check(self) -> None:
        """Fail if a key, a passphrase or a shared secret was said or logged."""
        answers, lines = _plain(b"".join(self._said)), _plain("".join(self._logged).encode())
        secrets = [("a private key", needle) for needle in self._key_needles()]
        secrets += [("a passphrase", needle) for needle in _phrase_needles(self.phrases)]
        shared = {*self.shared, *bind.MADE_SECRETS}
        secrets += [("a shared secret", needle) for text in shared for needle in _shared_needles(text)]
        for where, hay in (("an answer", answers), ("the log", lines)):
            for what, needle in secrets:
                if (place := hay.find(needle)) >= 0:
                    pytest.fail(f"{where} holds {what}, after {hay[max(0, place - 120) : place]!r}")

    def _key_needles(self) -> Iterator[bytes]:
        keys: list[object] = list(pki.MADE_KEYS[self._first_key :])
        phrases = [None, *(phrase.encode() for phrase in self.phrases)]
        for pem in self.keys:
            key = next((key for phrase in phrases if (key := _load(pem, phrase)) is not None), None)
            if key is not None:
                keys.append(key)
            if key is None or "ENCRYPTED" in pem:
                yield from _lines(pem)
        for part in {part for key in keys for number in _numbers(key) for part in _parts(number)}:
            yield from _notations(part)


class _KeepingHandler(ResponseHandler):
    def __init__(self, said: list[bytearray], *, loop: Any) -> None:
        super().__init__(loop=loop)
        self._kept = bytearray()
        said.append(self._kept)

    def data_received(self, data: bytes) -> None:
        self._kept += data
        super().data_received(data)


def _plain(said: bytes) -> bytes:
    """Return what was said in one line, and again what of it is base64 of something."""
    line = _BREAKS.sub(b"", said)
    runs = [found[0][: len(found[0]) // 4 * 4] for found in _BASE64.finditer(line)]
    return b" ".join([line, *(_BREAKS.sub(b"", base64.b64decode(run)) for run in runs)])


def _load(pem: str, phrase: bytes | None) -> object:
    try:
        # validating an RSA key takes 0.15 s, and says nothing here
        return load_pem_private_key(pem.encode(), phrase, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError):
        return None


def _numbers(key: object) -> list[bytes]:
    """Return what is secret in a key."""
    match key:
        case ec.EllipticCurvePrivateKey():
            return [key.private_numbers().private_value.to_bytes((key.key_size + 7) // 8)]
        case rsa.RSAPrivateKey():
            numbers = key.private_numbers()
            return [each.to_bytes((each.bit_length() + 7) // 8) for each in (numbers.p, numbers.q, numbers.d)]
        case _:
            return []


def _parts(number: bytes) -> list[bytes]:
    """Return parts of a number, so that a line of a PEM block is enough to be found."""
    return [
        number[start : start + PART_BYTES] for start in range(0, len(number) - PART_BYTES + 1, PART_BYTES - 2)
    ]


def _lines(pem: str) -> Iterator[bytes]:
    """Return lines of a key that cannot be read, or is encrypted, that hold no public part."""
    lines = [line for line in pem.splitlines()[1:-1] if len(line) >= 48 and ":" not in line]
    yield from (line.encode() for line in (lines[len(lines) // 2 :] if len(lines) > 6 else lines[:2]))


def _notations(number: bytes) -> Iterator[bytes]:
    """Return a number as bytes, in hexadecimal, and as it may stand anywhere in base64 (RFC 4648 4 and 5)."""
    yield number
    for text in (number.hex(), number.hex(":")):
        yield text.encode()
        yield text.upper().encode()
    for ahead in range(3):
        whole = base64.b64encode(bytes(ahead) + number)
        # what neighbouring bytes have a share in is left out
        cut = whole[(0, 2, 3)[ahead] : len(whole) - (0, 3, 2)[(ahead + len(number)) % 3]]
        yield cut
        yield cut.translate(bytes.maketrans(b"+/", b"-_"))


def _shared_needles(text: str) -> Iterator[bytes]:
    """Return a secret that is written in base64 or base64url, and its bytes in every notation."""
    yield text.encode()
    plain = text.translate(str.maketrans("-_", "+/")).rstrip("=")
    for part in _parts(base64.b64decode(plain + "=" * (-len(plain) % 4))):
        yield from _notations(part)


def _phrase_needles(phrases: Iterable[str]) -> Iterator[bytes]:
    for phrase in phrases:
        yield phrase.encode()
        yield json.dumps(phrase)[1:-1].encode()
