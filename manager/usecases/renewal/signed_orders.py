"""Collecting what a CA has signed, though other terms were given since.

Invariant: what a CA has signed and counts is not thrown away, and a CA that is to sign no more holds up nothing.
"""

from common.errors import NotFoundError
from manager.domain.renewal.records import OrderRecord, RenewalRecord
from manager.domain.renewal.schedule import is_being_signed, uses_other_account
from manager.usecases.renewal.ca_accounts import CaAccounts
from manager.usecases.renewal.ports import CaError


async def is_signed(ca_accounts: CaAccounts, order: OrderRecord, renewal: RenewalRecord) -> bool:
    """Whether the CA has signed what an order asked for, or will and is still the one that is to; without its account nobody can know.

    Raises CaError.
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
