"""Years of renewals in minutes: the real use cases over a real store, with a CA, nodes and a clock that are made up."""
