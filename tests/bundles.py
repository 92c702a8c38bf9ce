"""Bundles for tests, from plain bytes where their content does not matter."""

from common.bundle.build import (
    Bundle,
    Files,
    SlotMaterial,
    TrustMaterial,
    build_bundle,
    slot_files,
    trust_files,
)
from common.bundle.manifest import SlotFacts
from common.ids import Fingerprint, NodeName, digest_of

NODE = NodeName("n1")


def opaque_slot(text: str = "leaf") -> tuple[SlotFacts, Files]:
    """A slot whose files are not certificates, for tests where only digests matter."""
    facts = SlotFacts(leaf=Fingerprint(digest_of(text.encode())), not_before_s=0, not_after_s=2_000_000_000)
    material = SlotMaterial(
        facts=facts,
        certificate_pem=f"{text} certificate\n",
        chain_pem="chain\n",
        private_key_pem=f"{text} key\n",
    )
    return facts, slot_files("server", material)


def opaque_trust(text: str = "anchors") -> Files:
    """A trust store whose files are not certificates."""
    return trust_files(
        TrustMaterial(ca_certificates_pem=f"{text}\n", custom_ca_pem="", intermediates_pem="", anchors=1)
    )


def opaque_bundle(
    text: str = "leaf", *, node: NodeName = NODE, epoch: int = 1, generation: int = 1, trust: str = "anchors"
) -> Bundle:
    """A bundle of such parts."""
    return build_bundle(
        node=node,
        epoch=epoch,
        generation=generation,
        slots={"server": opaque_slot(text)},
        trust=opaque_trust(trust),
        anchors=1,
    )
