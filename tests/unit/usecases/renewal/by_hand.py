"""What somebody does by hand to a certificate that is renewed."""

from manager.domain.renewal.records import RenewalRecord
from manager.usecases.uploads import Edit, NewKey
from tests.pki import DAY_S, make_leaf
from tests.renewals import Renewing


async def put_another(world: Renewing, renewal: RenewalRecord) -> None:
    """Put a new certificate for n1 in the place of the one that is renewed."""
    begins = int(world.now[0])
    made = make_leaf(
        world.server.issuer, ["n1.example.com"], not_before_s=begins, not_after_s=begins + 45 * DAY_S
    )
    text = made.certificate_pem + world.server.issuer.certificate_pem
    await world.use_cases.certificates.edit(
        renewal.certificate_id, Edit(certificate=text, key=NewKey(pem=made.key_pem)), actor="ada"
    )
