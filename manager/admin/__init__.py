"""`certcast-manager`: prepare a manager, add its first user, run it, and copy its store.

Works on the store itself, so it runs on the manager's machine; `certcast` does everything else.
"""

from manager.admin.commands import app, main

__all__ = ["app", "main"]
