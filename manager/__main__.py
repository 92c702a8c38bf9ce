"""`python -m manager` is `certcast-manager`."""

from manager.entry import daemon

if __name__ == "__main__":
    daemon()
