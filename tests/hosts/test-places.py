# SPDX-License-Identifier: Apache-2.0
"""Where an ordinary user's source and target are, for each command, if no option says so."""

import base64
import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import ordinary

from daemon import ROOT
from hosts import basic, table, write_hosts
from program import die_with_parent, wait_for
from tap import case, check, equal, run

PROGRAM = os.path.join(os.environ["PULLKEY_LIBEXECDIR"], "pullkey-hosts")
HOST = "registry.example.com"
TABLE = table(f"https://{HOST}", helper="pullkey")
# What says nothing: no variable, an empty one, and one that the XDG specification has ignored.
NOTHING = (None, "", "relative")
COMMANDS = (("render",), ("watch",), ("show", HOST), ("status",))


class User:
    """A home, with directories that variables may name; `elsewhere` is where it runs programs."""

    def __init__(self):
        self.path, self.is_given = tempfile.mkdtemp(prefix="pk-user-"), False
        for name in ("home", "config", "run", "elsewhere"):
            os.mkdir(self.file(name), 0o700)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path)

    def file(self, *parts):
        return os.path.join(self.path, *parts)

    def write(self, config, password):
        """A registry, and pullkey's configuration with its credential, in a directory as
        $XDG_CONFIG_HOME is one."""
        write_hosts(self.file(config, "containerd/certs.d"), HOST, TABLE)
        store = {"auths": {HOST: {"auth": base64.b64encode(f"user:{password}".encode()).decode()}}}
        sources = self.file(config, "pullkey", "auth.json")
        settings = {"version": 1, "default": [{"type": "file", "sources": [sources]}]}
        os.makedirs(os.path.dirname(sources))
        for name, content in (("auth.json", store), ("config.json", settings)):
            with open(self.file(config, "pullkey", name), "x", encoding="ascii") as file:
                json.dump(content, file)
            os.chmod(file.name, 0o600)

    def start(self, *words, **variables):
        """A command, with the home's own HOME and such variables as are not None."""
        env = {k: v for k, v in os.environ.items() if k == "PATH" or k.endswith("SAN_OPTIONS")}
        if not self.is_given:
            ordinary.give(self.path)
            self.is_given = True
        env |= {k: v for k, v in {"HOME": self.file("home"), **variables}.items() if v is not None}
        return subprocess.Popen(
            ordinary.command([PROGRAM, *words]),
            env=env,
            cwd=self.file("elsewhere"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=die_with_parent,
        )

    def run(self, *words, **variables):
        """Exit status, standard output, standard error."""
        with self.start(*words, **variables) as process:
            out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def header(self, target="run/pullkey/hosts"):
        """What is written there for the registry."""
        with open(self.file(target, HOST, "hosts.toml"), encoding="utf-8") as file:
            found = [line for line in file if line.startswith("header.Authorization")]
        return found[0].split('"')[1] if found else None

    def mode(self, name):
        status = os.stat(self.file(name))
        equal(status.st_uid, ordinary.NUMBER if ROOT else os.geteuid(), name)
        return stat.S_IMODE(status.st_mode)


@case("with both variables: render, show, status and watch agree on their places")
def both():
    with User() as user:
        user.write("config", "of-config")
        user.write("home/.config", "of-home")
        named = {"XDG_CONFIG_HOME": user.file("config"), "XDG_RUNTIME_DIR": user.file("run")}
        target = user.file("run/pullkey/hosts")
        status, out, err = user.run("show", HOST, **named)
        equal((status, out), (1, ""))
        check(f"there is no {target}: " in err, err)
        equal(user.run("render", **named), (0, "registries: 1 rendered, 0 linked\n", ""))
        equal(user.header(), basic("user", "of-config"))
        modes = [user.mode(name) for name in ("run/pullkey", "run/pullkey/hosts")]
        equal(modes, [0o755, 0o700])
        status, out, err = user.run("show", HOST, **named)
        equal((status, err), (0, f"{target}/{HOST}/hosts.toml:\n"), out)
        check("credHelper" in out and basic("user", "of-config") not in out, out)
        status, out, err = user.run("status", **named)
        equal((status, out), (1, ""))
        check(f"there is no {user.file('run/pullkey/status.json')}" in err, err)
        check('"pullkey hosts watch" has not run' in err, err)
        watch(user, named)
        status, out, err = user.run("status", **named)
        equal((status, err), (1, ""))
        check('the daemon does not run: start "pullkey hosts watch"' in out, out)


def watch(user, named):
    with user.start("watch", **named) as daemon:
        try:
            wait_for(lambda: user.run("status", **named)[0] == 0, "the daemon's status")
            seen = json.loads(user.run("status", "--json", **named)[1])
        finally:
            daemon.send_signal(signal.SIGTERM)
        equal((*daemon.communicate(timeout=60), daemon.returncode), ("", "", 0))
    places = (user.file("config/containerd/certs.d"), user.file("run/pullkey/hosts"))
    equal((seen["source"], seen["target"], seen["running"]), (*places, True))
    modes = [user.mode(f"run/pullkey/{name}") for name in ("status.json", "metrics.prom")]
    equal(modes, [0o600, 0o644])


@case("without XDG_CONFIG_HOME the source is in ~/.config")
def home_config():
    for value in NOTHING:
        with User() as user:
            user.write("home/.config", "of-home")
            user.write("elsewhere/relative", "of-nobody")
            named = {"XDG_CONFIG_HOME": value, "XDG_RUNTIME_DIR": user.file("run")}
            equal(user.run("render", **named), (0, "registries: 1 rendered, 0 linked\n", ""), value)
            equal(user.header(), basic("user", "of-home"), value)
            source = user.file("home/.config/containerd/certs.d")
            shutil.rmtree(source)
            status, out, err = user.run("render", **named)
            equal((status, out), (1, ""), value)
            check(f"cannot read {source}: No such file" in err, err)


@case("without XDG_RUNTIME_DIR each command says to give --target, and works when it has it")
def no_runtime():
    for value in NOTHING:
        with User() as user:
            user.write("home/.config", "of-home")
            what = "an absolute path" if value else "set"
            said = f"pullkey-hosts: give --target: XDG_RUNTIME_DIR is not {what}\n"
            for words in COMMANDS:
                equal(user.run(*words, XDG_RUNTIME_DIR=value), (1, "", said), (words, value))
            equal(os.listdir(user.file("elsewhere")), [], "what they have made")
            given = ("--target", user.file("home/target"))
            equal(user.run("render", *given, XDG_RUNTIME_DIR=value)[::2], (0, ""), value)
            equal(user.header("home/target"), basic("user", "of-home"), value)
            equal(user.run("show", HOST, *given, XDG_RUNTIME_DIR=value)[0], 0, value)


if ROOT:  # a user of the test's own has a real home

    @case("without HOME it is that of the account")
    def account():
        with User() as user:
            own = pwd.getpwuid(ordinary.NUMBER).pw_dir
            source = os.path.join(own, ".config/containerd/certs.d")
            for home in NOTHING:
                for config in NOTHING:
                    named = {"HOME": home, "XDG_CONFIG_HOME": config}
                    done = user.run("render", XDG_RUNTIME_DIR=user.file("run"), **named)
                    said = f"pullkey-hosts: cannot read {source}: No such file or directory\n"
                    equal(done, (1, "", said), named)


@case("an XDG_RUNTIME_DIR that is not there is said with its path")
def no_directory():
    with User() as user:
        user.write("home/.config", "of-home")
        place = user.file("run/nowhere")
        for command in ("render", "watch"):
            status, out, err = user.run(command, XDG_RUNTIME_DIR=place)
            equal((status, out, err.count("\n")), (1, "", 1), err)
            check(f"cannot make {place}/pullkey: No such file" in err, err)


@case("a target of the variable that would be in the source is refused, and nothing is made")
def in_source():
    with User() as user:
        user.write("home/.config", "of-home")
        source = user.file("run")
        for command in ("render", "watch"):
            done = user.run(command, "--source", source, XDG_RUNTIME_DIR=source)
            said = f"pullkey-hosts: {source}/pullkey/hosts is in the source; the target must be a"
            equal(done[:2], (1, ""), command)
            check(done[2].startswith(said), done[2])
            equal(os.listdir(source), [], command)


@case("options win over variables, and are relative to the working directory")
def options():
    with User() as user:
        user.write("config", "of-config")
        user.write("home/.config", "of-home")
        write_hosts(user.file("elsewhere/here"), HOST, TABLE, "# here\n")
        named = {"XDG_CONFIG_HOME": user.file("config"), "XDG_RUNTIME_DIR": user.file("run")}
        words = ("--source", "here", "--target", "there")
        equal(user.run("render", *words, **named)[::2], (0, ""))
        with open(user.file("elsewhere/there", HOST, "hosts.toml"), encoding="utf-8") as file:
            check("# here\n" in file.read(), "another source")
        equal(user.header("elsewhere/there"), basic("user", "of-config"))
        check(not os.path.exists(user.file("run/pullkey/hosts")), "the target of the variable")


sys.exit(run())
