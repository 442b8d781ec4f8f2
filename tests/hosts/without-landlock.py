# SPDX-License-Identifier: Apache-2.0
"""Runs a command as a kernel without Landlock does: its system calls are not there.

usage: without-landlock.py COMMAND [ARGUMENT...]
"""

import ctypes
import errno
import os
import struct
import sys

FIRST, LAST = 444, 446  # landlock_create_ruleset to landlock_restrict_self, on all architectures
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
LOAD, AT_LEAST, GREATER, RETURN = 0x20, 0x35, 0x25, 0x06  # of bpf(4), on a word
ALLOW, ERROR = 0x7FFF0000, 0x00050000

statements = (
    (LOAD, 0, 0, 0),
    (AT_LEAST, 0, 2, FIRST),
    (GREATER, 1, 0, LAST),
    (RETURN, 0, 0, ERROR | errno.ENOSYS),
    (RETURN, 0, 0, ALLOW),
)
code = b"".join(struct.pack("HBBI", *statement) for statement in statements)
program = ctypes.create_string_buffer(code, len(code))
filters = struct.pack("HxxxxxxP", len(statements), ctypes.addressof(program))
call = ctypes.CDLL(None, use_errno=True).prctl
if call(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 or call(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filters, 0, 0) < 0:
    raise OSError(ctypes.get_errno(), "seccomp")
os.execv(sys.argv[1], sys.argv[1:])
