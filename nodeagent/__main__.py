"""`python -m nodeagent` is `certcast-nodeagent`."""

import sys

from nodeagent.cli import main

if __name__ == "__main__":
    sys.exit(main())
