# SPDX-License-Identifier: Apache-2.0
"""pullkey --system, in a mount namespace whose /etc, /var/lib and /run are the test's own.

As root at once, otherwise through a user namespace, in which the caller is root.
"""

import json
import os
import sys
from base64 import b64encode

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from system_home import ACCOUNT, System
from tap import Skip, case, check, equal, run

SERVER = "registry.example.com"
MARKER = "marker-5d27e8"
PATHS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CHILD = """#!/bin/sh
cat >/dev/null
tr '\\0' '\\n' </proc/$$/environ >"{dump}"
echo '{{"{server}":"child"}}'
"""


def login(home, server=SERVER, secret=MARKER):
    arguments = ["login", "--no-verify", "-u", "alice", "--password-stdin", server]
    done = home.system(*arguments, text=secret)
    equal(done.returncode, 0, done.stderr)


@case("login writes the system's store and key, with their modes, and nothing at home")
def places():
    with System() as home:
        before = set(home.find_text(""))
        login(home)
        equal(home.entries("etc", "pullkey"), ["auth.cms", "auth.cms.lock"])
        equal(home.entries("lib", "pullkey"), ["store.key", "store.key.lock"])
        equal(home.mode("etc/pullkey/auth.cms"), 0o600)
        equal(home.mode("lib/pullkey/store.key"), 0o400)
        equal((home.mode("etc/pullkey"), home.mode("lib/pullkey")), (0o700, 0o700))
        equal(os.path.getsize(os.path.join(home.path, "lib/pullkey/store.key")), 32)
        made = set(home.find_text("")) - before
        equal([name for name in made if not name.startswith(("etc/", "lib/"))], [])
        equal(home.find_text(MARKER), [])


@case("list and logout serve the system's store, and the user's stays another")
def lists():
    with System() as home:
        home.login("user.example.com", "bob", "x", "--no-verify").check_returncode()
        login(home)
        listed = home.system("list", "--json")
        equal(listed.returncode, 0, listed.stderr)
        check(SERVER in listed.stdout and "alice" in listed.stdout, listed.stdout)
        check("user.example.com" not in listed.stdout, "the user's entry is listed")
        check(MARKER not in listed.stdout + listed.stderr, "the secret is listed")
        equal(home.list(), {"user.example.com": "bob"})
        login(home, secret="second")
        equal(home.system("logout", SERVER).returncode, 0)
        check(SERVER not in home.system("list", "--json").stdout, "it is still there")
        equal(home.system("logout", SERVER).returncode, 0)
        equal(home.list(), {"user.example.com": "bob"})


@case("import fills the system's store, from the caller's own files, and empties them")
def imports():
    with System() as home:
        coded = b64encode(f"alice:{MARKER}".encode()).decode()
        text = json.dumps({"auths": {SERVER: {"auth": coded}}})
        home.write(".docker/config.json", text)
        equal(home.system("import").returncode, 0)
        equal(home.read(".docker/config.json"), text, "nobody agreed")
        done = home.system("import", "--yes", "--move")
        equal(done.returncode, 0, done.stderr)
        equal(home.entries("etc", "pullkey"), ["auth.cms", "auth.cms.lock"])
        equal(json.loads(home.read(".docker/config.json")), {"auths": {}})
        check(SERVER in home.system("list", "--json").stdout, "it is in the store")
        equal((home.list(), home.find_text(coded)), ({}, []))


@case("the user's configuration, and what the environment says instead, are not read")
def configuration():
    with System() as home:
        plain = {"version": 1, "backends": {"file": {"type": "file", "encryption": "none"}}}
        text = json.dumps(plain)
        home.write(".config/pullkey/config.json", text)
        home.env["PULLKEY_CONFIG_JSON"] = text
        login(home)
        equal(home.entries("etc", "pullkey"), ["auth.cms", "auth.cms.lock"])
        os.unlink(os.path.join(home.etc, "pullkey/auth.cms"))
        home.configure(plain)
        login(home)
        check("auth.json" in home.entries("etc", "pullkey"), "the system's own is not read")
        equal(home.mode("etc/pullkey/auth.json"), 0o600)


def tokens(home):
    """The tokens in the system's cache, less what stands beside them."""
    names = home.entries("volatile/pullkey/cache")
    return [name for name in names if not name.endswith((".lock", ".drops"))]


@case("a token is kept in /run/pullkey/cache, and logout drops it")
def cache():
    if not os.path.exists(os.path.join(os.environ["PULLKEY_MODULES"], "fake-token.so")):
        raise Skip("fake-token.so is a module, and there are none in this build")
    with System() as home:
        calls = os.path.join(home.path, "calls")
        token = {"type": "fake-token", "secret": "t0ken-" + MARKER, "calls": calls}
        home.configure({"version": 1, "rules": [{"match": "**", "use": [token, "file"]}]})
        # What reads in system mode is the last look of a login and of a logout, and the token comes
        # first here.
        arguments = ["login", "--no-verify", "-u", "alice", "--password-stdin", SERVER]
        done = home.system(*arguments, text="x")
        equal((done.returncode, home.read("calls")), (1, "."), done.stderr)
        check("clients get the credential of fake-token" in done.stderr, done.stderr)
        check(MARKER not in done.stdout + done.stderr, "the token is shown")
        equal((home.mode("volatile/pullkey"), home.mode("volatile/pullkey/cache")), (0o700, 0o700))
        for name in home.entries("volatile/pullkey/cache"):
            equal(home.mode("volatile/pullkey/cache", name), 0o600, name)
        kept = [f"volatile/pullkey/cache/{name}" for name in tokens(home)]
        equal((len(kept), home.find_text(MARKER)), (1, ["etc/pullkey/config.json", *kept]))
        done = home.system("logout", SERVER)
        check("clients still get a credential" in done.stderr, done.stderr)
        # With the old one there would have been no second call.
        equal((home.read("calls"), len(tokens(home))), ("..", 1))
        equal(home.entries("run"), [], "the user's own place")


@case("a store that others may write is refused")
def unsafe():
    with System() as home:
        login(home)
        for name, mode in (("etc/pullkey/auth.cms", 0o600), ("lib/pullkey/store.key", 0o400)):
            path = os.path.join(home.path, name)
            os.chmod(path, mode | 0o022)
            done = home.system("list")
            equal((done.returncode, done.stdout, done.stderr.count("\n")), (1, "", 1), done.stderr)
            check(os.path.basename(name) in done.stderr, done.stderr)
            os.chmod(path, mode)
        equal(home.system("list").returncode, 0)


def helper_environment(home, names, env):
    """What a helper gets from `--system list` by a caller with these variables."""
    dump = os.path.join(home.path, "dump")
    helper = home.write("lib/docker-credential-child", CHILD.format(dump=dump, server=SERVER))
    os.chmod(helper, 0o755)
    # The path as it is inside.
    backend = {"type": "exec", "path": "/var/lib/docker-credential-child", "env": names}
    home.configure({"version": 1, "backends": {"child": backend}, "default": ["child"]})
    done = home.system("list", "--json", env=env)
    equal(done.returncode, 0, done.stderr)
    check(SERVER in done.stdout, done.stdout)
    pairs = [line.split("=", 1) for line in home.read("dump").splitlines()]
    found = dict(pairs)
    equal(len(found), len(pairs), f"each name once in {pairs}")
    return found


@case("a helper gets the variables that are named, and a fixed PATH, and no others")
def helper_variables():
    with System() as home:
        env = ["VAULT_ADDR=https://vault", "OTHER=x", "PATH=/tmp", "LD_BIND_NOW=1"]
        names = ["VAULT_ADDR", "ABSENT", "LD_BIND_NOW"]
        found = helper_environment(home, names, env)
        found.pop("HOME")
        expected = {"VAULT_ADDR": "https://vault", "PATH": PATHS, "PULLKEY_DEPTH": "1"}
        equal(found, expected)
        equal(set(helper_environment(home, [], env)), {"HOME", "PATH", "PULLKEY_DEPTH"})


@case("a helper's HOME is the account's, whatever the caller's is")
def helper_home():
    with System() as home:
        for env in (["HOME=/tmp"], ["HOME="], ["HOME=relative"], ["-u", "HOME"]):
            equal(helper_environment(home, [], env)["HOME"], ACCOUNT, f"{env}")


@case("a helper that leads back to pullkey comes to an end")
def loop():
    with System() as home:
        done = home.system("list", env=["PULLKEY_DEPTH=2"])
        equal((done.returncode, done.stdout, done.stderr.count("\n")), (1, "", 1), done.stderr)
        check("call each other in a loop" in done.stderr, done.stderr)


@case("what is fixed for a helper cannot be replaced by naming it")
def helper_fixed():
    with System() as home:
        for depth in ("1", "0", ""):
            env = ["HOME=/tmp", "PATH=/tmp", f"PULLKEY_DEPTH={depth}", "KEPT=yes"]
            for names in (["HOME"], ["PATH"], ["PULLKEY_DEPTH"], ["PATH", "HOME", "PULLKEY_DEPTH"]):
                found = helper_environment(home, [*names, "KEPT"], env)
                check(found.pop("PULLKEY_DEPTH") != depth, f"{names}: the depth is the caller's")
                equal(found, {"HOME": ACCOUNT, "PATH": PATHS, "KEPT": "yes"}, f"{names}")


sys.exit(run())
