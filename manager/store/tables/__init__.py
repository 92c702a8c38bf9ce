"""The tables. Times are unix seconds, as floats where they are moments of ours and integers where X.509 counts them.

Columns mean the same on every engine: whole numbers have 64 bits, text is as long as it is and sorted by code points, whatever the
database's language. A change here needs a migration in `manager/store/migrations/versions`.

Invariant: whoever imports any table, or `metadata`, has all of them in `metadata`, because Python runs this module first.
"""

from manager.store.tables import content, renewal, running
from manager.store.tables.base import metadata

__all__ = ["content", "metadata", "renewal", "running"]
