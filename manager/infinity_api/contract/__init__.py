"""Core of the management API that existing clients use.

Its resources, and the meaning of requests and answers.

Pure: no socket, no store, no clock. Other modules bind it to HTTP and to the operations.
"""
