# SPDX-License-Identifier: Apache-2.0
"""Set-ups that are broken on purpose, each in one way, and what doctor must say of them.

    with setup.scene() as there:
        there.ask()         a pull will work
        setup.harm(there)
        there.ask()         setup.cause, and setup.words in the last line

`there.ask()` answers a Verdict; `there.pull()`, where a real client is at hand, is whether that pulls.
SETUPS is the list of all; each setups_KIND.py adds those of its kind.
"""

import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

for place in ("../lib", "../fakes", "../hosts", "../admin"):  # the last is looked at first
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), place))

SETUPS = []


class Verdict(NamedTuple):
    works: bool
    cause: str
    last: str  # line of the text


class Setup(NamedTuple):
    name: str
    caller: str  # whose pull it is
    scene: Callable
    harm: Callable
    cause: str
    words: tuple  # of the last line: what is wrong, and what to do
    warning: bool = False  # the pull works yet
    ordinary: bool = False  # not for root


def setup(name, caller, scene, cause, *words, **more):
    """Of a function that breaks it."""

    def mark(harm):
        SETUPS.append(Setup(name, caller, scene, harm, cause, words, **more))
        return harm

    return mark


def load():
    """Fills the list with those that this build, and this user, can make."""
    kinds = ["docker", "kubelet"]
    if os.environ["PULLKEY_TEST_HOSTS"] == "yes":
        kinds.append("node")
    if "kubernetes" in os.environ["PULLKEY_PARTS"].split():
        kinds.append("kubernetes")
    for kind in kinds:
        import_module(f"setups_{kind}")
    return SETUPS
