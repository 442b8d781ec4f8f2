# SPDX-License-Identifier: Apache-2.0
"""`pullkey cache list` and `clear`, what `explain` says of the cache, and `export` of what expires: with tokens that an
exchange has left there.

usage: test-admin.py SOURCE-ROOT
"""

import calendar
import json
import os
import re
import sys
import time

from scene import MARKER, jwt, scene
from tap import case, check, equal, run

del sys.argv[1:]


def pullkey(it, *words, code=0):
    done = it.home.run([it.home.pullkey, *words])
    equal(done.returncode, code, done.stdout + done.stderr)
    check(MARKER not in done.stdout + done.stderr, f"a secret: {done.stdout}{done.stderr}")
    return done.stdout


def cached(it):
    return sorted(json.loads(pullkey(it, "cache", "list", "--json")), key=lambda item: item["registry"])


def fill(it, life=4000):
    """A token for each of two registries, and for a third the memory that there is no identity."""
    it.use("echo", identity={"file": it.home.write("token", jwt(life=life))})
    check(it.get("a.example.com") and it.get("b.example.com:5000/team"), "no token")
    it.use("echo", identity={"file": os.path.join(it.home.path, "missing")})
    it.error("c.example.com")


@case("list: whose they are and for how long, and no secret")
def lists():
    with scene(None, "unused.test") as it:
        equal((pullkey(it, "cache", "list"), cached(it)), ("", []))
        before = int(time.time())
        fill(it)
        a, b, c = cached(it)
        equal({name: a[name] for name in ("instance", "type", "registry", "path", "kind")},
              {"instance": "token", "type": "token", "registry": "a.example.com", "path": "", "kind": "token"})
        equal((b["registry"], c["registry"], c["kind"]), ("b.example.com:5000", "c.example.com", "no identity"))
        check(before + 3990 <= a["expiry"] <= time.time() + 4000, a)
        equal(a["used_until"], a["expiry"] - 60)
        check(before <= a["fetched"] <= time.time() and "expiry" not in c, (a, c))
        files = [entry for entry in os.scandir(os.path.join(it.home.path, "cache")) if "." not in entry.name]
        equal(sorted(entry.stat().st_size for entry in files), sorted(item["size"] for item in (a, b, c)))
        lines = sorted(pullkey(it, "cache", "list").splitlines())
        equal(lines[0].split(), ["REGISTRY", "INSTANCE", "TYPE", "KIND", "EXPIRES", "IN", "AGE", "BYTES"])
        equal(lines[1].split()[:6], ["a.example.com", "token", "token", "token", "1h", "6m"])
        equal(lines[3].split()[3:5], ["no", "identity"])


@case("list: what is no entry of ours, or is somebody else's, is not shown")
def foreign():
    with scene(None, "unused.test") as it:
        fill(it)
        directory = os.path.join(it.home.path, "cache")
        name = next(name for name in os.listdir(directory) if "." not in name)
        for mode, text in ((0o600, "{}"), (0o600, '{"key": [1]}'), (0o600, '{"key": ["a", "b"]}'), (0o600, "rubbish")):
            with open(os.path.join(directory, name), "w", encoding="ascii") as file:
                file.write(text)
            equal(len(cached(it)), 2, text)
        os.chmod(directory, 0o755)
        check("mode 0700" in it.home.run([it.home.pullkey, "cache", "list"]).stderr, "an open directory")
        os.chmod(directory, 0o700)


@case("clear: one registry, all of them; the next pull asks anew, and a login stays")
def clear():
    with scene(None, "unused.test") as it:
        equal(json.loads(pullkey(it, "cache", "clear", "--json")), {"removed": 0})
        fill(it)
        equal(pullkey(it, "cache", "clear", "https://a.example.com/v2/team"), "Removed 1 of the cache\n")
        equal([item["registry"] for item in cached(it)], ["b.example.com:5000", "c.example.com"])
        pullkey(it, "cache", "clear", "b.example.com")
        equal(len(cached(it)), 2, "another port")
        equal(json.loads(pullkey(it, "cache", "clear", "--json")), {"removed": 2})
        equal(cached(it), [])
        # What cannot be read goes as well.
        fill(it)
        directory = os.path.join(it.home.path, "cache")
        for name in os.listdir(directory):
            if "." not in name:
                with open(os.path.join(directory, name), "w", encoding="ascii") as file:
                    file.write("rubbish")
        pullkey(it, "cache", "clear")
        equal([name for name in os.listdir(directory) if "." not in name], [])
        # Another life of the token is seen only without the cached one.
        it.use("echo", identity={"file": it.home.write("token", jwt(life=4000))})
        first = it.get("a.example.com")
        equal(it.get("a.example.com"), first)
        pullkey(it, "cache", "clear", "a.example.com")
        equal((cached(it), it.get("a.example.com")), ([], first))


@case("explain: what the cache has for each instance, and nothing is fetched for it")
def explain():
    with scene(None, "unused.test") as it:
        it.use("echo", identity={"file": it.home.write("token", jwt(life=7200))})
        check("in the cache: nothing" in pullkey(it, "explain", "a.example.com"), "before")
        equal(cached(it), [])
        it.get("a.example.com")
        check("in the cache: a token, used for 1h 5" in pullkey(it, "explain", "a.example.com"), "after")
        found = json.loads(pullkey(it, "explain", "a.example.com", "--json"))
        check(found["use"][0]["cache"].startswith("a token, used for 1h"), found)
        check("in the cache: nothing" in pullkey(it, "explain", "b.example.com"), "another registry")
        it.use("echo", identity={"file": os.path.join(it.home.path, "missing")})
        it.error("a.example.com")
        text = pullkey(it, "explain", "a.example.com")
        check("in the cache: for " in text and "missing" in text, text)
        it.use("echo", when={"caller": "kubelet"}, identity={"kubelet": True})
        text = pullkey(it, "explain", "a.example.com", "--caller", "kubelet")
        check("in the cache: nothing, or for single pods" in text, text)


@case("export: when a token expires is said on stderr")
def export():
    with scene(None, "unused.test") as it:
        it.use("echo", identity={"file": it.home.write("token", jwt(life=7200))})
        path = os.path.join(it.home.path, "exported.json")
        done = it.home.run([it.home.pullkey, "export", "--format", "docker-config", "-o", path, "a.example.com"])
        equal((done.returncode, done.stdout), (0, ""), done.stderr)
        found = re.fullmatch(r"a\.example\.com: expires in (?:1h 59m|2h), at (\d+-\d+-\d+T\d+:\d+:\d+Z)\n", done.stderr)
        check(found, done.stderr)
        left = calendar.timegm(time.strptime(found[1], "%Y-%m-%dT%H:%M:%SZ")) - time.time()
        check(7100 < left <= 7200, left)
        with open(path, encoding="ascii") as file:
            check("a.example.com" in json.load(file)["auths"], "the entry")


sys.exit(run())
