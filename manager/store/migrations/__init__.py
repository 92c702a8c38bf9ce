"""The schema's history. Run by `Store.connect`."""
