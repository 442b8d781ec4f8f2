# SPDX-License-Identifier: Apache-2.0
"""A keyring that takes its time to ask, and one that takes no password from a program."""

import contextlib
import json
import os
import subprocess
import sys

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", name) for name in ("lib", "fakes")]
import account
import clock
from fake_keyring import FakeKeyring
from keyring_home import DESKTOP, NO_BUS, SSH, fails, keyring_home, pullkey, secret, store
from program import die_with_parent, wait_for
from tap import case, check, equal, run

SERVER = "registry.example.com"
PROMPT_SECONDS, WATCH_SECONDS = 120, 22


class Clocked:
    """A program of this home with a clock of its own, for Clock."""

    def __init__(self, home, program):
        self.home, self.program = home, program


@contextlib.contextmanager
def running(home, program, *words, text=""):
    """Before a desktop, with a clock that can be put forward; alarms are in the file "alarms"."""
    clocked = Clocked(home, program)
    time = clock.Clock(clocked)
    process = subprocess.Popen(
        [clocked.program, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**home.env, **DESKTOP, "CLOCK_ALARM": os.path.join(home.path, "alarms")},
        preexec_fn=die_with_parent,
    )
    try:
        process.stdin.write(text)
        process.stdin.close()
        process.stdin = None
        yield process, time
    finally:
        process.kill()
        process.communicate()


def answer_late(fake, process, time):
    """After a minute, three times as long as a request may take without a person."""
    wait_for(lambda: "Prompt" in fake.members, "a prompt")
    time.go_on(60)
    fake.answer("accept")
    out, errors = process.communicate(timeout=60)
    equal((process.returncode, errors), (0, ""), out)
    return out


@case("a prompt that is answered after a minute is in time, and the alarm of the helper waits as long")
def get_late():
    with keyring_home(FakeKeyring) as (home, fake):
        fake.add(SERVER, "alice", "s3cret")
        fake.default.locked, fake.prompt = True, None
        with running(home, home.helper, "get", text=SERVER) as (process, time):
            equal(json.loads(answer_late(fake, process, time))["Secret"], "s3cret")
        first, off, during, after = (int(line) for line in home.read("alarms").split())
        equal((first, off, during - after), (WATCH_SECONDS, 0, PROMPT_SECONDS))
        check(0 < after <= WATCH_SECONDS, f"afterwards: {after}")


@case("a login whose prompt is answered after a minute is stored, and the file is cleared")
def login_late():
    with keyring_home(FakeKeyring) as (home, fake):
        store(home, SERVER, "alice", "by ssh", NO_BUS)
        fake.default.locked, fake.prompt = True, None
        words = ["login", "--no-verify", "--username", "bob", "--password-stdin", SERVER]
        with running(home, home.pullkey, *words, text="later") as (process, time):
            out = answer_late(fake, process, time)
        equal(out, f"Stored a credential for {SERVER} as bob in keyring; it was not checked\n")
        equal(fake.users(), ["bob"])
        equal(secret(home, SERVER, NO_BUS), None, "the file still has it")


@case("pullkey unlock waits for the prompt, too")
def unlock_late():
    with keyring_home(FakeKeyring) as (home, fake):
        fake.default.locked, fake.prompt = True, None
        with running(home, home.pullkey, "unlock") as (process, time):
            equal(answer_late(fake, process, time), "Unlocked keyring\n")
        check(not fake.default.locked, "it is still locked")


@case("pullkey unlock: a prompt that nobody answers ends after two minutes")
def unlock_never():
    with keyring_home(FakeKeyring) as (home, fake):
        fake.default.locked, fake.prompt = True, None
        with running(home, home.pullkey, "unlock") as (process, time):
            wait_for(lambda: "Prompt" in fake.members, "a prompt")
            time.go_on(PROMPT_SECONDS + 1)
            out, errors = process.communicate(timeout=60)
        equal((process.returncode, out), (1, ""))
        check("nobody answered its prompt within 120 seconds" in errors, errors)


@case("pullkey unlock: who dismisses the prompt is told")
def unlock_dismissed():
    with keyring_home(FakeKeyring) as (home, fake):
        fake.default.locked, fake.prompt = True, "dismiss"
        fails(pullkey(home, "unlock", env=DESKTOP), "its prompt was dismissed")


@case("a keyring that takes no password from a program is said to be unlocked on the desktop")
def no_password():
    with keyring_home(FakeKeyring) as (home, fake):
        fake.default.locked = True
        for words, env in (
            (["unlock"], None),
            (["unlock"], SSH),
            (["unlock", "--password-stdin"], SSH),
            (["unlock", "--password-stdin"], DESKTOP),
        ):
            done = pullkey(home, *words, text="marker-1", env=env)
            fails(done, "takes its password on the desktop alone", "KWallet")
            check("marker-1" not in done.stderr, done.stderr)
        check("Prompt" not in fake.members, "there was a prompt")
        check(fake.default.locked, "it is not locked any more")


account.become()
sys.exit(run())
