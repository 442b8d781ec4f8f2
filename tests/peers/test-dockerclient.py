# SPDX-License-Identifier: Apache-2.0
"""The Go client of docker-credential-helpers drives our helper; its own cases print the TAP."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))

import peers
from home import Home
from tap import Skip, run


def unavailable(error):
    def case():
        raise error

    return case


def main():
    try:
        client = peers.program("dockerclient")
    except (Skip, AssertionError) as error:
        return run([("dockerclient", unavailable(error))])
    with Home() as home:
        result = home.run([client, home.helper])
        print(result.stdout, end="")
        print(result.stderr, end="", file=sys.stderr)
        return result.returncode


sys.exit(main())
