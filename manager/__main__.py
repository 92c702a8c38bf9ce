"""`python -m manager` is `certcast-manager`."""

from manager.cli import main

main()
