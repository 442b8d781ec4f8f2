# SPDX-License-Identifier: Apache-2.0
"""What people and fleet tools are told: `status`, `show`, `render`, STATUS= and the values of the
metrics, each against what really is.
"""

import json
import os
import re
import sys
import time

from scene import CREDENTIAL, GOOD, LINKED, scene, url

from hosts import basic, jwt, table
from registry import wait_for
from tap import case, check, equal, run

HEADER = basic(*CREDENTIAL)
MASKED = "*" * 8
COLUMNS = ["REGISTRY", "HOST", "HELPER", "STATE", "EXPIRES", "LAST ANSWER"]
TIME = "%Y-%m-%dT%H:%M:%SZ"
OTHER, NONE = "other.example.com", "none.example.com"


def utc(seconds):
    return time.strftime(TIME, time.gmtime(seconds)) if seconds else "-"


def status(it, *options):
    """Exit status, rows of the table, and the lines below it."""
    done = it.hosts.command("status", *options)
    equal(done.stderr, "", "standard error")
    lines = done.stdout.splitlines()
    rows = [re.split(r" {2,}", line.strip()) for line in lines if not re.match(r"error|note", line)]
    notes = [line for line in lines if line.startswith("error")]
    return done.returncode, rows, notes


def json_status(it):
    done = it.hosts.command("status", "--json")
    return done.returncode, json.loads(done.stdout)


def row(it, host, state):
    """What the table has to say about a host that status.json knows."""
    known = it.hosts.host(url(host))
    return [host, url(host), it.helper.name, state, utc(known["expires"]), utc(known["last_success"])]


@case("status: each host with its state and times; what is wrong, and exit status 1, --json as well")
def states():
    with scene() as it:
        equal(status(it), (0, [COLUMNS, row(it, GOOD, "header")], []))
        code, answer = json_status(it)
        equal((code, answer["running"], [e["registry"] for e in answer["entries"]]), (0, True, [GOOD]))
        equal({**answer["entries"][0]["hosts"][0], "failures": 0}, it.hosts.host(url(GOOD)))

        it.helper.failure = "no such vault"
        it.hosts.reload()
        it.wait_failure(url(GOOD))
        code, rows, problems = status(it)
        equal((code, rows), (1, [COLUMNS, row(it, GOOD, "old header")]))
        message = it.hosts.host(url(GOOD))["message"]
        equal(problems, [f"error: {GOOD}: {url(GOOD)}: {message}"])
        equal(json_status(it)[0], 1)

        it.helper.failure = None
        it.hosts.reload()
        it.hosts.wait_header(url(GOOD))
        equal(status(it)[0], 0)
        # A registry with a problem, and one without a credential.
        it.write(OTHER, table("http://other.example.com", helper=it.helper.name))
        it.wait_problem(OTHER, "http://other.example.com: ", "allowInsecure")
        code, rows, problems = status(it)
        equal((code, rows[1:]), (1, [row(it, GOOD, "header")]))
        equal(problems, [f"error: {OTHER}: {it.hosts.problem(OTHER)}"])
        equal(json_status(it)[0], 1)
        os.unlink(os.path.join(it.source, OTHER, "hosts.toml"))
        it.wait_fine(OTHER)
        it.write(NONE, it.table(NONE))
        it.wait_failure(url(NONE))
        code, rows, problems = status(it)
        equal((code, rows[1:]), (1, [row(it, GOOD, "header"), row(it, NONE, "no header")]))
        check(len(problems) == 1 and NONE in problems[0], problems)


@case("status: one line for each problem of a file, with the URL, and never with a password in it")
def several():
    with scene() as it:
        it.write(
            OTHER,
            table("http://one.example.com", helper=it.helper.name),
            table("https://two.example.com", helper="docker-credential-pass"),
            table("https://user:s3cret@three.example.com", helper=it.helper.name),
        )
        it.wait_problem(OTHER, "one.example.com", "two.example.com", "three.example.com")
        problem = it.hosts.problem(OTHER)
        check("what follows docker-credential-" in problem, problem)
        check("s3cret" not in problem and "user" not in problem.replace("user ", ""), problem)


@case("status: the daemon does not run, has never run, or has nothing to read")
def ended():
    with scene() as it:
        it.hosts.stop()
        code, rows, problems = status(it)
        equal((code, rows), (1, [COLUMNS, row(it, GOOD, "header")]))
        check(len(problems) == 1 and "does not run: start" in problems[0], problems)
        code, answer = json_status(it)
        equal((code, answer["running"]), (1, False))
    with scene(start=False) as it:
        done = it.hosts.command("status")
        equal((done.returncode, done.stdout), (1, ""))
        check("has not run since this machine was started" in done.stderr, done.stderr)
        os.rename(it.source, it.source + ".gone")
        it.hosts.start()
        wait_for(lambda: it.hosts.status().get("notes"), "a note")
        done = it.hosts.command("status")
        equal(done.returncode, 0)
        check(f"note: there is no {it.source}: make it" in done.stdout, done.stdout)


@case("STATUS= tells how many have a header, and what is wrong before that")
def told():
    def last(it):
        it.hosts.is_ready()  # takes what has arrived
        lines = [line for line in it.hosts.notified if line.startswith("STATUS=")]
        return lines[-1].removeprefix("STATUS=") if lines else ""

    with scene() as it:
        text = "{} of 2 registries rendered; of {} hosts {} have no header; {} problems"
        wait_for(lambda: last(it) == text.format(1, 1, 0, 0), "STATUS= of one header")
        it.write(OTHER, it.table(NONE))
        wait_for(lambda: last(it) == "2 of 3 " + text.format(2, 2, 1, 0)[7:], "STATUS= of one without")
        it.hosts.configure({"helper_timeout": "long"})
        wait_for(lambda: "helper_timeout" in last(it), "STATUS= of a broken configuration")
        it.hosts.configure({})
        wait_for(lambda: last(it).startswith("2 of 3 "), "STATUS= of the one that is mended")
        check("STOPPING=1" not in it.hosts.notified, it.hosts.notified)


@case("the values of the metrics are those of the status")
def metrics():
    sample = re.compile(r"^(\w+)(?:\{(.*)\})? (-?\d+)$", re.M)

    def values(it):
        found = {}
        for name, labels, value in sample.findall(it.hosts.metrics()):
            host = re.search(r'host="([^"]*)"', labels)
            found[name.removeprefix("pullkey_hosts_"), host and host[1]] = int(value)
        return found

    with scene(start=False) as it:
        expiry = int(time.time()) + 7200
        credential = ("alice", jwt(expiry))
        it.helper.credentials[GOOD] = credential
        it.write(NONE, it.table(NONE))
        it.write(OTHER, table("http://other.example.com", helper=it.helper.name))
        it.start(credential)
        it.wait_failure(url(NONE))
        wait_for(lambda: values(it).get(("helper_failures_total", url(NONE))), "the metrics")
        found = values(it)
        for host, header, expires in ((GOOD, 1, expiry), (NONE, 0, 0)):
            known, at = it.hosts.host(url(host)), url(host)
            equal(found["header", at], header, host)
            equal(found["header_expiry_seconds", at], expires, host)
            equal(found["last_success_seconds", at], known["last_success"], host)
            equal(found["helper_runs_total", at], known["asked"], host)
        check(found["last_success_seconds", url(GOOD)] > expiry - 7300, "the last success")
        equal(found["last_success_seconds", url(NONE)], 0)
        equal(found["problems", None], 1)
        equal(found["configuration_valid", None], 1)
        equal(found["on_open", None], 0)
        check(("helper_failures_total", url(GOOD)) not in found, "a failure of one that has none")
        it.hosts.configure({"helper_timeout": "long"})
        wait_for(lambda: values(it)["configuration_valid", None] == 0, "the configuration's")


SECRETS = f"""\
server = "https://user:uRlMaRkEr@secret.example.com"
password = "pLaInMaRkEr"
[host."https://user:kEyMaRkEr@mirror.example.com"]
  capabilities = ["pull"]  # Basic cOmMeNtMaRkEr
[host."https://mirror.example.com".header]
  X-Api-Key = "hEaDeRmArKeR"
  X-List = ["lIsTmArKeR1", "lIsTmArKeR2"]
[host."https://mirror.example.com".auth]
  token = '''tOkEnMaRkEr'''
  note = "https://example.com/a@b stays"
"""


@case("show: what containerd reads, with every secret masked and everything else as it is")
def shown():
    with scene() as it:
        done = it.hosts.command("show", GOOD)
        equal(done.returncode, 0)
        place = os.path.join(it.target, GOOD, "hosts.toml")
        equal(done.stderr, f"{place}:\n")
        with open(place, encoding="utf-8") as file:
            text = file.read()
        check(HEADER in text, "there is no header to be masked")
        equal(done.stdout, text.replace(HEADER, MASKED))
        # Another port, and one without credentials.
        done = it.hosts.command("show", LINKED)
        with open(os.path.join(it.source, LINKED, "hosts.toml"), encoding="utf-8") as file:
            equal((done.returncode, done.stdout), (0, file.read()))
        it.home.write("certs.d/secret.example.com/hosts.toml", SECRETS)
        it.home.write("certs.d/_default/hosts.toml", 'server = "https://default.example.com"\n')
        it.home.write("certs.d/host_5000_/hosts.toml", 'server = "https://port.example.com"\n')
        it.hosts.wait_scanned("secret.example.com", "_default", "host_5000_")
        done = it.hosts.command("show", "secret.example.com")
        equal(done.returncode, 0)
        check(not re.search("mArKeR", done.stdout, re.I), done.stdout)
        hidden = re.sub(r"(?i)user:\w*marker", MASKED, SECRETS)
        hidden = re.sub(r"(?i)(?<=Basic )\w*marker", lambda found: "*" * len(found[0]), hidden)
        hidden = re.sub(r"(?i)'''\w*marker'''", f'"{MASKED}"', hidden)
        equal(done.stdout, re.sub(r"(?i)\w*marker\d?", MASKED, hidden))
        for name, server in (("nobody.example", "default"), ("host:5000", "port")):
            done = it.hosts.command("show", name)
            equal((done.returncode, done.stdout), (0, f'server = "https://{server}.example.com"\n'))


# A line of a hosts.toml, or more, and what is shown of it.
LEAK, HOST = "mArKeR-5eC9e7", '[host."https://mirror.example.com"]\n'
ESCAPED = "".join(f"\\u{ord(letter):04x}" for letter in LEAK)
FORMS = (
    (f'token = "{ESCAPED}"', f'token = "{MASKED}"'),
    (f'token = """\n{LEAK[:6]}\\\n  {LEAK[6:]}"""', f'token = "{MASKED}"'),
    ("token = 555333111", f'token = "{MASKED}"'),
    ("header = { X-Since = 1979-05-27 }", f'header = {{ X-Since = "{MASKED}" }}'),
    (f'# password = "{LEAK}"', f"# password = {MASKED}"),
    (f'# X-Api-Key: "{LEAK}"', f"# X-Api-Key: {MASKED}"),
    (f"# Basic  \t {LEAK}!", "# Basic  \t " + "*" * (len(LEAK) + 1)),
    (f"# https://user:{LEAK}@mirror.example.com/?a", f"# https://{'*' * (len(LEAK) + 5)}@mirror.example.com/?*"),
    (f"# https://mirror.example.com/v2?{LEAK} is old", f"# https://mirror.example.com/v2?{'*' * len(LEAK)} is old"),
    (f'note = "https://mirror.example.com/v2?{LEAK}"', f'note = "https://mirror.example.com/v2?{MASKED}"'),
    (f'note = "https://us\\u0065r:{ESCAPED}@mirror.example.com"', f'note = "{MASKED}"'),
    (f'"https://us\\u0065r:{ESCAPED}@mirror.example.com" = 1', f'"{MASKED}" = 1'),
    (f'[x."https://us\\u0065r:{ESCAPED}@mirror.example.com".y]', f'["{MASKED}"]'),
    (f"client = '''-----BEGIN PRIVATE KEY-----\n{LEAK}\n-----END PRIVATE KEY-----'''", f'client = "{MASKED}"'),
    ('bearer = "x"  # of no secret', 'bearer = "x"  # of no secret'),
)


@case("show: secrets that are escaped, wrapped, commented out, in a query, or no string")
def forms():
    with scene() as it:
        for number, (text, _) in enumerate(FORMS):
            it.home.write(f"certs.d/form{number}/hosts.toml", HOST + text + "\n")
        it.hosts.wait_scanned(*(f"form{number}" for number in range(len(FORMS))))
        for number, (_, shown_text) in enumerate(FORMS):
            done = it.hosts.command("show", f"form{number}")
            equal((done.returncode, done.stdout), (0, HOST + shown_text + "\n"))


@case("show: a registry that is not there, no name of one, and a daemon that has never run")
def not_shown():
    with scene() as it:
        done = it.hosts.command("show", "index.docker.io")
        equal((done.returncode, done.stdout), (1, ""))
        check("has no directory for index.docker.io" in done.stderr, done.stderr)
        for name in ("", "a/b", ".hidden", "x" * 5000):
            equal(it.hosts.command("show", name).returncode, 2, name[:9])
    with scene(start=False) as it:
        done = it.hosts.command("show", GOOD)
        equal((done.returncode, done.stdout), (1, ""))
        check("has not run since this machine was started" in done.stderr, done.stderr)


@case("render: 1 and a line for each problem, 0 and the numbers without one, --json the same")
def rendered():
    with scene(start=False) as it:
        words = ["render", "--source", it.source]
        done = it.hosts.command(*words)
        equal((done.returncode, done.stdout, done.stderr), (0, "registries: 1 rendered, 1 linked\n", ""))
        done = it.hosts.command(*words, "--json")
        equal((done.returncode, json.loads(done.stdout)), (0, {"problems": [], "rendered": 1, "linked": 1}))
        it.write(NONE, it.table(NONE))
        it.write(OTHER, table("http://other.example.com", helper=it.helper.name))
        done = it.hosts.command(*words)
        equal((done.returncode, done.stdout), (1, "registries: 2 rendered, 2 linked\n"))
        lines = sorted(done.stderr.splitlines())
        equal(len(lines), 2, lines)
        check(lines[0].startswith(f'{NONE}: {url(NONE)}: no header from "{it.helper.name}": '), lines[0])
        check(lines[1].startswith(f"{OTHER}: http://other.example.com: over http://"), lines[1])
        done = it.hosts.command(*words, "--json")
        answer = json.loads(done.stdout)
        equal((done.returncode, done.stderr), (1, ""))
        equal([p["registry"] for p in answer["problems"]], [NONE, OTHER])
        equal(answer["problems"][0]["host"], url(NONE))


sys.exit(run())
