# SPDX-License-Identifier: Apache-2.0
"""Runs a service as its unit says, as far as one process can do that to itself.

usage: confined.py UNIT [DROP-IN...]

In a mount namespace of its own, as root there: capabilities, no new privileges, file systems read
only but for ReadWritePaths, no homes, the system calls and address families that are named, no
memory that can be written and run. Cgroups are left out, and so is what makes a /proc, a /dev or a
/tmp of its own.
"""

import ctypes
import os
import re
import resource
import struct
import subprocess
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
CAPABILITIES = {"CAP_KILL": 5, "CAP_SETGID": 6, "CAP_SETUID": 7, "CAP_SYS_PTRACE": 19, "CAP_SYS_ADMIN": 21}
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}
EPERM, EINVAL, EAFNOSUPPORT = 1, 22, 97

PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_SET_MDWE = 22, 24, 38, 65
AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY, SYS_MOUNT_SETATTR = -100, 0x8000, 1, 442
MS_BIND, MS_REC = 4096, 16384


def fail_unless(result, what):
    if result < 0:
        raise OSError(ctypes.get_errno(), what)


def read_unit(paths):
    """The settings of [Service]: a list of words for each, an empty assignment begins anew."""
    found = {}
    for path in paths:
        with open(path, encoding="utf-8") as file:
            section = file.read().split("[Service]\n")[1].split("\n[")[0]
        for name, value in re.findall(r"^(\w+)=(.*)$", section, re.M):
            if not value:
                found[name] = []
            found.setdefault(name, []).extend(re.findall(r'"[^"]*"|\S+', value))
    return found


def environment(unit):
    words = [word.strip('"') for word in unit["Environment"]]
    return dict(word.split("=", 1) for word in words)


def command(unit):
    """ExecStart: ${NAME} is one word, $NAME as many as it has."""
    variables, words = environment(unit), []
    for word in unit["ExecStart"]:
        whole = re.fullmatch(r"\$(\w+)", word)
        if whole:
            words += variables[whole[1]].split()
        else:
            words.append(re.sub(r"\$\{(\w+)\}", lambda found: variables[found[1]], word))
    return words


def change_mounts(path, set_flags, clear_flags):
    attributes = struct.pack("QQQQ", set_flags, clear_flags, 0, 0)
    place = ctypes.c_char_p(path.encode())
    done = LIBC.syscall(
        SYS_MOUNT_SETATTR, AT_FDCWD, place, AT_RECURSIVE, attributes, len(attributes)
    )
    fail_unless(done, f"mount_setattr {path}")


def protect_files(unit):
    assert unit["ProtectSystem"] == ["strict"] and unit["ProtectHome"] == ["yes"]
    writable = unit["ReadWritePaths"]
    for path in writable:
        place = path.encode()
        fail_unless(LIBC.mount(place, place, None, MS_BIND | MS_REC, None), path)
    for path in ("/root", "/home"):
        if os.path.isdir(path):
            fail_unless(LIBC.mount(b"none", path.encode(), b"tmpfs", 0, b"mode=000"), path)
    change_mounts("/", MOUNT_ATTR_RDONLY, 0)
    for path in writable:
        change_mounts(path, 0, MOUNT_ATTR_RDONLY)
    for path in unit.get("ReadOnlyPaths", []):
        if os.path.ismount(path.lstrip("-")):
            change_mounts(path.lstrip("-"), MOUNT_ATTR_RDONLY, 0)


def numbers():
    """System calls by name, as the C library's headers have them."""
    done = subprocess.run(
        ["gcc", "-E", "-dM", "-include", "sys/syscall.h", "-"],
        input="",
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.findall(r"^#define __NR_(\w+) (\d+)$", done.stdout, re.M)
    return {name: int(number) for name, number in found}


def groups():
    done = subprocess.run(
        ["systemd-analyze", "syscall-filter"], capture_output=True, text=True, check=True
    )
    found, name = {}, None
    for line in done.stdout.splitlines():
        if line.startswith("@"):
            name = line.strip()
            found[name] = []
        elif name and line.startswith("    ") and not line.strip().startswith("#"):
            found[name].append(line.strip())
    return found


def allowed(words, known):
    names = set()
    for word in words:
        names |= allowed(known[word], known) if word.startswith("@") else {word}
    return names


def statement(code, k, yes=0, no=0):
    return struct.pack("HBBI", code, yes, no, k)


LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERROR = 0x7FFF0000, 0x00050000


def filter_of(unit):
    """A seccomp program: socket(2) by family, what is named, and for the rest an error."""
    assert unit["SystemCallErrorNumber"] == ["EPERM"]
    table = numbers()
    calls = sorted(table[name] for name in allowed(unit["SystemCallFilter"], groups()) if name in table)
    calls.remove(table["socket"])
    families = [FAMILIES[name] for name in unit["RestrictAddressFamilies"]]
    program = [statement(LOAD, 0), statement(EQUAL, table["socket"], 0, len(families) * 2 + 2)]
    program.append(statement(LOAD, 16))
    for family in families:
        program += [statement(EQUAL, family, 0, 1), statement(RETURN, ALLOW)]
    program.append(statement(RETURN, ERROR | EAFNOSUPPORT))
    for call in calls:
        program += [statement(EQUAL, call, 0, 1), statement(RETURN, ALLOW)]
    program.append(statement(RETURN, ERROR | EPERM))
    return b"".join(program)


def main():
    unit = read_unit(sys.argv[1:])
    program = ctypes.create_string_buffer(filter_of(unit))
    filters = struct.pack("HxxxxxxP", (len(program) - 1) // 8, ctypes.addressof(program))
    words = command(unit)
    os.environ.update(environment(unit))
    protect_files(unit)
    assert unit["LimitCORE"] == ["0"] and unit["NoNewPrivileges"] == ["yes"]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(int(unit["UMask"][0], 8))
    kept = {CAPABILITIES[name] for name in unit["CapabilityBoundingSet"]}
    for number in range(64):
        if number not in kept and LIBC.prctl(PR_CAPBSET_DROP, number, 0, 0, 0) < 0:
            assert ctypes.get_errno() == EINVAL, number
    fail_unless(LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    assert unit["MemoryDenyWriteExecute"] == ["yes"]
    LIBC.prctl(PR_SET_MDWE, 1, 0, 0, 0)  # since Linux 6.3
    fail_unless(LIBC.prctl(PR_SET_SECCOMP, 2, filters, 0, 0), "seccomp")
    os.execv(words[0], words)


main()
