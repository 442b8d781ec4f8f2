# SPDX-License-Identifier: Apache-2.0
"""The pinned clients of tests/peers, as programs."""

import os
import subprocess
from functools import cache

from tap import Skip, comment

BUILD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "peers", "build")
VENV = os.path.join(os.path.dirname(BUILD), "venv")
NO_GO = NO_VENV = 77


@cache
def program(name, tool=None):
    """The path of a peer, built first if this version never was. Skip where no Go is.

    `tool` names one of several programs of the same module; else it is the first.
    """
    result = subprocess.run([BUILD, name], capture_output=True, text=True)
    comment(result.stderr)
    if result.returncode == NO_GO:
        raise Skip(result.stderr.strip().splitlines()[-1])
    if result.returncode != 0:
        raise AssertionError(f"tests/peers/build {name} failed")
    paths = result.stdout.split("\n")
    return next(path for path in paths if tool in (None, os.path.basename(path)))


@cache
def python(name):
    """The Python that has a server from PyPI, installed first if this version never was."""
    result = subprocess.run([VENV, name], capture_output=True, text=True)
    comment(result.stderr)
    if result.returncode == NO_VENV:
        raise Skip(result.stderr.strip().splitlines()[-1])
    if result.returncode != 0:
        raise AssertionError(f"tests/peers/venv {name} failed")
    return result.stdout.strip()
