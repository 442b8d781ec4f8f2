# SPDX-License-Identifier: Apache-2.0
"""Runs a libFuzzer program for FUZZ_SECONDS (default 10), beginning with its corpus.

Arguments: the program and the corpus. What it finds new stays out of the source tree; an input that
fails is kept in the working directory as crash-* or timeout-*, and replay-NAME runs it alone.
"""

import os
import subprocess
import sys
import tempfile

program, corpus = (os.path.abspath(path) for path in sys.argv[1:])
seconds = int(os.environ.get("FUZZ_SECONDS", "10"))
with tempfile.TemporaryDirectory() as found:
    command = [program, f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=1024",
               "-max_len=4096", "-verbosity=0", "-print_final_stats=1",
               "-error_exitcode=1",  # the default, 77, is Meson's word for a skipped test
               found, corpus]
    sys.exit(subprocess.run(command, check=False, timeout=seconds + 120).returncode)
