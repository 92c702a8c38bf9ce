"""The tables. Times are unix seconds, as floats where they are moments of ours and integers where X.509 counts them.

Columns mean the same on every engine: whole numbers have 64 bits, text is as long as it is and sorted by code points, whatever the
database's language. A change here needs a migration in `manager/store/migrations/versions`.
"""

from typing import Final

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    true,
)

from manager.store.columns import TEXT, WHOLE, CertificateTime, Moment, short

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

meta = Table(
    "meta",
    metadata,
    Column("name", short(64), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

certificate = Table(
    "certificate",
    metadata,
    Column("id", WHOLE, primary_key=True, autoincrement=True),
    Column("text", TEXT, nullable=False),
    Column("leaf_pem", TEXT, nullable=False),
    Column("chain_pem", TEXT, nullable=False),
    Column("parameters_pem", TEXT, nullable=False),
    # as it was given beside the certificate, verbatim
    Column("parameters_text", TEXT, nullable=False, server_default=""),
    Column("sealed_key", LargeBinary, nullable=False),
    Column("fingerprint", short(64), nullable=False, index=True),
    Column("subject_name", TEXT, nullable=False),
    Column("issuer_name", TEXT, nullable=False),
    Column("raw_subject", TEXT, nullable=False),
    Column("raw_issuer", TEXT, nullable=False),
    Column("serial_no", short(64), nullable=False),
    Column("subject_alt_names", TEXT, nullable=False),  # JSON list
    Column("not_before_s", CertificateTime, nullable=False),
    Column("not_after_s", CertificateTime, nullable=False, index=True),
    Column("self_signed", Boolean, nullable=False),
    Column("temporary", Boolean, nullable=False),
    Column("created_s", Moment("certificate.created_s"), nullable=False),
    Column("changed_s", Moment("certificate.changed_s"), nullable=False),
    # digests of the issuer's canonical name and of the public key (`manager.pki.judge.identity`). Issuer and serial number find an entry;
    # they are not unique, because a CA may give one number to several keys
    Column("issuer_id", short(64), nullable=False),
    Column("public_key_id", short(64), nullable=False, index=True),
    # what administrators write about it (`manager.domain.annotations`)
    Column("note", TEXT, nullable=False, server_default=""),
    Index("ix_certificate_identity", "issuer_id", "serial_no"),
    # covers the look at what a copy in memory lacks: without it, that reads through every certificate's text
    Index("ix_certificate_changes", "id", "changed_s"),
    sqlite_autoincrement=True,
)

trusted_ca = Table(
    "trusted_ca",
    metadata,
    Column("id", WHOLE, primary_key=True, autoincrement=True),
    Column("text", TEXT, nullable=False),
    Column("certificate_pem", TEXT, nullable=False),
    Column("fingerprint", short(64), nullable=False),
    Column("subject_name", TEXT, nullable=False),
    Column("issuer_name", TEXT, nullable=False),
    Column("raw_subject", TEXT, nullable=False),
    Column("raw_issuer", TEXT, nullable=False),
    Column("serial_no", short(64), nullable=False),
    Column("not_before_s", CertificateTime, nullable=False),
    Column("not_after_s", CertificateTime, nullable=False),
    Column("self_signed", Boolean, nullable=False),
    Column("trusted_intermediate", Boolean, nullable=False, server_default=true()),
    Column("created_s", Moment("trusted_ca.created_s"), nullable=False),
    Column("issuer_id", short(64), nullable=False),
    Column("public_key_id", short(64), nullable=False),
    Index("ix_trusted_ca_identity", "issuer_id", "serial_no"),
    sqlite_autoincrement=True,
)

document = Table(
    "document",
    metadata,
    Column("id", WHOLE, primary_key=True, autoincrement=True),
    Column("kind", short(64), nullable=False, index=True),
    Column("body", TEXT, nullable=False),  # a JSON object
    sqlite_autoincrement=True,
)

request = Table(
    "request",
    metadata,
    Column("id", WHOLE, primary_key=True, autoincrement=True),
    Column("pem", TEXT, nullable=False),
    Column("sealed_key", LargeBinary, nullable=False),
    Column("subject_name", TEXT, nullable=False),
    Column("raw_subject", TEXT, nullable=False),
    Column("subject_alt_names", TEXT, nullable=False),  # JSON list
    Column("key_type", short(32), nullable=False),
    # the certificate that it is to replace, and the one that answered it
    Column("replaces_id", ForeignKey("certificate.id", ondelete="SET NULL"), nullable=True),
    Column("answer_id", ForeignKey("certificate.id", ondelete="SET NULL"), nullable=True),
    Column("created_s", Moment("request.created_s"), nullable=False),
    Column("answered_s", Moment("request.answered_s"), nullable=True),
    # what came last from the CA, verbatim
    Column("answer_text", TEXT, nullable=True),
    sqlite_autoincrement=True,
)

alarm = Table(
    "alarm",
    metadata,
    Column("id", WHOLE, primary_key=True, autoincrement=True),
    Column("kind", short(32), nullable=False),
    Column("subject", short(128), nullable=False),
    Column("label", TEXT, nullable=False),
    Column("node", short(63), nullable=False),
    Column("details", TEXT, nullable=False),
    Column("raised_s", Moment("alarm.raised_s"), nullable=False),
    Column("lowered_s", Moment("alarm.lowered_s"), nullable=True, index=True),
    Column("acknowledged_s", Moment("alarm.acknowledged_s"), nullable=True),
    Column("acknowledged_by", TEXT, nullable=True),
    sqlite_autoincrement=True,
)

node = Table(
    "node",
    metadata,
    Column("id", WHOLE, primary_key=True, autoincrement=True),
    Column("name", short(63), nullable=False, unique=True),
    Column("kind", short(16), nullable=False),
    Column("names", TEXT, nullable=False),  # JSON list
    Column("addresses", TEXT, nullable=False),  # JSON list
    # NULL until the node joined; no two nodes may have the same key
    Column("public_key", short(128), nullable=True, unique=True),
    Column("created_s", Moment("node.created_s"), nullable=False),
    # what clients of the management API keep with it and Certcast has no use for: a JSON object
    Column("detail", TEXT, nullable=False, server_default="{}"),
    Column("enrolled_s", Moment("node.enrolled_s"), nullable=True),
    # how it came by its key: a JSON object of `manager.store.translate.StoredKeyChange`
    Column("key_change", TEXT, nullable=True),
    # what a rotation must name of this pinning of the key; NULL while the agent that has the key did not ask for it
    Column("pinning", short(64), nullable=True),
    sqlite_autoincrement=True,
)

join_token = Table(
    "join_token",
    metadata,
    Column("id", WHOLE, primary_key=True, autoincrement=True),
    Column("node_id", ForeignKey("node.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("secret_hash", short(64), nullable=False, unique=True),
    Column("created_s", Moment("join_token.created_s"), nullable=False),
    Column("expires_s", Moment("join_token.expires_s"), nullable=False),
    Column("used_key", short(128), nullable=True),
    Column("created_by", TEXT, nullable=False, server_default=""),
    sqlite_autoincrement=True,
)

assignment = Table(
    "assignment",
    metadata,
    Column("node_id", ForeignKey("node.id", ondelete="CASCADE"), nullable=False),
    Column("slot", short(16), nullable=False),
    Column("certificate_id", ForeignKey("certificate.id", ondelete="CASCADE"), nullable=False, index=True),
    PrimaryKeyConstraint("node_id", "slot"),
)

generation = Table(
    "generation",
    metadata,
    Column("node_id", ForeignKey("node.id", ondelete="CASCADE"), nullable=False),
    Column("generation", WHOLE, nullable=False),
    Column("epoch", WHOLE, nullable=False),
    Column("digest", short(64), nullable=False),
    Column("manifest", LargeBinary, nullable=False),
    Column("created_s", Moment("generation.created_s"), nullable=False),
    Column("cause", TEXT, nullable=False),
    # of republished content: the digest of what the store wanted then
    Column("instead_of", short(64), key="superseded_digest", nullable=True),
    # numbers rise over epochs too, so that "knows more than the store" is one comparison
    PrimaryKeyConstraint("node_id", "generation"),
)

payload = Table(
    "payload",
    metadata,
    Column("digest", short(64), primary_key=True),
    Column("sealed", Boolean, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

report = Table(
    "report",
    metadata,
    Column("node_id", ForeignKey("node.id", ondelete="CASCADE"), primary_key=True),
    Column("at_s", Moment("report.at_s"), nullable=False),
    Column("body", LargeBinary, nullable=False),  # msgpack of `manager.store.translate.StoredReport`
)

user = Table(
    "user",
    metadata,
    Column("id", WHOLE, primary_key=True, autoincrement=True),
    Column("name", short(150), nullable=False, unique=True),
    Column("role", short(16), nullable=False),
    Column("password_hash", TEXT, nullable=False),
    Column("created_s", Moment("user.created_s"), nullable=False),
    sqlite_autoincrement=True,
)

api_token = Table(
    "api_token",
    metadata,
    Column("id", WHOLE, primary_key=True, autoincrement=True),
    Column("user_id", ForeignKey("user.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("token_hash", short(64), nullable=False, unique=True),
    Column("label", short(150), nullable=False),
    Column("created_s", Moment("api_token.created_s"), nullable=False),
    Column("expires_s", Moment("api_token.expires_s"), nullable=False),
    Column("scope", short(16), nullable=False, server_default="read-only"),
    # both as of some minutes ago
    Column("last_used_s", Moment("api_token.last_used_s"), nullable=True),
    Column("last_source", short(64), nullable=True),
    sqlite_autoincrement=True,
)

session = Table(
    "session",
    metadata,
    Column("token_hash", short(64), primary_key=True),
    Column("user_id", ForeignKey("user.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_s", Moment("session.created_s"), nullable=False),
    Column("seen_s", Moment("session.seen_s"), nullable=False),
    Column("source", short(64), nullable=False, server_default=""),
)

oauth_client = Table(
    "oauth_client",
    metadata,
    Column("id", WHOLE, primary_key=True, autoincrement=True),
    Column("client_id", short(64), nullable=False, unique=True),
    Column("name", short(150), nullable=False, unique=True),
    Column("role", short(16), nullable=False),
    Column("public_key", TEXT, nullable=False),  # PEM
    Column("created_s", Moment("oauth_client.created_s"), nullable=False),
    # an api_role; NULL is the built-in one that is called like `role`
    Column("api_role_id", WHOLE, nullable=True),
    # who registered it; "" where that is not known
    Column("created_by", TEXT, nullable=False, server_default=""),
    # both as of some minutes ago
    Column("last_used_s", Moment("oauth_client.last_used_s"), nullable=True),
    Column("last_source", short(64), nullable=True),
    sqlite_autoincrement=True,
)

api_role = Table(
    "api_role",
    metadata,
    Column("id", WHOLE, primary_key=True, autoincrement=True),
    Column("name", short(250), nullable=False, unique=True),
    Column("permissions", TEXT, nullable=False),  # JSON list of codenames
    Column("built_in", Boolean, nullable=False),
    sqlite_autoincrement=True,
)

oauth_assertion = Table(
    "oauth_assertion",
    metadata,
    Column("oauth_client_id", ForeignKey("oauth_client.id", ondelete="CASCADE"), nullable=False),
    Column("jti_hash", short(64), nullable=False),
    Column("expires_s", Moment("oauth_assertion.expires_s"), nullable=False),
    PrimaryKeyConstraint("oauth_client_id", "jti_hash"),
)

oauth_token = Table(
    "oauth_token",
    metadata,
    Column("token_hash", short(64), primary_key=True),
    Column("oauth_client_id", ForeignKey("oauth_client.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("expires_s", Moment("oauth_token.expires_s"), nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("id", WHOLE, primary_key=True, autoincrement=True),
    # whatever somebody put here: the verification of the log says what does not belong there
    Column("at_s", Float, nullable=False),
    Column("actor", TEXT, nullable=False),
    Column("action", TEXT, nullable=False),
    Column("subject", TEXT, nullable=False),
    Column("detail", TEXT, nullable=False),
    # the HMAC over this entry and the one before
    Column("chain", short(64), nullable=False),
    # the hash of an entry that was written before there was a key, as it was then
    Column("unkeyed", short(64), nullable=False, server_default=""),
    sqlite_autoincrement=True,
)

counter = Table(
    "counter",
    metadata,
    Column("name", short(32), primary_key=True),
    Column("value", WHOLE, nullable=False),
)

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

# with which a certificate is renewed. What nothing is looked for by is JSON, see `manager.store.renewing`
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

# what follows belongs to the managers that run, or is drawn from what stands above: no copy of a store has it, and none is missing without

member = Table(
    "member",
    metadata,
    Column("id", WHOLE, primary_key=True, autoincrement=True),
    Column("node", short(63), nullable=False),
    # both by the database's clock
    Column("started_s", Moment("member.started_s"), nullable=False),
    Column("renewed_s", Moment("member.renewed_s"), nullable=False),
    sqlite_autoincrement=True,
)

hold = Table(
    "hold",
    metadata,
    Column("node_id", ForeignKey("node.id", ondelete="CASCADE"), primary_key=True),
    Column("member_id", ForeignKey("member.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("number", WHOLE, nullable=False),
    Column("since_s", Moment("hold.since_s"), nullable=False),
    Column("address", TEXT, nullable=False),
    Column("agent_version", TEXT, nullable=False),
)

duty = Table(
    "duty",
    metadata,
    Column("name", short(32), primary_key=True),
    Column("member_id", ForeignKey("member.id", ondelete="CASCADE"), nullable=False, index=True),
)

asked_push = Table(
    "asked_push",
    metadata,
    Column("node_id", ForeignKey("node.id", ondelete="CASCADE"), primary_key=True),
    Column("is_forced", Boolean, nullable=False),
    Column("asked_by", TEXT, nullable=False),
    Column("asked_s", Moment("asked_push.asked_s"), nullable=False),
)

# who sat in a node's seat lately, and until when it was heard in its last session that has ended
seat = Table(
    "seat",
    metadata,
    Column("node_id", ForeignKey("node.id", ondelete="CASCADE"), primary_key=True),
    Column("greetings", TEXT, nullable=False),  # JSON, see translate.py
    Column("left_s", Moment("seat.left_s"), nullable=True),
)

# what a member noticed of a node, of each kind one thing
sighting = Table(
    "sighting",
    metadata,
    Column("node_id", ForeignKey("node.id", ondelete="CASCADE"), nullable=False),
    Column("member_id", ForeignKey("member.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("kind", short(16), nullable=False),
    Column("text", TEXT, nullable=False),
    PrimaryKeyConstraint("node_id", "member_id", "kind"),
)

# what a node is to show to a CA that asks for it over port 80 (RFC 8555 8.3); plain, because anybody may ask for it there
placed_challenge = Table(
    "placed_challenge",
    metadata,
    Column("node_id", ForeignKey("node.id", ondelete="CASCADE"), nullable=False),
    Column("token", short(128), nullable=False, index=True),
    Column("response", TEXT, nullable=False),
    Column("expires_s", Moment("placed_challenge.expires_s"), nullable=False),
    # when the node said that it shows it, and why it does not
    Column("kept_s", Moment("placed_challenge.kept_s"), nullable=True),
    Column("fault", TEXT, nullable=False, server_default=""),
    PrimaryKeyConstraint("node_id", "token"),
)

# the number of the last transaction that changed anything of a node; drawn only where several managers can be
node_change = Table(
    "node_change",
    metadata,
    Column("node_id", ForeignKey("node.id", ondelete="CASCADE"), primary_key=True),
    Column("number", WHOLE, nullable=False, index=True),
)

RUNNING: Final = frozenset({member, hold, duty, asked_push, seat, sighting, placed_challenge, node_change})
"""Tables of the managers that run."""
