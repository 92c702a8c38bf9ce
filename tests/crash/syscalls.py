"""Stop a child process at each system call that changes files below a directory, and decide there what becomes of it.

The kernel asks (seccomp user notification): the child waits inside its call, before the kernel did any of it, until the
tracer lets it go on, refuses it with an error, does half of it, or kills the child. So a fault at call N is exact,
whatever thread makes the call, and nothing in the child is replaced.
"""

import contextlib
import ctypes
import fcntl
import os
import select
import signal
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.patience import exit_code

# linux/audit.h, linux/filter.h, linux/seccomp.h, asm/unistd_64.h
_ARCH = 0xC000003E
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_ASK, _ALLOW = 0x7FC00000, 0x7FFF0000
_SECCOMP, _PIDFD_GETFD, _NO_NEW_PRIVS = 317, 438, 38
_SET_FILTER, _NEW_LISTENER = 1, 1 << 3
_RECEIVE, _SEND, _CONTINUE = 0xC0502100, 0xC0182101, 1
_NOTICE = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")
AT_CWD = -100
_CHANGES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

OPENS = {2: 1, 257: 2}
"""open and openat, and which argument says what for; opening to read changes nothing."""

_BY_FILE = "write:1 pwrite64:18 writev:20 sendfile:40 fsync:74 fdatasync:75 ftruncate:77 fchmod:91 fchown:93"
_BY_FILE += " sync_file_range:277 fallocate:285 pwritev:296 copy_file_range:326"
_BY_PATH = (
    "open:2 truncate:76 mkdir:83 rmdir:84 creat:85 unlink:87 chmod:90 chown:92 lchown:94 utime:132 mknod:133"
)
_BY_PATH += " setxattr:188 utimes:235"
_AT_PATH = (
    "openat:257 mkdirat:258 mknodat:259 fchownat:260 unlinkat:263 fchmodat:268 utimensat:280 openat2:437"
)
_AT_PATH += " fchmodat2:452"

Place = tuple[int | None, int]
"""Which arguments name a file: a directory's descriptor (None: the current one) and a path."""


def _named(text: str) -> dict[int, str]:
    return {int(number): name for name, _, number in (one.partition(":") for one in text.split())}


CALLS: dict[int, tuple[str, Place | None, Place | None]] = {
    **{number: (name, None, None) for number, name in _named(_BY_FILE).items()},
    **{number: (name, (None, 0), None) for number, name in _named(_BY_PATH).items()},
    **{number: (name, (0, 1), None) for number, name in _named(_AT_PATH).items()},
    82: ("rename", (None, 1), (None, 0)),
    86: ("link", (None, 1), (None, 0)),
    88: ("symlink", (None, 1), None),
    264: ("renameat", (2, 3), (0, 1)),
    265: ("linkat", (2, 3), (0, 1)),
    266: ("symlinkat", (1, 2), None),
    316: ("renameat2", (2, 3), (0, 1)),
}
"""Number -> name, what is changed (None: the descriptor in the first argument), and what it was called before."""

WRITES = frozenset({1, 18})

TASKS = Path("/proc/self/task")
THREADS_S = 5.0
"""How long threads of this process may take to end before it forks."""

SILENCE_MS = 60_000
"""A child that neither calls nor says anything for so long hangs; a loaded machine holds one up for seconds."""

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Call:
    """One stopped call: its name, the path that it changes, and for a rename the path before."""

    name: str
    path: str
    source: str = ""


@dataclass(slots=True)
class Kill:
    """The process dies; `first` is done before, while the call waits."""

    first: Callable[[], None] = lambda: None


@dataclass(slots=True)
class Refuse:
    """The call fails with this error; if it `lasts`, so do all after it."""

    code: int
    lasts: bool


@dataclass(slots=True)
class Half:
    """A write takes half of what it is given, and if `code` is set, every change after it fails with that."""

    code: int = 0


Fault = Kill | Refuse | Half


@dataclass(slots=True)
class Ran:
    """How it ended: the child's exit status (negative: by that signal), the calls that it made, and the messages that it sent.

    `done` counts the calls before the word "done".
    """

    status: int
    done: int = 0
    calls: list[Call] = field(default_factory=list)
    injected_at: Call | None = None
    messages: list[str] = field(default_factory=list)


def run(
    root: Path, work: Callable[[Callable[[str], None]], None], *, at: int = -1, fault: Fault | None = None
) -> Ran:
    """Do `work` in a forked child, and inject a fault at its call number `at` (from 0) that changes something below `root`.

    `work` is given a function that says a word to this side, which makes no call that is stopped. After the word "done"
    nothing is refused any more.
    """
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with near, far:
        _wait_for_threads()
        pid = os.fork()
        if pid == 0:
            _be_child(far, work)
        far.close()
        tracer = _Tracer(pid, near, str(root), at, fault)
        try:
            tracer.follow()
        finally:
            with contextlib.suppress(ProcessLookupError):
                if not tracer.is_over:
                    os.kill(pid, signal.SIGKILL)
            tracer.ran.status = exit_code(pid)
    return tracer.ran


def _wait_for_threads() -> None:
    """Let threads that are over end for good: one that is still giving back what OpenSSL keeps for it holds a lock of OpenSSL,
    and a child forked then waits for that lock for ever.
    """
    deadline_s = time.monotonic() + THREADS_S
    while len(list(TASKS.iterdir())) > 1 and time.monotonic() < deadline_s:
        select.select([], [], [], 0.001)


def _be_child(far: socket.socket, work: Callable[[Callable[[str], None]], None]) -> None:
    status = 70
    try:
        listener = _ask_about_changes()
        socket.send_fds(far, [b"ready"], [listener])
        os.close(listener)
        work(lambda word: far.send(word.encode()) and None)
        status = 0
    except BaseException as error:  # noqa: BLE001 - it ends here in any case, and the other side is notified
        far.send(f"failed: {type(error).__name__}: {error}"[:4000].encode())
    finally:
        os._exit(status)


def _ask_about_changes() -> int:
    program = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, _ARCH), (_RETURN, 0, 0, _ALLOW), (_LOAD, 0, 0, 0)]
    for number in CALLS:
        if (argument := OPENS.get(number)) is not None:
            program += [(_EQUAL, 0, 4, number), (_LOAD, 0, 0, 16 + 8 * argument), (_ANY_BIT, 0, 1, _CHANGES)]
            program += [(_RETURN, 0, 0, _ASK), (_RETURN, 0, 0, _ALLOW)]
        else:
            program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ASK)]
    program.append((_RETURN, 0, 0, _ALLOW))
    code = b"".join(struct.pack("=HBBI", *one) for one in program)
    buffer = ctypes.create_string_buffer(code)
    filters = struct.pack("@HP", len(program), ctypes.addressof(buffer))
    if _libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    listener = _libc.syscall(_SECCOMP, _SET_FILTER, _NEW_LISTENER, filters)
    if listener < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return int(listener)


class _Tracer:
    """Answers the kernel's questions about one child."""

    def __init__(self, pid: int, near: socket.socket, root: str, at: int, fault: Fault | None) -> None:
        self.ran = Ran(0)
        self.is_over = False
        self._pid, self._near, self._root = pid, near, root
        self._at, self._fault = at, fault
        self._lasting = 0

    def follow(self) -> None:
        self._near.settimeout(SILENCE_MS / 1000)
        word, descriptors, _, _ = socket.recv_fds(self._near, 4096, 1)
        self._near.settimeout(None)
        if not descriptors:
            raise AssertionError(f"the child could not be stopped at its calls: {word.decode()}")
        listener = descriptors[0]
        try:
            poll = select.poll()
            poll.register(listener, select.POLLIN)
            poll.register(self._near, select.POLLIN)
            while not self.is_over:
                if not (heard := poll.poll(SILENCE_MS)):
                    raise AssertionError(
                        f"the child hangs after {self.ran.calls[-1:]}, having sent {self.ran.messages}"
                    )
                for descriptor, event in heard:
                    if descriptor == self._near.fileno():
                        self._listen()
                    elif event & select.POLLIN:
                        self._answer(listener)
        finally:
            os.close(listener)

    def _listen(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while word := self._near.recv(4096, socket.MSG_DONTWAIT).decode():
                self.ran.messages.append(word)
                if word == "done":
                    self.ran.done, self._lasting, self._at = len(self.ran.calls), 0, -1
            self.is_over = True

    def _answer(self, listener: int) -> None:
        notice = bytearray(_NOTICE.size)
        try:
            fcntl.ioctl(listener, _RECEIVE, notice)
        except OSError:  # it died, or a signal came first
            return
        self._listen()  # what it sent before this call
        identity, pid, _, number, _, _, *arguments = _NOTICE.unpack(notice)
        result, code, flags = 0, 0, _CONTINUE
        call = self._name(pid, number, arguments)
        if call is not None:
            is_due = len(self.ran.calls) == self._at
            self.ran.calls.append(call)
            if self._lasting:
                code, flags = self._lasting, 0
            elif is_due:
                self.ran.injected_at = call
                match self._fault:
                    case Kill(first):
                        first()
                        os.kill(self._pid, signal.SIGKILL)
                        self.is_over = True
                        return
                    case Refuse(error, lasts):
                        code, flags = error, 0
                        self._lasting = error if lasts else 0
                    case Half(error) if number in WRITES and arguments[2] > 1:
                        result, flags = self._write_half(pid, arguments), 0
                        self._lasting = error
        with contextlib.suppress(OSError):
            fcntl.ioctl(listener, _SEND, _ANSWER.pack(identity, result, -code, flags))

    def _name(self, pid: int, number: int, arguments: list[int]) -> Call | None:
        """Return the call if it changes something below the root."""
        name, target, before = CALLS[number]
        path = _file(pid, arguments[0]) if target is None else _path(pid, target, arguments)
        source = _path(pid, before, arguments) if before is not None else ""
        if path != self._root and not path.startswith(f"{self._root}/"):
            return None
        return Call(name, path, source)

    def _write_half(self, pid: int, arguments: list[int]) -> int:
        pidfd = os.pidfd_open(self._pid)
        try:
            copy = _libc.syscall(_PIDFD_GETFD, pidfd, ctypes.c_int(arguments[0] & 0xFFFFFFFF).value, 0)
        finally:
            os.close(pidfd)
        if copy < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
        try:
            with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
                memory.seek(arguments[1])
                return os.write(copy, memory.read(arguments[2] // 2))
        finally:
            os.close(copy)


def _file(pid: int, descriptor: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/fd/{descriptor & 0xFFFFFFFF}").readlink())
    except OSError:
        return ""


def _path(pid: int, place: Place, arguments: list[int]) -> str:
    directory, address = place[0], arguments[place[1]]
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        memory.seek(address)
        # a path may end just before a page that cannot be read
        raw = b""
        while b"\0" not in raw and len(raw) < 4096:
            raw += memory.read(4096 - (address + len(raw)) % 4096) or b"\0"
    name = raw.partition(b"\0")[0].decode(errors="surrogateescape")
    if name.startswith("/"):
        return name
    descriptor = AT_CWD if directory is None else ctypes.c_int(arguments[directory] & 0xFFFFFFFF).value
    base = str(Path(f"/proc/{pid}/cwd").readlink()) if descriptor == AT_CWD else _file(pid, descriptor)
    return f"{base}/{name}"
