"""Tables of renewal: accounts at CAs, what is renewed with them, and orders."""

from sqlalchemy import Boolean, Column, ForeignKey, LargeBinary, Table

from manager.store.columns import TEXT, WHOLE, Moment, short
from manager.store.tables.base import metadata

# an account at a CA. Sealed: its key, the next one while that is being changed, and the key of its binding; empty for none
acme_account = Table(
    "acme_account",
    metadata,
    Column("id", WHOLE, primary_key=True, autoincrement=True),
    Column("name", short(150), nullable=False, unique=True),
    Column("directory_url", TEXT, nullable=False),
    Column("staging_url", TEXT, nullable=False),
    Column("trust_pem", TEXT, nullable=False),
    Column("contact", TEXT, nullable=False),  # JSON list
    Column("binding_id", TEXT, nullable=False),
    Column("url", TEXT, nullable=False),
    Column("terms_agreed", Boolean, nullable=False),
    Column("sealed_key", LargeBinary, nullable=False),
    Column("sealed_next_key", LargeBinary, nullable=False),
    Column("sealed_binding", LargeBinary, nullable=False),
    Column("created_s", Moment("acme_account.created_s"), nullable=False),
    Column("deactivated_s", Moment("acme_account.deactivated_s"), nullable=True),
    sqlite_autoincrement=True,
)

# with which a certificate is renewed. What nothing is looked for by is JSON, see `manager.store.renewal_fields`
renewal = Table(
    "renewal",
    metadata,
    Column("id", WHOLE, primary_key=True, autoincrement=True),
    # a certificate that is deleted leaves its renewal behind for a moment, so that its order ends properly
    Column("certificate_id", ForeignKey("certificate.id", ondelete="SET NULL"), nullable=True, unique=True),
    # an account with which something is renewed cannot be deleted; NULL is renewed by request
    Column("account_id", ForeignKey("acme_account.id"), nullable=True, index=True),
    Column("request_id", ForeignKey("request.id", ondelete="SET NULL"), nullable=True, index=True),
    Column("is_new", Boolean, nullable=False),
    Column("is_paused", Boolean, nullable=False),
    Column("asked_again_s", Moment("renewal.asked_again_s"), nullable=False),
    Column("failures", WHOLE, nullable=False),
    Column("tried_again_s", Moment("renewal.tried_again_s"), nullable=False),
    Column("body", TEXT, nullable=False),
    Column("created_s", Moment("renewal.created_s"), nullable=False),
    Column("changed_s", Moment("renewal.changed_s"), nullable=False),
    sqlite_autoincrement=True,
)

# an attempt to renew. `unfinished_of` is its renewal until it is over: so there is at most one that is not. The key is gone by then
acme_order = Table(
    "acme_order",
    metadata,
    Column("id", WHOLE, primary_key=True, autoincrement=True),
    Column("renewal_id", ForeignKey("renewal.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("unfinished_of", ForeignKey("renewal.id", ondelete="CASCADE"), nullable=True, unique=True),
    Column("is_test", Boolean, nullable=False),
    Column("state", short(16), nullable=False),
    Column("answer_id", ForeignKey("certificate.id", ondelete="SET NULL"), nullable=True, index=True),
    Column("sealed_key", LargeBinary, nullable=False),
    Column("body", TEXT, nullable=False),
    Column("created_s", Moment("acme_order.created_s"), nullable=False),
    Column("changed_s", Moment("acme_order.changed_s"), nullable=False),
    sqlite_autoincrement=True,
)
