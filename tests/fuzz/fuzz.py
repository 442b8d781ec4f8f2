# SPDX-License-Identifier: Apache-2.0
"""Runs a libFuzzer program, beginning with its corpus: for FUZZ_SECONDS, or else for 60 seconds if
what it tests was changed, and for 10 if not, or if git cannot say.

Arguments: the program, the corpus, and the sources that it tests, its own among them. What it finds
new stays out of the source tree; an input that fails is kept in the working directory as crash-* or
timeout-*, and replay-NAME runs it alone.
"""

import os
import subprocess
import sys
import tempfile

CHANGED, UNCHANGED = 60, 10


def is_changed(sources):
    """Since the branch left its upstream; where it has not, or has none, by the last commit."""

    def git(*words):
        command = ["git", "-C", os.path.dirname(sources[0]), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    try:
        head, base = git("rev-parse", "HEAD"), git("merge-base", "HEAD", "@{upstream}").stdout
        if head.returncode != 0:
            return False
        if base in ("", head.stdout):
            base = "HEAD~1"
        return git("diff", "--quiet", base.strip(), "--", *sources).returncode == 1
    except OSError:  # no git
        return False


program, corpus, *sources = (os.path.realpath(path) for path in sys.argv[1:])
seconds = int(os.environ.get("FUZZ_SECONDS") or (CHANGED if is_changed(sources) else UNCHANGED))
with tempfile.TemporaryDirectory() as found:
    command = [program, f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=1024",
               "-max_len=4096", "-verbosity=0", "-print_final_stats=1",
               "-error_exitcode=1",  # the default, 77, is Meson's word for a skipped test
               found, corpus]
    sys.exit(subprocess.run(command, check=False, timeout=seconds + 120).returncode)
