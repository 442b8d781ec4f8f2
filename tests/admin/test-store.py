# SPDX-License-Identifier: Apache-2.0
"""pullkey store import and store rekey: nothing is lost, whatever stops them."""

import fcntl
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from base64 import b64encode

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


def auth(user, secret):
    return {"auth": b64encode(f"{user}:{secret}".encode()).decode()}


def docker_file(home, **more):
    document = {
        "auths": {
            "https://index.docker.io/v1/": auth("hubuser", MARKER),
            "registry.example.com:5000": auth("alice", MARKER + ":x"),
            "quay.example.com/team": {"identitytoken": MARKER},
            "kept.elsewhere.example.com": {},
        },
        **more,
    }
    return home.write("docker.json", json.dumps(document))


def tally(**counts):
    return {"changed": 0, "unchanged": 0, "ignored": 0, "empty": 0, "refused": 0, **counts}


def import_from(home, path, *options, text=""):
    return pullkey(home, "store", "import", "--from", path, *options, text=text)


@case("import: docker's file, once and again")
def imports():
    with Home() as home:
        path = docker_file(home, credHelpers={"x.example.com": "other"})
        before = home.read("docker.json")
        done = import_from(home, path)
        equal((done.returncode, done.stdout), (0, "3 changed, 0 unchanged\n"), done.stderr)
        check("1 entry has no secret" in done.stderr, done.stderr)
        check("helpers" in done.stderr and "not imported" in done.stderr, done.stderr)
        check(path in done.stderr and "remove" in done.stderr, "says how to remove the old text")
        equal(home.read("docker.json"), before, "the file is as it was")
        equal(home.get("docker.io")["Secret"], MARKER)
        equal(home.get("registry.example.com:5000")["Secret"], MARKER + ":x")
        equal(home.get("quay.example.com/team")["Username"], "<token>")
        store = os.stat(os.path.join(home.path, STORE))
        done = import_from(home, path, "--json")
        equal(done.returncode, 0, done.stderr)
        equal((json.loads(done.stdout), done.stderr), (tally(unchanged=3, empty=1), ""))
        again = os.stat(os.path.join(home.path, STORE))
        equal((again.st_ino, again.st_mtime_ns), (store.st_ino, store.st_mtime_ns), "not written")
        equal(home.find_text(MARKER), ["docker.json"])


@case("import: one entry that differs is changed")
def differs():
    with Home() as home:
        path = docker_file(home)
        import_from(home, path)
        login(home, "docker.io", "newer")
        done = import_from(home, path)
        equal((done.returncode, done.stdout), (0, "1 changed, 2 unchanged\n"), done.stderr)
        equal(home.get("docker.io")["Secret"], MARKER)


@case("import: an entry with a path is stored, though the host's own would answer the same")
def shorter():
    with Home() as home:
        login(home, "quay.example.com")
        text = json.dumps({"auths": {"quay.example.com/team": auth("alice", MARKER)}})
        done = import_from(home, "-", "--json", text=text)
        equal(json.loads(done.stdout), tally(changed=1), done.stderr)
        check("quay.example.com/team" in home.list(), home.list())


@case("import: what a source of docker's file answers is stored all the same")
def from_source():
    with Home() as home:
        path = docker_file(home)
        home.write(
            ".config/pullkey/config.json",
            json.dumps(
                {"version": 1, "default": [{"type": "file", "sources": [path]}, "file"]}
            ),
        )
        equal(home.get("docker.io")["Secret"], MARKER, "the source answers before")
        equal(import_from(home, path).stdout, "3 changed, 0 unchanged\n")
        equal(import_from(home, path).stdout, "0 changed, 3 unchanged\n")
        os.unlink(path)
        equal(home.get("docker.io")["Secret"], MARKER, "and the store afterwards")


@case("import: a registry that needs no login does not keep the others out")
def needs_none():
    with Home() as home:
        home.write(
            ".config/pullkey/config.json",
            """{ "version": 1, "rules": [ { "match": "docker.io", "use":
            [ { "type": "env", "username": "A_B", "password": "C_D" } ] } ] }""",
        )
        done = import_from(home, docker_file(home))
        equal((done.returncode, done.stdout), (1, "2 changed, 0 unchanged\n"), done.stderr)
        check("no login is needed" in done.stderr, done.stderr)


@case("import: pullkey's own plain store becomes an encrypted one")
def converts():
    with Home() as home:
        config = {"version": 1, "backends": {"file": {"type": "file", "encryption": "none"}}}
        path = home.write(".config/pullkey/config.json", json.dumps(config))
        login(home, "registry.example.com")
        equal(home.find_text("auths"), [".config/pullkey/auth.json"])
        os.unlink(path)
        refused = home.run([home.helper, "get"], "registry.example.com")
        equal(refused.returncode, 1)
        command = refused.stdout.split("run ", 1)[1].strip()
        home.succeed(["sh", "-c", command])
        equal(home.get("registry.example.com")["Secret"], MARKER)
        equal(home.find_text(b64encode(b"alice:").decode()[:6]), [], "nothing plain is left")


@case("import: two names of one registry are one entry, the last, at every run")
def aliases():
    with Home() as home:
        document = {
            "https://index.docker.io/v1/": auth("first", "1"),
            "other.example.com": auth("alice", MARKER),
            "docker.io": auth("last", MARKER),
        }
        text = json.dumps({"auths": document})
        for expected in (tally(changed=2, ignored=1), tally(unchanged=2, ignored=1)):
            done = import_from(home, "-", "--json", text=text)
            equal((done.returncode, json.loads(done.stdout)), (0, expected), done.stderr)
            check("https://index.docker.io/v1/ is left out" in done.stderr, done.stderr)
            equal(home.get("registry-1.docker.io")["Username"], "last")


@case("import: what every entry would meet ends it at once")
def stops():
    with Home() as home:
        login(home, "a.example.com")
        entries = {f"r{n}.example.com": auth("x", "y") for n in range(50)}
        home.write(".config/pullkey/auth.cms", "rubbish")
        done = import_from(home, "-", text=json.dumps({"auths": entries}))
        equal((done.returncode, done.stdout, done.stderr.count("\n")), (1, "", 1), done.stderr)


@case("import: a password in a key is not repeated")
def key_with_password():
    with Home() as home:
        entries = {f"https://me:{MARKER}@ghcr.io": auth("x", "y")}
        done = import_from(home, "-", text=json.dumps({"auths": entries}))
        equal(done.returncode, 1)
        check("@ghcr.io" in done.stderr and MARKER not in done.stderr, done.stderr)


@case("import: an entry that is refused does not keep the others out")
def one_bad():
    with Home() as home:
        document = {
            "a b": auth("x", "1"),
            "empty.example.com": auth("", ""),
            "half.example.com": auth("user", ""),
            "good.example.com": auth("alice", MARKER),
        }
        done = import_from(home, "-", "--json", text=json.dumps({"auths": document}))
        equal((done.returncode, json.loads(done.stdout)), (1, tally(changed=1, refused=3)))
        check("blank" in done.stderr and MARKER not in done.stderr, done.stderr)
        equal(home.get("good.example.com")["Secret"], MARKER)


NONE = "0 changed, 0 unchanged\n"


@case("import: bad input is refused, and nothing is stored")
def bad_import():
    with Home() as home:
        for text, word, out in (
            ("", "stdin", ""),
            ("[]", "object", ""),
            ("{}", "no \"auths\"", ""),
            ('{"auths": []}', "object", ""),
            ('{"auths": {"a.example.com": {"auth": "%%%"}}}', "base64", NONE),
            (
                '{"auths": {"a.example.com": {"auth": "%s"}}}' % b64encode(b"x").decode(),
                "user",
                NONE,
            ),
            ('{"auths": {"a b": {"auth": "YTpi"}}}', "blank", NONE),
            ('{"auths": {}, "auths": {}}', "twice", ""),
            ('{"auths": {"a.example.com": {"auth": "YTpi"}}} x', "stdin", ""),
        ):
            done = import_from(home, "-", text=text)
            equal((done.returncode, done.stdout), (1, out), text)
            equal(done.stderr.count("\n"), 1, done.stderr)
            check(word in done.stderr, f"{word!r} is not in {done.stderr!r}")
        equal(import_from(home, "/nowhere/at/all").returncode, 1)
        equal(pullkey(home, "store", "import").returncode, 2)
        equal(home.list(), {})


@case("import: an error never shows what the file holds")
def no_leak():
    with Home() as home:
        for entry in ({"auth": MARKER}, {"auth": [MARKER]}, {"password": MARKER + "\0"}, MARKER):
            text = json.dumps({"auths": {"a.example.com": entry}})
            done = import_from(home, "-", text=text)
            check(MARKER not in done.stdout + done.stderr, done.stderr)


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
