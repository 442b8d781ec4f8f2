# SPDX-License-Identifier: Apache-2.0
"""What the process that asks may do, and what the daemon believes of it: a module that somebody has
taken over looks around, lies, or stays.
"""

import json
import os
import pwd
import re
import stat
import sys
import time

from scene import CREDENTIAL, GOOD, decoded, scene, url

from daemon import ROOT
from hosts import basic, table
from registry import wait_for
from tap import case, check, equal, run

ROGUE = "rogue.example.com"


def use_rogue(it, **options):
    """The registry ROGUE is asked of the module; everything else goes on as it is."""
    backends = {"rogue": {"type": "fake-rogue", **options}}
    rules = [{"match": ROGUE, "use": ["rogue"]}]
    it.hosts.configure({"helper_timeout": 1}, backends=backends, rules=rules)
    it.write(ROGUE, table(url(ROGUE), helper="pullkey"))


def fields(text):
    """/proc/PID/status as names and values."""
    return dict(re.findall(r"^(\w+):[ \t]*(.*)$", text, re.M))


@case("the process that asks: no capabilities, no new privileges, no core, nothing to write or run")
def looks():
    with scene() as it:
        home, cache = it.home.path, it.home.env.get("PULLKEY_CACHE_DIR")
        cache = cache or it.home.directory("run/pullkey/cache")
        bait = it.home.write("bait/file", "bait")
        touch = [it.source, os.path.join(it.source, GOOD, "hosts.toml"), it.target, home, bait]
        touch += [os.path.join(it.target, GOOD, "hosts.toml"), os.path.dirname(it.target)]
        touch += ["/tmp", "/dev/shm", "/run", it.home.env["XDG_CONFIG_HOME"] + "/pullkey"]
        os.environ["AWS_SECRET_ACCESS_KEY"] = "nothing"
        use_rogue(it, do="look", touch=touch, keep=cache)
        it.hosts.wait_header(url(ROGUE))
        wait_for(lambda: it.header(ROGUE), "the header")
        user, text = decoded(it.header(ROGUE))
        equal(user, "rogue")
        seen = json.loads(text)
        equal(seen["done"], [""], "what it could do, or not")
        equal((seen["dumpable"], seen["core"]), (0, 0), "dumpable, core")
        # 0 to 2, the listing itself, "." and ".."; the asking leaves nothing else open.
        equal(seen["descriptors"], 6, "descriptors")
        equal(seen["arguments"], "pullkey-hosts\nask\n")
        status = fields(seen["status"])
        for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            equal(int(status[name], 16), 0, name)
        if ROOT:
            equal(int(status["CapBnd"], 16), 0, "CapBnd")
        equal(status["NoNewPrivs"], "1")
        equal(status["Uid"].split(), [str(os.getuid())] * 4)
        with open(bait, encoding="ascii") as file:
            equal(file.read(), "bait")
        it.expect_unharmed()


HEADER = basic("alice", "x")
GOOD_RECORD = json.dumps({"expiry": 0, "header": HEADER})
RECORDS = {
    "nothing": "",
    "no JSON": "header: " + HEADER,
    "half of it": GOOD_RECORD[:-3],
    "something behind it": GOOD_RECORD + " {}",
    "a header of two lines": json.dumps({"expiry": 0, "header": HEADER + "\r\nX-Evil: 1"}),
    "TOML": json.dumps({"expiry": 0, "header": HEADER + '"\n[host."https://evil.example.com"]\n#'}),
    "another scheme": json.dumps({"expiry": 0, "header": "Bearer " + HEADER}),
    "base64 that is not": json.dumps({"expiry": 0, "header": "Basic YTp=iI"}),
    "no colon": json.dumps({"expiry": 0, "header": "Basic YQ=="}),
    "a header twice": '{"expiry":0,"header":"%s","header":"%s"}' % (HEADER, HEADER),
    "no expiry": json.dumps({"header": HEADER}),
    "an expiry that is no number": json.dumps({"expiry": "1", "header": HEADER}),
    "an expiry without end": '{"expiry":1e300,"header":"%s"}' % HEADER,
    "an expiry in the past": json.dumps({"expiry": 1, "header": HEADER}),
    "a negative expiry": json.dumps({"expiry": -1, "header": HEADER}),
    "an unknown class": json.dumps({"class": 99, "message": "x"}),
    "class 0": json.dumps({"class": 0, "message": "x"}),
    "a message of two lines": json.dumps({"class": 4, "message": 'x\n[host."https://evil"]\n'}),
}


@case("whatever the process that asks says: a header for its own host, or an error")
def lies():
    with scene() as it:
        before = None
        for name, text in RECORDS.items():
            failures = it.hosts.host(url(ROGUE)).get("failures", 0)
            use_rogue(it, do="say", text=text or " ")
            host = it.wait_failure(url(ROGUE), failures + 1)
            check(not host["header"] and "\n" not in host["message"], (name, host))
            before = before or it.read(ROGUE)
            equal(it.read(ROGUE), before, name)
        use_rogue(it, do="say", text=GOOD_RECORD)
        it.wait_read(ROGUE, HEADER)
        it.hosts.wait_header(url(ROGUE))
        use_rogue(it, do="say", text=GOOD_RECORD, status=1)
        equal(it.wait_failure(url(ROGUE))["class"], "internal")
        use_rogue(it, do="flood", text="x" * 1000)
        equal(it.wait_failure(url(ROGUE), 2)["class"], "internal")
        equal(it.header(ROGUE), HEADER)
        it.expect_unharmed()


@case("a process that asks and stays, deaf to signals, or leaves a child: nobody waits for it")
def stays():
    with scene() as it:
        for what in ("close", "fork"):
            asked = it.hosts.host(url(ROGUE)).get("asked", 0)
            use_rogue(it, do=what, text=GOOD_RECORD)
            it.hosts.wait_asked(url(ROGUE), asked + 1)
            # Meanwhile everything else goes on.
            it.helper.credentials[GOOD] = ("alice", what)
            it.hosts.reload()
            it.wait_read(GOOD, basic("alice", what))
            wait_for(lambda: it.hosts.host(url(ROGUE))["failures"], "an error")
            equal(it.header(ROGUE), None)
            it.helper.credentials[GOOD] = CREDENTIAL
            it.hosts.reload()
            it.wait_read(GOOD, basic(*CREDENTIAL))
        began = time.monotonic()
        it.hosts.stop()
        check(time.monotonic() - began < 10, "it took 10 seconds to end")
        wait_for(lambda: not asking(), "all that it started to end")


def asking():
    """Processes that ask the module."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                words = file.read()
            with open(f"/proc/{name}/maps", encoding="utf-8") as file:
                maps = file.read()
        except OSError:
            continue
        if words == b"pullkey-hosts\0ask\0" and "fake-rogue" in maps:
            found.append(int(name))
    return found


@case("a helper of another: the account that runs it, its groups, its environment, its descriptors")
def other_helper():
    with scene(start=False) as it:
        dump = os.path.join(it.helper._directory, "dump")
        os.mkdir(dump)
        os.chmod(dump, 0o777)
        with open(it.helper.program, encoding="utf-8") as file:
            real = file.read()
        moved = it.helper.program + "-real"
        with open(moved, "w", encoding="utf-8") as file:
            file.write(real)
        os.chmod(moved, 0o755)
        with open(it.helper.program, "w", encoding="utf-8") as file:
            file.write(
                "#!/bin/sh\n"
                f"cat /proc/$$/status >{dump}/status\n"
                f"tr '\\0' '\\n' </proc/$$/environ >{dump}/environment\n"
                f"ls /proc/$$/fd >{dump}/descriptors\n"
                f"pwd >{dump}/directory\n"
                f'exec {moved} "$@"\n'
            )
        hostile = {"SSLKEYLOGFILE": "/x", "OPENSSL_CONF": "/x", "GCONV_PATH": "/x", "NETRC": "/x"}
        hostile |= {"MALLOC_PERTURB_": "1", "LD_LIBRARY_PATH": "/x", "MARKER_OF_CALLER": "yes"}
        it.home.env.update(hostile)
        try:
            it.start()
            seen = {name: open(os.path.join(dump, name)).read() for name in os.listdir(dump)}
        finally:
            os.unlink(moved)
        status = fields(seen["status"])
        equal(status["NoNewPrivs"], "1")
        environment = dict(line.split("=", 1) for line in seen["environment"].splitlines())
        names = set(environment)
        equal(names & (set(hostile) - {"MARKER_OF_CALLER"}), set(), "hostile variables")
        check("NOTIFY_SOCKET" not in names and not names & {"WATCHDOG_USEC"}, names)
        check(CREDENTIAL[1] not in seen["environment"], "the secret is in the environment")
        # Those from 10 on are the shell's own.
        low = {number for number in seen["descriptors"].split() if int(number) < 10}
        equal(low, {"0", "1", "2"}, "descriptors")
        if not ROOT:
            check("MARKER_OF_CALLER" in names, "a user's helper inherits the user's environment")
            return
        helper_user = json.loads(it.home.read(".config/pullkey/config.json"))["containerd"]
        account = pwd.getpwnam(helper_user["helper_user"])
        equal(status["Uid"].split(), [str(account.pw_uid)] * 4)
        equal(status["Gid"].split(), [str(account.pw_gid)] * 4)
        if account.pw_uid != 0:
            equal(status["Groups"].split(), [], "groups")
            equal(int(status["CapEff"], 16), 0)
            equal(seen["directory"], "/\n")
        check("MARKER_OF_CALLER" not in names, names)
        equal(environment["PATH"].split(":")[-1], "/bin")


@case("the daemon itself: not dumpable, no core, no new privileges, files for root alone")
def daemon():
    with scene() as it:
        pid = it.hosts.process.pid
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            equal(fields(file.read())["NoNewPrivs"], "1")
        with open(f"/proc/{pid}/limits", encoding="utf-8") as file:
            check(re.search(r"^Max core file size +0 +0 ", file.read(), re.M), "core files")
        if ROOT:
            # Those of a process that is not dumpable belong to root, whoever runs it; and here too.
            equal(os.stat(f"/proc/{pid}/environ").st_uid, 0)
        else:
            try:
                with open(f"/proc/{pid}/environ", "rb") as file:
                    file.read()
                raise AssertionError("its environment can be read")
            except PermissionError:
                pass
        modes = {it.target: 0o700, os.path.join(it.target, GOOD): 0o700}
        modes[os.path.join(it.target, GOOD, "hosts.toml")] = 0o600
        modes[os.path.join(it.hosts.directory, "status.json")] = 0o600
        modes[os.path.join(it.hosts.directory, "metrics.prom")] = 0o644
        modes[it.hosts.log_path] = 0o600
        for path, mode in modes.items():
            status = os.stat(path)
            equal((stat.S_IMODE(status.st_mode), status.st_uid), (mode, os.geteuid()), path)
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            check(CREDENTIAL[1].encode() not in file.read(), "arguments")


@case("hostile variables change nothing: the same target, and no file of theirs")
def environment():
    with scene(start=False) as it:
        traps = it.home.directory("traps")
        for name in ("SSLKEYLOGFILE", "MALLOC_TRACE", "LD_DEBUG_OUTPUT", "OPENSSL_CONF", "NETRC"):
            it.home.env[name] = os.path.join(traps, name)
        it.home.env |= {"IFS": "/", "LC_ALL": "tr_TR.UTF-8", "TZ": ":/nonexistent"}
        it.home.env["GCONV_PATH"] = traps
        it.home.env |= {"POSIXLY_CORRECT": "1", "CREDENTIALS_DIRECTORY": "relative", "HOME": traps}
        it.home.env |= {"NOTIFY_SOCKET_": "x", "WATCHDOG_USEC": "-1", "WATCHDOG_PID": "1"}
        it.start()
        equal(os.listdir(traps), [])
        it.expect_unharmed()


@case("names of helpers never become paths, and a helper's name is no option")
def names_of_helpers():
    with scene() as it:
        names = ("../x", "a/b", "/bin/sh", ".", "-v", "a b", "", "A", "x" * 99)
        for number, name in enumerate(names):
            host = f"r{number}.example.com"
            it.write(host, table(url(host), helper=name))
            it.wait_problem(host, "credHelper must be the NAME")
            it.expect_source(host)
        it.expect_unharmed()


@case("over http, without verification, or for whatever a pod names, there is no header")
def insecure():
    with scene() as it:
        name = it.helper.name
        texts = {
            "a.example.com": table("http://a.example.com", helper=name),
            "b.example.com": table(url("b.example.com"), helper=name, skip_verify=True),
            "_default": f'[auth]\ncredHelper = "{name}"\n',
            "c.example.com": table("https://user@c.example.com", helper=name),
            "d.example.com": table("https://d.example.com%2eevil.example.com", helper=name),
        }
        for host in texts:
            it.helper.credentials[host] = CREDENTIAL
        asked = len(it.helper.runs)
        for host, text in texts.items():
            it.write(host, text)
        for host in texts:
            it.wait_problem(host)
            if host != "_default":
                it.expect_source(host)
        equal(len(it.helper.runs), asked, "runs of the helper")
        it.expect_unharmed()


sys.exit(run())
