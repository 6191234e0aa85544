"""Become a server that dies with the process that started it. Run as a file, never imported.

    python -I -S launch.py PARENT_PID DEATH_SIGNAL UID:GID|- COMMAND [ARGUMENT …]

`subprocess` can do the same with `preexec_fn`, which is unsafe (and from Python 3.12 on a warning) in a process that
has threads; this costs 20 ms a server instead.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, signal_number, account, *command = sys.argv[1:]
    if account != "-":
        uid, gid = map(int, account.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    # After the change of account, which would clear it.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)
    if os.getppid() != int(parent):  # it died before the signal was arranged
        sys.exit("the process that started this server is gone")
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
