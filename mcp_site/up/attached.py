"""Become another program that dies with its parent: run by path, as a prefix to the program's own command line.

    python -I -S attached.py PARENT SIGNAL [--group] [--user UID:GID | --namespace UID:GID] -- PROGRAM ARGUMENT...

A prefix and not a `preexec_fn`, so that the parent may have threads. SIGNAL is what the kernel sends when PARENT is
gone, however it went. `--group` puts the program in a process group of its own, `--user` gives root's rights up, and
`--namespace` shows the program another user while its files stay root's.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_CLONE_NEWUSER = 0x10000000


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _enter_namespace(uid: int, gid: int) -> None:
    """Become `uid`:`gid` of a new user namespace that maps to the real user. Raises OSError where that is refused."""
    real_uid, real_gid = os.geteuid(), os.getegid()
    if _libc().unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "this kernel refuses user namespaces")
    # Without "deny" an unprivileged process may not write the group map.
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {real_uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {real_gid} 1")


def _give_up_root(uid: int, gid: int) -> None:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def _die_with(parent: int, signal: int) -> None:
    """Ask for `signal` when the parent ends. It comes last: a change of user forgets the wish."""
    if sys.platform == "linux":
        _libc().prctl(_PR_SET_PDEATHSIG, signal)
    if os.getppid() != parent:
        # It was gone before we could ask.
        sys.exit(f"attached: the parent {parent} is gone")


def main(arguments: list[str]) -> None:
    """Do what the command line says; returns only by an exception."""
    split = arguments.index("--")
    parent, signal, *options = arguments[:split]
    command = arguments[split + 1 :]
    if "--group" in options:
        os.setpgid(0, 0)
    for option, act in (("--namespace", _enter_namespace), ("--user", _give_up_root)):
        if option in options:
            uid, gid = options[options.index(option) + 1].split(":")
            act(int(uid), int(gid))
    _die_with(int(parent), int(signal))
    os.execvp(command[0], command)  # noqa: S606  becoming another program is this file's job


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except OSError as error:
        sys.exit(f"attached: {error}")
