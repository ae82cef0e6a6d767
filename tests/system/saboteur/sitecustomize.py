"""Sends this process a signal just before one of its operations on files.

Python imports a module of this name at its start if it is on PYTHONPATH, so that any verb of
the real program can be stopped between any two of its steps on disk. The environment says
what to do:

SABOTAGE_BELOW   only operations on paths below this directory count
SABOTAGE_AT      the number of the operation, from 1
SABOTAGE_MATCH   or: the first one whose ``EVENT PATH...`` this regular expression finds
SABOTAGE_SIGNAL  the signal; to the whole process group if it is SIGKILL
SABOTAGE_LOG     a file to which every operation is appended that was reached
SABOTAGE_NOLOCK  if it is set, there are no locks on files below that directory
"""

import errno
import os
import re
import signal
import sys
from pathlib import Path

BELOW = os.environ.get("SABOTAGE_BELOW", "")
AT = int(os.environ.get("SABOTAGE_AT", "0"))
MATCH = os.environ.get("SABOTAGE_MATCH", "")
SIGNAL = int(os.environ.get("SABOTAGE_SIGNAL", "9"))
LOG = os.environ.get("SABOTAGE_LOG", "")
NOLOCK = os.environ.get("SABOTAGE_NOLOCK", "")
# What changes the names that others see. A file is written under a temporary name first, so
# that a stop before its renaming is one with a temporary file left.
EVENTS = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink"}

state = {"count": 0, "busy": False, "done": False}


def watch(event, arguments):
    if state["busy"] or state["done"]:
        return
    if event not in EVENTS:
        return
    paths = [os.fspath(a) for a in arguments if isinstance(a, str | os.PathLike)]
    if not any(str(path).startswith(BELOW + "/") for path in paths):
        return
    state["count"] += 1
    line = " ".join([event, *map(str, paths)])
    if LOG:
        state["busy"] = True
        with Path(LOG).open("a") as stream:
            stream.write(line + "\n")
        state["busy"] = False
    if state["count"] == AT or (MATCH and re.search(MATCH, line)):
        state["done"] = True
        if SIGNAL == signal.SIGKILL:
            os.killpg(0, SIGNAL)
        os.kill(os.getpid(), SIGNAL)


def forbid_locks(event, arguments):
    if event == "fcntl.flock":
        path = os.readlink(f"/proc/self/fd/{arguments[0]}")  # noqa: PTH115
        if path.startswith(BELOW + "/"):
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK), path)


if BELOW:
    sys.addaudithook(forbid_locks if NOLOCK else watch)
