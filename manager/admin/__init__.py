"""`certcast-manager`: prepare a manager, add its first user, run it, and copy its store.

Works on the store itself, so it is for the machine the manager runs on; everything else is `certcast`'s.
"""

from manager.admin.commands import app, main

__all__ = ["app", "main"]
