# SPDX-License-Identifier: Apache-2.0
"""The pinned clients of tests/peers, as programs."""

import os
import subprocess

from tap import Skip, comment

BUILD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "peers", "build")
NO_GO = 77


def program(name):
    """The path of a peer, built first if this version never was. Skip where no Go is."""
    result = subprocess.run([BUILD, name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    comment(result.stderr)
    if result.returncode == NO_GO:
        raise Skip(result.stderr.strip().splitlines()[-1])
    if result.returncode != 0:
        raise AssertionError(f"tests/peers/build {name} failed")
    return result.stdout.strip()
