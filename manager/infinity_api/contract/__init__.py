"""The core of the management API that existing clients speak: what its resources are, and what a request or an answer means.

Pure: no socket, no store, no clock. Binding it to HTTP and to the operations is left to shells.
"""
