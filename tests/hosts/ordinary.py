# SPDX-License-Identifier: Apache-2.0
"""A user without privileges, also where the test has some."""

import os

NUMBER = 65534


def give(place):
    """All that is below a directory is the user's."""
    for directory, _, files in os.walk(place):
        for name in ("", *files) if os.geteuid() == 0 else ():
            os.chown(os.path.join(directory, name), NUMBER, NUMBER)


def command(words):
    """The command line that runs this one as the user."""
    if os.geteuid() != 0:
        return list(words)
    return ["setpriv", f"--reuid={NUMBER}", f"--regid={NUMBER}", "--clear-groups", *words]
