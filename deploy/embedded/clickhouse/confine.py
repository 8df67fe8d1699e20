"""Give up what the engine does not need, before it opens anything: whatever SQL reaches, the kernel says no.

Landlock leaves it its data folder, Python and libraries; a seccomp filter leaves it no new socket and no program to
run. Both bind the calling thread and every thread it starts later, and neither can be taken back: call `confine`
first of all, with the listening socket already bound. Numbers are those of linux/landlock.h, linux/prctl.h,
linux/seccomp.h and linux/filter.h.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import struct
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

# The same on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH = 1
_CREATE_RULESET_VERSION = 1

# linux/landlock.h: LANDLOCK_ACCESS_FS_*
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE = 1 << 4, 1 << 5
_MAKE_CHAR, _MAKE_DIR, _MAKE_REG, _MAKE_SOCK = 1 << 6, 1 << 7, 1 << 8, 1 << 9
_MAKE_FIFO, _MAKE_BLOCK, _MAKE_SYM = 1 << 10, 1 << 11, 1 << 12
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_EVERY_FILE_RIGHT = (1 << 13) - 1
_BIND_TCP, _CONNECT_TCP = 1 << 0, 1 << 1
_SCOPE_ABSTRACT_UNIX_SOCKET, _SCOPE_SIGNAL = 1 << 0, 1 << 1

_READ = _READ_FILE | _READ_DIR
_OWN = (
    _READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _MAKE_SYM | _REFER | _TRUNCATE
)

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_RET_ALLOW, _RET_ERRNO, _EACCES = 0x7FFF_0000, 0x0005_0000, 13
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _RETURN = (
    0x20,
    0x15,
    0x35,
    0x06,
)  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, |JGE|K, BPF_RET|K

# AUDIT_ARCH_* and the numbers of: socket, connect, execve, execveat, ptrace, process_vm_readv, process_vm_writev,
# open_by_handle_at, io_uring_setup, pidfd_getfd. A socket that was accepted or bound before needs none of them.
_CALLS = {
    "x86_64": (0xC000_003E, (41, 42, 59, 322, 101, 310, 311, 304, 425, 438)),
    "aarch64": (0xC000_00B7, (198, 203, 221, 281, 117, 270, 271, 265, 425, 438)),
}
_X32_CALLS = 0x4000_0000  # on x86_64 the same calls once more under other numbers

# What chdb 26.9 and Python read while they work, as strace shows; nothing of other processes in /proc. Without
# /proc/self/task each of chdb's threads begins with an exception: SELECT 1 took 6.7 ms instead of 5.1 ms.
_SYSTEM = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/nix/store",
    "/usr/share/zoneinfo",
    "/usr/share/locale",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/ld.so.cache",
    "/dev/urandom",
    "/dev/random",
    "/proc/meminfo",
    "/proc/cpuinfo",
    "/proc/stat",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/sys/vm",
    "/proc/sys/kernel/random",
    "/proc/self/task",
    "/proc/self/limits",
    "/proc/self/maps",
    "/proc/self/auxv",
    "/proc/self/statm",
    "/proc/self/stat",
    "/proc/self/status",
    "/proc/self/cgroup",
    "/sys/fs/cgroup",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    "/sys/kernel/mm/transparent_hugepage",
)

# What each wall keeps, in the order of /metrics: (name, oldest Landlock ABI, what is possible without it).
_WALLS = (
    (
        "files",
        1,
        "a hole in the SQL rules could read and change every file of this user, keys and secrets too",
    ),
    ("truncate", 3, "a hole in the SQL rules could empty files outside the data folder"),
    ("connections", 4, "a hole in the SQL rules could open TCP connections"),
    ("devices", 5, "a hole in the SQL rules could control devices"),
    ("signals", 6, "a hole in the SQL rules could signal other processes of this user"),
)
_CALLS_MISSING = "a hole in the SQL rules could open sockets and start programs"

_SECRET_WORDS = (b"PASSWORD", b"SECRET", b"TOKEN", b"KEY", b"CREDENTIAL")

_pinned: list[int] = []  # keeps the entries of /proc, which the kernel otherwise forgets and makes anew


@dataclass(frozen=True, slots=True)
class Confinement:
    """What is enforced on this process: each wall's name, and for each that is missing what that means."""

    abi: int
    walls: tuple[tuple[str, bool], ...]
    missing: tuple[str, ...]


def confine(
    data: Path, packages: Iterable[Path], secrets: Sequence[Path] = (), *, abi: int | None = None
) -> Confinement:
    """Confine this thread and those it starts to `data` and, for reading, `packages` and the system's libraries.

    Never fails on a kernel that cannot: the answer says what is missing. `secrets` are not opened; one that lies
    inside a readable folder is named. `abi` is for tests: a kernel that knows only so much.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold rows and the password
    if not sys.platform.startswith("linux"):
        return _report(0, False, f"{sys.platform} has no Landlock", [])
    libc = ctypes.CDLL(None, use_errno=True)
    known = landlock_version()
    abi = known if abi is None else min(abi, known)
    readable = [*_python(), *packages, *map(Path, _SYSTEM)]
    why = "" if abi else "this kernel has no Landlock, or it is not switched on"
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0))) != 0:
        return _report(0, False, "the kernel refuses PR_SET_NO_NEW_PRIVS", [])
    if abi:
        try:
            _restrict_files(libc, abi, data, readable)
        except OSError as error:
            abi, why = 0, f"Landlock failed: {error.strerror}"
    exposed = [one for one in secrets if _is_inside(one, [data, *readable])]
    return _report(abi, _restrict_calls(libc), why, exposed)


def landlock_version() -> int:
    """The version of the running kernel's Landlock; 0: it has none."""
    if not sys.platform.startswith("linux"):
        return 0
    syscall = ctypes.CDLL(None).syscall
    known: int = syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_CREATE_RULESET_VERSION))
    return max(0, known)


def forget_secrets_in_environment() -> None:
    """Blank the values of variables named like secrets where /proc/self/task/*/environ shows them.

    Python's own copy (os.environ) stays as it is. A variable keeps its name and its length.
    """
    if not sys.platform.startswith("linux"):
        return
    entries = ctypes.POINTER(ctypes.c_void_p).in_dll(ctypes.CDLL(None), "environ")
    at = 0
    while entries and (address := entries[at]):
        name, _, value = ctypes.string_at(address).partition(b"=")
        if any(word in name.upper() for word in _SECRET_WORDS):
            ctypes.memset(address + len(name) + 1, ord("x"), len(value))
        at += 1


def _report(abi: int, calls: bool, why: str, exposed: Sequence[Path]) -> Confinement:
    why = why or f"this kernel's Landlock is of version {abi}"
    walls = [(name, abi >= oldest) for name, oldest, _ in _WALLS]
    missing = [f"{name}: {why}: {meaning}" for name, oldest, meaning in _WALLS if abi < oldest]
    if not calls:
        missing.append(f"calls: no seccomp filter on this kernel or processor: {_CALLS_MISSING}")
    missing += [f"secrets: {one} lies in a folder that the engine reads; move it" for one in exposed]
    return Confinement(abi, (*walls, ("calls", calls), ("secrets", not exposed)), tuple(missing))


def _python() -> Iterable[Path]:
    """Python's own modules and those installed for it, never the whole prefix: that may hold a project."""
    paths = sysconfig.get_paths()
    yield from {Path(paths[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    for prefix in {sys.prefix, sys.base_prefix}:
        yield from (Path(prefix) / "lib", Path(prefix) / "lib64", Path(prefix) / "pyvenv.cfg")


def _is_inside(path: Path, folders: Iterable[Path]) -> bool:
    real = path.resolve()
    return any(real.is_relative_to(folder.resolve()) for folder in folders)


def _restrict_files(libc: ctypes.CDLL, abi: int, data: Path, readable: Iterable[Path]) -> None:
    files = _file_rights(abi)
    network = _BIND_TCP | _CONNECT_TCP if abi >= 4 else 0
    scoped = _SCOPE_ABSTRACT_UNIX_SOCKET | _SCOPE_SIGNAL if abi >= 6 else 0
    # struct landlock_ruleset_attr: a kernel takes only as many fields as it knows.
    given = struct.pack("=QQQ", files, network, scoped)[: 8 if abi < 4 else 16 if abi < 6 else 24]
    ruleset = _checked(libc.syscall(_CREATE_RULESET, given, ctypes.c_size_t(len(given)), ctypes.c_uint32(0)))
    try:
        _allow(libc, ruleset, data, _OWN & files)
        _allow(libc, ruleset, Path("/dev/null"), _READ_FILE | _WRITE_FILE)
        for path in readable:
            _allow(libc, ruleset, path, _READ & files)
        _checked(libc.syscall(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0)))
    finally:
        os.close(ruleset)


def _file_rights(abi: int) -> int:
    """Every right on files that this kernel can withhold."""
    rights = _EVERY_FILE_RIGHT
    for oldest, right in ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV)):
        rights |= right if abi >= oldest else 0
    return rights


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    """Allow `rights` on `path` and what lies under it; a path that is not there needs no rule."""
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    if not path.is_dir():
        rights &= _READ_FILE | _WRITE_FILE | _TRUNCATE
    rule = struct.pack("=Qi", rights, opened)  # struct landlock_path_beneath_attr, which is packed
    try:
        _checked(
            libc.syscall(
                _ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_RULE_PATH_BENEATH), rule, ctypes.c_uint32(0)
            )
        )
    finally:
        if path.parts[1:2] == ("proc",):
            _pinned.append(opened)
        else:
            os.close(opened)


def _restrict_calls(libc: ctypes.CDLL) -> bool:
    """Refuse the system calls of _CALLS with EACCES; whether the kernel took the filter."""
    if platform.machine() not in _CALLS or struct.calcsize("P") != 8 or sys.byteorder != "little":
        return False
    architecture, numbers = _CALLS[platform.machine()]
    # Jumps count from the next instruction. First come the architecture (at 4 in struct seccomp_data) and the
    # number (at 0), then one comparison a call; what matches goes to the refusal, the very last instruction.
    count = len(numbers)
    steps = [(_LOAD, 0, 0, 4), (_IF_EQUAL, 0, count + 3, architecture), (_LOAD, 0, 0, 0)]
    steps.append((_IF_AT_LEAST, count + 1, 0, _X32_CALLS))
    steps += [(_IF_EQUAL, count - at, 0, number) for at, number in enumerate(numbers)]
    steps += [(_RETURN, 0, 0, _RET_ALLOW), (_RETURN, 0, 0, _RET_ERRNO | _EACCES)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = struct.pack("@HP", len(steps), ctypes.addressof(code))  # struct sock_fprog
    return bool(libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), program) == 0)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
