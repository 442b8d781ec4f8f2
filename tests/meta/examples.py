# SPDX-License-Identifier: Apache-2.0
"""Every JSON example of README.md and of the manual pages, and every set-up, works as it stands.

usage: examples.py SOURCE-ROOT
"""

import glob
import json
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap
from home import Home
from scenario import set_up

ROOT = os.path.abspath(sys.argv[1])
del sys.argv[1:2]

# Not ours: what other tools read.
FOREIGN = {'{ "credsStore": "pullkey" }\n'}
# The helpers that the examples name, and nobody has to have.
HELPERS = {"README.md": ["ecr-login"], "pullkey.conf.5.scd": ["ecr-login", "vault-login"]}
ABSENT = re.compile(r": there is no docker-credential-(\S+) in ")


def examples(path):
    """The texts in it that are JSON: between fences, or indented by a tab in a manual page."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    fenced = re.findall(r"^```\w*\n(\{.*?)^```$", text, re.M | re.S)
    return fenced + re.findall(r"^\t(\{.*\n)", text, re.M)


def check_example(name, text):
    with Home() as home:
        env = {"PULLKEY_CONFIG": home.write("example/config.json", text)}
        os.chmod(home.directory("example"), 0o755)
        done = home.run([home.pullkey, "config", "check", "--json"], env=env)
        findings = json.loads(done.stdout)["findings"]
        places = f"{home.bindir}:/usr/local/bin:/usr/bin"
        absent = [
            helper
            for helper in HELPERS.get(name, [])
            if not shutil.which(f"docker-credential-{helper}", path=places)
        ]
        found = [ABSENT.search(finding["message"]) for finding in findings]
        tap.check(all(found), f"{name}: {findings}")
        tap.equal(sorted(match[1] for match in found), absent, name)
        tap.equal((done.returncode, done.stderr), (1 if absent else 0, ""), name)
        # Where no rule matches, a login works.
        arguments = ["-ualice", "--password-stdin", "--no-verify", "q.example.com"]
        home.succeed([home.pullkey, "login", *arguments], "secret", env)


@tap.case("`pullkey config check` finds nothing in an example but helpers that are not installed")
def configurations():
    count = 0
    paths = [os.path.join(ROOT, "README.md"), *glob.glob(os.path.join(ROOT, "docs/man/*.scd"))]
    for path in paths:
        for text in examples(path):
            if text not in FOREIGN:
                check_example(os.path.basename(path), text)
                count += 1
    tap.equal(count, 2, "examples")


DOCKER, DROP_IN = ".docker/config.json", ".config/containers/registries.conf.d/pullkey.conf"


@tap.case("the set-ups of README.md make what they say, and leave what docker has")
def set_ups():
    tools = {"docker": DOCKER, "nerdctl": DOCKER}
    tools |= {"podman": DROP_IN, "buildah": DROP_IN, "skopeo": DROP_IN}
    for tool, path in tools.items():
        with Home() as home:
            for _ in range(2):
                set_up(home, tool)
                line = home.read(path)
                if path == DOCKER:
                    tap.equal(json.loads(line), {"credsStore": "pullkey"}, tool)
                else:
                    words = 'credential-helpers = ["pullkey", "containers-auth.json"]\n'
                    tap.equal(line, words, tool)
    for tool in ("docker", "nerdctl"):
        with Home() as home:
            before = '{ "auths": {}, "credsStore": "pass" }\n'
            home.write(DOCKER, before)
            set_up(home, tool)
            tap.equal(home.read(DOCKER), before, tool)


sys.exit(tap.run())
