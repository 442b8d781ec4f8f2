# SPDX-License-Identifier: Apache-2.0
"""A program of a test's own that serves until the test ends, also when the test is killed.

    class Thing(Started):
        def start(self):
            self.program = Program("the thing", log)
            self.program.start([path, ...], env)
            self.program.wait(self.answers, "to answer")

        def stop(self):
            self.program.stop()

    with Thing() as thing:      a start that fails is undone
"""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time
from functools import partial

from tap import Skip

LIBC = ctypes.CDLL(None)  # not loaded between fork and exec, where other threads' locks stay shut
START_SECONDS = 30
STOP_SECONDS = 60
ATTEMPTS = 20  # to find a port that nobody takes meanwhile
LOG_END = 4000  # characters of a log that an error shows


def find_program(name, package=None):
    """The path of a program; also looks where an ordinary user's PATH does not."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/bin:/usr/sbin:/sbin")
    if path is None:
        raise Skip(f"{name} is missing (Debian package {package or name})")
    return path


def die_with_parent(number=signal.SIGTERM):
    """For preexec_fn: the kernel ends the child when the test ends, however that happens."""
    pr_set_pdeathsig = 1
    LIBC.prctl(pr_set_pdeathsig, number)


def wait_for(condition, what, seconds=START_SECONDS):
    """Polls until the condition is true and returns its value."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.02)


class Started:
    """For `with`: start() before it, and stop() after it, or where start() fails."""

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()


def has_ended(pid):
    """Of any process; True also where nobody has waited for it yet."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


class Program:
    """`name` is what errors call it; the file `log_path` gets what it writes."""

    def __init__(self, name, log_path):
        self.name, self.log_path = name, log_path
        self._process = None

    @property
    def process_id(self):
        return self._process.pid

    def start(self, arguments, env, directory=None, at_death=signal.SIGTERM, **options):
        """`at_death` of the test is sent to it; `options` are more of Popen."""
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env=env,
                preexec_fn=partial(die_with_parent, at_death),
                **options,
            )

    def start_at_free_port(self, arguments, env, answers, host="127.0.0.1"):
        """For what takes no port that the kernel chooses: functions of a port give the arguments,
        and whether it answers there. Returns the port.
        """
        for _ in range(ATTEMPTS):
            port = free_port(host)
            self.start(arguments(port), env)
            wait_for(lambda: self.has_ended() or answers(port), f"{self.name} to listen")
            if not self.has_ended():
                return port
        raise AssertionError(f"{self.name} does not start:\n{self.log()[-LOG_END:]}")

    def has_ended(self):
        return self._process.poll() is not None

    def check_running(self):
        if self.has_ended():
            raise AssertionError(f"{self.name} ended:\n{self.log()[-LOG_END:]}")

    def send_signal(self, number):
        self._process.send_signal(number)

    def wait(self, condition, what, seconds=START_SECONDS):
        """Until the condition is true, whose value it returns, or the program has ended."""

        def value():
            self.check_running()
            return condition()

        try:
            return wait_for(value, f"{self.name} {what}", seconds)
        except AssertionError as error:
            if not self.has_ended():
                error.add_note(self.log()[-LOG_END:])
            raise

    def stop(self, seconds=STOP_SECONDS):
        """Nothing is done where it was not started."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        self.kill()

    def kill(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()


def free_port(host):
    with socket.create_server((host, 0)) as listener:
        return listener.getsockname()[1]
