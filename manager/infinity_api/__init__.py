"""The management API that existing clients speak, over HTTP."""
