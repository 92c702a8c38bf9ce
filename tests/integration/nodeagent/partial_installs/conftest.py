"""One bad part of a bundle never stops the others: on a real tree, with real services and OpenSSL's own judgement."""

import pytest

from common.bundle.build import Bundle, SlotMaterial, TrustMaterial, build_bundle, slot_files, trust_files
from common.bundle.manifest import SlotFacts
from common.ids import fingerprint_of
from nodeagent.core.services import Consumer
from tests import pki
from tests.integration.agent_parts import (
    NODE,
    OLD,
    ROOT,
    consumer,
    install,
    open_node,
    script,
    services,
)

NEXT = pki.make_leaf(ROOT, ["next.example.com"])


def bundle(
    generation: int,
    server: pki.Made | None = OLD,
    *,
    key_of: pki.Made | None = None,
    client: pki.Made | None = None,
    trusted: tuple[str, ...] = (ROOT.certificate_pem,),
) -> Bundle:
    slots = {}
    for slot, made, key in (("server", server, key_of), ("client", client, None)):
        if made is not None:
            facts = SlotFacts(
                leaf=fingerprint_of(made.certificate_der),
                not_before_s=int(made.certificate.not_valid_before_utc.timestamp()),
                not_after_s=int(made.certificate.not_valid_after_utc.timestamp()),
            )
            material = SlotMaterial(
                facts=facts,
                certificate_pem=made.certificate_pem,
                chain_pem=ROOT.certificate_pem,
                private_key_pem=(key or made).key_pem,
            )
            slots[slot] = (facts, slot_files(slot, material))
    trust = TrustMaterial(
        ca_certificates_pem="".join(trusted),
        custom_ca_pem="".join(trusted),
        intermediates_pem="",
        anchors=len(trusted),
    )
    return build_bundle(
        node=NODE, epoch=1, generation=generation, slots=slots, trust=trust_files(trust), anchors=len(trusted)
    )


@pytest.fixture
async def node(data, service, tmp_path):
    """A node that runs generation 1; nginx-like, its service reads server and trust."""
    state = await open_node(data, services(web(service.reload_script(tmp_path), service.port)))
    assert (await install(state, bundle(1))).result == "applied"
    return state


def web(reload, port, *uses: str, **more) -> Consumer:
    base = consumer(reload, port=port)
    fields = {field: getattr(base, field) for field in base.__slots__}
    return Consumer(**{**fields, "uses": uses or ("server", "trust"), **more})


def live(data, path: str) -> str:
    return (data / "current" / path).read_text()


def refusing_two(tmp_path, data, pid: int):
    """A reload that refuses a trust store, and one client certificate."""
    (tmp_path / "client.pem").write_text(NEXT.certificate_pem)
    return script(
        tmp_path / "reload",
        f"grep -q POISON {data}/current/trust/intermediates.pem && {{ echo no trust; exit 1; }}\n"
        f"cmp -s {data}/current/client/certificate.pem {tmp_path}/client.pem && {{ echo no client; exit 1; }}\n"
        f"kill -HUP {pid}",
    )


# -- the first installation, where there is nothing to go back to


def counting(tmp_path, name: str, text: str) -> Consumer:
    """A service without ports that uses the client certificate, and keeps a note of each of its reloads."""
    return web(
        script(tmp_path / name, f"echo x >> {tmp_path / name}.calls; {text}"),
        None,
        "client",
        name=name,
        endpoints=(),
    )
