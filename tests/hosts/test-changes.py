# SPDX-License-Identifier: Apache-2.0
"""What pullkey's own configuration and stores consist of, changed while the daemon runs: it is seen
at once, and nobody sends a signal.
"""

import glob
import json
import os
import shlex
import sys
from base64 import b64encode
from contextlib import contextmanager

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "bench"))

from scene import scene, url

import measure
from hosts import basic, table
from tap import case, check, equal, run

HOST = "own.example.com"


def put(path, text):
    """By rename, for the owner alone."""
    with open(path + ".new", "wb") as file:
        file.write(text if isinstance(text, bytes) else text.encode())
    os.chmod(path + ".new", 0o600)
    os.rename(path + ".new", path)


def auths(secret):
    coded = b64encode(f"alice:{secret}".encode()).decode()
    return json.dumps({"auths": {HOST: {"auth": coded}}})


def part(path):
    """A part of a configuration that names a docker file."""
    return json.dumps({"version": 1, "default": [{"type": "file", "sources": [path]}]})


@contextmanager
def own():
    """A scene, not started, with a registry whose credential pullkey has."""
    with scene(start=False) as it:
        it.write(HOST, table(url(HOST), helper="pullkey"))
        yield it


@case("config.d: a file that comes, is replaced, and goes, also where there was no such directory")
def parts():
    with own() as it:
        it.be_root()
        # The machine's own, as root has it.
        del it.home.env["PULLKEY_CONFIG"]
        config = {"config.json": it.home.read(".config/pullkey/config.json")}
        command = measure.with_system_files(
            it.home.path, os.environ["PULLKEY_SYSCONFDIR"], config, [it.hosts.program]
        )
        script = it.home.write("inside", f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
        os.chmod(script, 0o755)
        it.hosts.program = script
        it.start()
        it.wait_failure(url(HOST))
        (file,) = glob.glob(f"{it.home.path}/system/**/config.json", recursive=True)
        place = os.path.join(os.path.dirname(file), "config.d")
        os.mkdir(place, 0o755)
        for secret in ("first", "second"):
            put(it.home.write(f"{secret}.json", ""), auths(secret))
            put(os.path.join(place, "50-own.json"), part(f"{it.home.path}/{secret}.json"))
            it.wait_read(HOST, basic("alice", secret))
        os.unlink(os.path.join(place, "50-own.json"))
        it.wait_read(HOST, None)
        it.expect_unharmed()


@case("the key of the store: another one is an error, and the right one is seen again")
def key():
    with own() as it:
        it.start()
        equal(it.home.login(HOST, "alice", "first", "--no-verify").returncode, 0)
        it.wait_read(HOST, basic("alice", "first"))
        it.hosts.wait_header(url(HOST))
        path = os.path.join(it.home.path, ".local/state/pullkey/store.key")
        with open(path, "rb") as file:
            right = file.read()
        put(path, "no key\n")
        check("store.key" in it.wait_failure(url(HOST))["message"], it.hosts.host(url(HOST)))
        equal(it.header(HOST), basic("alice", "first"))
        put(path, right)
        it.hosts.wait_header(url(HOST))
        it.expect_unharmed()


@case("a file of $CREDENTIALS_DIRECTORY that comes, is replaced, and goes")
def credentials():
    with own() as it:
        it.home.env["CREDENTIALS_DIRECTORY"] = it.home.directory("credentials")
        use = {"type": "file", "credential": "auths"}
        it.hosts.configure({}, backends={"given": use}, rules=[{"match": HOST, "use": ["given"]}])
        it.start()
        it.wait_failure(url(HOST))
        path = os.path.join(it.home.path, "credentials/auths")
        for secret in ("first", "second"):
            put(path, auths(secret))
            it.wait_read(HOST, basic("alice", secret))
        os.unlink(path)
        it.wait_failure(url(HOST))
        it.expect_unharmed()


sys.exit(run())
