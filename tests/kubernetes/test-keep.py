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
    return sorted(name for name in os.listdir(directory) if name.endswith(".cms"))


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


@case("what the server says counts: after 401, 403 and 404 it is kept no more, after what a proxy says it is")
def refused():
    with scene() as it:
        directory = keeping(it)
        equal((it.get(A), len(files(directory))), (SECRET, 1))
        it.api.replies = [Reply(403, body="<html>blocked</html>")]
        check("not as an API server" in it.error(A) and files(directory), "a proxy's 403")
        it.api.denied.add(("get", "secrets", "robot"))
        check("may not get" in it.error(A), "403")
        equal(files(directory), [], "403")
        it.api.denied.clear()
        equal((it.get(A), len(files(directory))), (SECRET, 1))
        it.api.token = "another"
        check("does not know who asks" in it.error(A), "401")
        equal(files(directory), [], "401")
        it.home.write("token", "another")
        equal((it.get(A), len(files(directory))), (SECRET, 1))
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


@case("what is stored or erased is kept no more, not even if nobody hears of the change")
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
        equal(files(directory), [], "what may have changed")
        it.api.denied.clear()
        equal((it.get(A), len(files(directory))), ("bob:two", 1))
        answer = it.api.server.handle

        def lose(request):
            """The change is made, and its answer does not arrive."""
            reply = answer(request)
            return Reply(502, [("Retry-After", "0")]) if request.method == "PUT" else reply

        it.api.server.handle = lose
        equal(it.home.run([it.home.helper, "erase"], A).returncode, 1)
        equal((json.loads(it.api.secret("registry", "robot")[".dockerconfigjson"])["auths"], files(directory)), ({}, []))
        it.api.server.handle = answer
        it.api.put_config("registry", "robot", **{A: SECRET})
        equal((it.get(A), len(files(directory))), (SECRET, 1))
        it.api.put_config("registry", "robot", **{"b.example.com": SECRET})
        it.home.run([it.home.helper, "erase"], A)
        equal(files(directory), [], "what somebody else has erased before")
        down(it)
        check("127.0.0.1" in it.error(A), "it is erased")


@case("not longer than max_age, then it goes; not after the clock was set back; what gets old is written again")
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
        last = AGE // 4 + AGE
        for seconds, fine in ((last, True), (0, False), (-5000, False), (last, True), (last + 30, False)):
            clock.set(seconds)
            equal(files(directory), [name])
            if fine:
                equal(it.get(A), "alice:new")
            else:
                check("127.0.0.1" in it.error(A), f"{seconds} s")
        equal(files(directory), [])


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


def kubeconfig(it, **users):
    """With a context of each user's name, of which the first is the current one; USER={...}."""
    cluster = {"name": "c", "cluster": {"server": it.api.url}}
    contexts = [{"name": name, "context": {"cluster": "c", "user": name}} for name in users]
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": next(iter(users)),
        "clusters": [cluster],
        "contexts": contexts,
        "users": [{"name": name, "user": user} for name, user in users.items()],
    }
    return it.home.write("kubeconfig", json.dumps(config))


@case("a value is for the identity that has read it, whatever that has for a token by now, and for no other")
def readers():
    with scene() as it:
        keep = {"max_age": AGE, "path": it.home.directory("kept")}
        user = {"token": it.api.token}
        path = kubeconfig(it, alice=user, bob=user)
        it.api.put_config("registry", "robot", **{A: SECRET})
        common = {"type": "kubernetes", "secret": "registry/robot", "keep": keep, "coalesce": 0}
        server = {**common, "server": it.api.url}
        readers = (
            {**server, "token_file": it.token_file},
            {**server, "token_file": it.home.write("other", it.api.token)},
            {**common, "kubeconfig": path},  # alice's
            {**common, "kubeconfig": path, "context": "bob"},
        )
        sealed = {}
        for number, reader in enumerate(readers):
            it.configure(reader)
            equal(it.get(A), SECRET)
            (name,) = set(files(keep["path"])) - set(sealed)
            with open(os.path.join(keep["path"], name), "rb") as file:
                sealed[name] = file.read()
            equal(len(sealed), number + 1)
        it.configure({**common, "kubeconfig": path, "context": "alice"})
        equal((it.get(A), sorted(sealed)), (SECRET, files(keep["path"])), "the same by name")
        down(it)
        for file in (it.token_file, it.home.path + "/other"):
            with open(file, "w", encoding="ascii") as text:
                text.write("rotated")
        kubeconfig(it, alice={"token": "rotated"}, bob=user)
        names = list(sealed)
        for number, reader in enumerate(readers):
            it.configure(reader)
            equal(it.get(A), SECRET)
            # The file of another reader, under the name of this one's.
            with open(os.path.join(keep["path"], names[number]), "wb") as file:
                file.write(sealed[names[number - 1]])
            check("127.0.0.1" in it.error(A), number)
            os.unlink(os.path.join(keep["path"], names[number]))
            check("127.0.0.1" in it.error(A), number)
        kubeconfig(it, bob=user, alice=user)  # is the current one
        with open(os.path.join(keep["path"], names[2]), "wb") as file:
            file.write(sealed[names[2]])
        it.configure(readers[2])
        check("127.0.0.1" in it.error(A), "another current context")


@case("an exec plugin that fails or hangs: what is kept serves if the API server cannot be reached, and only then")
def plugins():
    with scene() as it:
        keep = {"max_age": AGE, "path": it.home.directory("kept")}
        version = "client.authentication.k8s.io/v1"
        answer = {"kind": "ExecCredential", "apiVersion": version, "status": {"token": it.api.token}}
        expired = {**answer, "status": {**answer["status"], "expirationTimestamp": "2001-01-01T00:00:00Z"}}
        plugin = it.home.write("plugin", "")

        def script(text):
            with open(plugin, "w", encoding="ascii") as file:
                file.write(f"#!/bin/sh\n{text}\n")
            os.chmod(plugin, 0o700)

        path = kubeconfig(it, node={"exec": {"apiVersion": version, "command": plugin}})
        instance = {"type": "kubernetes", "secret": "registry/robot", "kubeconfig": path, "coalesce": 0}
        it.configure({**instance, "keep": keep})
        it.api.put_config("registry", "robot", **{A: SECRET})
        ready = it.api.server.handle
        it.api.server.handle = lambda request: Reply(200, body="ok") if request.path == "/readyz" else ready(request)
        says = ((f"echo '{json.dumps(expired)}'", "has expired"), ("exit 7", "ends with status 7"))
        script(f"echo '{json.dumps(answer)}'")
        equal((it.get(A), len(it.asked())), (SECRET, 1))
        for text, said in says:
            script(text)
            check(said in it.error(A), said)
            equal(it.asked(), ["GET /readyz"])
            equal(it.api.requests[-1].header("authorization"), None)
        equal(len(files(keep["path"])), 1, "no answer about the secret")
        # Whoever waits for it has no time left to ask another.
        script("exec tail -f /dev/null")
        equal((it.get(A), it.asked()), (SECRET, []))
        for code, served in ((503, True), (429, False), (401, False)):
            script("exit 7")
            it.api.server.handle = lambda _, code=code: Reply(code, [("Retry-After", "0")])
            if served:
                equal(it.get(A), SECRET)
            else:
                check("ends with status 7" in it.error(A), code)
        down(it)
        for text, said in says:
            script(text)
            equal(it.get(A), SECRET)
            it.configure(instance)
            check(said in it.error(A), "without the option")
            it.configure({**instance, "keep": keep})
        script("echo nonsense")
        check("plugin" in it.error(A), "an answer that is none")
        os.unlink(plugin)
        check("is not there" in it.error(A), "no plugin")


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


@case("what somebody else has erased is kept no more once we are told to erase it")
def erased_elsewhere():
    with scene() as it:
        directory = keeping(it)
        equal((it.get(A), len(files(directory))), (SECRET, 1))
        it.api.put_config("registry", "robot", **{"b.example.com": SECRET})
        it.home.run([it.home.helper, "erase"], A)
        equal(files(directory), [])
        down(it)
        check("127.0.0.1" in it.error(A), "after the erase")


@case("a get that was answered before an erase does not bring back what was erased")
def in_flight():
    with scene() as it:
        directory = keeping(it)
        handle, asked = it.api.server.handle, []

        def slow(request):
            reply = handle(request)
            asked.append(request)
            if len(asked) == 1:
                done = it.home.run([it.home.helper, "erase"], A)
                equal((done.returncode, done.stdout), (0, ""))
            return reply

        it.api.server.handle = slow
        equal(it.get(A), SECRET)
        check(len(asked) > 2, "the erase has not been asked for")
        equal(files(directory), [])


@case("what is too old goes with the next write, whoever has kept it; a small step of the clock is no reason")
def swept():
    with scene() as it:
        directory = keeping(it)
        equal(it.get(A), SECRET)
        names = [f"{number:016x}.cms" for number in range(3)]
        for number, name in enumerate(names):
            it.home.write(os.path.join(directory, name), "x")
            os.utime(os.path.join(directory, name), (0, 0) if number else None)
        later = os.stat(os.path.join(directory, names[0])).st_mtime + 3600
        os.utime(os.path.join(directory, names[0]), (later, later))
        it.api.put_config("registry", "robot", **{A: "alice:two"})
        equal(it.get(A), "alice:two")
        equal((len(files(directory)), names[0] in files(directory)), (2, True))
        down(it)
        clock = Clock(it.home)
        clock.set(-50)
        equal(it.get(A), "alice:two")
        clock.set(-70)
        check("127.0.0.1" in it.error(A), "read in the future")


@case("a kept value is asked for again at once, and the kubelet has it for as long as nothing")
def stale():
    with scene() as it:
        path = os.path.join(it.home.path, "kept")
        keeping(it, path=path)
        equal(it.get(A), SECRET)
        more = {"secret": "registry/robot", "keep": {"max_age": AGE, "path": path}}
        it.configure(it.instance(**more, coalesce=60), when={"caller": ["kubelet", "docker"]})
        it.api.replies = [Reply(503, [("Retry-After", "0")])] * ATTEMPTS
        equal(it.get(A), SECRET)
        equal(it.api.replies, [])
        it.api.replies = [Reply(503, [("Retry-After", "0")])] * ATTEMPTS
        status, said = it.kubelet(A + "/app", None)
        equal((status, said["cacheDuration"]), (0, "15s"))
        it.api.put_config("registry", "robot", **{A: "alice:two"})
        equal(it.get(A), "alice:two")
        status, said = it.kubelet(A + "/app", None)
        equal((status, said["cacheDuration"]), (0, "300s"))


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
        """The value that openssl finds; None if there is none."""
        path = os.path.join(self.directory, self.name)
        if not os.path.exists(path):
            return None
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


@case("calls that fail while it is written: the answer is right all the same, and what is known to be old goes")
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
            check(faults.kept() in (None, "alice:new"), calls)
            check(calls in ("getrandom", "fchmod") or report["fired"] == 1, calls)
        done, report = faults.run("--from", "fail", "rename,renameat,renameat2", "1", "EACCES")
        equal((done.returncode, faults.kept()), (0, None))
        os.chmod(faults.directory, 0o777)
        done, _ = faults.run("count")
        equal((done.returncode, faults.kept()), (0, None), "others may write there")
        os.chmod(faults.directory, 0o700)


if __name__ == "__main__":
    sys.exit(run())
