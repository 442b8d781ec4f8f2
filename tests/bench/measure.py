# SPDX-License-Identifier: Apache-2.0
"""What can be measured about one program: time, memory, system calls, instructions, size.

Subjects are set up with equal data: one credential for SERVER, answered by `get`.
"""

import contextlib
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "fakes")]
import certs
import crowd
import namespace
import plugin
import tap
from home import Home
from keyring import Keyring
from wire import Server

SERVER = "https://registry.example.com"
USER = "bench"
SECRET = "a-token-of-a-common-length." + "x" * 100
PASS_USER = "bench@example.com"
TIMEOUT = 60
CA_PATH = "/etc/ssl/certs"
EXCHANGE_KIB = 12 * 1024
ROOM = 3  # times the goal that a time may be


class Unavailable(Exception):
    """A subject that cannot be measured here; the text says why."""


class Subject:
    """A program with its arguments, its input, and the variables it needs besides a clean few."""

    def __init__(self, name, argv, input="", variables=None):
        self.name = name
        self.argv = argv
        self.input = input
        self.variables = variables or {}

    def environment(self):
        return {"PATH": "/usr/bin:/bin", **self.variables}

    def run(self, argv=None, input=None):
        return subprocess.run(
            argv or self.argv,
            input=self.input if input is None else input,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )


def verdict(value, goal):
    """Of a number that depends on the machine: printed, not asserted."""
    return "met" if value <= goal else "missed"


def tell_ratio(row, other, name, goal):
    """Of two times."""
    ratio = row["minimum_ms"] / other["minimum_ms"]
    tap.comment(f"{ratio:.2f} times {name}, goal {goal}: {verdict(ratio, goal)}")
    return ratio


def assert_ratio(row, other, name, goal):
    """The same, and a busy machine has room: a long wait costs neither calls nor instructions."""
    ratio = tell_ratio(row, other, name, goal)
    tap.check(ratio <= ROOM * goal, f"{ratio:.2f} times {name}: more than {ROOM} times the goal")


def assert_most(what, value, most):
    """Of a number that a busy machine does not change."""
    form = ".2f" if isinstance(value, float) else "d"
    text = f"{value:{form}} {what}, at most {most:{form}}"
    tap.comment(text)
    tap.check(value <= most, text)


def assert_memory(row, curl):
    """Of an exchange, beside curl with the same one. The median: where the kernel happens to put
    the libraries makes two runs differ by hundreds of KiB.
    """
    goal, other = EXCHANGE_KIB, curl["median_rss_kib"]
    most = goal if on_debian_12() else max(goal, other)
    tap.comment(f"{row['rss_kib']} KiB in one run, curl {curl['rss_kib']}")
    assert_most(f"KiB (curl {other})", row["median_rss_kib"], most)


def on_debian_12():
    """Nearly all the memory of an exchange is libcurl, OpenSSL and what they need themselves. The
    goal is for the ones of Debian 12; others may need more, as curl does then.
    """
    with open("/etc/os-release", encoding="utf-8") as text:
        return {"ID=debian\n", 'VERSION_ID="12"\n'} <= set(text)


@contextlib.contextmanager
def trusted_server(own, handle, headers):
    """A server on loopback whose authority is the only one that the system trusts, in a namespace
    of the test's own: libcurl's CAPATH is a directory of hashed names, as on every Debian, and its
    bundle, which curl reads too, is short.
    """
    authority = certs.Authority(own.directory("authority"))
    directory = own.directory("trusted")
    shutil.copy(authority.file, os.path.join(directory, "authority.pem"))
    subprocess.run(["openssl", "rehash", directory], check=True)
    os.symlink("authority.pem", os.path.join(directory, "ca-certificates.crt"))
    with Server(handle, authority.issue("server", "IP:127.0.0.1"), headers=headers) as server:
        namespace.mount("--bind", directory, CA_PATH)
        try:
            yield server
        finally:
            namespace.unmount(CA_PATH)


def credential():
    return json.dumps({"ServerURL": SERVER, "Username": USER, "Secret": SECRET})


def helper_subject(name, program, variables, verb="get"):
    """Stores the credential with the program itself and checks that it comes back."""
    subject = Subject(name, [program, verb], SERVER, variables)
    for words, input in (([program, "store"], credential()), ([program, "get"], SERVER)):
        done = subject.run(words, input)
        if done.returncode:
            raise Unavailable(f"{words[1]} failed: {done.stdout.strip()} {done.stderr.strip()}")
    if json.loads(done.stdout)["Secret"] != SECRET:
        raise Unavailable("get answered another secret")
    return subject


def home(directory, name):
    """Fresh directories for one subject, as environment variables."""
    variables = {}
    for variable, part in (
        ("HOME", "home"),
        ("XDG_CONFIG_HOME", "config"),
        ("XDG_STATE_HOME", "state"),
        ("XDG_RUNTIME_DIR", "run"),
    ):
        path = os.path.join(directory, name, part)
        os.makedirs(path, mode=0o700)
        variables[variable] = path
    return variables


def configure(variables, config, name="config.json"):
    place = os.path.join(variables["XDG_CONFIG_HOME"], "pullkey")
    os.makedirs(place, mode=0o700, exist_ok=True)
    path = os.path.join(place, name)
    with open(path, "w", encoding="ascii", opener=lambda p, f: os.open(p, f, 0o600)) as out:
        json.dump(config, out)


ENCRYPTED = {"version": 1, "default": ["file"]}
PLAIN = {
    "version": 1,
    "backends": {"file": {"type": "file", "encryption": "none"}},
    "default": ["file"],
}


def pullkey_plain(directory, program):
    variables = home(directory, "plain")
    configure(variables, PLAIN)
    return helper_subject("pullkey, plain file", program, variables)


def pullkey_encrypted(directory, program):
    variables = home(directory, "encrypted")
    # The same work as in the plain case: one configuration file is read.
    configure(variables, ENCRYPTED)
    return helper_subject("pullkey, encrypted file", program, variables)


def pullkey_cached(directory, program, modules):
    """A token that another process has got, from a module that is not loaded any more."""
    variables = home(directory, "cached")
    backend = expiring(directory, "cached", modules)
    configure(variables, {"version": 1, "backends": {"token": backend}, "default": ["token"]})
    subject = Subject("pullkey, cached token", [program, "get"], SERVER, variables)
    fill_cache(subject, backend, lambda answer: answer["Secret"])
    return subject


def pullkey_kubelet(directory, program, modules):
    """The same, for a kubelet that sends its pod's token too."""
    backend = expiring(directory, "kubelet", modules)
    variables = home(directory, "kubelet")
    configure(variables, {"version": 1, "rules": [plugin.rule(use=[backend])]})
    config = os.path.join(variables["XDG_CONFIG_HOME"], "pullkey", "config.json")
    own = os.path.join(directory, "kubelet")
    variables = {"PULLKEY_CONFIG": config, "PULLKEY_CACHE_DIR": os.path.join(own, "cache")}
    link = os.path.join(own, "pullkey-kubelet")
    os.symlink(program, link)
    image = SERVER.removeprefix("https://") + "/team/app"
    text = plugin.request(image, serviceAccountToken=plugin.token())
    subject = Subject("pullkey-kubelet, cached token", [link], text, variables)
    fill_cache(subject, backend, lambda answer: answer["auth"][image]["password"])
    return subject


def expiring(directory, name, modules):
    """A backend whose answers are cached."""
    if not os.path.exists(os.path.join(modules, "fake-token.so")):
        raise Unavailable("fake-token.so is a module, made with -Dtests=true")
    calls = os.path.join(directory, name, "calls")
    return {"type": "fake-token", "secret": SECRET, "calls": calls}


def fill_cache(subject, backend, secret_of):
    for _ in range(2):
        done = subject.run()
        if done.returncode or secret_of(json.loads(done.stdout)) != SECRET:
            raise RuntimeError(f"{subject.name}: {(done.stdout + done.stderr).strip()[:300]}")
    if os.path.getsize(backend["calls"]) != 1:
        raise RuntimeError(f"{subject.name}: it was not cached")


def with_system_files(directory, place, files, argv):
    """The words that run argv where the system's configuration directory holds these files alone.

    In a mount namespace: as root at once, otherwise through a user namespace. Below /etc, all of
    /etc is replaced, by these files and what the C library needs.
    """
    own = os.path.join(directory, "system")
    shutil.rmtree(own, ignore_errors=True)
    os.mkdir(own, 0o755)
    inside = ""
    if place.startswith("/etc/"):
        for name in ("ld.so.cache", "passwd", "group"):
            shutil.copy(os.path.join("/etc", name), own)
        inside, place = os.path.relpath(place, "/etc"), "/etc"
    else:
        os.makedirs(place, mode=0o755, exist_ok=True)
    for name, text in files.items():
        path = os.path.join(own, inside, name)
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        with open(path, "w", encoding="ascii", opener=lambda p, f: os.open(p, f, 0o644)) as out:
            out.write(text)
    namespace = ["-m"] if os.geteuid() == 0 else ["-Urm"]
    script = 'mount --bind "$0" "$1" && shift && exec "$@"'
    return [shutil.which("unshare"), *namespace, "/bin/sh", "-c", script, own, place, *argv]


@contextlib.contextmanager
def password_store(directory):
    """docker-credential-pass with a key of its own, without a passphrase."""
    program = shutil.which("docker-credential-pass")
    if not program or not shutil.which("pass") or not shutil.which("gpg"):
        raise Unavailable("docker-credential-pass, pass or gpg is not installed")
    variables = home(directory, "pass")
    # The agent's socket has a path of its own, which must be short.
    with tempfile.TemporaryDirectory(prefix="gpg-") as keys:
        os.chmod(keys, 0o700)
        variables["GNUPGHOME"] = keys
        variables["PASSWORD_STORE_DIR"] = os.path.join(variables["HOME"], "store")
        subject = Subject("", [], variables=variables)
        try:
            for words in (
                ["gpg", "--batch", "--pinentry-mode", "loopback", "--passphrase", ""]
                + ["--quick-gen-key", PASS_USER, "default", "default", "never"],
                ["pass", "init", PASS_USER],
            ):
                done = subject.run(words, "")
                if done.returncode:
                    raise Unavailable(f"{words[0]}: {done.stderr.strip().splitlines()[-1:]}")
            yield helper_subject("docker-credential-pass", program, variables)
        finally:
            subject.run(["gpgconf", "--kill", "all"], "")


@contextlib.contextmanager
def own_keyring(directory):
    """An unlocked one, on a session bus that is gone afterwards: the bus's address."""
    place = os.path.join(directory, "bus")
    os.mkdir(place, 0o700)
    try:
        with Keyring(place) as keyring:
            yield keyring.address
    except tap.Skip as reason:
        raise Unavailable(str(reason)) from reason


def secret_service(directory, address):
    """docker-credential-secretservice on the keyring of this bus."""
    program = shutil.which("docker-credential-secretservice")
    if not program:
        raise Unavailable("docker-credential-secretservice is not installed")
    variables = {**home(directory, "secretservice"), "DBUS_SESSION_BUS_ADDRESS": address}
    return helper_subject("docker-credential-secretservice", program, variables)


def pullkey_keyring(directory, program, address):
    if os.geteuid() == 0:
        raise Unavailable("root has no keyring: run it as an ordinary user")
    variables = {**home(directory, "keyring"), "DBUS_SESSION_BUS_ADDRESS": address}
    configure(variables, {"version": 1, "default": ["keyring"]})
    return helper_subject("pullkey, keyring", program, variables)


def times(spawner, subjects, rounds, directory):
    """Runs all in turns; a dictionary for each: minimum, median, p90 (ms), rss (KiB) at most and median."""
    words = [spawner, str(rounds)]
    for number, subject in enumerate(subjects):
        path = os.path.join(directory, f"input-{number}")
        with open(path, "w", encoding="ascii") as out:
            out.write(subject.input)
        variables = [f"{name}={value}" for name, value in subject.environment().items()]
        words += ["--"] * bool(number) + [path, *variables, *subject.argv]
    done = subprocess.run(words, env={}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"spawn: {done.stderr.strip()}")
    lines = done.stdout.splitlines()
    results = []
    for subject, line in zip(subjects, lines, strict=True):
        least, median, ninety, rss, usual, failures = map(int, line.split())
        if failures:
            raise RuntimeError(f"{subject.name}: {failures} of {rounds} runs failed")
        results.append(
            {
                "minimum_ms": least / 1e6,
                "median_ms": median / 1e6,
                "p90_ms": ninety / 1e6,
                "rss_kib": rss,
                "median_rss_kib": usual,
            }
        )
    return results


def system_calls(tool, subject, around=lambda argv: argv):
    """How many system calls the program itself makes, from the return of execve to its end."""
    with tempfile.NamedTemporaryFile("r") as report:
        done = subject.run(around([tool, "--report", report.name, "count", *subject.argv]))
        text = report.read()
    if done.returncode:
        raise RuntimeError(f"{subject.name}: {done.stderr.strip()}")
    return int(re.search(r"^calls (\d+)$", text, re.M)[1])


def instructions(subject):
    """Instructions as valgrind's callgrind counts them: the same in every run, or nearly."""
    valgrind = shutil.which("valgrind")
    if not valgrind:
        raise Unavailable("valgrind is not installed")
    done = subject.run(
        [valgrind, "--tool=callgrind", "--callgrind-out-file=/dev/null", *subject.argv]
    )
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found:
        raise RuntimeError(f"{subject.name} under valgrind: {done.stderr.strip()[-300:]}")
    return int(found[1])


def instructions_or_skip(*subjects):
    """A number for each."""
    try:
        return [instructions(subject) for subject in subjects]
    except Unavailable as reason:
        raise tap.Skip(str(reason)) from reason


def assert_instructions(subject, empty, most):
    """More than an empty program's."""
    own, counted = instructions_or_skip(subject, empty)
    assert_most(f"instructions more than an empty program's {counted}", own - counted, most)


def assert_work(subject, curl, most):
    own, counted = instructions_or_skip(subject, curl)
    assert_most("times the instructions of curl", own / counted, most)


def needed(program):
    """The libraries that an ELF file names itself."""
    done = subprocess.run(
        ["readelf", "-d", program], capture_output=True, text=True, check=True, env={"LC_ALL": "C"}
    )
    return sorted(re.findall(r"\(NEEDED\).*\[(.+)\]", done.stdout))


def entries_kept(directory, name, program, config, number):
    """How many of as many entries are there after all were stored at the same time."""
    subject = Subject(name, [program, "list"], variables=home(directory, name))
    configure(subject.variables, config)
    servers = [f"https://r{n}.example.com" for n in range(number)]
    texts = [json.dumps({"ServerURL": s, "Username": USER, "Secret": SECRET}) for s in servers]
    for result in crowd.run(program, "store", subject.environment(), texts):
        if result != (0, "", ""):
            raise RuntimeError(f"{name}: a store failed: {result}")
    return len(set(servers) & set(json.loads(subject.run().stdout)))


def calls_of_a_slow_backend(number):
    """By that many gets of one credential that no cache has."""
    with Home() as own:
        results, calls = crowd.gets_of_a_slow_backend(own, number, SERVER, SECRET)
    for status, out, _ in results:
        if status or json.loads(out)["Secret"] != SECRET:
            raise RuntimeError(f"a get of a slow backend failed: {status} {out}")
    return calls


def stripped_size(path, scratch):
    """Of an ELF file; `scratch` is a directory."""
    copy = os.path.join(scratch, "stripped")
    subprocess.run(["strip", "-o", copy, path], check=True)
    return os.path.getsize(copy)


def installed_size(prefix, names):
    """Bytes of the named files below the prefix, as they are and as the packages of every
    distribution have them: ELF files stripped, man pages compressed.
    """
    as_is = packaged = 0
    with tempfile.TemporaryDirectory() as scratch:
        for name in names:
            path = os.path.join(prefix, name)
            if os.path.islink(path):  # another name of a file that is in the list
                continue
            size = os.path.getsize(path)
            as_is += size
            with open(path, "rb") as data:
                is_elf = data.read(4) == b"\x7fELF"
            if is_elf:
                size = stripped_size(path, scratch)
            elif re.search(r"/man\d/", name):
                with open(path, "rb") as data:
                    size = len(gzip.compress(data.read(), mtime=0))
            packaged += size
    return as_is, packaged
