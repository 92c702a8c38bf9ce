"""What is kept whole in a row: shapes with a version of their own, which nothing but the store changes."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from common.errors import StorageError
from common.ids import NodeName
from manager.domain.duplicate_identity import Occupant, RecentAgents
from manager.domain.model import KeyChange, NodeReportRecord, PushRecord
from manager.domain.report import Applied, ConfigurationFault, Failure, PartRefused, Serving, Waiting
from manager.store.translate import (
    decode_key_change,
    decode_report,
    decode_seats,
    encode_key_change,
    encode_report,
    encode_seats,
)

VECTORS = Path(__file__).parents[2] / "vectors/store"
UNVERSIONED = bytes.fromhex((VECTORS / "report-unversioned.hex").read_text())
"""As managers wrote it that kept the wire's own messages."""

REPORT = NodeReportRecord(
    node=NodeName("n1"),
    at_s=1_800_000_000.5,
    applied=Applied(epoch=1, generation=3, digest="d" * 64, leaves={"server": "f" * 64}),
    last_failed=Failure(
        epoch=1,
        generation=4,
        digest="d" * 64,
        result="rolled_back",
        phase="verify",
        reason="verify_mismatch",
        message="the old leaf is served",
        at_s=1_800_000_000.0,
        attempts=2,
        retry_after_s=300.0,
    ),
    serving=(
        Serving(
            consumer="web",
            endpoint="127.0.0.1:443",
            slot="server",
            leaf="f" * 64,
            not_after_s=1_900_000_000,
            at_s=1_800_000_000.0,
            tls="TLSv1.3",
            sent=1,
            strict_client="",
            stapled=False,
        ),
    ),
    disk="d" * 64,
    drifts=2,
    clock_skew_s=-0.5,
    waiting=(
        Waiting(consumer="sip", since_s=1_800_000_000.0, reason="service", message="sip.service is stopped"),
    ),
    diagnostics="exit status 1",
    configuration=(ConfigurationFault(code="services_invalid", message="line 3"),),
    node_id=7,
    address="198.51.100.7",
)

CHANGE = KeyChange(
    how="rejoined",
    at_s=1_800_000_000.0,
    address="198.51.100.7",
    fingerprint="SHA256:new",
    former="SHA256:old",
    former_address="198.51.100.6",
)
CHANGE_UNVERSIONED = (
    '{"how":"rejoined","at_s":1800000000.0,"address":"198.51.100.7","fingerprint":"SHA256:new",'
    '"former":"SHA256:old","former_address":"198.51.100.6"}'
)

ADDED = {
    "version": 1,
    "contact": None,
    "heard_s": None,
    "enrolled_s": None,
    "awaiting_first_report": False,
    "reported_retry_s": None,
    "refused": None,
    "refused_retry_s": 0.0,
    "refused_parts": [],
    "push": None,
    "agent_version": "",
}


def test_a_report_that_was_kept_before_there_was_a_version_is_read():
    assert decode_report(UNVERSIONED) == REPORT


def test_a_key_change_that_was_kept_before_there_was_a_version_is_read():
    assert decode_key_change(CHANGE_UNVERSIONED) == CHANGE


def test_a_report_is_kept_as_it_always_was_but_for_its_version_and_what_was_added():
    kept = msgspec.msgpack.decode(encode_report(REPORT))
    former = msgspec.msgpack.decode(UNVERSIONED)
    assert {name: kept.pop(name) for name in kept.keys() - former.keys()} == ADDED
    assert kept == former


def test_what_was_added_to_a_report_comes_back():
    report = replace(
        REPORT,
        last_report_s=1_800_000_000.25,
        enrolled_s=1_700_000_000.0,
        awaiting_first_report=True,
        reported_retry_s=1_800_000_300.0,
        refused=REPORT.last_failed,
        refused_retry_s=1_800_000_060.0,
        refused_parts=(PartRefused(part="trust", digest="d" * 64, reason="parse", certificate="Root 1"),),
        push=PushRecord(
            push_id="p",
            epoch=1,
            generation=4,
            digest="d" * 64,
            leaves={"server": "f" * 64},
            changed_s=1.0,
            offered_s=2.0,
            forced=True,
            concluded_s=None,
            phase="reload",
            result="",
            reason="",
            message="",
        ),
        agent_version="1.2.3",
    )
    assert decode_report(encode_report(report)) == report


@pytest.mark.parametrize("both", [None, (Occupant("a", "192.0.2.1", 1.0), Occupant("b", "192.0.2.2", 2.0))])
def test_who_greeted_comes_back(both: tuple[Occupant, Occupant] | None):
    seats = RecentAgents(occupants=(Occupant("a", "192.0.2.1", 1.0), Occupant("b", "", 2.5)), collision=both)
    assert decode_seats(encode_seats(seats)) == seats
    assert encode_seats(seats).startswith('{"greetings":[["a","192.0.2.1",1.0],')


def test_a_key_change_is_kept_as_it_always_was_but_for_its_version():
    kept = msgspec.json.decode(encode_key_change(CHANGE))
    assert kept.pop("version") == 1
    assert kept == msgspec.json.decode(CHANGE_UNVERSIONED)


def test_a_row_of_a_later_version_is_refused_and_not_misread():
    report = {**msgspec.msgpack.decode(UNVERSIONED), "version": 2}
    with pytest.raises(StorageError, match="version 2"):
        decode_report(msgspec.msgpack.encode(report))
    change = {**msgspec.json.decode(CHANGE_UNVERSIONED), "version": 2}
    with pytest.raises(StorageError, match="version 2"):
        decode_key_change(msgspec.json.encode(change).decode())
