# SPDX-License-Identifier: Apache-2.0
"""Pulls from one private registry through real containerds, with a credHelper in hosts.toml."""

import os
import sys
from functools import partial

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from base64 import b64encode

from containerd import VERSIONS
from hosts import table
from node import CLIENTS, named, node
from scenario import MARKER, PASSWORD, USER
from tap import equal, run

PAIR = b64encode(f"{USER}:{PASSWORD}".encode()).decode()


def private(version):
    """Login, logout and login again are seen at once, by every client."""
    with node(version) as it:
        it.write(it.address, table(it.url, helper="pullkey"), server=it.url)
        it.wait_no_header()
        for client in CLIENTS:
            it.expect_refused(client=client)
        for _ in range(2):
            it.login()
            it.wait_header()
            for client in CLIENTS:
                it.expect_pulled(client=client)
            it.logout()
            it.wait_no_header()
            for client in CLIENTS:
                it.expect_refused(client=client)
        it.login()
        it.wait_header()
        it.expect_pulled()
        it.expect_no_secret(MARKER, PAIR)


NAMES = [("one private registry, each client", private)]

sys.exit(run([(named(v, name), partial(function, v)) for v in VERSIONS for name, function in NAMES]))
