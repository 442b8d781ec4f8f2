# SPDX-License-Identifier: Apache-2.0
"""Clocks for the daemon of a test. CLOCK_SHIFT_LIBRARY is the library that makes them."""

import os
import struct

DAY = 24 * 3600


class Clock:
    """The clocks of a daemon; what it starts has the real ones. It looks at them when something
    wakes it: where it waits, it waits for real.
    """

    def __init__(self, hosts):
        self.path = hosts.home.write("clock", "\0" * 16)
        hosts.home.env["CLOCK_SHIFT"] = self.path
        hosts.program = hosts.home.write(
            "with-clock",
            "#!/bin/sh\n"
            f"export LD_PRELOAD={os.environ['CLOCK_SHIFT_LIBRARY']}\n"
            f'exec {hosts.program} "$@"\n',
        )
        os.chmod(hosts.program, 0o755)

    def set(self, seconds):
        """The wall clock alone is so far from the real one."""
        self._write(seconds, 0)

    def go_on(self, seconds):
        """So much more time has passed."""
        with open(self.path, "rb") as file:
            wall, monotonic = struct.unpack("qq", file.read())
        self._write(wall + seconds, monotonic + seconds)

    def _write(self, wall, monotonic):
        with open(self.path, "r+b") as file:
            file.write(struct.pack("qq", wall, monotonic))
