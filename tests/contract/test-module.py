# SPDX-License-Identifier: Apache-2.0
"""The contract suite, pointed at modules that it must not be content with.

usage: test-module.py CONTRACT
"""

import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap

CONTRACT = os.path.abspath(sys.argv[1])
del sys.argv[1:2]

STORE = ("fake-store", "--options", '{"path":"@ROOT@/store"}')
TOKEN = ("fake-token", "--options", '{"secret":"m4rk3r","calls":"@ROOT@/calls"}')


def judge(*words):
    with tempfile.TemporaryDirectory() as place:
        done = subprocess.run(
            [CONTRACT, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP", "TMPDIR": place},
        )
        tap.equal(os.listdir(place), [], "left behind")
    return done


def module(*words):
    return judge("--module", *words)


def names(done, result="ok"):
    return set(re.findall(rf"^{result} \d+ - (\w+)", done.stdout, re.M))


@tap.case("what a module can do decides what is asked of it")
def selection():
    store, exact, token = module(*STORE), module(*STORE, "--exact-names"), module(*TOKEN)
    for done in (store, exact, token):
        tap.equal(done.returncode, 0, done.stdout + done.stderr)
    tap.equal(names(store) - names(exact), {"store_replaces_every_alias"})
    tap.check("store_replaces_aliases" in names(store), store.stdout)
    for name in ("get_yields_what_is_there", "store_replaces_aliases", "list_has_the_keys_as_stored"):
        tap.check(name in names(store) and name not in names(token), name)
    for name in ("the_descriptor_is_whole", "answers_are_whole", "inputs_are_installed"):
        tap.check(name in names(store) and name in names(token), name)
    bad = module(*STORE, "--bad-options", '{"path":"relative"}')
    tap.equal(names(bad) - names(store), {"open_refuses_bad_options"})


@tap.case("an answer that is not whole is found")
def bad_answer():
    done = module("fake-huge")
    tap.check(done.returncode != 0, done.stdout)
    tap.equal(names(done, "not ok"), {"answers_are_whole"})


@tap.case("an error with a secret in it is found")
def leak():
    done = module("fake-token", "--options", TOKEN[2].replace("}", ',"fail":"m4rk3r is wrong"}'))
    tap.check(done.returncode != 0, done.stdout)
    tap.equal(names(done, "not ok"), {"answers_are_whole"})
    done = module("fake-token", "--options", TOKEN[2].replace("}", ',"fail":"the exchange is down"}'))
    tap.equal(done.returncode, 0, done.stdout)


@tap.case("options that should have been refused, and that should not, are found")
def options():
    done = module(*STORE, "--bad-options", '{"path":"/absolute"}')
    tap.equal(names(done, "not ok"), {"open_refuses_bad_options"})
    done = module("fake-store", "--options", '{"path":"relative"}')
    tap.check(done.returncode != 0 and not names(done), done.stdout)


@tap.case("what cannot be loaded is no success")
def refused():
    for name, part in (
        ("fake-absent", "not installed"),
        ("fake-wrong-abi", "ABI"),
        ("fake-wrong-name", "does not describe itself"),
        ("fake-no-symbol", "is not a module"),
        ("../fake-store", "is no name of a backend"),
    ):
        done = module(name)
        tap.equal(done.returncode, 2, name)
        tap.check(part in done.stderr, f"{name}: {done.stderr}")


@tap.case("wrong usage is an error")
def usage():
    for words in ((), ("--module",), ("env", "a", "b"), ("nosuchsetup",)):
        tap.equal(judge(*words).returncode, 2, str(words))
    for words in (("--options",), ("--nosuchoption",), ("extra",)):
        tap.equal(module("fake-store", *words).returncode, 2, str(words))


sys.exit(tap.run())
