# SPDX-License-Identifier: Apache-2.0
"""Files that are wrong, with a secret in the place that is wrong: what is said of them has the line
and the key, and never the secret.
"""

import json
import os
import sys

from scene import GOOD, forms, scene, url

from hosts import basic, table
from registry import wait_for
from tap import case, check, run

SECRET = "mArKeR5ecret0f/tests"
HOST = "wrong.example.com"
HEAD = f'[host."{url(HOST)}"]\n'
AUTH = HEAD + f'[host."{url(HOST)}".auth]\n'

MALFORMED = {
    "a string without an end": f'{HEAD}x = "{SECRET}\n',
    "a long string without an end": f'{HEAD}x = """{SECRET}\n',
    "a value without quotes": f"{HEAD}header.Authorization = Basic {SECRET}\n",
    "a key without a value": f"{HEAD}{SECRET}\n",
    "a value without a key": f'{HEAD}"{SECRET}"\n',
    "a table without an end": f'[host."{SECRET}"\n',
    "a key twice": f'{HEAD}x = "{SECRET}"\nx = "{SECRET}"\n',
    "a table that is a value": f'{HEAD}x = "{SECRET}"\nx.y = "{SECRET}"\n',
    "an escape that is none": f'{HEAD}x = "\\q{SECRET}"\n',
    "a control character": f'{HEAD}x = "\x01{SECRET}"\n',
    "bytes that are no text": f'{HEAD}x = "\udcff{SECRET}"\n',
    "something behind the value": f'{HEAD}x = "a" "{SECRET}"\n',
}

WRONG = {
    "capabilities, unknown": f'{HEAD}capabilities = ["pull", "{SECRET}"]\n',
    "capabilities, a string": f'{HEAD}capabilities = "{SECRET}"\n',
    "server": f'server = ["{SECRET}"]\n',
    "server, of no URL": f'server = "https://user:{SECRET}@%zz"\n',
    "skip_verify": f'{HEAD}skip_verify = "{SECRET}"\n',
    "header": f'{HEAD}header = "{SECRET}"\n',
    "a header of a list": f'[[host]]\nheader = "{SECRET}"\n',
    "a header of numbers": f'{HEAD}header.Authorization = ["{SECRET}", 5]\n',
    "ca": f'{HEAD}ca = {{ x = "{SECRET}" }}\n',
    "client": f'{HEAD}client = [["{SECRET}", 5]]\n',
    "override_path": f'{HEAD}override_path = "{SECRET}"\n',
    "dial_timeout": f'{HEAD}dial_timeout = "{SECRET}"\n',
    "host": f'host = "{SECRET}"\n',
    "credHelper": f'{AUTH}credHelper = "{SECRET}"\n',
    "credHelper, a list": f'{AUTH}credHelper = ["{SECRET}"]\n',
    "assumeLifetime": f'{AUTH}credHelper = "pullkey"\nassumeLifetime = "{SECRET}"\n',
    "allowInsecure": f'{AUTH}credHelper = "pullkey"\nallowInsecure = "{SECRET}"\n',
    "a password in the URL": table(f"https://user:{SECRET}@{HOST}", helper="pullkey"),
}


# No place of a secret: `show` prints what people wrote.
SHOWN = {
    *("capabilities, unknown", "capabilities, a string", "server", "skip_verify", "ca", "client"),
    *("override_path", "dial_timeout", "host", "credHelper", "credHelper, a list"),
    *("assumeLifetime", "allowInsecure"),
}


def renders(it):
    words = ("render", "--source", it.source)
    return words, (*words, "--json")


def expect_said(texts):
    """A problem is said of each, and not the secret; nor is it shown."""
    with scene() as it:
        shown = []
        for number, (name, text) in enumerate(texts.items()):
            registry = f"wrong-{number}.example.com"
            path = it.home.write("new.toml", "")
            with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(text)
            os.mkdir(os.path.join(it.source, registry))
            os.rename(path, os.path.join(it.source, registry, "hosts.toml"))
            if name not in SHOWN:
                shown.append(("show", registry))
        for number, name in enumerate(texts):
            it.wait_problem(f"wrong-{number}.example.com")
        it.expect_no_secret(SECRET, *renders(it), *shown)
        it.expect_unharmed()


@case("a hosts.toml that is malformed: its text is nowhere")
def malformed():
    expect_said(MALFORMED)


@case("a hosts.toml with a wrong value: the value is nowhere")
def wrong():
    expect_said(WRONG)


def with_settings(**settings):
    return json.dumps({"version": 1, "containerd": settings})


CONFIGURATIONS = {
    "a string without an end": f'{{"version": 1, "x": "{SECRET}',
    "no JSON": SECRET,
    "a key twice": f'{{"version": 1, "version": "{SECRET}"}}',
    "something behind it": f'{{"version": 1}} {SECRET}',
    "version": json.dumps({"version": SECRET}),
    "a value of an unknown key": json.dumps({"version": 1, "nonsense": SECRET}),
    "containerd": json.dumps({"version": 1, "containerd": SECRET}),
    "helper_timeout": with_settings(helper_timeout=SECRET),
    "helper_user": with_settings(helper_user=[SECRET]),
    "readers": with_settings(readers=SECRET),
    "readers_policy": with_settings(readers_policy=SECRET),
    "hosts": with_settings(hosts={url(HOST): [SECRET]}),
    "backends": json.dumps({"version": 1, "backends": SECRET}),
    "a type of a backend": json.dumps({"version": 1, "backends": {"x": {"type": [SECRET]}}}),
    "rules": json.dumps({"version": 1, "rules": [{"match": "*", "use": SECRET}]}),
}


@case("a configuration that is malformed or has a wrong value: neither is anywhere")
def configurations():
    with scene() as it:
        path = os.path.join(it.home.path, ".config/pullkey/config.json")
        for name, text in CONFIGURATIONS.items():
            it.hosts.configure({})
            wait_for(lambda: problem(it) is None, "the configuration to be good again")
            os.rename(it.home.write("config.new", text), path)
            wait_for(lambda: problem(it), f"a problem with the configuration: {name}")
            check("config.json" in problem(it), problem(it))
            try:
                it.expect_no_secret(SECRET, *renders(it))
            except AssertionError as error:
                error.add_note(name)
                raise
        it.expect_unharmed()


def problem(it):
    return it.hosts.status()["configuration_problem"]


@case("what is looked for is found where it is said: in the rendered file")
def found():
    with scene() as it:
        it.helper.credentials[GOOD] = ("alice", SECRET)
        it.hosts.reload()
        it.wait_read(GOOD, basic("alice", SECRET))
        it.expect_no_secret(SECRET, *renders(it))
        with open(os.path.join(it.target, GOOD, "hosts.toml"), "rb") as file:
            text = file.read()
        check(any(form in text for form in forms(SECRET)), "not found")


sys.exit(run())
