"""A TLS server for machines without nginx: serves one page with the certificate it is given, and reloads on SIGHUP.

Usage: python -m demo.tiny_tls PORT FULLCHAIN KEY PIDFILE
"""

import asyncio
import os
import signal
import ssl
import sys
from pathlib import Path


def context(fullchain: str, key: str) -> ssl.SSLContext:
    """Load the pair; raises OSError or ssl.SSLError if it cannot be used."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(fullchain, key)
    return made


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say hello, and close."""
    await reader.readline()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n")
    await writer.drain()
    writer.close()


async def serve(port: int, fullchain: str, key: str, pidfile: Path) -> None:
    """Serve until SIGTERM; a reload that fails keeps what is served, as real servers do."""
    base = context(fullchain, key)
    current = [base]

    def choose(connection: ssl.SSLObject, _name: str | None, _base: ssl.SSLContext) -> None:
        connection.context = current[0]

    def reload() -> None:
        try:
            current[0] = context(fullchain, key)
        except (OSError, ssl.SSLError) as error:
            print(f"reload failed: {error}", file=sys.stderr)

    base.sni_callback = choose
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, reload)
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    async with await asyncio.start_server(answer, "127.0.0.1", port, ssl=base):
        await asyncio.to_thread(pidfile.write_text, f"{os.getpid()}\n")
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4])))
