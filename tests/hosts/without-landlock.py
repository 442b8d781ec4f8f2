# SPDX-License-Identifier: Apache-2.0
"""Runs a command as a kernel without Landlock does: its system calls are not there.

usage: without-landlock.py COMMAND [ARGUMENT...]
"""

import sys

import without

without.run("landlock", sys.argv[1:])
