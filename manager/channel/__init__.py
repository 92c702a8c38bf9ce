"""Channel to the nodes: admission, and one conversation per node."""
