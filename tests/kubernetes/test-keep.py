# SPDX-License-Identifier: Apache-2.0
"""What is kept of a secret: when it is used and when not, for whom, and what a crash or a full disk
leaves while it is written.
"""

import base64
import json
import os
import re
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", part) for part in ("fakes", "lib")]

import crowd
from scene import MARKER, Clock, scene
from tap import case, check, equal, run
from wire import Reply

A = "a.example.com"
AGE = 1000
SECRET = "alice:" + MARKER
ATTEMPTS = 3  # of a request that may be repeated
LAST_CALLS = 100  # of a start: what writes is among them


def keeping(it, **options):
    """The directory in which an instance with a secret keeps it."""
    it.use(secret="registry/robot", keep={"max_age": AGE, **options})
    it.api.put_config("registry", "robot", **{A: SECRET})
    return options.get("path", os.path.join(it.home.path, ".local/state/pullkey/keep"))


def down(it):
    """Connections are refused from here on."""
    it.api.server.__exit__()


def files(directory):
    return sorted(name for name in os.listdir(directory) if name != "lock")


def mode(path):
    return f"{os.stat(path).st_mode & 0o7777:o}"


@case("a kept value stands in for a server that is down, sealed, for the owner only; each use is logged")
def used():
    with scene() as it:
        directory = keeping(it)
        equal(it.get(A), SECRET)
        (name,) = files(directory)
        path = os.path.join(directory, name)
        places = [directory, path, directory + "-key", directory + "-key/key"]
        equal([mode(place) for place in places], ["700", "600", "700", "400"])
        check(re.fullmatch(r"[0-9a-f]{16}\.cms", name), name)
        before = os.stat(path)
        equal(it.get(A), SECRET)
        equal(os.stat(path).st_ino, before.st_ino, "what has not changed is not written")
        down(it)
        equal((it.get(A), it.get("b.example.com")), (SECRET, None))
        equal(it.home.read("log").count("what is kept is used"), 2)


@case("without keep, or before anything was read, a server that is down is an error")
def nothing_kept():
    with scene() as it:
        keeping(it)
        it.api.replies = [Reply(503)] * 20
        check("503" in it.error(A), "nothing is kept yet")
        it.api.replies = []
        equal(it.get(A), SECRET)
        it.use(secret="registry/robot")
        down(it)
        check("127.0.0.1" in it.error(A), "without the option")


@case("what the server says counts: 401, 403 and 404 are errors, and what is deleted is kept no more")
def refused():
    with scene() as it:
        directory = keeping(it)
        equal(it.get(A), SECRET)
        it.api.denied.add(("get", "secrets", "robot"))
        check("may not get" in it.error(A), "403")
        it.api.denied.clear()
        it.api.token = "another"
        check("does not know who asks" in it.error(A), "401")
        it.home.write("token", "another")
        del it.api.objects["", "secrets", "registry", "robot"]
        check("there is no" in it.error(A), "404")
        equal(files(directory), [])


@case("a server that is out of order is as one that is away; one that is asked too often is not")
def out_of_order():
    with scene() as it:
        keeping(it)
        equal(it.get(A), SECRET)
        for code in (408, 500, 502, 503, 504):
            it.api.replies = [Reply(code, [("Retry-After", "0")])] * ATTEMPTS
            equal((it.get(A), it.api.replies), (SECRET, []), code)
        for code, said in ((429, "too many requests"), (501, "501"), (404, "not as an API server")):
            it.api.replies = [Reply(code, [("Retry-After", "0")])] * ATTEMPTS
            check(said in it.error(A), code)
        equal(it.home.read("log").count("what is kept is used"), 5)


@case("a server that hangs: who waits for the one that asks it has the kept value in time as well")
def hanging():
    with scene() as it:
        keeping(it)
        it.api.put_config("registry", "robot", **{A: "alice:one"})  # which others may have in the cache
        equal(it.get(A), "alice:one")
        it.use(secret="registry/robot", keep={"max_age": AGE}, coalesce=60)
        it.asked()
        end = threading.Event()
        it.api.server.handle = lambda request: end.wait() and Reply(503)
        try:
            for code, out, err in crowd.run(it.home.helper, "get", it.home.env, [A] * 3):
                equal((code, err), (0, ""), out)
                equal(json.loads(out)["Secret"], "one")
        finally:
            end.set()
        equal(len(it.asked()), 1, "requests")


@case("what is stored or erased is kept no more: nothing of it is served when the server is down")
def changed():
    with scene() as it:
        directory = keeping(it)
        instance = it.instance(secret="registry/robot", coalesce=0, keep={"max_age": AGE})
        it.configure(backends={"k": instance}, default=["k"], store="k", rules=[])
        equal((it.get(A), len(files(directory))), (SECRET, 1))
        pair = {"ServerURL": A, "Username": "bob", "Secret": "two"}
        it.home.succeed([it.home.helper, "store"], json.dumps(pair))
        equal(files(directory), [])
        equal((it.get(A), len(files(directory))), ("bob:two", 1))
        it.api.denied.add(("update", "secrets", "robot"))
        equal(it.home.run([it.home.helper, "erase"], A).returncode, 1)
        equal(len(files(directory)), 1, "what was not changed")
        it.api.denied.clear()
        it.home.succeed([it.home.helper, "erase"], A)
        down(it)
        check("127.0.0.1" in it.error(A), "it is erased")


@case("not longer than max_age, and not after the clock was set back; what gets old is written again")
def ages():
    with scene() as it:
        clock = Clock(it.home)
        directory = keeping(it)
        equal(it.get(A), SECRET)
        (name,) = files(directory)
        path = os.path.join(directory, name)
        number = os.stat(path).st_ino
        clock.set(AGE // 4 - 5)
        equal((it.get(A), os.stat(path).st_ino), (SECRET, number))
        clock.set(AGE // 4 + 5)
        equal(it.get(A), SECRET)
        check(os.stat(path).st_ino != number, "a quarter of its age has passed")
        it.api.put_config("registry", "robot", **{A: "alice:new"})
        number = os.stat(path).st_ino
        equal(it.get(A), "alice:new")
        check(os.stat(path).st_ino != number, "it has changed")
        down(it)
        for seconds, fine in ((AGE // 4 + AGE, True), (AGE // 4 + AGE + 30, False), (0, False), (-5000, False)):
            clock.set(seconds)
            if fine:
                equal(it.get(A), "alice:new")
            else:
                check("127.0.0.1" in it.error(A), f"{seconds} s")


@case("a value of another secret, server or namespace is not taken, nor one that others may read or have changed")
def bound():
    with scene() as it:
        directory = keeping(it)
        equal(it.get(A), SECRET)
        (name,) = files(directory)
        first = os.path.join(directory, name)
        it.api.put_config("registry", "other", **{A: "bob:other"})
        it.use(secret="registry/other", keep={"max_age": AGE})
        equal(it.get(A), "bob:other")
        (name,) = set(files(directory)) - {name}
        second = os.path.join(directory, name)
        with open(first, "rb") as file:
            sealed = file.read()
        down(it)
        equal(it.get(A), "bob:other")
        with open(second, "rb") as file:
            own = file.read()
        for text, bits in ((sealed, 0o600), (own[:-1], 0o600), (b"", 0o600), (own, 0o644), (own, 0o602)):
            with open(second, "wb") as file:
                file.write(text)
            os.chmod(second, bits)
            check("127.0.0.1" in it.error(A), f"{len(text)} bytes, {bits:o}")
        os.chmod(second, 0o600)
        equal(it.get(A), "bob:other")
        os.rename(directory + "-key/key", directory + "-key/away")
        check("127.0.0.1" in it.error(A), "the key is missing")


@case("a service account and its secrets; a change is never made from what is kept")
def others():
    with scene() as it:
        keep = {"max_age": AGE, "path": it.home.directory("elsewhere")}
        it.api.put("serviceaccounts", "ci", "builder", imagePullSecrets=[{"name": "one"}])
        it.api.put_config("ci", "one", **{A: SECRET})
        it.use(service_account="ci/builder", keep=keep)
        equal(it.get(A), SECRET)
        instance = it.instance(secret="ci/one", coalesce=0, keep=keep)
        it.configure(backends={"k": instance}, default=["k"], store="k", rules=[])
        down(it)
        done = it.home.login("b.example.com", "bob", "two", "--no-verify")
        check(done.returncode == 1 and "127.0.0.1" in done.stderr, done.stderr)
        equal(it.get(A), SECRET)
        it.use(service_account="ci/builder", keep=keep)
        equal(it.get(A), SECRET)


class Faults:
    """A kept "alice:old", and a server that has "alice:new"."""

    def __init__(self, it):
        self.it = it
        self.directory = keeping(it)
        it.home.env.pop("PULLKEY_LOG")
        it.api.put_config("registry", "robot", **{A: "alice:old"})
        equal(it.get(A), "alice:old")
        it.api.put_config("registry", "robot", **{A: "alice:new"})
        (self.name,) = files(self.directory)
        with open(os.path.join(self.directory, self.name), "rb") as file:
            self.old = file.read()
        with open(self.directory + "-key/key", "rb") as file:
            self.key = file.read().hex()

    def run(self, *words):
        """Exit status and output of a get, and the tool's report, from the old state."""
        with open(os.path.join(self.directory, self.name), "wb") as file:
            file.write(self.old)
        report = os.path.join(self.it.home.path, "report")
        command = [os.environ["SYSCALL_FAULT"], "--report", report, *words, self.it.home.helper, "get"]
        done = self.it.home.run(command, A)
        lines = self.it.home.read("report").splitlines()
        return done, {key: int(value) for key, value in (line.split() for line in lines)}

    def kept(self):
        """The value that openssl finds."""
        path = os.path.join(self.directory, self.name)
        words = ["cms", "-decrypt", "-binary", "-inform", "DER", "-in", path, "-secretkey", self.key]
        text = subprocess.run(["openssl", *words], capture_output=True, check=True, timeout=60).stdout
        data = json.loads(json.loads(text)["answer"])["data"][".dockerconfigjson"]
        return base64.b64decode(json.loads(base64.b64decode(data))["auths"][A]["auth"]).decode()


@case("killed at each system call of a write: the old or the new value is kept, and the next start puts all right")
def kills():
    with scene() as it:
        faults = Faults(it)
        done, report = faults.run("count")
        equal((done.returncode, faults.kept()), (0, "alice:new"))
        seen = []
        for number in range(report["calls"] - LAST_CALLS, report["calls"] + 1):
            done, report = faults.run("kill", str(number))
            seen.append(faults.kept())
            if report["fired"]:
                equal(done.returncode, 137, f"call {number}")
                check(done.stdout == "" or '"Secret":"new"' in done.stdout, done.stdout)
        check(set(seen) == {"alice:old", "alice:new"} and seen[0] == "alice:old", seen)
        equal(it.get(A), "alice:new")
        equal((faults.kept(), files(faults.directory)), ("alice:new", [faults.name]))


@case("calls that fail while it is written: the answer is right all the same, and the old value stays or the new one is there")
def failures():
    with scene() as it:
        faults = Faults(it)
        for calls, error in (
            ("write", "ENOSPC"),
            ("fsync", "EIO"),
            ("rename,renameat,renameat2", "EACCES"),
            ("flock", "ENOLCK"),
            ("fchmod", "EPERM"),
            ("getrandom", "ENOSYS"),
        ):
            done, report = faults.run("fail", calls, "1", error)
            equal((done.returncode, json.loads(done.stdout)["Secret"]), (0, "new"), calls)
            check(faults.kept() in ("alice:old", "alice:new"), calls)
            check(calls in ("getrandom", "fchmod") or report["fired"] == 1, calls)
        done, report = faults.run("--from", "fail", "rename,renameat,renameat2", "1", "EACCES")
        equal((done.returncode, faults.kept()), (0, "alice:old"))
        os.chmod(faults.directory, 0o777)
        done, _ = faults.run("count")
        equal((done.returncode, faults.kept()), (0, "alice:old"), "others may write there")
        os.chmod(faults.directory, 0o700)


if __name__ == "__main__":
    sys.exit(run())
