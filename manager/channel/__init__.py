"""Channel to the nodes: who may connect, and one conversation each."""
