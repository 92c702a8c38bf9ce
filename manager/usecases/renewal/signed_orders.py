"""Collecting signed certificates although the terms have changed since.

Invariant: a certificate that the CA has signed and counts is not discarded. A CA that is no longer used
delays nothing.
"""

from common.errors import NotFoundError
from manager.domain.renewal.records import OrderRecord, RenewalRecord
from manager.domain.renewal.schedule import is_being_signed, uses_other_account
from manager.usecases.renewal.ca_accounts import CaAccounts
from manager.usecases.renewal.ports import CaError


async def is_signed(ca_accounts: CaAccounts, order: OrderRecord, renewal: RenewalRecord) -> bool:
    """Whether the CA has signed an order's certificate, or will while it is still the renewal's CA.

    Without its account this is unknown. Raises CaError.
    """
    if not is_being_signed(order):
        return False
    try:
        ca = await ca_accounts.ca(order.terms.account_id, is_test=False)
        ordered = await ca.look(order.url)
    except NotFoundError:
        return False
    except CaError:
        if uses_other_account(order, renewal):
            return False
        raise
    return ordered.status == "valid" or (
        ordered.status == "processing" and not uses_other_account(order, renewal)
    )
