# SPDX-License-Identifier: Apache-2.0
"""pullkey doctor as others: containerd beside docker on a node, and another user."""

import json
import os
import pwd
import shlex
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from doctor import no_secret, store
from home import Home
from registry import find_program
from tap import case, check, equal, run

NAME = "127.0.0.1:1"
HAS_HOSTS = os.path.exists(os.path.join(os.environ["PULLKEY_LIBEXECDIR"], "pullkey-hosts"))
NODE = (
    "mount -t tmpfs none /etc; mkdir -p /etc/containerd/certs.d/127.0.0.1:1; "
    "echo 'server = \"http://127.0.0.1:1\"' >/etc/containerd/certs.d/127.0.0.1:1/hosts.toml; "
    "echo 'root:x:0:0::/root:/bin/sh' >/etc/passwd; echo 'version = 2' >/etc/containerd/config.toml; "
)


def ask(home, *words):
    return home.run([home.pullkey, "doctor", NAME, *words])


def on_node(home, *words, script=NODE):
    """In a mount namespace of its own, where containerd reads no hosts.toml."""
    done = home.run([find_program("unshare", "util-linux"), "-m", "sh", "-ec",
                     script + 'exec "$@"', "sh", home.pullkey, "doctor", NAME, *words])
    equal(done.stderr, "")
    no_secret(done.stdout)
    return done


def side_by_side():
    with Home() as home:
        os.chmod(home.write("bin/docker", "#!/bin/sh\n"), 0o755)
        home.env["PATH"] = f"{home.path}/bin:{home.env.get('PATH', os.environ['PATH'])}"
        found = json.loads(on_node(home, "--json").stdout)
        equal([one["caller"] for one in found["callers"]], ["docker", "containerd"])
        docker, containerd = found["callers"]
        equal(docker["cause"], "connection-refused")
        equal(containerd["cause"], "config-path-unset")
        equal((found["works"], found["cause"], found["text"]), (False, docker["cause"], "docker: " + docker["text"]))
        done = on_node(home)
        equal(done.returncode, 1)
        lines = done.stdout.splitlines()
        equal(lines[-1], "docker: " + docker["text"])
        equal([line.split() for line in lines[-4:-1]],
              [["CALLER", "CREDENTIAL", "PULL"], ["docker", "none", docker["cause"]],
               ["containerd", "none", containerd["cause"]]])


def without_docker():
    with Home() as home:
        script = NODE + f"PATH={home.path}; export PATH; "
        found = json.loads(on_node(home, "--json", script=script).stdout)
        equal([one["caller"] for one in found["callers"]], ["containerd"])


def without_root():
    """What others than root may see of such a node."""
    with Home() as home:
        lost = " ".join(f"{name}=/etc/home/{name}" for name in home.env if name == "HOME" or name.startswith("XDG_"))
        script = NODE + "mkdir -m 0700 /etc/home; chown 65534 /etc/home; "
        script += f'set -- setpriv --reuid 65534 --regid 65534 --clear-groups env {lost} "$@"; '
        (caller,) = json.loads(on_node(home, "--json", script=script).stdout)["callers"]
        equal((caller["caller"], caller["cause"]), ("docker", "connection-refused"), str(caller))
        (note,) = [step for step in caller["steps"] if step["step"] == "containerd"]
        equal((note["state"], note["text"]), ("note", "as root this shows what containerd does too"))


def hosts_alone():
    with Home() as home:
        done = on_node(home, "--as", "hosts", "--json")
        equal(done.returncode, 1)
        (caller,) = json.loads(done.stdout)["callers"]
        equal((caller["caller"], caller["cause"]), ("containerd", "config-path-unset"))
        check(caller["steps"], caller)
        equal(on_node(home, "--as", "hosts").stdout.splitlines()[-1], caller["text"])


def another_user():
    with Home() as home:
        store(home, NAME)
        (own,) = json.loads(ask(home, "--as", "docker", "--json").stdout)["callers"]
        check("a secret of" in str(own["steps"]), own)
        (other,) = json.loads(ask(home, "--as", "user:nobody", "--json").stdout)["callers"]
        check("a secret of" not in str(other["steps"]), other)


def own_of_another():
    """In a home that is that user's, with a configuration that nobody else may read; no terminal is left to it."""
    with Home() as home:
        user = pwd.getpwnam("nobody")
        script = ("mount -t tmpfs none /etc; echo 'root:x:0:0::/root:/bin/sh' >/etc/passwd; echo 'root:x:0:' >/etc/group; "
                  f"echo 'other:x:{user.pw_uid}:{user.pw_gid}::{home.path}/other:/bin/sh' >>/etc/passwd; ")
        folder = home.directory("other/.config/pullkey")
        helper = home.write("other/docker-credential-own",
                            "#!/bin/sh\n(: </dev/tty) 2>/dev/null && exit 1\n"
                            'read name; echo "{\\"ServerURL\\": \\"$name\\", \\"Username\\": \\"oscar\\", \\"Secret\\": \\"x\\"}"\n')
        home.write("other/.config/pullkey/config.json", json.dumps(
            {"version": 1, "backends": {"own": {"type": "exec", "path": helper}}, "rules": [{"match": NAME, "use": "own"}]}))
        os.chmod(helper, 0o755)
        os.chmod(home.path, 0o755)
        for path, names, files in os.walk(os.path.join(home.path, "other")):
            for name in ("", *names, *files):
                os.chown(os.path.join(path, name), user.pw_uid, user.pw_gid)
        os.chmod(folder, 0o700)
        os.chmod(os.path.join(folder, "config.json"), 0o600)
        command = ["script", "-qec", shlex.join(["unshare", "-m", "sh", "-ec", script + 'exec "$@"', "sh", home.pullkey, "doctor",
                                                 NAME, "--as", "user:other", "--json"]), "/dev/null"]
        done = home.run(command)  # at a terminal
        (caller,) = json.loads(done.stdout)["callers"]
        check("own has a secret of oscar" in str(caller["steps"]), caller)


if os.geteuid() == 0:
    case("another user's own configuration and helper are, without the terminal")(own_of_another)
    case("as another user nothing of one's own is used")(another_user)
    if HAS_HOSTS:
        case("a node with nothing that asks as docker does has no docker")(without_docker)
        case("on a node docker and containerd stand side by side")(side_by_side)
        case("without root docker alone, and a note of containerd")(without_root)
        case("containerd alone")(hosts_alone)
else:

    @case("another user, and containerd, are for root to see")
    def rights():
        with Home() as home:
            done = ask(home, "--as", "user:root")
            equal(done.returncode, 1)
            check("run this as root" in done.stderr, done.stderr)
            if HAS_HOSTS:
                done = ask(home, "--as", "hosts", "--json")
                (caller,) = json.loads(done.stdout)["callers"]
                equal((done.returncode, caller["cause"]), (1, "not-known"))
                check("run this as root" in caller["text"], caller)


@case("what --as takes, and oneself")
def values():
    with Home() as home:
        for word in ("kubernetes", "user:", "docker,hosts"):
            done = ask(home, "--as", word)
            equal((done.returncode, done.stdout), (2, ""))
            check("--as takes" in done.stderr, done.stderr)
        done = ask(home, "--as", "user:no-such-user-here")
        equal(done.returncode, 1)
        check("there is no user" in done.stderr, done.stderr)
        done = ask(home, "--as", "user:" + pwd.getpwuid(os.geteuid()).pw_name, "--json")
        equal([one["caller"] for one in json.loads(done.stdout)["callers"]], ["docker"])
        equal(home.run([home.pullkey, "--complete", "doctor", "--as"]).stdout.split(), ["docker", "hosts", "kubelet", "user:"])


run()
