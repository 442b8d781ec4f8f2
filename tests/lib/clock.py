# SPDX-License-Identifier: Apache-2.0
"""A wall clock for the daemon of a test. CLOCK_SHIFT_LIBRARY is the library that makes it."""

import os
import struct

DAY = 24 * 3600


class Clock:
    """The wall clock of a daemon; what it starts has the real one."""

    def __init__(self, hosts):
        self.path = hosts.home.write("clock", "\0" * 8)
        hosts.home.env["CLOCK_SHIFT"] = self.path
        hosts.program = hosts.home.write(
            "with-clock",
            "#!/bin/sh\n"
            f"export LD_PRELOAD={os.environ['CLOCK_SHIFT_LIBRARY']}\n"
            f'exec {hosts.program} "$@"\n',
        )
        os.chmod(hosts.program, 0o755)

    def set(self, seconds):
        with open(self.path, "r+b") as file:
            file.write(struct.pack("q", seconds))
