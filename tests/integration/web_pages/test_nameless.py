"""A certificate without a Common Name on the pages: it is called by its names."""

import time

from cryptography import x509

from common.api.codes import Role
from common.ids import CertificateId
from tests import pki
from tests.integration.certcast_api.conftest import ISSUER
from tests.integration.certcast_api.renewing import RenewingApi
from tests.integration.web import visitor

NAME = "meet.example.test"


async def test_a_certificate_without_a_common_name_is_called_and_found_by_its_names(world: RenewingApi):
    now_s = int(time.time())
    leaf = pki.make_leaf(
        ISSUER,
        [NAME, "talk.example.test"],
        subject=x509.Name([]),
        not_before_s=now_s,
        not_after_s=now_s + 90 * pki.DAY_S,
    )
    body = {"certificate": leaf.certificate_pem + ISSUER.certificate_pem, "private_key": leaf.key_pem}
    number = (await world.api.call("POST", "certificates", body))[1]["id"]
    await world.api.use_cases.renewals.switch_on(CertificateId(number), None, actor="ada")
    async with visitor(world.api, Role.ADMINISTRATOR) as browser:
        listed = await browser.get("/renewals?search=talk")
        edited = await browser.get(f"/certificates/{number}/edit")
    assert f"{NAME} and 1 more name" in listed.text
    assert f"<title>Edit {NAME}" in edited.html
