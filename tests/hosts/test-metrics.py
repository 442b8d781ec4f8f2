# SPDX-License-Identifier: Apache-2.0
"""The metrics while nothing happens: they stay true, so that an alert on old ones is a reason to
look.
"""

import os
import re
import sys
import time

from scene import CREDENTIAL, GOOD, scene

from clock import Clock
from hosts import basic, jwt
from registry import wait_for
from tap import case, check, equal, run

ALERTS = os.path.join(os.path.dirname(__file__), "../../packaging/prometheus/pullkey-hosts.yaml")
HOUR = 3600
SAMPLE = re.compile(r"^(\w+)(?:\{.*\})? (\d+)$", re.M)


class Idle:
    """A scene in which nothing happens but that time passes."""

    def __init__(self, it, credential=CREDENTIAL):
        self.it, self.clock = it, Clock(it.hosts)
        it.start(credential)
        # The first look at everything is over, and told.
        wait_for(lambda: self.metric("pullkey_hosts_helper_runs_total") == 1, "the metrics")

    def metric(self, name):
        """Of the only host with a helper."""
        return int(dict(SAMPLE.findall(self.it.hosts.metrics()))[name])

    def go_on(self, seconds):
        """The daemon is woken by a file that is no change."""
        self.clock.go_on(seconds)
        self.it.home.write("certs.d/other.tmp", "")


@case("twice a minute, well before the alert, they are written anew, and nothing else is")
def idle():
    with scene(start=False) as it:
        idle = Idle(it)
        with open(ALERTS, encoding="utf-8") as file:
            limit = int(re.search(r"pullkey_hosts_written_seconds > (\d+)", file.read())[1])
        inode, seconds = it.inode(GOOD), 31
        check(seconds * 3 < limit, f"an alert after {limit} seconds")
        for _ in range(3):
            end = idle.metric("pullkey_hosts_written_seconds") + seconds
            idle.go_on(seconds)
            wait_for(
                lambda end=end: idle.metric("pullkey_hosts_written_seconds") >= end,
                "the metrics to be written",
            )
        equal((len(it.helper.runs), it.inode(GOOD)), (1, inode), "runs of the helper, the file")
        it.expect_unharmed()
        # What a daemon leaves that has ended tells when that was.
        it.hosts.kill()
        before = it.hosts.metrics()
        idle.go_on(limit)
        equal(it.hosts.metrics(), before, "metrics of no daemon")


@case("they tell when a header expires that is renewed, and that there is none when it was not")
def renewed():
    with scene(start=False) as it:
        first = int(time.time()) + HOUR
        it.helper.credentials[GOOD] = ("alice", jwt(first))
        idle = Idle(it, ("alice", jwt(first)))
        equal(idle.metric("pullkey_hosts_header_expiry_seconds"), first)
        it.helper.credentials[GOOD] = ("alice", jwt(first + HOUR))
        idle.go_on(HOUR - 90)
        wait_for(
            lambda: idle.metric("pullkey_hosts_header_expiry_seconds") == first + HOUR,
            "the new header's expiry",
        )
        equal(idle.metric("pullkey_hosts_helper_runs_total"), 2)
        it.wait_read(GOOD, basic("alice", jwt(first + HOUR)))
        it.helper.failure = "no such vault"
        idle.go_on(HOUR + 90)
        wait_for(lambda: not idle.metric("pullkey_hosts_header"), "no header")
        equal(idle.metric("pullkey_hosts_header_expiry_seconds"), 0)
        wait_for(lambda: "helper_failures_total{" in it.hosts.metrics(), "the failure")
        equal(it.header(GOOD), None)


sys.exit(run())
