# SPDX-License-Identifier: Apache-2.0
"""Runs a command as a kernel does that lacks something: its system calls fail.

usage: without.py WHAT COMMAND [ARGUMENT...]
"""

import ctypes
import errno
import os
import platform
import struct
import sys

# The numbers of fanotify_init; fanotify_mark is the next one.
FANOTIFY = {"x86_64": 300, "i386": 338, "i686": 338, "ppc64le": 323, "s390x": 332}
FANOTIFY_INIT = FANOTIFY.get(platform.machine(), 262)
# The first and the last system call, and the error.
WHAT = {
    "landlock": (444, 446, errno.ENOSYS),  # landlock_create_ruleset to landlock_restrict_self
    "fanotify": (FANOTIFY_INIT, FANOTIFY_INIT + 1, errno.ENOSYS),
    "permission-events": (FANOTIFY_INIT + 1, FANOTIFY_INIT + 1, errno.EINVAL),
}
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
LOAD, AT_LEAST, GREATER, RETURN = 0x20, 0x35, 0x25, 0x06  # of bpf(4), on a word
ALLOW, ERROR = 0x7FFF0000, 0x00050000


def run(what, command):
    first, last, error = WHAT[what]
    statements = (
        (LOAD, 0, 0, 0),
        (AT_LEAST, 0, 2, first),
        (GREATER, 1, 0, last),
        (RETURN, 0, 0, ERROR | error),
        (RETURN, 0, 0, ALLOW),
    )
    code = b"".join(struct.pack("HBBI", *statement) for statement in statements)
    program = ctypes.create_string_buffer(code, len(code))
    filters = struct.pack("HxxxxxxP", len(statements), ctypes.addressof(program))
    call = ctypes.CDLL(None, use_errno=True).prctl
    if (
        call(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0
        or call(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filters, 0, 0) < 0
    ):
        raise OSError(ctypes.get_errno(), "seccomp")
    os.execv(command[0], command)


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2:])
