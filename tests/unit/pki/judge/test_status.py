import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from common.pki.certificate import decode
from common.pki.expiry import Nearness
from common.pki.finding import LintCode, Severity, by_severity, worst
from common.pki.path import has_ended
from common.pki.pem import read_blocks
from manager.pki.chain.chain import build_chain
from manager.pki.chain.search import Issuers
from manager.pki.judge.lint import MISMATCHED_MAX, Circumstances, covers, lint
from manager.pki.judge.status import nearness_of, status_of, statuses
from tests.pki import DAY_S, NOW_S, make_intermediate, make_leaf, make_root, make_rsa_key
from tests.unit.pki.openssl import accepts, openssl

ROOT = make_root()


def leaf(*arguments, issuer=ROOT, **keywords):
    return decode(make_leaf(issuer, *arguments, **keywords).certificate_der)


def texts(certificate, now_s=NOW_S, **keywords):
    return [status.text for status in statuses(certificate, now_s=now_s, **keywords)]


def test_a_valid_certificate_is_good():
    assert texts(leaf()) == ["Good"]


@pytest.mark.parametrize(
    ("left_s", "text"),
    [
        (60 * DAY_S + 1, "Good"),
        (60 * DAY_S, "60 days left"),
        (2 * DAY_S, "2 days left"),
        (2 * DAY_S - 1, "1 day left"),
        (0, "Expires today"),
        (-1, "Expired"),
    ],
)
def test_days_left_begin_at_sixty_and_end_with_the_last_valid_second(left_s, text):
    assert texts(leaf(not_before_s=NOW_S - 400 * DAY_S, not_after_s=NOW_S + left_s)) == [text]


def test_a_self_signed_certificate_is_temporary_unless_it_is_a_trusted_ca():
    alone = leaf(issuer=None)
    assert texts(alone) == ["Temporary"]
    assert texts(decode(ROOT.certificate_der), trusted_ca=True) == ["Good"]


def test_an_empty_subject_is_named():
    assert texts(leaf(subject=x509.Name([]))) == ["Empty subject"]


@pytest.mark.parametrize("hashed", ["sha1", "md5"])
def test_an_old_signature_is_weak(tmp_path, hashed):
    (tmp_path / "key.pem").write_text(make_root(key=make_rsa_key()).key_pem)
    arguments = ("-new", "-x509", "-key", "key.pem", "-subj", "/CN=old.example.com", "-days", "9999")
    text = openssl("req", *arguments, f"-{hashed}", cwd=tmp_path)
    old = decode(read_blocks(text).blocks[0].der)
    assert old.is_self_signed
    assert texts(old) == ["Temporary", "Weak signature"]
    assert texts(old, trusted_ca=True) == ["Good"]


def test_one_status_leads_and_all_are_told():
    found = leaf(issuer=None, subject=x509.Name([]), not_after_s=NOW_S + 5 * DAY_S)
    assert texts(found) == ["5 days left", "Temporary", "Empty subject"]
    assert status_of(found, now_s=NOW_S).text == "5 days left"
    assert status_of(found, now_s=NOW_S + 6 * DAY_S).text == "Expired"


@pytest.mark.parametrize(
    ("life", "shown", "alarmed"),
    [
        # the specification's days, from a lifetime of 90 days on
        (365 * DAY_S, 60 * DAY_S, 30 * DAY_S),
        (90 * DAY_S, 60 * DAY_S, 30 * DAY_S),
        # two thirds and one third of what lives shorter
        (45 * DAY_S, 30 * DAY_S, 15 * DAY_S),
        (10 * DAY_S, 10 * DAY_S * 2 // 3, 10 * DAY_S // 3),
        # and half below 10 days
        (6 * DAY_S, 4 * DAY_S, 3 * DAY_S),
    ],
)
def test_what_lives_short_is_not_expiring_for_its_whole_life(life, shown, alarmed):
    # valid for `life` seconds, the last one included
    found = leaf(not_before_s=NOW_S, not_after_s=NOW_S + life - 1)

    def near(left):
        return nearness_of(found, now_s=found.not_after_s - left)

    assert near(shown + 1) is Nearness.CALM
    assert texts(found, now_s=found.not_after_s - shown - 1) == ["Good"]
    assert near(shown) is Nearness.SOON
    assert texts(found, now_s=found.not_after_s - shown) == [f"{shown // DAY_S} days left"]
    assert near(alarmed + 1) is Nearness.SOON
    assert near(alarmed) is near(0) is Nearness.ALARM
    assert near(-1) is Nearness.OVER
    assert has_ended(found, now_s=found.not_after_s + 1)


def test_a_trusted_ca_counts_by_the_specifications_days_however_short_it_lives():
    found = decode(make_root(not_before_s=NOW_S, not_after_s=NOW_S + 45 * DAY_S).certificate_der)
    assert texts(found, trusted_ca=True) == ["45 days left"]
    assert nearness_of(found, now_s=NOW_S + 15 * DAY_S, trusted_ca=True) is Nearness.ALARM


def codes(certificate, **circumstances):
    known = Circumstances(**circumstances)
    return [finding.code for finding in lint(certificate, now_s=NOW_S, circumstances=known)]


def test_a_good_certificate_has_no_findings():
    assert codes(leaf(), node_names=["node.example.com"]) == []


@pytest.mark.parametrize(
    ("keywords", "code"),
    [
        ({"not_before_s": NOW_S + 1}, LintCode.NOT_YET_VALID),
        ({"alternatives": False}, LintCode.NO_SAN),
        ({"common_name": "other.example.com"}, LintCode.NAME_NOT_IN_SAN),
        ({"names": ["*.example.com"]}, LintCode.WILDCARD),
        ({"usages": [ExtendedKeyUsageOID.CLIENT_AUTH]}, LintCode.NO_SERVER_AUTH),
        ({"usages": [ExtendedKeyUsageOID.CODE_SIGNING]}, LintCode.NO_SERVER_AUTH),
    ],
)
def test_what_a_certificate_lacks_is_found(keywords, code):
    assert code in codes(leaf(**keywords))


def test_no_extended_key_usage_allows_every_use_but_apple_wants_one():
    assert codes(leaf(usages=None)) == [LintCode.NO_PURPOSE]
    assert codes(leaf(usages=None), slots=("client",)) == []


@pytest.mark.parametrize(
    ("usage", "slots", "severity"),
    [
        (ExtendedKeyUsageOID.CLIENT_AUTH, ("server",), Severity.ERROR),
        (ExtendedKeyUsageOID.CLIENT_AUTH, ("client",), None),
        (ExtendedKeyUsageOID.CLIENT_AUTH, (), Severity.WARNING),
        (ExtendedKeyUsageOID.SERVER_AUTH, ("server",), None),
        (ExtendedKeyUsageOID.SERVER_AUTH, ("client",), Severity.ERROR),
        (ExtendedKeyUsageOID.SERVER_AUTH, ("server", "client"), Severity.ERROR),
        (ExtendedKeyUsageOID.SERVER_AUTH, (), None),
    ],
)
def test_a_purpose_is_missed_only_in_the_slot_that_needs_it(usage, slots, severity):
    findings = lint(leaf(usages=[usage]), now_s=NOW_S, circumstances=Circumstances(slots=slots))
    assert worst(each for each in findings if each.code is not LintCode.UNASSIGNED) is severity


def test_a_lone_unassigned_note_is_no_more_than_a_note():
    (alone,) = lint(leaf(), now_s=NOW_S, circumstances=Circumstances(slots=()))
    assert (alone.code, worst([alone])) == (LintCode.UNASSIGNED, Severity.NOTE)
    assert worst([]) is None


def test_the_worst_finding_comes_first():
    findings = lint(leaf(["*.example.com"]), now_s=NOW_S, circumstances=Circumstances(node_names=["x.test"]))
    assert [each.code for each in findings] == [LintCode.WILDCARD, LintCode.NODE_NAME_MISMATCH]
    assert [each.severity for each in by_severity(findings)] == [Severity.ERROR, Severity.WARNING]


def test_a_usage_for_anything_is_not_one_for_servers_since_openssl_refuses_it(tmp_path):
    made = make_leaf(ROOT, usages=[ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
    assert codes(decode(made.certificate_der)) == [LintCode.NO_SERVER_AUTH]
    assert not accepts(made.certificate_pem, trusted=ROOT.certificate_pem, cwd=tmp_path)


def test_a_short_key_is_weak():
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    assert codes(leaf(key=small)) == [LintCode.WEAK_KEY]


def test_of_thousands_of_names_that_a_certificate_lacks_some_are_told_and_the_rest_counted():
    names = [f"n{number}.example.com" for number in range(5000)]
    known = Circumstances(slots=frozenset({"server"}), node_names=names)
    found = [
        each
        for each in lint(leaf(), now_s=NOW_S, circumstances=known)
        if each.code == LintCode.NODE_NAME_MISMATCH
    ]
    assert len(found) == MISMATCHED_MAX + 1
    assert f"{5000 - MISMATCHED_MAX:,} more names" in found[-1].message
    assert {each.severity for each in found} == {Severity.ERROR}


def test_what_the_store_knows_is_told():
    orphan = leaf(issuer=make_intermediate(ROOT))
    chain = build_chain(orphan, Issuers(), now_s=NOW_S)
    found = lint(
        orphan,
        now_s=NOW_S,
        circumstances=Circumstances(
            slots=(),
            node_names=["node.example.com", "alt.example.com"],
            key_shared_by=["x"],
            chain=chain,
        ),
    )
    assert [finding.code for finding in found] == [
        LintCode.NODE_NAME_MISMATCH,
        LintCode.CHAIN,
        LintCode.KEY_SHARED,
        LintCode.UNASSIGNED,
    ]
    assert "alt.example.com" in found[0].message
    assert "CN=Test Intermediate" in found[1].message


def test_names_are_covered_as_clients_match_them():
    found = leaf(["*.example.com", "a.b.example.com"], addresses=["10.0.0.1", "2001:db8::1"])
    assert covers(found, "X.example.com")
    assert covers(found, "a.b.example.com.")
    assert covers(found, "2001:0db8::0001")
    assert not covers(found, "example.com")
    assert not covers(found, "y.b.example.com")
    assert not covers(found, "10.0.0.2")


def test_an_end_within_a_day_is_named_by_its_day_in_utc():
    midnight_s = NOW_S - NOW_S % DAY_S
    found = leaf(not_before_s=NOW_S - 400 * DAY_S, not_after_s=midnight_s + DAY_S - 1)
    assert texts(found, now_s=midnight_s + 3600) == ["Expires today"]
    found = leaf(not_before_s=NOW_S - 400 * DAY_S, not_after_s=midnight_s + DAY_S)
    assert texts(found, now_s=midnight_s + 3600) == ["Expires tomorrow"]
