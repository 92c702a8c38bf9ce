"""Which of a certificate's chains is taken."""

import pytest

from manager.domain.renewal.chains import choose_chain, ends_at
from tests import pki

OLD, NEW = pki.make_root("Old Root"), pki.make_root("New Root")
ISSUING = pki.make_intermediate(NEW, "Issuing")
CROSSED = pki.cross_sign(OLD, NEW)
LEAF = pki.make_leaf(ISSUING)

SHORT = pki.chain_pem(LEAF, ISSUING)
WHOLE = pki.chain_pem(LEAF, ISSUING, NEW)
LONG = pki.chain_pem(LEAF, ISSUING, CROSSED)


@pytest.mark.parametrize(
    ("chain", "root"),
    [(SHORT, "New Root"), (WHOLE, "New Root"), (LONG, "Old Root"), ("", ""), ("nothing", "")],
)
def test_a_chain_ends_at_the_root_that_it_has_or_that_its_last_certificate_names(chain, root):
    assert ends_at(chain) == root


def test_a_chain_whose_last_certificate_cannot_be_read_ends_nowhere():
    garbled = SHORT + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    assert ends_at(garbled) == ""


@pytest.mark.parametrize(
    ("preferred", "taken", "is_preferred"),
    [
        ("", LONG, True),
        ("Old Root", LONG, True),
        ("New Root", SHORT, True),
        ("Third Root", LONG, False),
        ("new root", LONG, False),
        ("Issuing", LONG, False),
    ],
)
def test_the_chain_to_the_preferred_root_is_taken_or_else_the_cas_own_choice_which_is_said(
    preferred, taken, is_preferred
):
    chosen = choose_chain([LONG, SHORT, WHOLE], preferred)
    assert (chosen.text, chosen.is_preferred) == (taken, is_preferred)
