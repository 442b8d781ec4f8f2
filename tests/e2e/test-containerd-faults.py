# SPDX-License-Identifier: Apache-2.0
"""While everything around it breaks, a real containerd pulls what it could pull before."""

import os
import sys
import threading
from functools import partial

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from containerd import VERSIONS
from hosts import table, write_hosts
from node import named, node
from tap import CASES, run

MALFORMED = "[host\n"
PULLS = 3


def logged_in(it):
    it.write(it.address, table(it.url, helper="pullkey"), server=it.url)
    it.expect_pulled_after_login()


def broken(version):
    """A malformed hosts.toml; meanwhile the daemon is killed, and there is a logout."""
    with node(version) as it:
        logged_in(it)
        it.write(it.address, MALFORMED)
        it.hosts.wait_problem(it.address, "this is not TOML")
        it.expect_pulled()
        it.hosts.kill()
        it.expect_pulled()
        it.hosts.start()
        it.hosts.wait_problem(it.address, "this is not TOML")
        it.expect_pulled()
        # Even now a logout is one.
        it.expect_refused_after_logout()
        it.login()
        it.write(it.address, table(it.url, helper="pullkey"), server=it.url)
        it.wait_header()
        it.expect_pulled()


class Storm:
    """Rewrites a registry's file by rename, as fast as it can, until it is stopped."""

    def __init__(self, it):
        self.it = it
        self.beside = it.home.directory("beside")
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        it = self.it
        count = 0
        while not self._ends.wait(0.001):
            count += 1
            text = table(it.url, helper="pullkey", dial_timeout=f"{1 + count % 50}s")
            path = write_hosts(self.beside, it.address, text, server=it.url)
            os.rename(path, os.path.join(it.source, it.address, "hosts.toml"))
            if count % 100 == 0:
                it.hosts.reload()

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *_):
        self._ends.set()
        self._thread.join()


def storm(version):
    """Pulls in the middle of a thousand rewrites and reloads a second."""
    with node(version) as it:
        logged_in(it)
        with Storm(it):
            for _ in range(PULLS):
                it.expect_pulled()
        it.expect_pulled()
        it.expect_refused_after_logout()


for number in VERSIONS:
    for name, function in (("a broken file", broken), ("a storm of changes", storm)):
        CASES.append((named(number, f"{name}: pulled"), partial(function, number)))

sys.exit(run())
