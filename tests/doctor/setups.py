# SPDX-License-Identifier: Apache-2.0
"""Set-ups that are broken on purpose, each in one way, and what doctor must say of them.

    with setup.scene() as there:
        there.ask()         a pull will work
        setup.harm(there)
        there.ask()         setup.cause, and setup.words in the last line

`there.ask()` answers a Verdict; `there.pull()`, where a real client is at hand, is whether that pulls.
SETUPS is the list of all; each setups_KIND.py adds those of its kind.
"""

from collections.abc import Callable
from typing import NamedTuple

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
