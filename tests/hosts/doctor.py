# SPDX-License-Identifier: Apache-2.0
"""Asking `pullkey hosts doctor`, and a node whose daemon runs.

    expect(node, "config-path-list", "it is a list")      the cause, and words of the last line
    with LiveNode() as node:
        node.serve(A)                    a registry with a credHelper, which node.helper answers for
        node.start()
"""

import json
import os
import re
import shutil
import signal
import subprocess
from contextlib import contextmanager

from daemon import Hosts
from helper import Helper
from home import Home
from hosts import table
from live import daemon, words
from node import BASIC, CERTS, MARKER, PROGRAM
from tap import check, equal
from template import TARGET as LINK
from template import Template
from traps import reads

A = "a.example"
URL = f"https://{A}"
MADE = "/run/pullkey/hosts"  # the link to it would lead out of the root
STATES = {"ok", "note", "problem"}


def untimed(text):
    """How long a helper took is not the same twice."""
    return re.sub(r" in \d+ ms", "", text)


def judge(run, image=A, options=()):
    """The report of a node, of which `run` runs a command; both forms say the same."""
    machine, human = run("doctor", image, "--json", *options), run("doctor", image, *options)
    for done in (machine, human):
        equal(done.stderr, "", done.stdout)
        for secret in (MARKER, BASIC):
            check(secret not in done.stdout, "a secret is in the output")
    report = json.loads(machine.stdout)
    equal(set(report), {"caller", "steps", "hosts", "works", "cause", "verdict"})
    equal(report["works"], machine.returncode == 0)
    equal((machine.returncode, report["caller"]), (human.returncode, "hosts"))
    lines = untimed(human.stdout).splitlines()
    equal(lines[-1], "problem: " * machine.returncode + untimed(report["verdict"]))
    equal([line.split()[:2] for line in lines[:-1]], [[s["state"], s["step"]] for s in report["steps"]])
    for step in report["steps"]:
        equal(set(step), {"step", "state", "cause", "file", "line", "text", "fix"})
        check(step["state"] in STATES and step["text"], step)
    if machine.returncode:
        check(report["cause"] in [s["cause"] for s in report["steps"] if s["state"] == "problem"], report)
    return machine.returncode, report


def expect(node, cause, *words, status=1, image=A, options=()):
    found, report = judge(node.run, image, options)
    equal((report["cause"], found), (cause, status), json.dumps(report, indent=1))
    for word in words:
        check(word in report["verdict"], report["verdict"])
    return report


class LiveNode(Home):
    """The home is the root of the node."""

    def __init__(self, files=None, source=CERTS):
        super().__init__()
        self.helper = Helper()
        self.place, self.source = source, self.directory(source.strip("/"))
        self.hosts = Hosts(self, self.source)
        for inner, text in (files or reads(MADE)).items():
            self.put(inner, text)

    def __enter__(self):
        self.helper.__enter__()
        self.helper.credentials[A] = ("puller", MARKER)
        return self

    def __exit__(self, *_):
        self.hosts.stop()
        self.helper.__exit__()
        super().__exit__()

    def put(self, inner, text):
        path = self.path + inner
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(path + ".new", path)

    def serve(self, registry, *tables, **values):
        """With its credHelper, and more tables in front of that."""
        own = table(f"https://{registry}", helper=self.helper.name, **values)
        self.put(f"{self.place}/{registry}/hosts.toml", "".join(tables) + own)

    def start(self, header=URL):
        self.hosts.start()
        if header:
            self.hosts.wait_header(header)

    def write_configuration(self, text):
        """Of the daemon."""
        self.put("/.config/pullkey/config.json", text)

    def run(self, *words, **more):
        if words[0] != "doctor":
            return super().run(*words, **more)
        return super().run([self.hosts.program, words[0], "--root", self.path, *words[1:]])


# A program of the name of containerd, which ends when it is told to; its variables are in front of it.
RUNS = """
{variables} /run/containerd /run/wait >/dev/null 2>&1 &
echo $! >>/run/started
until test /proc/$!/exe -ef /run/containerd; do :; done
"""


class Machine(Template):
    """A node that is this machine, for root: /etc, /run and /var/lib are its own.

    with Machine(files) as node, node.started(R_TOKEN="x"): ...      variables of the daemon
    """

    def __init__(self, files):
        super().__init__({**reads(LINK), **files})
        self.variables = {}  # of the daemon
        self.shell = {}  # of the doctor
        self.containerd = None  # of a containerd that is started; as a shell writes them
        self.afterwards = ""  # what happens then

    @contextmanager
    def started(self, **variables):
        self.variables = variables
        with daemon(self):
            yield

    def environment(self):
        return {**super().environment(), **self.variables}

    def run(self, *command, program=PROGRAM):
        after = "" if self.containerd is None else RUNS.format(variables=self.containerd) + self.afterwards
        if after and not os.path.exists(self.path("/run/wait")):
            self.put("/run/wait", "exec 3<>/run/never\nread line <&3\n")
            shutil.copy("/bin/sh", self.path("/run/containerd"))
            os.mkfifo(self.path("/run/never"))
        done = subprocess.run(
            words(self, "", after, *command, program=program),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            env={**Template.environment(self), **self.shell},
        )
        if after:
            for process in self.read("/run/started").split():
                os.kill(int(process), signal.SIGKILL)
            os.unlink(self.path("/run/started"))
        return done
