"""The pages, one module a topic: each calls the use cases as the API does, and has a table of its rows."""
