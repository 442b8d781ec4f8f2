# SPDX-License-Identifier: Apache-2.0
"""A program on a terminal of its own, as a shell would run it: in the foreground, with a parent in
the same session, so that it can be stopped and go on.

    with Terminal([program, ...], env) as terminal:
        terminal.expect("Password: ")
        terminal.type("secret\\n")
        terminal.wait()      exit status, or minus the signal
        terminal.output      all that appeared
"""

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time

SECONDS = 30
STOPPED = "stopped"


def lead(slave, report, arguments, env):
    """The session's leader: runs the program, reports its pid and each change of its state."""
    os.setsid()
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(slave, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        for number in range(3):
            os.dup2(slave, number)
        os.execve(arguments[0], arguments, env)
    os.write(report, struct.pack("ii", child, 0))
    while True:
        _, status = os.waitpid(child, os.WUNTRACED)
        os.write(report, struct.pack("ii", 0, status))
        if not os.WIFSTOPPED(status):
            os._exit(0)


class Terminal:
    def __init__(self, arguments, env):
        self.output = ""
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.reports, report = os.pipe()
        self.leader = os.fork()
        if self.leader == 0:
            try:
                # Held here as well, they would keep the terminal from hanging up.
                os.close(self.master)
                os.close(self.reports)
                lead(self.slave, report, arguments, env)
            finally:
                os._exit(1)
        os.close(report)
        self.pid = self._report()[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # What has not ended by itself, stopped or deaf to signals; the leader waits for it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        os.waitpid(self.leader, 0)
        for descriptor in (self.master, self.slave, self.reports):
            os.close(descriptor)

    def _report(self):
        ready, _, _ = select.select([self.reports], [], [], SECONDS)
        data = os.read(self.reports, 8) if ready else b""
        if len(data) != 8:
            raise AssertionError(f"the program says nothing; on the terminal: {self.output!r}")
        return struct.unpack("ii", data)

    def _read(self, seconds):
        ready, _, _ = select.select([self.master], [], [], seconds)
        if ready:
            self.output += os.read(self.master, 4096).decode(errors="replace")
        return bool(ready)

    def expect(self, text):
        """Waits until the text has appeared, after what was expected before."""
        deadline = time.monotonic() + SECONDS
        start = getattr(self, "_expected", 0)
        while text not in self.output[start:]:
            if time.monotonic() > deadline:
                raise AssertionError(f"no {text!r} on the terminal: {self.output!r}")
            self._read(0.1)
        self._expected = self.output.index(text, start) + len(text)

    def type(self, text):
        os.write(self.master, text.encode())

    def wait(self):
        """Until the program ends or stops: its exit status, minus a signal, or STOPPED."""
        status = self._report()[1]
        while self._read(0):
            pass
        if os.WIFSTOPPED(status):
            return STOPPED
        return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)

    def kill(self, number):
        os.kill(self.pid, number)

    def settings(self):
        return termios.tcgetattr(self.slave)

    def echoes(self):
        return bool(self.settings()[3] & termios.ECHO)
