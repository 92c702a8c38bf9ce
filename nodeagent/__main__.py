"""`python -m nodeagent` is `certcast-nodeagent`."""

from nodeagent.entry import agent

if __name__ == "__main__":
    agent()
