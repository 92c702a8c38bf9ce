"""Tables that belong to the managers that run, or are drawn from the others: no copy of a store has them, and none is missing without."""

from typing import Final

from sqlalchemy import Boolean, Column, ForeignKey, PrimaryKeyConstraint, Table

from manager.store.columns import TEXT, WHOLE, Moment, short
from manager.store.tables.base import metadata

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
