# SPDX-License-Identifier: Apache-2.0
"""What the tests of pullkey doctor ask of it: the cause, the last line, and never a secret."""

import json
import os
import re
from base64 import b64encode

from tap import check, equal

MARKER = "marker-d0c7e1"
STATES = {"ok", "note", "failed"}
MANUAL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/man/pullkey.1.scd")


def doctor(home, *words, env=None):
    return home.run([home.pullkey, "doctor", "--as", "docker", *words], env=env)


def no_secret(text, *secrets):
    for secret in (MARKER, *secrets):
        pair = b64encode(f"alice:{secret}".encode()).decode()
        check(secret not in text and pair not in text, f"a secret was printed:\n{text}")


def report(home, *words, env=None):
    """What it says of the one caller, as JSON; the table says the same."""
    table = doctor(home, *words, env=env)
    done = doctor(home, *words, "--json", env=env)
    for one in (table, done):
        no_secret(one.stdout + one.stderr)
        equal(one.stderr, "")
    found = json.loads(done.stdout)
    equal(len(found["callers"]), 1)
    caller = found["callers"][0]
    equal(caller["caller"], "docker")
    equal({step["state"] for step in caller["steps"]} - STATES, set())
    equal(table.stdout.splitlines()[-1], caller["text"])
    equal((table.returncode, done.returncode), (0, 0) if caller["works"] else (1, 1))
    equal(caller["works"], caller["cause"] == "works")
    for step in caller["steps"]:
        check(step["text"] in table.stdout, f"not in the table: {step}")
    return caller


def finds(home, cause, words, *arguments, env=None):
    """The cause, and what the last line says."""
    caller = report(home, *arguments, env=env)
    equal(caller["cause"], cause, str(caller))
    with open(MANUAL, encoding="utf-8") as file:
        check(re.search(rf"[ _]{cause}[,_\n]", file.read()), f"{cause} is not in pullkey(1)")
    for word in words:
        check(word in caller["text"], f"{word!r} is not in {caller['text']!r}")
    return caller


def step(caller, name):
    """The text of the steps of that name."""
    return "\n".join(one["text"] for one in caller["steps"] if one["step"] == name)


def config(home, **members):
    home.write(".config/pullkey/config.json", json.dumps({"version": 1, **members}))


def docker_config(home, **members):
    home.write(".docker/config.json", json.dumps(members))


def store(home, server, password=MARKER, user="alice"):
    """Unchecked. Where there is a docker, it asks pullkey, unless the case has said otherwise."""
    if not home.read(".docker/config.json"):
        docker_config(home, credsStore="pullkey")
    words = ["login", "--no-verify", "--username", user, "--password-stdin", server]
    home.succeed([home.pullkey, *words], password)


def preload(home, **libraries):
    """NAME=value of the variables that the libraries of tests/tools read."""
    home.env["ASAN_OPTIONS"] = home.env.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
    home.env["LD_PRELOAD"] = f"{os.environ['NET_ROUTES_LIBRARY']}:{os.environ['CLOCK_SHIFT_LIBRARY']}"
    home.env.update(libraries)
