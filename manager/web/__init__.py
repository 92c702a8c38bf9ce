"""Web pages: their contents, forms and templates."""
