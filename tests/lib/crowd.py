# SPDX-License-Identifier: Apache-2.0
"""Many helpers at the same time: what the tests check, and what tests/bench counts."""

import json
import os
import subprocess

from registry import wait_for

SECONDS = 30


def start(program, verb, environment):
    return subprocess.Popen(
        [program, verb],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def run(program, verb, environment, inputs, ready=lambda: None):
    """A process for each input, all started before the first gets its own, so that they all meet.

    `ready` is called when they have it. Returns exit status, stdout and stderr of each.
    """
    processes = []
    try:
        for _ in inputs:
            processes.append(start(program, verb, environment))
        for process, text in zip(processes, inputs, strict=True):
            process.stdin.write(text)
        for process in processes:
            process.stdin.close()
            process.stdin = None
        ready()
        outputs = [process.communicate(timeout=SECONDS) for process in processes]
        return [(p.returncode, *output) for p, output in zip(processes, outputs, strict=True)]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def gets_of_a_slow_backend(home, number, server, secret):
    """Gets of one credential that no cache has; its backend answers when all have asked.

    Returns what run() does, and how often the backend was called.
    """
    go = os.path.join(home.path, "go")
    calls = os.path.join(home.path, "calls")
    use = {"type": "fake-token", "secret": secret, "calls": calls, "wait": go}
    config = {"version": 1, "rules": [{"match": "**", "use": [use]}]}
    home.write(".config/pullkey/config.json", json.dumps(config))

    def ready():
        wait_for(lambda: home.read("calls"), "the first call of the backend", SECONDS)
        home.write("go", "")

    results = run(home.helper, "get", home.env, [server] * number, ready)
    return results, len(home.read("calls"))
