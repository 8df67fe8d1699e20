"""Set up .venv from requirements.lock: the first thing `make` runs, with whatever Python there is.

Promise: afterwards .venv holds exactly what the lock names and the command .venv/bin/fairpixel; or one message says
what is wrong and what to do. A finished set-up is recognised in milliseconds, a half-finished one is taken up again.

This file also has to be read by old Pythons, to tell them that they are old: no annotations, no f-strings.
"""

from __future__ import print_function

import hashlib
import os
import subprocess
import sys

PYTHON_MIN = (3, 11)
PYTHON_NAMES = ("python3.13", "python3.12", "python3.11", "python3.14")  # the best tested first
FREE_MB_MIN = 2048  # .venv is 1.3 GB, and pip unpacks beside it
LOG_LINES_MAX = 15


class UserError(Exception):
    """What is wrong, and what to do about it."""

    def __init__(self, what, hint):
        # type: (str, str) -> None
        super(UserError, self).__init__(what + "\n  " + hint)


def main(repo, version=None):
    # type: (str, tuple[int, ...] | None) -> int
    """Set up `repo`; returns an exit code. `version` stands in for this Python's own in tests."""
    try:
        version = tuple(version or sys.version_info[:3])
        if version < PYTHON_MIN:
            use_newer_python(version)
        lock = os.path.join(repo, "requirements.lock")
        venv = os.path.join(repo, ".venv")
        wanted = stamp_text(repo, lock)
        if read(stamp_path(venv)) == wanted:
            return 0
        set_up(repo, venv, lock, wanted)
        return 0
    except UserError as problem:
        print("setup: " + str(problem), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nsetup: interrupted; the same command goes on where it stopped", file=sys.stderr)
        return 130


def use_newer_python(version):
    # type: (tuple[int, ...]) -> None
    """Go on with a newer Python of this machine, if there is one. Raises UserError when there is none."""
    tried = os.environ.get("_FAIRPIXEL_SETUP_PYTHON")
    for name in PYTHON_NAMES:
        for folder in os.environ.get("PATH", "").split(os.pathsep):
            path = os.path.join(folder, name)
            if not tried and os.access(path, os.X_OK) and answers(path):
                os.environ["_FAIRPIXEL_SETUP_PYTHON"] = path
                os.execv(path, [path] + sys.argv)
    raise UserError(
        "Fairpixel needs Python 3.11 or newer; this one ({0}) is {1}.".format(
            sys.executable, ".".join(str(part) for part in version)
        ),
        "Install a newer one (for example: apt install python3.11 python3.11-venv), "
        "or name it: make PYTHON=/path/to/python3.11 ...",
    )


def answers(python):
    # type: (str) -> bool
    """True when this Python runs and is new enough (a version manager leaves names that do neither)."""
    code = "import sys; sys.exit(sys.version_info < (3, 11))"
    with open(os.devnull, "w") as nowhere:
        return subprocess.call([python, "-c", code], stdout=nowhere, stderr=nowhere) == 0


def set_up(repo, venv, lock, wanted):
    # type: (str, str, str, str) -> None
    """Make .venv, fill it, and stamp it; one run at a time."""
    started = now()
    try:
        if not os.path.isdir(venv):
            os.mkdir(venv)
        setup_lock = open(os.path.join(venv, ".setup.lock"), "a")
    except OSError as error:
        raise UserError(
            "The folder {0} cannot be written to: {1}.".format(venv, error.strerror),
            "Clone Fairpixel into a folder that is yours, or allow writing there.",
        )
    with setup_lock:
        wait_for_turn(setup_lock)
        if read(stamp_path(venv)) == wanted:
            return  # the other run did it
        require_room(venv)
        if not is_usable(venv):
            say("Setting up Python packages in .venv (once)")
            make_venv(venv)
        else:
            say("Bringing .venv up to requirements.lock")
        install(venv, lock)
        link(repo, venv)
        write(stamp_path(venv), wanted)
        say("Python packages are ready ({0:.0f} s)".format(now() - started))


def wait_for_turn(setup_lock):
    # type: (object) -> None
    """Wait while another run sets the same folder up."""
    import fcntl

    try:
        fcntl.flock(setup_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # type: ignore[arg-type]
    except OSError:
        say("Another run is setting this folder up; waiting for it")
        fcntl.flock(setup_lock, fcntl.LOCK_EX)  # type: ignore[arg-type]


def require_room(venv):
    # type: (str) -> None
    """Raises UserError when the disk cannot hold what is to be installed."""
    import shutil

    have = shutil.disk_usage(venv).free // (1 << 20)
    if have < FREE_MB_MIN and not os.path.exists(stamp_path(venv)):
        raise UserError(
            "The disk of {0} has {1} MB left; setting up needs {2} MB.".format(venv, have, FREE_MB_MIN),
            "Make room there and run the same command again.",
        )


def is_usable(venv):
    # type: (str) -> bool
    """True when .venv holds this very Python, with a pip."""
    code = "import sys, pip; print('%d.%d.%d' % sys.version_info[:3], sys.prefix)"
    try:
        output = subprocess.check_output([python_of(venv), "-c", code], stderr=subprocess.STDOUT)
    except (OSError, subprocess.CalledProcessError):
        return False
    expected = "{0} {1}".format(".".join(str(part) for part in sys.version_info[:3]), venv)
    return output.decode("utf-8", "replace").strip() == expected


def make_venv(venv):
    # type: (str) -> None
    """Empty the folder and make a virtual environment in it. Raises UserError when this Python cannot."""
    import shutil

    for name in os.listdir(venv):
        path = os.path.join(venv, name)
        if name != ".setup.lock":
            shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.remove(path)
    done = subprocess.run(
        [sys.executable, "-m", "venv", venv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode == 0:
        return
    output = done.stdout.decode("utf-8", "replace")
    if "No space left" in output:
        raise UserError(*disk_full(venv))
    name = "python{0}.{1}".format(*sys.version_info[:2])
    if "ensurepip" in output or "No module named" in output:
        raise UserError(
            "This Python ({0}) has no venv or no ensurepip, which setting up needs.".format(sys.executable),
            "Install it (Debian, Ubuntu: apt install {0}-venv) or name another Python: make PYTHON=...".format(name),
        )
    raise UserError("Making .venv failed:\n" + last_lines(output), "Mend what it says and run the same command again.")


def install(venv, lock):
    # type: (str, str) -> None
    """Install exactly the lock, every file checked against its hashes, nothing compiled here."""
    command = [python_of(venv), "-m", "pip", "install", "--require-hashes", "--no-deps", "--only-binary", ":all:"]
    command += ["--no-user", "--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    command += ["--no-warn-script-location", "--requirement", lock]
    unwanted = ["PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_REQUIRE_VIRTUALENV"]
    unwanted += ["PYTHONPATH", "PYTHONHOME"]
    environ = {name: value for name, value in os.environ.items() if name not in unwanted}
    total = sum(1 for line in read(lock).splitlines() if "==" in line)
    lines = []  # type: list[str]
    pip = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        for raw in pip.stdout or ():
            line = raw.decode("utf-8", "replace").rstrip()
            lines.append(line)
            show_progress(line, lines, total)
        pip.wait()
    finally:
        if pip.poll() is None:
            pip.terminate()
            pip.wait()
    if pip.returncode != 0:
        raise UserError(*explain("\n".join(lines), venv))


def show_progress(line, lines, total):
    # type: (str, list[str], int) -> None
    """One line that moves on a terminal; a line now and then elsewhere."""
    if line.startswith("Collecting "):
        count = sum(1 for one in lines if one.startswith(("Collecting ", "Requirement already satisfied", "Ignoring ")))
        text = "  [{0}/{1}] {2}".format(count, total, line.split()[1].split("==")[0])
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K" + text)
            sys.stderr.flush()
        elif count % 25 == 0:
            say(text)
    elif line.startswith("Installing collected packages"):
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")
        say("  unpacking {0} packages".format(len(line.split(",")) or total))


def explain(output, venv):
    # type: (str, str) -> tuple[str, str]
    """Turn pip's output into what is wrong and what to do."""
    low = output.lower()
    if "do not match the hashes" in low:
        return (
            "A downloaded package is not the one requirements.lock names:\n" + last_lines(output),
            "Nothing of it was installed. Try again; if it stays so, somebody changes the files: do not go on.",
        )
    if "no space left" in low or "errno 28" in low:
        return disk_full(venv)
    if "permission denied" in low or "read-only file system" in low:
        return (
            "Packages cannot be written to {0}:\n{1}".format(venv, last_lines(output)),
            "Clone Fairpixel into a folder that is yours, or allow writing there.",
        )
    signs = ["retrying (", "connection", "name resolution", "proxyerror", "sslerror", "timed out"]
    signs += ["from versions: none"]
    if any(sign in low for sign in signs):
        return (
            "Packages cannot be downloaded: the package index does not answer, or offers none of them.",
            "Check the network (HTTPS_PROXY if there is a proxy; PIP_INDEX_URL if there is a mirror) and run the same "
            "command again: it goes on where it stopped.",
        )
    if "no matching distribution" in low:
        return (
            "A package has no file for this Python {0}.{1}:\n".format(*sys.version_info[:2]) + last_lines(output),
            "Fairpixel is tested with Python 3.11 to 3.13: name one of them, make PYTHON=python3.11 ...",
        )
    return "Installing packages failed:\n" + last_lines(output), "Mend what it says and run the same command again."


def disk_full(venv):
    # type: (str) -> tuple[str, str]
    """The message for a disk that became full."""
    return (
        "The disk of {0} is full.".format(venv),
        "Make room there (about {0} MB are needed) and run the same command again.".format(FREE_MB_MIN),
    )


def link(repo, venv):
    # type: (str, str) -> None
    """Make the project importable and its command callable, without a download."""
    site = subprocess.check_output(
        [python_of(venv), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    )
    write(os.path.join(site.decode("utf-8").strip(), "fairpixel.pth"), repo + "\n")
    quoted = "'" + python_of(venv).replace("'", "'\\''") + "'"
    command = os.path.join(venv, "bin", "fairpixel")
    # -P: a folder that happens to be called deploy, where somebody stands, must not be taken for ours.
    write(command, '#!/bin/sh\nexec {0} -P -m deploy.cli "$@"\n'.format(quoted))
    os.chmod(command, 0o755)


def stamp_text(repo, lock):
    # type: (str, str) -> str
    """What a finished set-up depends on."""
    try:
        with open(lock, "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
    except (IOError, OSError):
        raise UserError("{0} is missing.".format(lock), "Clone the repository again; it belongs to it.")
    return "\n".join([digest, repo, os.path.realpath(sys.executable), sys.version, ""])


def stamp_path(venv):
    # type: (str) -> str
    """Written last, so it says that all before it was done."""
    return os.path.join(venv, ".setup-done")


def python_of(venv):
    # type: (str) -> str
    """The Python inside .venv."""
    return os.path.join(venv, "bin", "python")


def read(path):
    # type: (str) -> str
    """The file's text, "" when there is none."""
    try:
        with open(path) as file:
            return file.read()
    except (IOError, OSError):
        return ""


def write(path, text):
    # type: (str, str) -> None
    """Replace a file as a whole."""
    with open(path + ".new", "w") as file:
        file.write(text)
    os.rename(path + ".new", path)


def last_lines(output):
    # type: (str) -> str
    """The last lines of a program's output, indented."""
    return "\n".join("    " + line for line in output.strip().splitlines()[-LOG_LINES_MAX:])


def now():
    # type: () -> float
    """Seconds on a clock that only goes forward."""
    import time

    return time.monotonic()


def say(text):
    # type: (str) -> None
    """Progress, for people."""
    print(text, file=sys.stderr)
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
