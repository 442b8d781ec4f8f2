# SPDX-License-Identifier: Apache-2.0
"""pullkey setup podman: a file of registries.conf.d, and what goes before it."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from home import Home
from imports import contents
from registry import find_program
from system_home import System
from tap import case, check, equal, run

DIRECTORY = ".config/containers/registries.conf.d"
FILE = f"{DIRECTORY}/pullkey.conf"
LINE = 'credential-helpers = ["pullkey", "containers-auth.json"]\n'


def setup(home, *words, env=None):
    return home.run([home.pullkey, "setup", "podman", *words], env=env)


def succeed(home, *words, env=None):
    done = setup(home, *words, env=env)
    equal(done.returncode, 0, done.stderr)
    return done


@case("shown, written, and undone")
def written():
    with Home() as home:
        before = contents(home)
        done = succeed(home)
        check("\n+" + LINE in done.stdout and "--write" in done.stderr, done.stdout)
        equal(contents(home), before)
        succeed(home, "--write")
        equal(home.read(FILE), LINE)
        check("podman asks pullkey already" in succeed(home, "--write").stdout, "twice")
        succeed(home, "--undo")
        equal(os.listdir(os.path.join(home.path, DIRECTORY)), [])
        equal(setup(home, "--undo").returncode, 1)
        equal(setup(home, "--for", "a.example").returncode, 2)


@case("skopeo finds what pullkey has, and stores here")
def real():
    with Home() as home:
        succeed(home, "--write")
        home.login("r.example.com", "alice", "secret", "--no-verify").check_returncode()
        skopeo = find_program("skopeo", "skopeo")
        equal(home.succeed([skopeo, "login", "--get-login", "r.example.com"]), "alice\n")
        home.succeed([skopeo, "logout", "r.example.com"])
        equal(home.get("r.example.com"), None)


@case("what goes before it is told")
def nearer():
    with Home() as home:
        home.write(f"{DIRECTORY}/zz.conf", 'unqualified-search-registries = []\ncredential-helpers = ["x"]\n')
        home.write(f"{DIRECTORY}/zy.conf", "unqualified-search-registries = []\n")
        home.write(f"{DIRECTORY}/aa.conf", 'credential-helpers = ["x"]\n')
        env = {"REGISTRY_AUTH_FILE": "/x", "CONTAINERS_REGISTRIES_CONF": "/y"}
        done = succeed(home, env=env)
        lines = done.stderr.splitlines()
        check(any("zz.conf is read after it" in line for line in lines), done.stderr)
        check("zy.conf" not in done.stderr, done.stderr)
        check(any("It hides" in line and "aa.conf from podman: x." in line for line in lines), done.stderr)
        for name in env:
            check(any(line.startswith(name) for line in lines), done.stderr)


@case("helpers of others that podman would not ask any more are told, whichever file has them")
def hidden():
    with System() as home:
        files = ("etc/containers/registries.conf", "etc/containers/registries.conf.d/10-x.conf")
        for text, others in (
            ('credential-helpers = ["logone"]\n', "logone"),
            ("x = 1\n  credential-helpers=[ # all\n  'containers-auth.json', \"one\", # \"not\"\n 'two' ]\n", "one, two"),
            ('credential-helpers = ["containers-auth.json", "pullkey"]\ny = ["z"]\n', None),
            ("credential-helpers = []\n# credential-helpers = ['x']\n", None),
            ("unqualified-search-registries = ['x']\n", None),
        ):
            for name in files:
                path = home.write(name, text)
                for words in ((), ("--write",)):
                    done = home.system("setup", "podman", *words)
                    equal(done.returncode, 0, done.stderr)
                    said = f"It hides credential-helpers of /{name} from podman: {others}. To keep them"
                    equal(said in done.stderr, others is not None, done.stderr)
                    check(others or "It hides" not in done.stderr, done.stderr)
                home.system("setup", "podman", "--undo")
                os.unlink(path)
        # A user's is hidden by the user's, and so is the system's; of registries.conf there is one.
        for name in files:
            home.write(name, 'credential-helpers = ["logone"]\n')
        setup_user = [*home.enter, home.pullkey, "setup", "podman"]
        home.env["HOME"] = "/var/lib/account"
        equal(home.run(setup_user).stderr.count(": logone."), 2)
        home.write("lib/account/.config/containers/registries.conf", "")
        done = home.run(setup_user)
        check("10-x.conf from" in done.stderr and done.stderr.count(": logone.") == 1, done.stderr)


@case("a file of that name that says something else is left alone, before and after")
def other():
    with Home() as home:
        home.write(FILE, 'credential-helpers = ["x"]\n')
        done = setup(home, "--write")
        equal((done.returncode, home.read(FILE)), (1, 'credential-helpers = ["x"]\n'))
        check("pullkey.conf is there" in done.stderr, done.stderr)
        os.unlink(os.path.join(home.path, FILE))
        succeed(home, "--write")
        home.write(FILE, "# mine\n" + LINE)
        done = setup(home, "--undo")
        equal((done.returncode, home.read(FILE)), (1, "# mine\n" + LINE))
        check("was changed since" in done.stderr, done.stderr)


@case("--system: a file that all can read, in directories that all can enter")
def system():
    with System() as home:
        done = home.system("setup", "podman", "--write")
        equal((done.returncode, done.stderr), (0, ""))
        equal(home.read("etc/containers/registries.conf.d/pullkey.conf"), LINE)
        equal(home.mode("etc/containers/registries.conf.d/pullkey.conf"), 0o644)
        equal((home.mode("etc/containers"), home.mode("etc/containers/registries.conf.d")), (0o755, 0o755))
        equal(home.system("setup", "podman", "--undo").returncode, 0)
        equal(home.entries("etc/containers/registries.conf.d"), [])


@case("--system --write without rights says who has them")
def rights():
    words = ["setup", "podman", "--write"]
    if os.geteuid() != 0:
        with Home() as home:
            done = home.run([home.pullkey, "--system", *words])
    else:
        with System() as home:
            user = [find_program("setpriv", "util-linux"), "--reuid", "12345", "--clear-groups"]
            done = home.run([*home.enter, *user, home.pullkey, "--system", *words])
    check(done.returncode == 1 and "run this as root: " in done.stderr, done.stderr)


run()
