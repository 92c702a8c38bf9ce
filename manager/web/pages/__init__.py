"""Pages, one module per topic: each calls the use cases as the API does, and has a table of its rows."""
