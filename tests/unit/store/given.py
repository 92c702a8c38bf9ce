"""What the store's tests put into it."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from typing import Any

from common.bundle.manifest import canonical
from common.ids import Digest, Fingerprint, NodeName, digest_of
from manager.store.records import DecodedColumns, NewCertificate, NewGeneration, NewTrustedCa
from manager.store.store import Store
from tests.bundles import opaque_bundle

NOW_S = 1_000_000.0
KEY_PEM = (
    "-----BEGIN PRIVATE KEY-----\nbm90IHJlYWxseSBhIGtleSwgYnV0IGFzIHNlY3JldA==\n-----END PRIVATE KEY-----\n"
)
LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI"
N1, N2 = NodeName("n1"), NodeName("n2")


def new_certificate(serial: str = "01", *, issuer: str = "CN=issuer", **changes) -> NewCertificate:
    given = {
        "text": f"certificate {serial} as it came\r\n",
        "leaf_pem": f"leaf {serial}\n",
        "chain_pem": "chain\n",
        "parameters_pem": "",
        "private_key_pem": KEY_PEM,
        "fingerprint": Fingerprint(digest_of(f"{issuer} {serial}".encode())),
        "subject_name": "node.example.com",
        "issuer_name": "issuer",
        "raw_subject": "CN=node.example.com",
        "raw_issuer": issuer,
        "issuer_id": digest_of(issuer.encode()),
        "serial_no": serial,
        "public_key_id": digest_of(b"a key"),
        "subject_alt_names": ("node.example.com", "192.0.2.1"),
        "not_before_s": 0,
        "not_after_s": 2_000_000_000,
        "self_signed": False,
        "temporary": False,
    }
    return NewCertificate(**nested({**given, **changes}))


def new_trusted_ca(serial: str = "01", **changes) -> NewTrustedCa:
    given = {
        "text": f"CA {serial} as it came\n",
        "certificate_pem": f"CA {serial}\n",
        "fingerprint": Fingerprint(digest_of(serial.encode())),
        "subject_name": "root",
        "issuer_name": "root",
        "raw_subject": "CN=root",
        "raw_issuer": "CN=root",
        "issuer_id": digest_of(b"CN=root"),
        "serial_no": serial,
        "public_key_id": digest_of(b"a key"),
        "not_before_s": 0,
        "not_after_s": 2_000_000_000,
        "self_signed": True,
        "trusted_intermediate": False,
    }
    return NewTrustedCa(**nested({**given, **changes}))


def nested(given: dict[str, Any]) -> dict[str, Any]:
    """Put what was decoded where records have it."""
    decoded = {each.name: given.pop(each.name) for each in fields(DecodedColumns)}
    return {**given, "decoded": DecodedColumns(**decoded)}


def shown_columns(new: NewCertificate | NewTrustedCa) -> dict[str, Any]:
    """Return what a record shows of what was given."""
    own = {name: getattr(new, name) for name in new.__slots__ if name not in {"decoded", "private_key_pem"}}
    decoded = asdict(new.decoded)
    return own | {name: decoded[name] for name in decoded if name not in {"issuer_id", "public_key_id"}}


def id_of(node: NodeName) -> int:
    """The number of a node in a store to which n1, n2 ... (or m0 ...) were added in this order and never again."""
    return int(node[1:])


def new_generation(
    number: int,
    *,
    follows: int | None = None,
    node: NodeName = N1,
    epoch: int = 1,
    text: str = "leaf",
    trust: str = "anchors",
) -> NewGeneration:
    """Return a generation; it follows the one with the number before unless said otherwise."""
    bundle = opaque_bundle(text, node=node, epoch=epoch, generation=number, trust=trust)
    manifest = bundle.manifest
    return NewGeneration(
        node=node,
        node_id=id_of(node),
        follows=number - 1 if follows is None else follows,
        epoch=epoch,
        generation=number,
        digest=manifest.digest,
        manifest=canonical(manifest),
        payloads=bundle.payloads,
        secrets=frozenset(entry.digest for entry in manifest.entries if entry.secret),
        cause="test",
        created_s=NOW_S,
    )


def digests_of(item: NewGeneration) -> set[Digest]:
    return set(item.payloads)


async def add_nodes(store: Store, *names: NodeName) -> None:
    for name in names:
        await store.nodes.add(name, "node", names=[f"{name}.example.com"], addresses=[], now_s=NOW_S)


async def publish(store: Store, *items: NewGeneration) -> Sequence[object]:
    return await store.generations.publish(items)


async def second_member(store: Store, again: Callable[[], Store]) -> Store:
    """Give a store two nodes and two members, and return the second."""
    await add_nodes(store, N1, N2)
    store.act_as(await store.members.join(NodeName("management")))
    made = again()
    made.act_as(await made.members.join(NodeName("management-2")))
    return made
