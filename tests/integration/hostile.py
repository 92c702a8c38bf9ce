"""What a hostile manager says: real frames of the protocol around content that no honest one sends.

Each is written to a node that has applied generation 5 of epoch 2.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from common.bundle.build import Bundle
from common.bundle.manifest import ENTRY_MAX_BYTES, MANIFEST_MAX_BYTES, canonical, parse_manifest
from common.errors import Reason
from common.wire.frames import FRAME_MAX_BYTES, HEADER_MAX_BYTES, encode_frame
from common.wire.messages import Hello, Offer, Payload, Report, Tick, Welcome, encode
from tests import pki
from tests.integration.agent_parts import ROOT, real_bundle

EPOCH, APPLIED = 2, 5
LEAVES = [pki.make_leaf(ROOT, [f"{name}.example.com"]) for name in ("old", "evil", "good")]


def bundle_of(number: int, generation: int, epoch: int = EPOCH) -> Bundle:
    """A whole and valid bundle with one of three leaves: 0 runs, 1 is the hostile one's, 2 is good again."""
    return real_bundle(LEAVES[number], generation, epoch=epoch)


OLD, EVIL, GOOD = (bundle_of(number, APPLIED + number) for number in range(3))

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """`frames` are written; the node answers with a rejection or, if it `closes`, by hanging up, for this reason."""

    name: str
    frames: bytes
    reason: Reason
    closes: bool = False


def offer(raw: bytes, *, push_id: str = "evil", forced: bool = False, **named: Any) -> bytes:
    """The frame that offers these bytes as a manifest, by its true digest where it has one, or as `named`."""
    facts = {"epoch": EPOCH, "generation": EVIL.manifest.generation, "digest": "00" * 32}
    try:
        manifest = msgspec.json.decode(raw, type=type(EVIL.manifest))
        facts |= {"epoch": manifest.epoch, "generation": manifest.generation, "digest": manifest.digest}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    return encode(Offer(push_id=push_id, forced=forced, **(facts | named)), raw)


def altered(change: Callable[[Fields], object]) -> bytes:
    """The evil manifest with a change, in canonical form all the same."""
    fields = msgspec.json.decode(canonical(EVIL.manifest))
    change(fields)
    return msgspec.json.encode(fields, order="sorted")


def _entry(change: Fields) -> Callable[[Fields], object]:
    return lambda fields: fields["entries"][0].update(change)


def _path(path: str) -> Callable[[Fields], object]:
    return _entry({"path": path})


def _more(count: int) -> Callable[[Fields], object]:
    return lambda fields: fields["entries"].extend(dict(fields["entries"][-1]) for _ in range(count))


def _large(fields: Fields) -> None:
    for entry in fields["entries"]:
        entry["size_bytes"] = ENTRY_MAX_BYTES


def _nested(fields: Fields) -> None:
    fields["entries"][0]["x"] = "DEEP"


_PATHS = {
    "traversal": "../../../../etc/cron.d/x",
    "traversal behind a slot": "server/../../../etc/passwd",
    "absolute": "/etc/passwd",
    "NUL": "server/privkey.pem\0.txt",
    "link-like": "server/privkey.pem -> /etc/shadow",
    "the live link": "current",
    "the previous link": "previous/server/privkey.pem",
    "the journal": "../journal.json",
    "a directory": "server",
    "slash at the end": "server/certificate.pem/",
    "doubled slash": "server//certificate.pem",
    "backslash": "server\\..\\..\\x",
    "no name": "",
    "another slot": "admin/certificate.pem",
    "very long": "server/" + "x" * 20_000,
}

_MANIFESTS: dict[str, tuple[Reason, Callable[[Fields], object]]] = {
    **{f"path: {name}": (Reason.PARSE, _path(path)) for name, path in _PATHS.items()},
    "entries: twice the same": (Reason.PARSE, _more(1)),
    "entries: 10,000 of them": (Reason.TOO_BIG, _more(10_000)),
    "entries: one missing": (Reason.PARSE, lambda fields: fields["entries"].pop(0)),
    "entries: no trust store": (Reason.EMPTY_BUNDLE, lambda fields: fields["entries"].pop()),
    "size: a terabyte": (Reason.TOO_BIG, _entry({"size_bytes": 2**40})),
    "size: negative": (Reason.TOO_BIG, _entry({"size_bytes": -1})),
    "size: all of 64 bits": (Reason.TOO_BIG, _entry({"size_bytes": 2**64 - 1})),
    "size: all together": (Reason.TOO_BIG, _large),
    "digest: a path": (Reason.PARSE, _entry({"digest": "../" * 21 + "x"})),
    "digest: capitals": (Reason.PARSE, _entry({"digest": "AB" * 32})),
    "digest: short": (Reason.PARSE, _entry({"digest": "ab"})),
    "node: another": (Reason.WRONG_NODE, lambda fields: fields.update(node="n2")),
    "node: a path": (Reason.WRONG_NODE, lambda fields: fields.update(node="../n1")),
    "generation: older": (Reason.STALE_GENERATION, lambda fields: fields.update(generation=APPLIED - 1)),
    "generation: the same, other content": (
        Reason.STALE_GENERATION,
        lambda fields: fields.update(generation=APPLIED),
    ),
    "generation: zero": (Reason.PARSE, lambda fields: fields.update(generation=0)),
    "epoch: older": (Reason.EPOCH_CONFLICT, lambda fields: fields.update(epoch=EPOCH - 1, generation=99)),
    "format: another": (Reason.UNSUPPORTED, lambda fields: fields.update(format=2)),
    "slot: unknown": (
        Reason.PARSE,
        lambda fields: fields["slots"].update(admin=fields["slots"]["server"]),
    ),
    "slot: declared, files missing": (
        Reason.PARSE,
        lambda fields: fields["slots"].update(client=fields["slots"]["server"]),
    ),
    "field: commands": (Reason.PARSE, lambda fields: fields.update(commands=[["/bin/touch", "/tmp/evil"]])),
    "field: consumers": (
        Reason.PARSE,
        lambda fields: fields.update(consumers=[{"name": "web", "reload": ["/bin/touch", "/tmp/evil"]}]),
    ),
    "field: a mode": (Reason.PARSE, _entry({"mode": 0o4755})),
    "field: an owner": (Reason.PARSE, _entry({"owner": "root"})),
    "field: a target": (Reason.PARSE, _entry({"target": "/etc/shadow", "type": "link"})),
}


def payload(digest: str, body: bytes, push_id: str = "evil") -> bytes:
    """The frame of one payload, whatever its digest really is."""
    return encode(Payload(push_id=push_id, digest=digest), body)


def whole(bundle: Bundle, *, push_id: str = "evil") -> bytes:
    """The frames of all payloads of a bundle that the node lacks."""
    return b"".join(
        payload(digest, body, push_id)
        for digest, body in bundle.payloads.items()
        if digest not in OLD.payloads
    )


def _mispaired() -> Bundle:
    return real_bundle(LEAVES[1], APPLIED + 1, epoch=EPOCH, key_of=LEAVES[2])


def _resized() -> bytes:
    """A manifest that names true digests and wrong sizes, with all its payloads."""
    raw = altered(_entry({"size_bytes": 7}))
    parse_manifest(raw)
    return offer(raw) + whole(EVIL)


def _transfers() -> list[Attack]:
    raw = canonical(EVIL.manifest)
    key = EVIL.manifest.by_path()["server/privkey.pem"].digest
    body = EVIL.payloads[key]
    mispaired = _mispaired()
    return [
        Attack(
            name="digest: not the manifest's", frames=offer(raw, digest="ab" * 32), reason=Reason.BAD_DIGEST
        ),
        Attack(
            name="generation: not the manifest's", frames=offer(raw, generation=77), reason=Reason.BAD_DIGEST
        ),
        Attack(
            name="payload: cut",
            frames=offer(raw) + payload(key, body[:-9]),
            reason=Reason.BAD_DIGEST,
        ),
        Attack(
            name="payload: other bytes",
            frames=offer(raw) + payload(key, b"#!/bin/sh\ntouch /tmp/evil\n"),
            reason=Reason.BAD_DIGEST,
        ),
        Attack(name="payload: another size", frames=_resized(), reason=Reason.BAD_DIGEST),
        Attack(
            name="payload: a key that does not pair",
            frames=offer(canonical(mispaired.manifest)) + whole(mispaired),
            reason=Reason.KEY_MISMATCH,
        ),
        Attack(
            name="forced: an older epoch",
            frames=offer(canonical(bundle_of(1, 99, epoch=EPOCH - 1).manifest), forced=True),
            reason=Reason.EPOCH_CONFLICT,
        ),
        Attack(
            name="forced: an older generation",
            frames=offer(canonical(bundle_of(1, APPLIED - 1).manifest), forced=True),
            reason=Reason.STALE_GENERATION,
        ),
        Attack(
            name="payload: never asked for",
            frames=offer(raw) + payload("cd" * 32, b"x"),
            reason=Reason.BAD_DIGEST,
            closes=True,
        ),
        Attack(
            name="payload: twice",
            frames=offer(raw) + payload(key, body) * 2,
            reason=Reason.BAD_DIGEST,
            closes=True,
        ),
    ]


def _header(fields: object) -> bytes:
    return encode_frame(msgspec.msgpack.encode(fields))


def _breaks() -> list[Attack]:
    """What breaks the protocol itself."""
    tick = Tick(report=Report())
    hello = Hello(protocol=1, node="n1", boot_id="b", agent_version="0", report=Report())
    frames = {
        "frame: over the ceiling": (Reason.TOO_BIG, (FRAME_MAX_BYTES + 1).to_bytes(4, "big") + bytes(64)),
        "frame: four gigabytes": (Reason.TOO_BIG, b"\xff" * 64),
        "frame: empty": (Reason.BAD_FRAME, bytes(4)),
        "frame: a header longer than it": (Reason.BAD_FRAME, b"\0\0\0\x04\0\xffxx"),
        "header: over its ceiling": (
            Reason.BAD_FRAME,
            (HEADER_MAX_BYTES + 3).to_bytes(4, "big")
            + (HEADER_MAX_BYTES + 1).to_bytes(2, "big")
            + bytes(HEADER_MAX_BYTES + 1),
        ),
        "header: garbage": (Reason.BAD_MESSAGE, encode_frame(bytes(range(128, 256)))),
        "header: nothing": (Reason.BAD_MESSAGE, encode_frame(b"")),
        "header: nested without end": (
            Reason.BAD_MESSAGE,
            encode_frame(b"\x82\xa1x" + b"\x91" * 60_000 + b"\xc0\xa1t\xa4tock"),
        ),
        "message: a command": (
            Reason.BAD_MESSAGE,
            _header({"t": "exec", "argv": ["/bin/touch", "/tmp/evil"]}),
        ),
        "message: services": (Reason.BAD_MESSAGE, _header({"t": "services", "consumer": []})),
        "message: an agent's own": (Reason.BAD_MESSAGE, encode(tick)),
        "message: a hello": (Reason.BAD_MESSAGE, encode(hello)),
        "message: a second welcome": (Reason.BAD_MESSAGE, encode(Welcome(verdict="ok"))),
        "message: an unexpected blob": (
            Reason.BAD_MESSAGE,
            encode_frame(msgspec.msgpack.encode({"t": "tock", "server_time_s": 1.0, "epoch": 1}), b"x"),
        ),
        "offer: a push id without end": (
            Reason.BAD_MESSAGE,
            _header({"t": "offer", "push_id": "x" * 9999, "epoch": 2, "generation": 6, "digest": ""}),
        ),
        "offer: a negative generation": (
            Reason.BAD_MESSAGE,
            _header({"t": "offer", "push_id": "x", "epoch": 2, "generation": -6, "digest": ""}),
        ),
        "offer: a digest that is a path": (
            Reason.BAD_MESSAGE,
            _header({"t": "offer", "push_id": "x", "epoch": 2, "generation": 6, "digest": "../../x"}),
        ),
    }
    return [
        Attack(name=name, frames=data, reason=reason, closes=True) for name, (reason, data) in frames.items()
    ]


def _raw_manifests() -> list[Attack]:
    deep = altered(_nested).replace(b'"DEEP"', b"[" * 14_000 + b"]" * 14_000)
    raws = {
        "manifest: garbage": (Reason.PARSE, bytes(range(256))),
        "manifest: nothing": (Reason.PARSE, b""),
        "manifest: over its ceiling": (Reason.TOO_BIG, b" " * (MANIFEST_MAX_BYTES + 1)),
        "manifest: nested without end": (Reason.PARSE, deep),
        "manifest: not in canonical form": (Reason.PARSE, canonical(EVIL.manifest) + b" "),
    }
    return [Attack(name=name, frames=offer(raw), reason=reason) for name, (reason, raw) in raws.items()]


ATTACKS = [
    *(
        Attack(name=name, frames=offer(altered(change)), reason=reason)
        for name, (reason, change) in _MANIFESTS.items()
    ),
    *_raw_manifests(),
    *_transfers(),
    *_breaks(),
]
