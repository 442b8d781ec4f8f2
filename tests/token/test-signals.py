# SPDX-License-Identifier: Apache-2.0
"""What ends the helper ends the program that it waits for: nothing stays behind.

usage: test-signals.py SOURCE-ROOT
"""

import json
import os
import select
import signal
import sys
from contextlib import contextmanager
import threading

from scene import scene
from aws_scene import HOST, SSO_SESSION, aws_scene, section, sso_profile, write_config, write_login
from tap import case, check, equal, run

import crowd
from registry import wait_for

del sys.argv[1:]
ENDINGS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
PLAIN, STUBBORN = "", "trap '' HUP INT QUIT TERM\n"
LEAVER = "leaver"  # ends by any signal, and has started one that does not
R = "r.example.com"


def slow(it, manner):
    """A program that never answers, and says who it is."""
    path = it.home.path
    text = f"echo $$ > {path}/pid-new\nmv {path}/pid-new {path}/pid\nexec sleep 600\n"
    if manner != LEAVER:
        return program(it, "slow", f"#!/bin/sh\n{manner}{text}")
    stubborn = program(it, "stubborn", f"#!/bin/sh\n{STUBBORN}{text}")
    return program(it, "slow", f"#!/bin/sh\n{stubborn} &\nwait\n")


def program(it, name, text):
    path = it.home.write(name, text)
    os.chmod(path, 0o700)
    return path


@contextmanager
def waiting(it, server):
    """A get that waits for the slow program, which has ended when this ends."""
    if os.path.exists(os.path.join(it.home.path, "pid")):
        os.unlink(os.path.join(it.home.path, "pid"))
    process = crowd.start(it.home.helper, "get", it.home.env)
    try:
        process.stdin.write(server)
        process.stdin.close()
        process.stdin = None
        wait_for(lambda: it.home.read("pid"), "the program", 30)
        other = os.pidfd_open(int(it.home.read("pid")))
        yield process
        check_ended(it, other)
    finally:
        process.kill()
        process.communicate()


def interrupt(it, server, number):
    """Sends a get a signal when the slow program runs; that one's end is waited for."""
    with waiting(it, server) as process:
        process.send_signal(number)
        equal(process.wait(30), -number)


def check_ended(it, process):
    ended = select.select([process], [], [], 30)[0]
    if not ended:
        os.kill(int(it.home.read("pid")), signal.SIGKILL)
    os.close(process)
    check(ended, "the program goes on")


@case("identity.command, whatever it does with signals")
def command():
    with scene(None, "unused.test") as it:
        for manner in (PLAIN, STUBBORN, LEAVER):
            it.use("echo", identity={"command": [slow(it, manner)]})
            for number in ENDINGS:
                interrupt(it, R, number)


@case("a credential_process")
def credential_process():
    with aws_scene() as it:
        it.home.env["AWS_PROFILE"] = "tool"
        write_config(it, section("profile tool", credential_process=slow(it, PLAIN)))
        interrupt(it, HOST, signal.SIGINT)


@case("the renewal of an SSO login, whose refresh token is used up by asking: what the server gives is kept")
def renewal():
    with aws_scene() as it:
        it.home.env["AWS_PROFILE"] = "dev"
        write_config(it, SSO_SESSION, sso_profile())
        for number in ENDINGS:
            path = write_login(it, it.aws.log_in(life=-60, refresh=True))
            asked, go_on = threading.Event(), threading.Event()

            def create(request):
                asked.set()
                go_on.wait(30)
                return it.aws._createtoken(request)

            it.aws.replies["CreateToken"] = [create]
            process = crowd.start(it.home.helper, "get", it.home.env)
            try:
                process.stdin.write(HOST)
                process.stdin.close()
                process.stdin = None
                check(asked.wait(30), "the server is asked")
                process.send_signal(number)
                go_on.set()
                equal(process.wait(30), -number)
            finally:
                process.kill()
                process.communicate()
            with open(path, encoding="ascii") as file:
                login = json.load(file)
            check((login["clientId"], login["clientSecret"], login["refreshToken"]) in it.aws.clients, "the new one")


@case("the executable of a Google file")
def executable():
    with scene(None, "unused.test") as it:
        content = {
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": "https://sts.googleapis.com/v1/token",
            "credential_source": {"executable": {"command": slow(it, PLAIN), "timeout_millis": 30000}},
        }
        it.home.env["GOOGLE_APPLICATION_CREDENTIALS"] = it.home.write("google.json", json.dumps(content))
        os.chmod(it.home.env["GOOGLE_APPLICATION_CREDENTIALS"], 0o600)
        it.home.env["GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES"] = "1"
        it.use("gcp")
        interrupt(it, "europe-west1-docker.pkg.dev", signal.SIGTERM)


def use_helper(it, path, **more):
    rule = {"match": "**", "use": [{"type": "exec", "path": path, **more}, "file"]}
    it.home.env["PULLKEY_CONFIG"] = it.home.write("exec.json", json.dumps({"version": 1, "rules": [rule]}))


@case("a helper of the backend exec, and what that one runs in a group of its own")
def helper():
    with scene(None, "unused.test") as it:
        use_helper(it, nested(it))
        for number in ENDINGS:
            interrupt(it, R, number)
        use_helper(it, slow(it, STUBBORN))
        interrupt(it, R, signal.SIGINT)


def nested(it):
    """A helper that runs ours, which runs a program."""
    it.use("echo", identity={"command": [slow(it, PLAIN)]})
    inner = f"PULLKEY_CONFIG={it.home.path}/config.json PULLKEY_CACHE_DIR={it.home.directory('inner')}"
    return program(it, "docker-credential-a", f"#!/bin/sh\nexec env {inner} {it.home.helper} get\n")


@case("a helper that does not answer in time, and what that one runs in a group of its own")
def late():
    with scene(None, "unused.test") as it:
        # With another one behind it, it has half of the time.
        use_helper(it, nested(it), on_error="next")
        with waiting(it, R) as process:
            out, _ = process.communicate(timeout=30)
            equal((process.returncode, out), (1, "credentials not found in native keychain\n"))


@case("a signal that whoever starts the helper ignores is ignored, as by nohup")
def ignored():
    with scene(None, "unused.test") as it:
        text = f"#!/bin/sh\nkill -HUP $PPID\necho token\n"
        it.use("echo", identity={"command": [program(it, "print", text)]})
        command = ["/bin/sh", "-c", 'trap "" HUP; exec "$0" get', it.home.helper]
        done = it.home.run(command, R)
        check('"Secret":"token"' in done.stdout, done)
        equal(it.home.run([it.home.helper, "get"], "other.example.com").returncode, -signal.SIGHUP)


if __name__ == "__main__":
    sys.exit(run())
