# SPDX-License-Identifier: Apache-2.0
"""pullkey doctor --as hosts: each host that containerd asks is asked, mirrors before the server."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager

HERE = os.path.dirname(os.path.abspath(__file__))
for place in ("../lib", "../hosts"):
    sys.path.insert(0, os.path.join(HERE, place))
from hosts import table
from image import Image
from live import EXECUTE, MOUNTS, case_of_root, daemon, published
from node import CERTS, MARKER, SYSCONFDIR
from registry import Registry, wait_for
from service import Gate
from tap import case, check, equal, run
from template import TARGET, Template
from traps import reads

PULLKEY = os.path.join(os.environ["PULLKEY_BINDIR"], "pullkey")
REPOSITORY = "team/app"
DOWN = "https://127.0.0.1:1"
HOST = {"capabilities": ["pull", "resolve"]}


def url(service):
    return f"https://{service.address}"


class Machine(Template):
    """A node with a registry that has an image, and a gate before it that lets everybody in."""

    def __init__(self, registry, files=()):
        super().__init__({**reads(CERTS), **dict(files)}, "2.1.9")
        self.variables = {}
        self.registry, self.gate = registry, Gate(registry)
        self.gate.answer = lambda request: None
        self.gate.start()
        image = Image(self.path("/image"))
        registry.push(image, REPOSITORY, "puller")
        self.image = f"{self.gate.address}/{REPOSITORY}:{image.tag}"
        self.file = f"{CERTS}/{self.gate.address}/hosts.toml"

    def __exit__(self, *_):
        self.gate.stop()
        super().__exit__()

    def environment(self):
        return {**super().environment(), **self.variables}

    def write(self, *mirrors, more=""):
        """A hosts.toml with these mirrors before the gate."""
        self.put(self.file, f'server = "{url(self.gate)}"\n{self.trust()}{more}' + "".join(mirrors))

    def authority(self):
        with open(self.registry.ca, encoding="utf-8") as file:
            return file.read()

    def trust(self):
        return f'ca = "{self.registry.ca}"\n'

    def doctor(self, *words, caller=("--as", "hosts")):
        done = subprocess.run(
            ["unshare", "-m" if os.geteuid() == 0 else "-Urm", "sh", "-c", MOUNTS + EXECUTE, "sh", self.root, PULLKEY, "doctor", self.image]
            + [*caller, *words],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, env=self.environment())
        equal(done.stderr, "")
        check(MARKER not in done.stdout, "a secret was printed")
        return done

    def expect(self, cause, works, *words):
        """Of both forms; the caller's report."""
        done, table_ = self.doctor("--json"), self.doctor()
        (caller,) = json.loads(done.stdout)["callers"]
        equal((caller["cause"], caller["works"]), (cause, works), done.stdout)
        equal((done.returncode, table_.returncode), (0, 0) if works else (1, 1))
        equal(table_.stdout.splitlines()[-1], caller["text"])
        for word in words:
            check(word in caller["text"], f"{word!r} is not in {caller['text']!r}")
        return caller


@contextmanager
def machine(files=()):
    with Registry({"puller": MARKER}) as registry, Machine(registry, files) as there:
        yield there


def steps(caller, name):
    return [step["text"] for step in caller["steps"] if step["step"] == name]


@case("the server alone has it, or has it not")
def server():
    with machine() as there:
        there.write(table(url(there.gate), ca=there.registry.ca))
        caller = there.expect("works", True, f"a pull of {there.image} will work, from {url(there.gate)}")
        check(there.gate.requests, "it was asked")
        equal(len(steps(caller, "manifest")), 1)
        there.gate.answer = lambda request: (404, [], b"") if "/manifests/" in request.path else None
        caller = there.expect("no-tag", False, REPOSITORY)
        equal(len(steps(caller, "manifest")), 1)  # the same host twice is asked once
        there.gate.answer = lambda request: None
        os.unlink(there.path(there.file))
        there.put(f"{CERTS}/{there.gate.address}/ca.crt", there.authority())
        caller = there.expect("none", True)
        check("is not tried: it has" in steps(caller, "server")[0], caller)


@case("a mirror is down: the server has it, or is down as well")
def down():
    with machine() as there:
        there.write(table(DOWN, **HOST))
        caller = there.expect("mirror-failed", True, f"from {url(there.gate)}", f"the mirror {DOWN} fails",
                              "start it, or take it out of " + there.file)
        equal((steps(caller, "mirror"), steps(caller, "server")), ([DOWN], [url(there.gate)]))
        there.gate.stop()
        there.expect("mirror-failed", False, f"the mirror {DOWN} fails", f"and {url(there.gate)}: ")


@case("a mirror that has it ends it; one that has it not, and one with only a part of the work, do not")
def mirrors():
    with machine() as there, Gate(there.registry) as other:
        other.answer = lambda request: None
        there.write(table(url(other), ca=there.registry.ca, **HOST))
        caller = there.expect("works", True, f"from {url(other)}")
        equal((steps(caller, "server"), there.gate.requests), ([], []))
        other.answer = lambda request: (404, [], b"") if "/manifests/" in request.path else None
        there.expect("mirror-failed", True, f"the mirror {url(other)} fails", f"from {url(there.gate)}")
        there.write(table(DOWN, capabilities=["pull"]))
        equal(steps(there.expect("works", True), "mirror"), [])


@case("whom a mirror's certificate is from: ca of hosts.toml, and nobody else's")
def authorities():
    with machine() as there, Gate(there.registry) as other:
        other.answer = lambda request: None
        there.registry.make_client(there.path("/etc"))
        os.makedirs(there.path("/etc/ssl/certs"))
        os.rename(there.path("/etc/client.cert"), there.path("/etc/ssl/certs/ca-certificates.crt"))
        there.put(f"/etc/docker/certs.d/{other.address}/ca.crt", there.authority())
        there.write(table(url(other), **HOST))
        there.expect("mirror-failed", True, f"the mirror {url(other)} fails", "authorit")
        there.put(f"{CERTS}/{there.gate.address}/own.crt", there.authority())
        there.write(table(url(other), ca="own.crt", **HOST))
        there.expect("works", True, f"from {url(other)}")


@case("what is not tried is said, and is no failure")
def not_tried():
    with machine() as there:
        for values in ({"skip_verify": True}, {"ca": [there.registry.ca]}, {"override_path": True},
                       {"client": there.registry.ca}):
            there.write(table(DOWN, **HOST, **values))
            caller = there.expect("works", True, f"from {url(there.gate)}")
            check("is not tried: it has" in steps(caller, "mirror")[0], caller)
        there.gate.stop()
        there.expect("not-known", False, f"whether {DOWN} has it is not tried here")


@case("docker and containerd: it works for all of them, or a mirror is said beside that")
def all_of_them():
    with machine() as there:
        there.put("/bin/docker", "#!/bin/sh\n")
        os.chmod(there.path("/bin/docker"), 0o755)
        there.variables = {"HOME": there.path("/home"), "PATH": there.path("/bin") + ":/usr/bin:/bin"}
        there.put("/home", None)
        there.put(f"/etc/docker/certs.d/{there.gate.address}/ca.crt", there.authority())
        there.write(table(url(there.gate), ca=there.registry.ca))
        done = there.doctor("--json", caller=())
        found = json.loads(done.stdout)
        equal([(one["caller"], one["cause"]) for one in found["callers"]], [("docker", "works"), ("containerd", "works")])
        equal((found["works"], found["cause"], done.returncode), (True, "works", 0))
        last = f"a pull of {there.image} will work for all of them"
        equal(there.doctor(caller=()).stdout.splitlines()[-1], last)
        there.write(table(DOWN, **HOST))
        done = there.doctor(caller=())
        equal(done.returncode, 0)
        check(done.stdout.splitlines()[-1].startswith(f"{last}; containerd: a pull of "), done.stdout)


@case("whoever pulls has to bring a credential")
def none():
    with machine() as there:
        there.gate.answer = there.gate._refuse
        there.write(table(url(there.gate), ca=there.registry.ca))
        there.expect("no-credential", False, "name a credHelper for it, unless pods have an imagePullSecret")


ENV = {"type": "env", "username": "R_USER", "password": "R_TOKEN"}
SYSTEM = {"version": 1, "default": ["env"], "backends": {"env": ENV}}


@case_of_root("the daemon's credential: the registry takes it, and takes it no more")
def credential():
    with machine({**reads(TARGET), f"{SYSCONFDIR}/config.json": json.dumps(SYSTEM)}) as there:
        there.gate.answer = there.gate._refuse
        there.gate.accepted = [("puller", MARKER)]
        there.variables = {"R_USER": "puller", "R_TOKEN": MARKER}
        there.write(more='[auth]\n  credHelper = "pullkey"\n')
        with daemon(there):
            wait_for(lambda: "Authorization" in published(there, there.gate.address), "the header")
            caller = there.expect("works", True, f"from {url(there.gate)}")
            check("a secret of puller" in str(caller["steps"]), caller)
            there.gate.accepted = []
            there.expect("wrong-password", False, "set it right where it comes from")
            there.variables = {}
            caller = there.expect("credential-in-unit", True)
            (found,) = [step for step in caller["steps"] if step.get("cause") == "no-credential"]
            equal(found["state"], "note")
            check("a header that is not tried here" in found["text"], found)


sys.exit(run())
