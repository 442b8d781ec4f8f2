# SPDX-License-Identifier: Apache-2.0
"""pullkey store rekey: nothing is lost, whatever stops it."""

import fcntl
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from home import Home
from tap import Skip, case, check, comment, equal, run

MARKER = "marker-91ab3c"
STORE = ".config/pullkey/auth.cms"
KEY = ".local/state/pullkey/store.key"
# Two stores that have one key, the second of which is named by a rule.
TWO_STORES = """{ "version": 1,
    "backends": { "second": { "type": "file", "path": "~/second/auth.cms" } },
    "rules": [ { "match": "second.example.com", "use": ["second"] } ] }"""


def pullkey(home, *arguments, text="", prefix=()):
    return home.run([*prefix, home.pullkey, *arguments], text)


def login(home, server, secret=MARKER):
    home.login(server, "alice", secret, "--no-verify").check_returncode()


def two_stores(home):
    home.write(".config/pullkey/config.json", TWO_STORES)
    login(home, "registry.example.com")
    login(home, "second.example.com", MARKER + "2")
    check(os.path.exists(os.path.join(home.path, "second/auth.cms")), "there is a second store")


def key_of(home):
    with open(os.path.join(home.path, KEY), "rb") as file:
        return file.read()


def readable(home, what):
    """Every credential can be read; the same again after a rekey that nothing stops."""
    for rekeyed in (False, True):
        equal(home.get("registry.example.com")["Secret"], MARKER, what)
        equal(home.get("second.example.com")["Secret"], MARKER + "2", what)
        if not rekeyed:
            done = pullkey(home, "store", "rekey")
            equal(done.returncode, 0, f"{what}: {done.stderr}")


@case("rekey: a new key, of the right mode, and no trace of the old")
def rekeys():
    with Home() as home:
        two_stores(home)
        old = key_of(home)
        done = pullkey(home, "store", "rekey", "--json")
        equal(done.returncode, 0, done.stderr)
        equal(
            json.loads(done.stdout)["rekeyed"],
            [os.path.join(home.path, "second/auth.cms"), os.path.join(home.path, STORE)],
        )
        check(key_of(home) != old and len(key_of(home)) == 32, "the key is new")
        equal(stat.S_IMODE(os.stat(os.path.join(home.path, KEY)).st_mode), 0o400)
        equal(
            sorted(os.listdir(os.path.dirname(os.path.join(home.path, KEY)))),
            ["store.key", "store.key.lock"],
        )
        readable(home, "afterwards")


@case("rekey: nothing stored, nothing encrypted")
def nothing():
    with Home() as home:
        done = pullkey(home, "store", "rekey")
        equal(done.returncode, 0, done.stderr)
        check("Nothing is stored" in done.stdout, done.stdout)
        equal(json.loads(pullkey(home, "store", "rekey", "--json").stdout), {"rekeyed": []})
        home.write(
            ".config/pullkey/config.json",
            '{"version": 1, "backends": {"file": {"type": "file", "encryption": "none"}}}',
        )
        done = pullkey(home, "store", "rekey")
        equal(done.returncode, 1)
        check("no encrypted store" in done.stderr, done.stderr)


@case("rekey: a store whose key is missing or wrong stays as it is")
def wrong_key():
    with Home() as home:
        two_stores(home)
        path = os.path.join(home.path, KEY)
        store = os.path.join(home.path, STORE)
        with open(store, "rb") as file:
            before = file.read()
        os.rename(path, path + ".away")
        check("is missing" in pullkey(home, "store", "rekey").stderr, "a missing key is named")
        with open(path, "wb") as file:
            file.write(os.urandom(32))
        os.chmod(path, 0o400)
        equal(pullkey(home, "store", "rekey").returncode, 1)
        with open(store, "rb") as file:
            equal(file.read(), before)
        os.rename(path + ".away", path)
        readable(home, "with the right key again")


def fault_tool():
    tool = os.environ.get("SYSCALL_FAULT", "")
    if not os.path.exists(tool):
        raise Skip("SYSCALL_FAULT names no syscall-fault")
    return tool


def run_fault(home, mode):
    """A rekey under the fault tool: exit status and report."""
    report = os.path.join(home.path, "report")
    arguments = [fault_tool(), "--report", report, *mode, home.pullkey, "store", "rekey"]
    done = home.run(arguments)
    with open(report, encoding="ascii") as lines:
        words = dict(line.split() for line in lines)
    return done, words


def contents(home):
    """Every file of a home but locks and reports."""
    found = {}
    for directory, _, names in os.walk(home):
        for name in names:
            if not name.endswith(".lock") and name != "report":
                path = os.path.join(directory, name)
                with open(path, "rb") as file:
                    found[os.path.relpath(path, home)] = file.read()
    return found


class Rewind:
    """Puts a home back to what it was."""

    def __init__(self, home):
        self.home = home
        self.saved = home.path + ".saved"
        shutil.copytree(home.path, self.saved)
        self.contents = contents(self.saved)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.saved)

    def check_readable(self, what):
        """True if something was changed; what was not need not be read again."""
        if contents(self.home.path) == self.contents:
            return False
        readable(self.home, what)
        return True

    def rewind(self):
        for name in os.listdir(self.home.path):
            path = os.path.join(self.home.path, name)
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
        shutil.copytree(self.saved, self.home.path, dirs_exist_ok=True)


@case("rekey: killed at any system call, every credential can be read, and the next run ends it")
def killed():
    with Home() as home:
        two_stores(home)
        _, words = run_fault(home, ["count"])
        calls = int(words["calls"])
        check(calls > 50, f"{calls} system calls")
        readable(home, "before")
        with Rewind(home) as saved:
            states = set()
            changed = 0
            for number in range(1, calls + 1):
                saved.rewind()
                done, words = run_fault(home, ["kill", str(number)])
                if words["fired"] == "1":
                    equal(done.returncode, 137, done.stderr)
                keys = os.path.dirname(os.path.join(home.path, KEY))
                states.add(tuple(sorted(os.listdir(keys))))
                changed += saved.check_readable(f"killed at call {number}")
        comment(f"{calls} system calls, {changed} after a change, {len(states)} sets of key files")
        check(changed > 30, f"only {changed} kills in the middle")
        check(any("store.key.next" in state for state in states), "never between the steps")


@case("rekey: a full disk and other failures, at each place: an error, and all can be read")
def failing():
    with Home() as home:
        two_stores(home)
        with Rewind(home) as saved:
            fired = changed = 0
            for name in ("write", "fsync", "rename,renameat,renameat2", "openat,open", "fchmod"):
                for number in range(1, 200):
                    saved.rewind()
                    done, words = run_fault(home, ["fail", name, str(number), "ENOSPC"])
                    if words["fired"] == "0":
                        break
                    fired += 1
                    if done.returncode != 0:
                        equal(done.stderr.count("\n"), 1, done.stderr)
                    changed += saved.check_readable(f"{name} {number} failed: {done.stderr}")
            comment(f"{fired} failures, {changed} after a change")
            check(changed > 10, f"only {changed} failures in the middle")


def two_ways(home, key, other):
    """Two stores whose key is one file, under two names."""
    config = {
        "version": 1,
        "backends": {
            "one": {"type": "file", "path": "~/one/auth.cms", "key": key},
            "two": {"type": "file", "path": "~/two/auth.cms", "key": other},
        },
        "rules": [
            {"match": "one.example.com", "use": "one"},
            {"match": "two.example.com", "use": "two"},
        ],
    }
    home.write(".config/pullkey/config.json", json.dumps(config))
    for name in ("one", "two"):
        login(home, f"{name}.example.com", MARKER + name)


@case("rekey: stores whose key is one file under two names get the new one together")
def names_of_one_key():
    for key, other in (
        ("~/keys/the.key", "~/linked/the.key"),
        ("~/keys/the.key", "~/keys//the.key"),
        ("~/keys/the.key", "~/keys/../keys/the.key"),
    ):
        with Home() as home:
            os.symlink("keys", os.path.join(home.path, "linked"))
            home.directory("keys")
            two_ways(home, key, other)
            done = pullkey(home, "store", "rekey", "--json")
            equal((done.returncode, len(json.loads(done.stdout)["rekeyed"])), (0, 2), done.stderr)
            for name in ("one", "two"):
                equal(home.get(f"{name}.example.com")["Secret"], MARKER + name)
            equal([n for n in os.listdir(os.path.join(home.path, "keys")) if ".old" in n], [])


@case("rekey: a key that stands where the new one of another would is not overwritten")
def key_in_the_way():
    with Home() as home:
        two_ways(home, "~/keys/the.key", "~/keys/the.key.next")
        done = pullkey(home, "store", "rekey")
        equal((done.returncode, done.stdout, done.stderr.count("\n")), (1, "", 1), done.stderr)
        check("the.key.next is the key of another store" in done.stderr, done.stderr)
        for name in ("one", "two"):
            equal(home.get(f"{name}.example.com")["Secret"], MARKER + name)


@case("rekey: for a store that is not there at the moment the old key is kept")
def absent_store():
    with Home() as home:
        two_ways(home, "~/keys/the.key", "~/keys/the.key")
        old = os.path.join(home.path, "keys/the.key.old-1")
        os.rename(os.path.join(home.path, "two"), os.path.join(home.path, "unmounted"))
        done = pullkey(home, "store", "rekey")
        equal(done.returncode, 0, done.stderr)
        check(old in done.stderr and "not there" in done.stderr, done.stderr)
        equal(os.stat(old).st_mode & 0o777, 0o400)
        check("the.key.old-2" in pullkey(home, "store", "rekey").stderr, "the first one stays")
        os.rename(os.path.join(home.path, "unmounted"), os.path.join(home.path, "two"))
        for _ in ("as it came back", "with a new key"):
            for name in ("one", "two"):
                equal(home.get(f"{name}.example.com")["Secret"], MARKER + name)
            done = pullkey(home, "store", "rekey")
            equal((done.returncode, done.stderr), (0, ""))
        for number in (1, 2):
            os.unlink(os.path.join(home.path, f"keys/the.key.old-{number}"))
        for name in ("one", "two"):
            equal(home.get(f"{name}.example.com")["Secret"], MARKER + name)


def only_next_opens(home):
    """True if a store opens with KEY.next alone."""
    path = os.path.join(home.path, KEY + ".next")
    if not os.path.exists(path):
        return False
    os.rename(path, path + ".away")
    try:
        return any(
            home.run([home.helper, "get"], name).returncode
            for name in ("registry.example.com", "second.example.com")
        )
    finally:
        os.rename(path + ".away", path)


@case("rekey: after one that was killed, failures at each place never lose the key that is needed")
def failing_after_kill():
    with Home() as home:
        two_stores(home)
        with Rewind(home) as first:
            for number in range(1, 400):
                first.rewind()
                run_fault(home, ["kill", str(number)])
                if only_next_opens(home):
                    break
            check(only_next_opens(home), "no kill left a store that needs KEY.next")
        with Rewind(home) as saved:
            fired = failed = 0
            for name in ("openat,open", "read", "write", "mmap", "fsync", "newfstatat", "flock"):
                for number in range(1, 300):
                    saved.rewind()
                    done, words = run_fault(home, ["fail", name, str(number), "EMFILE"])
                    if words["fired"] == "0":
                        break
                    fired += 1
                    failed += done.returncode != 0
                    saved.check_readable(f"{name} {number} failed: {done.stderr}")
            comment(f"{fired} failures of calls, {failed} of them of the command")
            check(failed > 20, f"only {failed} failures of the command")


@case("rekey: while others read and write, nobody fails and nothing is lost")
def concurrent():
    with Home() as home:
        login(home, "registry.example.com")
        stop = os.path.join(home.path, "stop")
        loop = "while [ ! -e %s ]; do %s; done"
        reader = f'echo registry.example.com | "{home.helper}" get || echo "$?" >&2'
        writer = f'echo x | "{home.pullkey}" login -ubob --password-stdin --no-verify w.example.com'
        processes = [
            subprocess.Popen(
                ["sh", "-c", loop % (stop, command)],
                env=home.env,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for command in (reader, reader, writer)
        ]
        results = [pullkey(home, "store", "rekey") for _ in range(40)]
        home.write("stop", "")
        for process in processes:
            output, errors = process.communicate(timeout=60)
            equal(errors, "")
            check(output, "it did nothing")
        equal([done.stderr for done in results if done.returncode], [])
        equal(home.get("registry.example.com")["Secret"], MARKER)
        equal(len(home.list()), 2)


@case("rekey: a store that is made meanwhile waits for the key, and is sealed with the new one")
def made_meanwhile():
    """The test changes the key itself, as rekey does: under the key's lock, by rename."""
    with Home() as home:
        login(home, "registry.example.com")
        config = json.dumps(
            {
                "version": 1,
                "backends": {"new": {"type": "file", "path": f"{home.path}/new/auth.cms"}},
                "default": ["new"],
            }
        )
        environment = {**home.env, "PULLKEY_CONFIG_JSON": config}
        entry = json.dumps({"ServerURL": "r.example", "Username": "u", "Secret": MARKER})
        key = os.path.join(home.path, ".local/state/pullkey/store.key")
        with open(key + ".lock", "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            process = subprocess.Popen(
                [home.helper, "store"], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            process.stdin.write(entry.encode())
            process.stdin.close()
            deadline = time.monotonic() + 10
            while not os.path.exists(f"{home.path}/new/auth.cms.lock"):
                check(time.monotonic() < deadline, "the store was not begun")
            # It has come as far as the key, and must stay there.
            try:
                process.wait(timeout=0.5)
                raise AssertionError("the store was written with a key that was being changed")
            except subprocess.TimeoutExpired:
                pass
            with open(key + ".next", "wb", opener=lambda path, flags: os.open(path, flags, 0o400)) as new:
                new.write(os.urandom(32))
            os.rename(key + ".next", key)
        equal((process.wait(timeout=60), process.stdout.read()), (0, b""))
        process.stdout.close()
        done = home.run([home.helper, "get"], "r.example", env={"PULLKEY_CONFIG_JSON": config})
        equal(done.returncode, 0, done.stdout)


if __name__ == "__main__":
    # Thousands of flushed files: a disk would make this slow, and SIGKILL does not ask for one.
    if os.access("/dev/shm", os.W_OK | os.X_OK):
        tempfile.tempdir = "/dev/shm"
    sys.exit(run())
