# SPDX-License-Identifier: Apache-2.0
"""pullkey-hosts with 5,000 registries: what it takes to be ready, to stay, and to follow a change.

Every registry has a helper and a header of an earlier run that is good for hours, so that nobody is
asked. The target is in memory, as on a node. What is asserted has room for a busy machine; the
numbers themselves are printed.
"""

import json
import os
import re
import select
import sys
import tempfile
import time
from contextlib import contextmanager

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
sys.dont_write_bytecode = True
import measure
import tap
from daemon import Hosts, program_path
from home import Home
from hosts import basic, table, write_hosts
from registry import wait_for

NUMBER = 5000
HEADER = basic("bench", "x" * 50)
EXPIRES = int(time.time()) + 40000
RSS_KIB = 6 * 1024  # of the daemon, its libraries included, less the headers, asserted
OWN_KIB = 2560  # of that what no library has, asserted
READY_SECONDS = 1
STARTS = 3  # where its libraries lie by chance costs up to 40 KiB: the least of so many starts
CPU_SECONDS = 2  # of being ready, asserted
CALLS_FOR_EACH = 12  # of a registry that is linked for the first time: system calls
ASK_RATIO = 8  # of the time of an empty C program, asserted


def name_of(number):
    return f"registry-{number:04}.example.com"


def write_all(source, target):
    os.mkdir(target, 0o700)
    for number in range(NUMBER):
        name = name_of(number)
        text = table(f"https://{name}", helper="absent", capabilities=["pull", "resolve"])
        path = write_hosts(source, name, text, server=f"https://{name}")
        head, line, rest = open(path, encoding="ascii").read().partition("]\n")
        header = f'header.Authorization = "{HEADER}" # pullkey: absent {EXPIRES}\n'
        os.mkdir(os.path.join(target, name), 0o700)
        place = os.path.join(target, name, "hosts.toml")
        with open(place, "w", encoding="ascii", opener=lambda p, f: os.open(p, f, 0o600)) as file:
            file.write(head + line + header + rest)


@contextmanager
def in_memory():
    before = tempfile.tempdir
    if os.access("/dev/shm", os.W_OK):
        tempfile.tempdir = "/dev/shm"
    try:
        with Home() as home:
            yield home
    finally:
        tempfile.tempdir = before


class Daemon:
    def __init__(self, home):
        self.hosts = Hosts(home, home.directory("certs.d"))
        write_all(self.hosts.source, self.hosts.target)
        began = time.monotonic()
        self.hosts.start()
        self.ready_seconds = time.monotonic() - began
        self.ready_cpu = self.cpu()
        self.wait_status()

    def restart(self):
        self.hosts.restart()
        self.wait_status()

    def wait_status(self):
        """Until this run has written one of all registries."""

        def is_written():
            status = self.hosts.status()
            return (status.get("pid"), status.get("registries")) == (self.hosts.process.pid, NUMBER)

        wait_for(is_written, "the status")

    @property
    def proc(self):
        return f"/proc/{self.hosts.process.pid}"

    def cpu(self):
        with open(f"{self.proc}/stat", encoding="utf-8", errors="replace") as file:
            words = file.read().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def status(self, name):
        """A number of /proc/PID/status."""
        with open(f"{self.proc}/status", encoding="utf-8") as file:
            return int(re.search(rf"^{name}:\s+(\d+)", file.read(), re.M)[1])

    def inodes(self):
        found = {}
        for number in range(NUMBER):
            status = os.stat(os.path.join(self.hosts.target, name_of(number), "hosts.toml"))
            found[name_of(number)] = (status.st_ino, status.st_mtime_ns)
        return found


DAEMON = None


@tap.case(f"{NUMBER} registries: ready")
def ready():
    tap.comment(
        f"ready after {DAEMON.ready_seconds:.2f} s, goal {READY_SECONDS} s: "
        f"{measure.verdict(DAEMON.ready_seconds, READY_SECONDS)}; "
        f"{DAEMON.ready_cpu:.2f} s of CPU, limit {CPU_SECONDS} s"
    )
    tap.check(DAEMON.ready_cpu <= CPU_SECONDS, f"{DAEMON.ready_cpu} s of CPU")
    entries = DAEMON.hosts.status()["entries"]
    tap.equal(len(entries), NUMBER)
    tap.check(all(entry["hosts"][0]["header"] for entry in entries), "headers are missing")
    tap.equal(sum(entry["hosts"][0]["asked"] for entry in entries), 0, "runs of helpers")


@tap.case(f"{NUMBER} registries: memory")
def memory():
    # Each is a block of its own with a length, as malloc rounds it.
    headers = NUMBER * ((len(HEADER) + 1 + 16 + 8 + 15) // 16 * 16) // 1024
    own = DAEMON.status("RssAnon") - headers
    peaks = [DAEMON.status("VmHWM") - headers]
    for _ in range(1, STARTS):
        DAEMON.restart()
        peaks.append(DAEMON.status("VmHWM") - headers)
    tap.comment(
        f"peak without {headers} KiB of headers: {peaks} KiB, of that {DAEMON.status('RssFile')} KiB "
        f"of files; limit {RSS_KIB} KiB; its own are {own} KiB, limit {OWN_KIB} KiB"
    )
    tap.check(own <= OWN_KIB, f"its own: {own} KiB")
    tap.check(min(peaks) <= RSS_KIB, f"all: {peaks} KiB")


@tap.case("a change of one file renders that one alone")
def one_change():
    before, used = DAEMON.inodes(), DAEMON.cpu()
    rounds = 5
    for number in range(rounds):
        name = name_of(number)
        write_hosts(
            DAEMON.hosts.source, name, table(f"https://{name}", helper="absent"), f"# {number}\n"
        )
        path = os.path.join(DAEMON.hosts.target, name, "hosts.toml")
        wait_for(lambda path=path, n=number: f"# {n}\n" in open(path).read(), "the change")
        with open(path, encoding="ascii") as file:
            tap.check(HEADER in file.read(), "the header")
    after = DAEMON.inodes()
    changed = [name for name in before if before[name] != after[name]]
    tap.equal(changed, [name_of(number) for number in range(rounds)])
    tap.comment(f"{(DAEMON.cpu() - used) / rounds * 1000:.0f} ms of CPU for each of them")
    tap.check((DAEMON.cpu() - used) / rounds < 0.5, "more than half a second each")


@tap.case("while nothing happens it does not wake up")
def idle():
    # The status follows a change within a quarter of a second.
    quiet, switches = 0, DAEMON.status("voluntary_ctxt_switches")
    for _ in range(8):
        select.select([], [], [], 1)
        now = DAEMON.status("voluntary_ctxt_switches")
        quiet, switches = (quiet + 1 if now == switches else 0), now
        if quiet == 3:
            return
    raise AssertionError(f"{switches} switches, never 3 seconds without")


def calls_of_render(home, number):
    """System calls of a run that links so many registries."""
    source = home.directory(f"source-{number}")
    for index in range(number):
        os.mkdir(os.path.join(source, name_of(index)))
    words = [program_path(), "render", "--source", source, "--target", f"{source}-target"]
    subject = measure.Subject("render", words, variables=home.env)
    return measure.system_calls(os.environ["SYSCALL_FAULT"], subject)


@tap.case("a registry without helper costs few system calls")
def calls():
    with in_memory() as home:
        few, many = calls_of_render(home, 10), calls_of_render(home, 110)
    tap.comment(f"{few} for 10, {many} for 110")
    tap.check(many - few <= 100 * CALLS_FOR_EACH, f"{(many - few) / 100} for each")


@tap.case("the process that asks: time and memory beside an empty program")
def asks():
    with in_memory() as home:
        auths = {"auths": {"registry.example.com": {"auth": "YWxpY2U6c2VjcmV0"}}}
        path = home.write("auth.json", json.dumps(auths))
        os.chmod(path, 0o600)
        use = {"type": "file", "encryption": "none", "path": path}
        config = {"version": 1, "backends": {"file": use}, "default": ["file"]}
        home.env["PULLKEY_CONFIG"] = home.write("config.json", json.dumps(config))
        os.chmod(home.env["PULLKEY_CONFIG"], 0o600)
        home.env["PULLKEY_CACHE_DIR"] = home.directory("cache")
        question = {"helper": "pullkey", "url": "https://registry.example.com"}
        question |= {"lifetime": 900, "timeout": 10000}
        subject = measure.Subject("ask", [program_path(), "ask"], json.dumps(question), home.env)
        answer = subject.run()
        tap.equal(json.loads(answer.stdout)["header"], basic("alice", "secret"))
        empty = measure.Subject("empty", [os.environ["BENCH_EMPTY"]])
        rows = measure.times(os.environ["BENCH_SPAWN"], [empty, subject], 100, home.path)
    ratio = rows[1]["minimum_ms"] / rows[0]["minimum_ms"]
    tap.comment(
        f"{rows[1]['minimum_ms']:.2f} ms, {ratio:.1f} times an empty program; "
        f"{rows[1]['rss_kib']} KiB"
    )
    tap.check(ratio <= ASK_RATIO, f"{ratio} times an empty program")
    tap.check(rows[1]["rss_kib"] <= RSS_KIB, f"{rows[1]['rss_kib']} KiB")


with in_memory() as home:
    DAEMON = Daemon(home)
    try:
        result = tap.run()
    finally:
        DAEMON.hosts.stop()
sys.exit(result)
