# SPDX-License-Identifier: Apache-2.0
"""pullkey config add: what is written is what was shown, and the rest of the file stays as it is."""

import json
import os
import re
import stat
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from home import Home
from system_home import System
from tap import case, check, equal, run
from terminal import Terminal

UUID = "01234567-89ab-cDEF-0123-456789abcdef"
CONFIG = ".config/pullkey/config.json"
TYPES = (
    ("ecr", (), {"type": "token", "recipe": "ecr", "optional": True}, ["*.dkr.ecr.*.amazonaws.com"]),
    (
        "ecr",
        ("--profile=p", "--region=eu-central-1", "--role-arn", "arn:aws:iam::123456789012:role/pull"),
        {
            "type": "token",
            "recipe": "ecr",
            "aws": {"profile": "p", "region": "eu-central-1", "role_arn": "arn:aws:iam::123456789012:role/pull"},
        },
        ["*.dkr.ecr.*.amazonaws.com"],
    ),
    ("gcp", (), {"type": "token", "recipe": "gcp", "optional": True}, ["gcr.io", "*.gcr.io", "*.pkg.dev"]),
    (
        "acr",
        ("--tenant", "t", "--client-id", UUID, "--match", "a.azurecr.io"),
        {"type": "token", "recipe": "acr", "azure": {"tenant": "t", "client_id": UUID}},
        ["a.azurecr.io"],
    ),
    (
        "exec",
        ("--helper=pass", "--env", "A,B_C", "--match", "*.a.example", "--match", "b.example:5000"),
        {"type": "exec", "helper": "pass", "env": ["A", "B_C"]},
        ["*.a.example", "b.example:5000"],
    ),
)
ROLES = ("nonsense", "arn:aws:iam::123456789012:role/", "arn:aws:iam::12345678901:role/x",
         "arn:aws:iam::123456789012:user/x", "arn::iam::123456789012:role/x", "arn:aws:iam::123456789012:role/x y",
         "arn:aws:iam:eu:123456789012:role/x", "arn:aws:iam::1234567890123:role/x")
UUIDS = ("not a uuid", UUID[:-1], UUID + "0", UUID.replace("-", ""), UUID.replace("a", "g"), "{" + UUID + "}")
WRITTEN = """// mine
{
    "version": 1, // of the format
    "backends": { /* none yet */ },
    "rules": [ // the first that matches is the one
        // kept
        { "match": "a.example", "use": ["file"] },
    ],
    "x-mine": "\\u00e9 and <&>",
}
"""


def add(home, *words, text="", env=None):
    return home.run([home.pullkey, "config", "add", *words], text, env)


def configure(home, text):
    path = home.write(CONFIG, text)
    os.chmod(path, 0o600)
    return path


@case("each type, into a file that is made: for its owner alone, and nothing is wrong with it")
def types():
    for kind, options, backend, match in TYPES:
        with Home() as home:
            done = add(home, kind, *options, "--yes")
            equal((done.returncode, done.stderr), (0, ""), done.stdout)
            document = json.loads(home.read(CONFIG))
            rule = {"match": match, "use": [kind]}
            equal(document, {"version": 1, "backends": {kind: backend}, "rules": [rule]})
            shown = [line[1:] for line in done.stdout.splitlines()[3:-1]]
            equal("\n".join(shown) + "\n", home.read(CONFIG), "shown")
            equal(stat.S_IMODE(os.stat(os.path.join(home.path, CONFIG)).st_mode), 0o600)
            home.succeed([home.pullkey, "config", "check"])


@case("in a file that is there everything else stays, to the byte, and the rule comes first")
def inserted():
    with Home() as home:
        path = configure(home, WRITTEN)
        os.chmod(path, 0o640)
        add(home, "ecr", "--yes").check_returncode()
        text = home.read(CONFIG)
        equal(
            text,
            WRITTEN.replace("{ /*", '{ "ecr": { "type": "token", "recipe": "ecr", "optional": true } /*').replace(
                "is the one\n",
                'is the one\n        { "match": ["*.dkr.ecr.*.amazonaws.com"], "use": ["ecr"] },\n',
            ),
        )
        equal(stat.S_IMODE(os.stat(path).st_mode), 0o640)
        role = "arn:aws-us-gov:iam::123456789012:role/a/b-c_d.e+f=g,h@i"
        add(home, "ecr", "--yes", "--name", "third", "--match", "c.example", "--role-arn", role).check_returncode()
        add(home, "ecr", "--yes", "--name", "second", "--match", "b.example").check_returncode()
        home.succeed([home.pullkey, "config", "check"])
        shown = home.succeed([home.pullkey, "explain", "b.example"])
        check("second" in shown, shown)
        # Where there are no backends and no rules.
        configure(home, '{ "version": 1 }\n')
        add(home, "ecr", "--yes").check_returncode()
        document = json.loads(home.read(CONFIG))
        equal([*document], ["backends", "rules", "version"])
        home.succeed([home.pullkey, "config", "check"])


@case("what is refused changes nothing, and says what is wrong")
def refused():
    with Home() as home:
        for words, status, said in (
            (("ecr",), 1, ":4: backends.ecr: there is such a backend already: give yours another --name"),
            (("nothing",), 2, 'there is no "nothing" to be added'),
            (("gcp", "--role-arn", "x"), 2, "--role-arn goes with ecr"),
            *((("ecr", "--name", "b", "--role-arn", role), 2, "--role-arn: it is arn:") for role in ROLES),
            *((("acr", "--client-id", uuid), 2, "--client-id: it is") for uuid in UUIDS),
            (("kubernetes", "--match", "b.example"), 2, "kubernetes needs --secret"),
            (("exec", "--helper", "x"), 2, "exec needs --match"),
            (("gcp", "--name", "Not/a"), 2, "--name"),
            (("gcp", "--caller", "hosts"), 2, "--system"),
            (("gcp", "--caller", "nobody"), 2, "docker|hosts|kubelet"),
            (("gcp", "--match", "a..b"), 1, "rules[0].match"),
            (("exec", "--helper", "pullkey", "--match", "b.example"), 1, "pullkey"),
            (("exec", "--helper", "not-there", "--match", "b.example"), 1, "there is no docker-credential-not-there"),
        ):
            text = WRITTEN.replace("{ /* none yet */ }", '{ "ecr": { "type": "token", "recipe": "ecr" } }')
            configure(home, text)
            done = add(home, *words, "--yes")
            equal((done.returncode, home.read(CONFIG)), (status, text), f"{words}: {done.stderr}")
            check(said in done.stdout + done.stderr, f"{words}: {done.stdout}{done.stderr}")
        for text in ("", "{", '{ "version": 1, "version": 1 }', '{ "version": 1, "rules": {} }', "[]"):
            configure(home, text)
            done = add(home, "acr", "--yes")
            equal((done.returncode, home.read(CONFIG)), (1, text), done.stderr)
            check("config.json:1: " in done.stderr, done.stderr)
        os.unlink(os.path.join(home.path, CONFIG))
        other = home.write("other.json", '{ "version": 1 }')
        os.symlink(other, os.path.join(home.path, CONFIG))
        equal((add(home, "acr", "--yes").returncode, home.read("other.json")), (1, '{ "version": 1 }'))
        done = add(home, "acr", "--yes", env={"PULLKEY_CONFIG_JSON": '{"version":1}'})
        check(done.returncode == 1 and "PULLKEY_CONFIG_JSON is the whole" in done.stderr, done.stderr)
        # The one that is named is the one.
        os.chmod(other, 0o600)
        add(home, "acr", "--yes", env={"PULLKEY_CONFIG": other}).check_returncode()
        check('"acr"' in home.read("other.json"), home.read("other.json"))


@case("a password that somebody wrote into the file is not shown, and stays")
def masked():
    with Home() as home:
        mine = '"x-password" /* " */ :\n "mark\\"er-5f11", "x-Token": "marker-5f12", "x-more": "token",'
        text = WRITTEN.replace('"backends": { /* none yet */ },', mine)
        configure(home, text)
        done = add(home, "ecr", "--yes")
        equal(done.returncode, 0, done.stderr)
        check("-5f1" not in done.stdout + done.stderr, done.stdout)
        for shown in (' "***", "x-Token": "***", "x-more": "token",\n', '"type": "token"'):
            check(shown in done.stdout, done.stdout)
        check(mine in home.read(CONFIG), home.read(CONFIG))


@case("somebody is asked, or nothing happens")
def asks():
    with Home() as home:
        done = add(home, "ecr")
        equal((done.returncode, home.read(CONFIG)), (0, ""))
        check("--yes" in done.stderr, done.stderr)
        command = [home.pullkey, "config", "add", "ecr"]
        for answer, status in (("n\n", 1), ("\n", 1), ("y\n", 0)):
            equal(home.read(CONFIG), "")
            with Terminal(command, home.env) as terminal:
                terminal.expect("Write it? [y/N] ")
                terminal.type(answer)
                equal(terminal.wait(), status, terminal.output)
        check(home.read(CONFIG) != "", "it is written")


@case("a rule that is hidden, or hides another, is refused with what is wrong, unless --yes says that it is meant")
def hides():
    with Home() as home:
        for match in ("a.example", "**", "*.example"):
            configure(home, WRITTEN)
            done = add(home, "acr", "--match", match)
            equal((done.returncode, home.read(CONFIG)), (1, WRITTEN), done.stderr)
            check(re.search(r':\d+: "a.example" is never reached: the rule at \S+:\d+ comes first', done.stdout), done.stdout)
            check("--yes" in done.stderr and "Nothing was changed" in done.stderr, done.stderr)
            command = [home.pullkey, "config", "add", "acr", "--match", match]
            with Terminal(command, home.env) as terminal:
                equal((terminal.wait(), home.read(CONFIG)), (1, WRITTEN), terminal.output)
            done = add(home, "acr", "--match", match, "--yes")
            equal(done.returncode, 0, done.stderr)
            check('"a.example" is never reached' in done.stdout, done.stdout)
            check('"acr"' in home.read(CONFIG), "written")
            # What was hidden before is no reason.
            done = add(home, "gcp")
            equal(done.returncode, 0, done.stderr)
            check("Nothing is changed yet" in done.stderr, done.stderr)


@case("--json: the file, the rule, and what config check finds; written with --yes alone")
def as_json():
    with Home() as home:
        for match, words, status, found in (("b.example", (), 0, 0), ("a.example", (), 1, 1), ("a.example", ("--yes",), 0, 1)):
            configure(home, WRITTEN)
            done = add(home, "acr", "--match", match, "--json", *words)
            report = json.loads(done.stdout)
            equal((done.returncode, report["done"], len(report["findings"])), (status, bool(words), found), done.stderr)
            equal((report["file"], report["backend"]), (os.path.join(home.path, CONFIG), "acr"))
            equal(report["rule"], {"match": [match], "use": ["acr"]})
            equal([item["level"] for item in report["findings"]], ["warning"] * found)
            equal('"acr"' in home.read(CONFIG), bool(words))


@case("several at once: all of them are there in the end, and of one name only one")
def at_once():
    with Home() as home:
        names = [f"n{number}" for number in range(8)]
        words = [[home.pullkey, "config", "add", "ecr", "--yes", "--name", n, "--match", f"{n}.example"] for n in names]
        running = [home.start(command, subprocess.DEVNULL) for command in words]
        equal([process.wait() for process in running], [0] * 8)
        equal(sorted(json.loads(home.read(CONFIG))["backends"]), names)
        running = [home.start([home.pullkey, "config", "add", "acr", "-y"], subprocess.DEVNULL) for _ in range(4)]
        equal(sorted(process.wait() for process in running), [0, 1, 1, 1])
        equal(len(json.loads(home.read(CONFIG))["rules"]), 9)
        equal(sorted(os.listdir(os.path.join(home.path, ".config/pullkey"))), ["config.json"])


@case("--system makes a file of config.d that everybody can read")
def system():
    with System() as home:
        os.makedirs(os.path.join(home.etc, "pullkey"), 0o755)
        words = ("config", "add", "ecr", "--yes", "--caller", "hosts,kubelet")
        done = home.system(*words)
        equal((done.returncode, done.stderr), (0, ""), done.stdout)
        document = json.loads(home.read("etc/pullkey/config.d/ecr.json"))
        equal(document["rules"][0]["when"], {"caller": ["hosts", "kubelet"]})
        equal((home.mode("etc/pullkey/config.d"), home.mode("etc/pullkey/config.d/ecr.json")), (0o755, 0o644))
        done = home.system("config", "add", "gcp", "--yes", "--caller", "docker,")
        check(done.returncode == 2 and "--caller" in done.stderr, done.stderr)
        done = home.system(*words)
        check(done.returncode == 1 and "config.d/ecr.json:4: backends.ecr: there is such" in done.stderr, done.stderr)


@case("a new file of config.d has the place of its name, when it is checked as when it is there")
def places():
    with System() as home:
        home.configure({"version": 1, "rules": [{"match": "last.example", "use": ["file"]}]})
        home.directory("etc/pullkey/config.d")
        for name, match in (("aa", "after.example"), ("zz", "before.example")):
            rule = {"match": match, "use": ["file"]}
            home.write(f"etc/pullkey/config.d/{name}.json", json.dumps({"version": 1, "rules": [rule]}))
        for name, match, hidden, first in (
            ("m1", "before.example", "m1.json", "zz.json"),
            ("m2", "after.example", "aa.json", "m2.json"),
            ("m3", "last.example", "/config.json", "m3.json"),
        ):
            words = ("config", "add", "ecr", "--name", name, "--match", match)
            equal(home.system(*words).returncode, 1, "not meant")
            check(f"{name}.json" not in home.entries("etc/pullkey/config.d"), "nothing is written")
            done = home.system(*words, "--yes")
            equal(done.returncode, 0, done.stderr)
            pattern = rf"{hidden}:\d+: \"{match}\" is never reached: the rule at \S+{first}:\d+ comes first"
            for output in (done.stdout, home.system("config", "check").stdout):
                check(re.search(pattern, output), output)


run()
