"""What is kept whole in a row: shapes with a version of their own, which nothing but the store changes."""

from pathlib import Path

import msgspec
import pytest

from common.errors import StorageError
from common.ids import NodeName
from manager.domain.model import KeyChange, NodeReportRecord
from manager.domain.report import Applied, ConfigurationFault, Failure, Serving, Waiting
from manager.store.translate import decode_key_change, decode_report, encode_key_change, encode_report

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


def test_a_report_that_was_kept_before_there_was_a_version_is_read():
    assert decode_report(UNVERSIONED) == REPORT


def test_a_key_change_that_was_kept_before_there_was_a_version_is_read():
    assert decode_key_change(CHANGE_UNVERSIONED) == CHANGE


def test_a_report_is_kept_as_it_always_was_but_for_its_version_and_what_was_added():
    kept = msgspec.msgpack.decode(encode_report(REPORT))
    assert (kept.pop("version"), kept.pop("contact")) == (1, None)
    assert kept == msgspec.msgpack.decode(UNVERSIONED)


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
