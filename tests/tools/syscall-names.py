# SPDX-License-Identifier: Apache-2.0
"""Writes the table of system call names for syscall-fault.c, from the headers of this machine.

usage: syscall-names.py OUTPUT COMPILER [ARG...]
"""

import re
import subprocess
import sys

output, compiler = sys.argv[1], sys.argv[2:]
macros = subprocess.run(
    compiler + ["-E", "-dM", "-"],
    input="#include <sys/syscall.h>\n",
    capture_output=True,
    text=True,
    check=True,
).stdout
names = sorted(re.findall(r"^#define SYS_([a-z0-9_]+) __NR_", macros, re.M))
if len(names) < 200:
    sys.exit(f"only {len(names)} system calls found in sys/syscall.h")
with open(output, "w", encoding="ascii") as table:
    table.write("static const struct {\n    long number;\n    const char *name;\n")
    table.write("} syscall_names[] = {\n")
    for name in names:
        table.write(f'    {{SYS_{name}, "{name}"}},\n')
    table.write("};\n")
