"""A client of TLS 1.3 that sends key updates, which Python's own cannot: OpenSSL by ctypes, and a socket."""

import ctypes
import socket
from ctypes.util import find_library
from typing import Any, Final

PIECE_BYTES: Final = 1 << 16


def _function(library: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Any:
    found = getattr(library, name)
    found.restype, found.argtypes = result, list(arguments)
    return found


class KeyUpdates:
    """One connection. Raises OSError once the manager has ended it."""

    def __init__(self, port: int, timeout_s: float) -> None:
        library, pointer = ctypes.CDLL(find_library("ssl")), ctypes.c_void_p
        crypto = ctypes.CDLL(find_library("crypto"))
        memory = _function(crypto, "BIO_s_mem", pointer)()
        make = _function(crypto, "BIO_new", pointer, pointer)
        self._read = _function(crypto, "BIO_read", ctypes.c_int, pointer, ctypes.c_char_p, ctypes.c_int)
        self._write = _function(library, "SSL_write", ctypes.c_int, pointer, ctypes.c_char_p, ctypes.c_int)
        self._update = _function(library, "SSL_key_update", ctypes.c_int, pointer, ctypes.c_int)
        self._do_handshake = _function(library, "SSL_do_handshake", ctypes.c_int, pointer)
        method = _function(library, "TLS_client_method", pointer)()
        context = _function(library, "SSL_CTX_new", pointer, pointer)(method)
        self._incoming, self._outgoing = make(memory), make(memory)
        self._tls = _function(library, "SSL_new", pointer, pointer)(context)
        _function(library, "SSL_set_bio", None, pointer, pointer, pointer)(
            self._tls, self._incoming, self._outgoing
        )
        _function(library, "SSL_set_connect_state", None, pointer)(self._tls)
        self._taken = ctypes.create_string_buffer(PIECE_BYTES)
        self._socket = socket.create_connection(("127.0.0.1", port), timeout_s)
        feed = _function(crypto, "BIO_write", ctypes.c_int, pointer, ctypes.c_char_p, ctypes.c_int)
        while self._do_handshake(self._tls) != 1:
            self._send()
            came = self._socket.recv(PIECE_BYTES)
            if not came:
                raise OSError("the handshake was refused")
            feed(self._incoming, came, len(came))
        self._send()

    def send(self, data: bytes) -> int:
        """Send data; return how many bytes that took."""
        self._write(self._tls, data, len(data))
        return self._send()

    def update(self, count: int) -> int:
        """Send so many key updates, which ask for none in return, at once; return how many bytes that took."""
        for _ in range(count):
            self._update(self._tls, 0)
            self._do_handshake(self._tls)
        return self._send()

    def receive(self) -> bytes:
        """Wait for bytes, and return them as they came: encrypted, and none at the end."""
        return self._socket.recv(PIECE_BYTES)

    def close(self) -> None:
        self._socket.close()

    def _send(self) -> int:
        sent = 0
        while (count := self._read(self._outgoing, self._taken, PIECE_BYTES)) > 0:
            self._socket.sendall(self._taken.raw[:count])
            sent += count
        return sent
