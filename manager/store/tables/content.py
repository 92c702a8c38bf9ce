"""Tables of what administrators keep, of nodes and what was sent to them, of users and of what they did."""

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    true,
)

from manager.store.columns import TEXT, WHOLE, CertificateTime, Moment, short
from manager.store.tables.base import metadata

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

csr = Table(
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
    # the one that an unused token goes with (`manager.domain.callers.Maker`); one that was used goes with nobody
    Column("user_id", ForeignKey("user.id", ondelete="CASCADE"), nullable=True),
    Column("api_token_id", ForeignKey("api_token.id", ondelete="CASCADE"), nullable=True),
    Column("oauth_client_id", ForeignKey("oauth_client.id", ondelete="CASCADE"), nullable=True),
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
