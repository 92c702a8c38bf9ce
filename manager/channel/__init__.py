"""The channel to the nodes: who may connect, one conversation each, and the fleet as a whole."""
