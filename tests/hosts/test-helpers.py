# SPDX-License-Identifier: Apache-2.0
"""Helpers that fail in one way each: what containerd could read it still reads, nothing is shown
that must not be, and nothing is left running.
"""

import json
import os
import re
import sys
import time
from contextlib import ExitStack, contextmanager
from secrets import token_hex

from scene import CREDENTIAL, GOOD, decoded, scene, url

from clock import DAY, Clock
from daemon import ROOT
from helper import NOT_FOUND, Helper
from hosts import basic, jwt, table
from registry import wait_for
from tap import case, check, equal, run

MARKER = CREDENTIAL[1]
GOOD_TEXT = json.dumps({"ServerURL": "x", "Username": CREDENTIAL[0], "Secret": MARKER})
SH = "#!/bin/sh\n"
ANSWER = f"{SH}cat <<'end'\n%s\nend\n"


class Program:
    """docker-credential-NAME in the prefix's bindir, of which the test has the text."""

    def __init__(self):
        self.name = f"test-{token_hex(6)}"
        self.path = os.path.join(os.environ["PULLKEY_BINDIR"], f"docker-credential-{self.name}")

    def write(self, text, mode=0o755):
        with open(self.path + ".new", "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        os.chmod(self.path + ".new", mode)
        os.rename(self.path + ".new", self.path)

    def remove(self):
        if os.path.exists(self.path):
            os.unlink(self.path)

    def __enter__(self):
        self.write(ANSWER % GOOD_TEXT)
        return self

    def __exit__(self, *_):
        self.remove()


def answer(username, secret):
    return ANSWER % json.dumps({"ServerURL": "x", "Username": username, "Secret": secret})


# What the helper does: how it is written, the class of the error, and words of the message.
FAULTS = {
    "prints garbage": (f"{SH}printf '\\377\\376garbage'\n", "invalid", ["its answer"]),
    "prints nothing": (f"{SH}true\n", "invalid", ["its answer"]),
    "prints 10 MB": (f"{SH}exec head -c 10000000 /dev/zero\n", "invalid", ["more than 1048576"]),
    "prints half an answer": (ANSWER % GOOD_TEXT[:-9], "invalid", ["its answer"]),
    "answers an identity token": (answer("<token>", MARKER), "unsupported", ["identity token"]),
    "answers a user with a colon": (answer("a:b", MARKER), "invalid", ["colon"]),
    "answers 100 KB": (answer("alice", MARKER * 5000), "invalid", []),
    "never ends": (f"{SH}exec sleep 600\n", "unreachable", ["did not answer in time"]),
    "leaves a child with its output": (
        f"{SH}sleep 600 &\nexit 0\n",
        "unreachable",
        ["did not answer in time"],
    ),
    "answers and does not end": (
        f"{ANSWER % GOOD_TEXT}exec >/dev/null\nexec sleep 600\n",
        "unreachable",
        ["did not end in time"],
    ),
    "crashes": (f"{SH}kill -SEGV $$\n", "internal", ["signal 11"]),
    "kills its parent": (f"{SH}kill -KILL $PPID\nsleep 1\n", "internal", ["the process that asks"]),
    "says a secret and fails": (f"{SH}echo 'bad {MARKER}'\nexit 1\n", None, []),
    "says it on stderr and fails": (f"{SH}echo 'bad {MARKER}' >&2\nexit 1\n", None, []),
    "has no interpreter": ("#!/nonexistent/sh\n", "invalid", ["interpreter"]),
}

MODES = {"writable by its group": 0o775, "writable by others": 0o757, "not executable": 0o644}


@contextmanager
def scene_with_programs(names):
    """For each name a registry with a helper of its own, that has given its header."""
    with ExitStack() as stack:
        it = stack.enter_context(scene(start=False, containerd={"helper_timeout": 1}))
        programs = {}
        for number, name in enumerate(names):
            programs[name] = stack.enter_context(Program())
            host = f"r{number}.example.com"
            programs[name].host = host
            it.write(host, table(url(host), helper=programs[name].name))
        it.start()
        for program in programs.values():
            it.wait_read(program.host, basic(*CREDENTIAL))
        yield it, programs


@case("each fault of a helper: the header stays, the error is said, and no secret with it")
def faults():
    with scene_with_programs([*FAULTS, *MODES]) as (it, programs):
        before = {name: it.read(program.host) for name, program in programs.items()}
        for name, (text, _, _) in FAULTS.items():
            programs[name].write(text)
        for name, mode in MODES.items():
            programs[name].write(ANSWER % GOOD_TEXT, mode)
        it.hosts.reload()
        for name, program in programs.items():
            host = it.wait_failure(url(program.host))
            if name in MODES:
                check("docker-credential-" in host["message"], host)
            else:
                error, words = FAULTS[name][1:]
                check(error in (None, host["class"]), (name, host))
                check(host["class"] != "not found", (name, host))
                for word in words:
                    check(word in host["message"], (name, host))
            check(host["header"], (name, host))
            equal(it.read(program.host), before[name], name)
        it.expect_unharmed()
        it.expect_no_secret(MARKER)
        equal(it.left_over(), [])


@case("a helper that is removed and comes back")
def missing():
    with scene_with_programs(["it"]) as (it, programs):
        program = programs["it"]
        before = it.read(program.host)
        program.remove()
        it.hosts.reload()
        host = it.wait_failure(url(program.host))
        check(f"there is no docker-credential-{program.name} in" in host["message"], host)
        equal(it.read(program.host), before)
        program.write(answer("bob", "new"))
        it.hosts.reload()
        it.wait_read(program.host, basic("bob", "new"))
        it.expect_unharmed()


@case("a credential that is not there any more takes its header away at once, and comes back")
def absent():
    with scene_with_programs(["it"]) as (it, programs):
        program = programs["it"]
        program.write(f"{SH}echo 'credentials not found in native keychain'\nexit 1\n")
        it.hosts.reload()
        it.wait_read(program.host, None)
        equal(it.wait_failure(url(program.host))["class"], "not found")
        it.expect_unharmed()
        program.write(ANSWER % GOOD_TEXT)
        it.hosts.reload()
        it.wait_read(program.host, basic(*CREDENTIAL))


# Each would be more than a value if it were put into the text as it is.
INJECTIONS = [
    '"\n[host."https://evil.example.com"]\nskip_verify = true\n#',
    '"]\nserver = "https://evil.example.com',
    "'''\nserver = 'https://evil.example.com'\n'''",
    "\\\"\\n\\u0000",
    "\r\n\r\nX-Evil: 1",
    "Basic x # pullkey: other 99999999999",
    "\u00fc\u20ac\U0001f511",
    "%s%n%99999999d",
    "$(id)`id`",
]


@case("text of a helper that would be TOML, a header or a format: a value, or refused")
def injection():
    with scene_with_programs(["it"]) as (it, programs):
        program = programs["it"]
        shape = [{**host, "header": None} for host in it.read(program.host)["hosts"]]
        for number, text in enumerate(INJECTIONS):
            # The second tells that the first was looked at, whatever came of it.
            for user, secret in ((text, "secret"), ("user", text), ("last", str(number))):
                program.write(answer(user, secret))
                asked = it.hosts.host(url(program.host))["asked"]
                it.hosts.reload()
                it.hosts.wait_asked(url(program.host), asked + 1)
                seen = it.read(program.host)
                equal([{**host, "header": None} for host in seen["hosts"]], shape, (user, secret))
                equal((seen["log"], seen.get("error")), ([], None))
            it.wait_read(program.host, basic("last", str(number)))
            equal(decoded(it.header(program.host)), ("last", str(number)))
        it.expect_unharmed()


@case("a header goes when its credential has expired and cannot be renewed")
def expired():
    with scene_with_programs(["it"]) as (it, programs):
        program = programs["it"]
        expiry = int(time.time()) + 6
        token = jwt(expiry)
        program.write(answer("alice", token))
        it.hosts.reload()
        it.wait_read(program.host, basic("alice", token))
        program.write(f"{SH}echo 'the issuer is down'\nexit 1\n")
        it.wait_read(program.host, None)
        check(time.time() < expiry, "it could be seen expired")
        it.wait_failure(url(program.host))
        it.expect_unharmed()


@case("a header that expires while no daemon runs stays until the next start, and not longer")
def expired_meanwhile():
    with scene_with_programs(["it"]) as (it, programs):
        program = programs["it"]
        expiry = int(time.time()) + 4
        program.write(answer("alice", jwt(expiry)))
        it.hosts.reload()
        it.wait_read(program.host, basic("alice", jwt(expiry)))
        it.hosts.stop()
        program.write(f"{SH}echo 'the issuer is down'\nexit 1\n")
        wait_for(lambda: time.time() > expiry, "it to expire")
        equal(it.header(program.host), basic("alice", jwt(expiry)))
        it.expect_unharmed()
        it.hosts.start()
        # Ready means that what is there is true.
        equal(it.header(program.host), None)
        it.expect_unharmed()


@case("a helper that answers what has expired already: an error, and the old header stays")
def answers_expired():
    with scene_with_programs(["it"]) as (it, programs):
        program = programs["it"]
        program.write(answer("alice", jwt(int(time.time()) - 60)))
        it.hosts.reload()
        host = it.wait_failure(url(program.host))
        check("is the clock right?" in host["message"], host)
        equal(it.header(program.host), basic(*CREDENTIAL))


@case("a clock that jumps a day forward takes what has expired away; back, it is asked for again")
def clock():
    with Program() as program, scene(start=False) as it:
        clock = Clock(it.hosts)
        token = jwt(int(time.time()) + 3600)
        program.write(answer("alice", token))
        host = "r.example.com"
        it.write(host, table(url(host), helper=program.name))
        it.start()
        it.wait_read(host, basic("alice", token))
        asked = it.hosts.host(url(host))["asked"]
        clock.set(DAY)
        # Something wakes it; the kernel would where the clock is really set.
        it.write("wake.example.com", "# 1\n")
        it.wait_read(host, None)
        check("is the clock right?" in it.wait_failure(url(host))["message"], "no reason")
        clock.set(0)
        it.hosts.reload()
        it.wait_read(host, basic("alice", token))
        it.hosts.wait_asked(url(host), asked + 2)
        asked = it.hosts.host(url(host))["asked"]
        clock.set(-DAY)
        it.write("wake.example.com", "# 2\n")
        it.hosts.wait_asked(url(host), asked + 1)
        equal(it.header(host), basic("alice", token))
        # That is asked for once, not without end.
        it.hosts.wait_header(url(host))
        asked = it.hosts.host(url(host))["asked"]
        it.write("wake.example.com", it.table("wake.example.com"))
        it.wait_failure(url("wake.example.com"))
        equal(it.hosts.host(url(host))["asked"], asked)


YEAR_9999 = 253402300799
WEEK = 7 * DAY


@case("a credential that says it is good until the year 9999 is asked for again within 7 days")
def for_ever():
    with Program() as program, scene(start=False) as it:
        clock = Clock(it.hosts)
        program.write(answer("alice", jwt(YEAR_9999)))
        host = "r.example.com"
        it.write(host, table(url(host), helper=program.name))
        began = int(time.time())
        it.start()
        it.wait_read(host, basic("alice", jwt(YEAR_9999)))
        it.hosts.wait_header(url(host))  # the status is written a moment later
        check(began < it.hosts.host(url(host))["expires"] <= time.time() + WEEK, "it lives longer")
        # Nor does one who wrote that into the file; it is known from the start.
        it.hosts.stop()
        path = os.path.join(it.target, host, "hosts.toml")
        with open(path, encoding="ascii") as file:
            text = re.sub(r"# pullkey: (\S+) \d+", rf"# pullkey: \1 {YEAR_9999}", file.read())
        check(str(YEAR_9999) in text, "no expiry in the file")
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        program.write(f"{SH}echo 'the issuer is down'\nexit 1\n")
        it.hosts.start()
        equal(it.header(host), basic("alice", jwt(YEAR_9999)))
        equal(it.hosts.host(url(host))["asked"], 0)
        check(it.hosts.host(url(host))["expires"] <= time.time() + WEEK, "it lives longer")
        clock.go_on(WEEK)
        it.write("wake.example.com", "# 1\n")
        it.wait_read(host, None)
        it.wait_failure(url(host))


# What hosts.toml names, and what its helper is asked for while it has nothing for any.
QUESTIONS = {
    "https://registry-1.docker.io": [
        "https://index.docker.io/v1/",
        "docker.io",
        "https://docker.io",
    ],
    "https://r.example.com": ["r.example.com", "https://r.example.com"],
    "https://r.example.com:443": ["r.example.com", "https://r.example.com"],
    "https://r.example.com:5000": ["r.example.com:5000", "https://r.example.com:5000"],
    "https://r.example.com:5000/v2/team": ["r.example.com:5000", "https://r.example.com:5000"],
}


@case("the names that a helper is asked for, in their order: up to a hit, or to an error")
def questions():
    with ExitStack() as stack:
        it = stack.enter_context(scene(start=False))
        helpers = {host: stack.enter_context(Helper()) for host in QUESTIONS}
        for number, (host, helper) in enumerate(helpers.items()):
            it.write(f"q{number}.example.com", table(host, helper=helper.name))
        it.start()
        for host, helper in helpers.items():
            equal(it.wait_failure(host)["class"], "not found")
            equal(helper.names, QUESTIONS[host], host)

        def ask_all(number, word, wait):
            """The answer to the question of that number; those before it have none."""
            said = {}
            for host, helper in helpers.items():
                name = QUESTIONS[host][min(number, len(QUESTIONS[host]) - 1)]
                helper.answer = answer_to(name, word)
                said[host] = (name, len(helper.runs))
            it.hosts.reload()
            for at, (host, helper) in enumerate(helpers.items()):
                wait(f"q{at}.example.com", host)
                name, before = said[host]
                names = QUESTIONS[host]
                asked = helper.names[before:]
                equal(asked, names[: names.index(name) + 1], f"{host}, {number}, {word}")

        def hit(registry, host):
            it.wait_read(registry, basic("alice", secret))
            it.hosts.wait_header(host)

        for number in range(3):
            secret = f"hit-{number}"
            ask_all(number, secret, hit)
            ask_all(number, None, lambda _, host: it.wait_failure(host))


def answer_to(name, secret):
    """A helper that has a secret for one name, or an error (None), and nothing for others."""

    def say(asked):
        if asked != name:
            return b"1" + NOT_FOUND.encode()
        if secret is None:
            return b"1the vault is sealed"
        return b"0" + json.dumps({"ServerURL": "", "Username": "alice", "Secret": secret}).encode()

    return say


@case("pullkey whose rule names an exec backend: it cannot be run, and what to name is said")
def exec_backend():
    with Program() as program, scene() as it:
        host = "exec.example.com"
        backends = {"vault": {"type": "exec", "helper": program.name}}
        rules = [{"match": host, "use": ["vault"]}]
        it.hosts.configure({}, backends=backends, rules=rules)
        it.write(host, table(url(host), helper="pullkey"))
        found = it.wait_failure(url(host))
        equal(
            (found["class"], found["message"]),
            (
                "unsupported",
                "vault: the process that asks here may run no program, so exec backends do not "
                "work; name the helper itself as credHelper",
            ),
        )
        equal(it.header(host), None)
        # What the message advises works.
        it.write(host, table(url(host), helper=program.name))
        it.wait_read(host, basic(*CREDENTIAL))
        it.expect_unharmed()


@case("at the start each is asked at a moment of its own, not all of them in their order")
def spread():
    with scene(start=False) as it:
        # Of one file, so that their order is known.
        names = [f"r{number}.example.com" for number in range(64)]
        it.helper.credentials.update(dict.fromkeys(names, CREDENTIAL))
        it.write("all.example.com", *(it.table(name) for name in names))
        it.start()
        for name in names:
            it.hosts.wait_header(url(name))
        asked = [names.index(name) for name in it.helper.names if name in names]
        equal(sorted(asked), list(range(len(names))))
        turned = sum(a > b for at, a in enumerate(asked) for b in asked[at:])
        # Moments by chance turn half of the pairs round; that 8 run at once turns round few.
        check(turned > len(names) * (len(names) - 1) // 8, f"only {turned} pairs: {asked}")


if ROOT:

    @case("an account for helpers that is not there: said, no helper runs, and headers stay")
    def no_account():
        with scene() as it:
            asked = len(it.helper.runs)
            it.hosts.configure({"helper_user": "no-such-account"})
            it.hosts.reload()
            host = it.wait_failure(url(GOOD))
            check('there is no account "no-such-account"' in host["message"], host)
            equal(len(it.helper.runs), asked, "runs of the helper")
            it.expect_unharmed()
            it.hosts.configure({})
            it.hosts.reload()
            it.hosts.wait_header(url(GOOD))
            it.expect_unharmed()


sys.exit(run())
