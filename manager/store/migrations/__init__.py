"""The schema's history. Run by `Store.create` and `Store.open`."""
