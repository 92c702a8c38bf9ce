"""Whatever is announced, an agent keeps a list that it can dial, or what it had."""

import asyncio
from pathlib import Path

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import ProtocolError
from common.runtime.ssh import generate_key
from common.wire.contact import ADDRESSES_MAX, Contact, can_be_kept, is_address
from common.wire.messages import Tock, Welcome, decode
from nodeagent.channel import identity
from nodeagent.channel.identity import Pin
from nodeagent.channel.route import Route

HOSTS = st.sampled_from(["m.example", "192.0.2.1", "[2001:db8::1]", "2001:db8::1", "münchen.example"])
SOUND = st.builds(lambda host, port: f"{host}:{port}", HOSTS, st.integers(1, 65535))
ODD = st.one_of(
    st.text(max_size=320),
    st.builds(lambda host, port: f"{host}:{port}", st.text(max_size=20), st.integers(-5, 70000)),
    st.sampled_from([":1", "m:0", "m:", "m:\u0661", "[m]:1", "a b:1", "m@n:1", "[::1:1", "m:00080", "m:1\n"]),
)
ADDRESSES = st.lists(st.one_of(SOUND, ODD), max_size=20)


class Known:
    def __init__(self) -> None:
        self.known = None

    def set_contact(self, contact: Contact) -> None:
        self.known = contact

    def contact(self) -> Contact | None:
        return self.known


@given(SOUND)
def test_an_address_that_can_be_dialled_is_one(address: str):
    assert is_address(address)


@given(st.one_of(SOUND, ODD))
def test_what_is_an_address_splits_into_a_host_and_a_port(address: str):
    if is_address(address):
        host, _, port = address.rpartition(":")
        assert host
        assert host == host.strip()
        assert 1 <= int(port) <= 65535


@settings(max_examples=40, deadline=None)
@given(ADDRESSES)
def test_a_list_is_kept_whole_or_not_at_all(tmp_path_factory, addresses: list[str]):
    data = tmp_path_factory.mktemp("node")
    before = ["m.example:9422"]
    given_identity(data, before)
    known = Known()
    known.set_contact(Contact(addresses=before))
    route = Route(data, known, lambda low, high: low)
    route._me = identity.load(data)
    try:
        has_changed = asyncio.run(route.keep(Contact(addresses=addresses)))
    except ProtocolError:
        has_changed = False
    kept = list(identity.load(data).addresses)
    assert kept == (addresses if has_changed else before)
    assert can_be_kept(kept)


@given(
    st.sampled_from(["welcome", "tock"]),
    st.one_of(
        st.none(),
        st.binary(max_size=20),
        st.dictionaries(
            st.sampled_from(["addresses", "host_keys", "x"]),
            st.one_of(st.lists(st.text(max_size=400), max_size=40), st.integers(0, 9), st.none()),
        ),
    ),
)
def test_no_contact_on_the_wire_is_larger_than_its_ceilings(kind: str, contact: object):
    sent = {"t": kind, "verdict": "ok", "server_time_s": 1.0, "epoch": 1, "contact": contact}
    try:
        read = decode(msgspec.msgpack.encode(sent))
    except ProtocolError:
        return
    assert isinstance(read, Welcome | Tock)
    if read.contact is not None:
        assert len(read.contact.addresses) <= ADDRESSES_MAX
        assert all(len(each) <= 300 for each in read.contact.addresses)


def given_identity(data: Path, addresses: list[str]) -> None:
    identity.ensure_key(data)
    key = identity.load_key(generate_key())
    identity.save_pin(data, Pin(node="n1", addresses=addresses, host_keys=[identity.public_line(key)]))
