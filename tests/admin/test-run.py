# SPDX-License-Identifier: Apache-2.0
"""pullkey run, with commands that tell what they got. test-run-clients.py has real clients."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from base64 import b64decode, b64encode

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from home import Home
from program import has_ended
from registry import wait_for
from tap import Skip, case, check, equal, run
from terminal import STOPPED, Terminal

MARKER = "marker-8d21f7"
CODED = b64encode(f"alice:{MARKER}".encode()).decode()
SERVER = "registry.example.com"
IMAGE = f"{SERVER}/team/app:1"
HUB_KEY = "https://index.docker.io/v1/"

# Prints what a command finds: environment, files, and what is inherited.
WITNESS = """\
import json, os, resource, sys
found = {"arguments": sys.argv[1:], "environment": dict(os.environ), "directory": os.getcwd()}
os.umask(umask := os.umask(0))
found["umask"], found["cores"] = umask, resource.getrlimit(resource.RLIMIT_CORE)
with open("/proc/self/status") as status:
    lines = dict(line.rstrip("\\n").split(":\\t", 1) for line in status)
for name in ("NoNewPrivs", "SigBlk", "SigIgn", "Seccomp"):
    found[name] = lines[name]
found["descriptors"] = sorted(os.listdir("/proc/self/fd"))[:3]
found["group"] = os.getpgrp()
path = os.environ.get("DOCKER_CONFIG")
if path:
    found["mode"] = os.stat(path).st_mode
    found["files"] = {name: os.stat(path + "/" + name).st_mode for name in os.listdir(path)}
    found["kind"] = os.popen("stat -f -c %T " + path).read().strip()
    with open(os.environ["REGISTRY_AUTH_FILE"]) as file:
        found["auths"] = json.load(file)["auths"]
print(json.dumps(found))
"""

# Says where its files are, then what signals reach it; USR1 ends it.
LISTENER = """\
import os, signal, sys
names = ("HUP", "INT", "QUIT", "TERM", "USR1", "USR2")
signals = {getattr(signal, "SIG" + name) for name in names}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # one that comes early is waited for too
print("ready", os.getpid(), os.environ["DOCKER_CONFIG"], flush=True)
while True:
    number = signal.sigwait(signals)
    os.write(1, signal.Signals(number).name.encode() + b"\\n")
    if number == signal.SIGUSR1:
        sys.exit(9)
"""


def store(home, server, user="alice", secret=MARKER, *options):
    arguments = [home.pullkey, "login", server, "--password-stdin", "--no-verify", *options]
    if "--identity-token" not in options:
        arguments += ["-u", user]
    home.run(arguments, secret).check_returncode()


def start_of(home, *options):
    return [home.pullkey, "run", *options, "--"]


def witness(home, *arguments, options=(), env=None):
    """What a command finds that is run with these arguments."""
    command = [sys.executable, "-c", WITNESS, *arguments]
    found = json.loads(home.succeed([*start_of(home, *options), *command], env=env))
    path = found["environment"]["DOCKER_CONFIG"]
    check(not os.path.lexists(path), f"{path} is still there")
    return found


def refused(home, *arguments, status=1, env=None):
    done = home.run([home.pullkey, "run", *arguments], env=env)
    equal((done.returncode, done.stdout), (status, ""), f"{arguments}: {done.stderr}")
    equal(done.stderr.count("\n"), 1, done.stderr)
    check(done.stderr.startswith("pullkey: "), done.stderr)
    check(MARKER not in done.stderr and CODED not in done.stderr, done.stderr)
    return done.stderr


class Running:
    """A listener below pullkey run: `process` is pullkey, `pid` the command, `path` its files."""

    def __init__(self, home, *options):
        command = [sys.executable, "-c", LISTENER]
        self.process = home.start([*start_of(home, "--for", SERVER, *options), *command], subprocess.PIPE)
        _, pid, self.path = self.line().split(" ", 2)
        self.pid = int(pid)

    def line(self):
        return self.process.stdout.readline().decode().rstrip("\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pid in (self.pid, self.process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


@case("what the command gets: files in memory for their owner only, and CRICTL_AUTH")
def gets():
    with Home() as home:
        store(home, SERVER)
        found = witness(home, "pull", IMAGE)
        environment = found["environment"]
        equal(found["arguments"], ["pull", IMAGE])
        equal(oct(found["mode"]), oct(0o40700))
        equal({name: oct(mode) for name, mode in found["files"].items()}, {"config.json": oct(0o100600)})
        check(found["kind"] in ("tmpfs", "ramfs"), found["kind"])
        equal(environment["REGISTRY_AUTH_FILE"], environment["DOCKER_CONFIG"] + "/config.json")
        equal(found["auths"], {SERVER: {"auth": CODED}})
        equal(environment["CRICTL_AUTH"], CODED)
        equal(home.find_text(MARKER), [], "files that hold the password")
        equal(home.find_text(CODED), [], "files that hold the password")


@case("beside that it is as without pullkey: environment, limits, signals, privileges")
def as_without():
    with Home() as home:
        store(home, SERVER)
        env = {"OPENSSL_CONF": "/x", "LD_LIBRARY_PATH": "/nonexistent", "RES_OPTIONS": "x"}
        env = {**env, "DOCKER_CONFIG": "/old", "CRICTL_CREDS": "a:b", "DOCKER_AUTH_CONFIG": "{}"}
        env["ASAN_OPTIONS"] = "disable_coredump=0"  # a sanitizer would have its own limit of cores
        arguments = [sys.executable, "-c", WITNESS, IMAGE]
        # Whoever starts it has some of its own, which are to be kept too.
        script = "umask 027; ulimit -S -c 0; ulimit -H -c 100 2>/dev/null; ulimit -S -c 10; trap '' PIPE USR2; exec \"$@\""
        before = ["bash", "-c", script, "bash"]
        plain = home.succeed([*before, *arguments], env={**env, "DOCKER_CONFIG": ""})
        plain, found = json.loads(plain), home.succeed([*before, *start_of(home), *arguments], env=env)
        found = json.loads(found)
        for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "CRICTL_AUTH"):
            check(found["environment"].pop(name).strip(), name)
        for name in ("DOCKER_CONFIG", "CRICTL_CREDS", "DOCKER_AUTH_CONFIG"):
            del plain["environment"][name]
        for name in ("mode", "files", "kind", "auths"):
            del found[name]
        for name in ("group",):
            del found[name], plain[name]
        equal(found, plain)


@case("input, output and process group are the caller's; descriptors above them are not handed on")
def inherited():
    with Home() as home:
        store(home, SERVER)
        done = home.run([*start_of(home, "--for", SERVER), "sh", "-c", "cat; echo err >&2"], "text")
        equal((done.returncode, done.stdout, done.stderr), (0, "text", "err\n"))
        with open("/dev/null", "rb") as other:
            command = [*start_of(home, "--for", SERVER), "ls", "/proc/self/fd"]
            done = subprocess.run(
                command, env=home.env, stdout=subprocess.PIPE, text=True, pass_fds=[other.fileno()]
            )
            equal(done.stdout.split(), ["0", "1", "2", "3"])  # the last is the list's own
        with Running(home) as running:
            equal(os.getpgid(running.pid), os.getpgid(running.process.pid))


@case("the registries: of all images that the arguments name, or those of --for alone")
def registries():
    with Home() as home:
        for server in ("a.example", "b.example:5000", "docker.io"):
            store(home, server, secret=f"{MARKER}-{server}")

        def entries(*arguments, options=()):
            found = witness(home, *arguments, options=options)
            auths = {key: b64decode(entry["auth"]).decode() for key, entry in found["auths"].items()}
            for key, pair in auths.items():
                name = "docker.io" if key == HUB_KEY else key.removesuffix(":443").lower()
                equal(pair, f"alice:{MARKER}-{name}", key)
            coded = found["environment"].get("CRICTL_AUTH")
            equal(coded is not None, len(auths) == 1, "CRICTL_AUTH")
            return sorted(auths)

        equal(entries("a.example/x"), ["a.example"])
        equal(entries("docker://a.example/x", "docker://b.example:5000/y"), ["a.example", "b.example:5000"])
        equal(entries("a.example/x", "a.example/y:2", "--also=a.example/z"), ["a.example"])
        equal(entries("a.example:443/x"), ["a.example:443"], "as clients look for it")
        equal(entries("docker.io/library/nginx"), [HUB_KEY])
        equal(entries("registry-1.docker.io/library/nginx"), [HUB_KEY])
        equal(entries("docker://nginx"), [HUB_KEY])
        equal(entries("nginx", options=["--for", "docker.io"]), [HUB_KEY])
        equal(entries("b.example:5000/y", options=["--for", "https://A.Example/v2/"]), ["a.example"])
        both = ["--for=a.example", "--for", "b.example:5000", "--for", "a.example"]
        equal(entries("none.example/x", options=both), ["a.example", "b.example:5000"])
        before = home.succeed([home.pullkey, "--for", "a.example", "run", "--", "sh", "-c", "echo $CRICTL_AUTH"])
        equal(b64decode(before), f"alice:{MARKER}-a.example".encode())


@case("no registry, no credential, too many: one line that says what to do, and nothing is run")
def nothing():
    with Home() as home:
        store(home, SERVER)
        ran = os.path.join(home.path, "ran")
        for arguments, status, words in (
            ([], 2, ['needs "--"']),
            (["--"], 2, ['needs "--"']),
            (["touch", ran], 2, ['needs "--"']),
            (["--for", SERVER, "touch", ran], 2, ['needs "--"']),
            (["--for"], 2, ["--for needs a value"]),
            (["--for", "", "--", "touch", ran], 2, ["empty"]),
            (["--json", "--for", SERVER, "--", "touch", ran], 2, ["--json"]),
            (["--", "touch", ran], 2, ["--for", "docker.io"]),
            (["--", "touch", ran, "nginx"], 2, ["--for", "docker.io"]),
            (["--for", "bad host", "--", "touch", ran], 1, ["--for", "refused"]),
            (["--for", "https://index.docker.io/v1/access-token", "--", "touch", ran], 2, ["--for"]),
            (["--", "touch", ran, "none.example/x"], 1, ["none.example:", "pullkey login none.example", "--for"]),
            (["--", "touch", ran, IMAGE, "none.example/x"], 1, ["none.example:"]),
            (["--for", "none.example", "--", "touch", ran], 1, ["none.example:", "pullkey login"]),
            ([*["--for", SERVER] * 17, "--", "touch", ran], 2, ["16"]),
            (["--", "touch", ran, *(f"r{i}.example/x" for i in range(17))], 2, ["16"]),
        ):
            text = refused(home, *arguments, status=status)
            for word in words:
                check(word in text, f"{word!r} is not in {text!r}")
        home.write(".config/pullkey/config.json", '{"version": 2}')
        check("config.json" in refused(home, "--", "touch", ran, IMAGE), "a broken configuration")
        check(not os.path.exists(ran), "something was run")


@case("an identity token: in the file as clients read it, never in CRICTL_AUTH, and not for crictl")
def identity_token():
    with Home() as home:
        store(home, SERVER, None, MARKER, "--identity-token")
        found = witness(home, IMAGE)
        user = b64encode(b"<token>:").decode()
        equal(found["auths"], {SERVER: {"auth": user, "identitytoken": MARKER}})
        check("CRICTL_AUTH" not in found["environment"], "CRICTL_AUTH is set")
        program = home.write("bin/crictl", "#!/bin/sh\necho run\n")
        os.chmod(program, 0o755)
        check("identity token" in refused(home, "--", program, "pull", IMAGE), "the reason")
        store(home, "a.example")
        store(home, SERVER)
        text = refused(home, "--", program, "pull", IMAGE, "a.example/x")
        check("one registry" in text and "--for" in text, text)
        equal(home.succeed([*start_of(home), program, "pull", IMAGE]), "run\n")
        # The file can be taken back into a store.
        store(home, SERVER, None, MARKER, "--identity-token")
        text = home.succeed([*start_of(home, "--for", SERVER), "sh", "-c", "cat $REGISTRY_AUTH_FILE"])
        with Home() as other:
            path = other.write("file.json", text)
            other.succeed([other.pullkey, "import", "--yes", "--from", path])
            equal(other.get(SERVER)["Username"], "<token>")


@case("two credentials for one registry, a user name with a colon, a long secret")
def odd_credentials():
    with Home() as home:
        store(home, f"{SERVER}/team", "alice", "one-" + MARKER)
        store(home, f"{SERVER}/other", "alice", "two-" + MARKER)
        pair = b64encode(f"alice:one-{MARKER}".encode()).decode()
        equal(witness(home, IMAGE)["auths"], {SERVER: {"auth": pair}})
        equal(witness(home, "x", options=["--for", f"{SERVER}/team"])["auths"], {SERVER: {"auth": pair}})
        text = refused(home, "--", "true", IMAGE, f"{SERVER}/other/app")
        check("two credentials" in text and "--for" in text, text)
        text = refused(home, "--for", SERVER, "--for", f"{SERVER}/team", "--", "true")
        check("no credential" in text, text)
        request = {"ServerURL": "colon.example", "Username": "a:b", "Secret": MARKER}
        home.succeed([home.helper, "store"], json.dumps(request))
        check("colon" in refused(home, "--for", "colon.example", "--", "true"), "the reason")
        for secret in ("x" * 65536, "\u00e4\"\\$ `'", "a:b:c"):
            store(home, "long.example", "bob", secret)
            found = witness(home, "long.example/x")
            pair = b64encode(f"bob:{secret}".encode()).decode()
            equal(found["auths"]["long.example"]["auth"], pair)
            equal(found["environment"]["CRICTL_AUTH"], pair)


@case("exit status: the command's, 128 and its signal, 127 not found, 126 cannot be run")
def statuses():
    with Home() as home:
        store(home, SERVER)
        start = start_of(home, "--for", SERVER)
        for script, status in (("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -9 $$", 137), ("kill -15 $$", 143), ("kill -2 $$", 130)):
            done = home.run([*start, "sh", "-c", script])
            equal((done.returncode, done.stdout, done.stderr), (status, "", ""), script)
        home.write("bin/plain", "#!/bin/sh\n")
        home.directory("bin/folder")
        for name, text in (("orphan", "#!/nonexistent/sh\n"), ("text", "text\n"), ("script", "#!/bin/sh\nexit 3\n")):
            os.chmod(home.write(f"bin/{name}", text), 0o755)
        path = {"PATH": f"/nonexistent::{home.path}/bin:/usr/bin:/bin"}
        for name, status in (
            ("nosuch", 127),
            ("/nosuch/program", 127),
            ("/etc/passwd/program", 127),
            ("", 127),
            ("plain", 126),
            (f"{home.path}/bin/plain", 126),
            ("folder", 126),
            ("bin/folder", 126),
            ("orphan", 126),
            ("text", 126),
            ("bin/orphan", 126),
            ("x" * 5000, 127),
            ("/" + "x" * 5000, 126),
        ):
            refused(home, "--for", SERVER, "--", name, status=status, env=path)
        for name in ("script", "bin/script", f"{home.path}/bin/script"):
            equal(home.run([*start, name], env=path).returncode, 3, name)
        # The present directory is where PATH has an empty part, as for shells.
        os.rename(f"{home.path}/bin/script", f"{home.path}/here")
        equal(home.run([*start, "here"], env=path).returncode, 3)
        equal(home.run([*start, "here"]).returncode, 127)
        del home.env["PATH"]
        equal(home.run([*start, "true"]).returncode, 0, "without PATH")


@case("a signal that is sent to pullkey reaches the command, which decides")
def signals():
    with Home() as home:
        store(home, SERVER)
        with Running(home) as running:
            for name in ("TERM", "INT", "HUP", "QUIT", "USR2", "TERM"):
                running.process.send_signal(getattr(signal, "SIG" + name))
                equal(running.line(), "SIG" + name)
            check(os.path.exists(running.path), "the files went before the command ended")
            running.process.send_signal(signal.SIGUSR1)
            equal(running.line(), "SIGUSR1")
            equal(running.process.wait(30), 9)
            check(not os.path.lexists(running.path), "the files stay")
        # One that the command does not handle ends it.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            command = ["sh", "-c", "echo $DOCKER_CONFIG; exec sleep 1000"]
            process = home.start([*start_of(home, "--for", SERVER), *command], subprocess.PIPE)
            path = process.stdout.readline().decode().strip()
            process.send_signal(number)
            equal(process.wait(30), 128 + number)
            check(not os.path.lexists(path), "the files stay")
            process.stdin.close(), process.stdout.close()


@case("on a terminal: one ^C is one, ^Z stops both, and both go on")
def terminal():
    with Home() as home:
        store(home, SERVER)
        command = [*start_of(home, "--for", SERVER), sys.executable, "-c", LISTENER]
        with Terminal(command, home.env) as terminal:
            terminal.expect("ready")
            terminal.expect("\n")
            path = terminal.output.split()[2]
            for key, name in (("\x03", "SIGINT"), ("\x1c", "SIGQUIT"), ("\x03", "SIGINT")):
                terminal.type(key)
                terminal.expect(name)
            terminal.type("\x1a")
            equal(terminal.wait(), STOPPED)
            os.killpg(terminal.pid, signal.SIGCONT)
            os.kill(terminal.pid, signal.SIGUSR1)
            terminal.expect("SIGUSR1")
            equal(terminal.wait(), 9)
            check(not os.path.lexists(path), "the files stay")
            equal([terminal.output.count(name) for name in ("SIGINT", "SIGQUIT")], [2, 1])


@case("killed with SIGKILL: the files go, though nobody is left who waits")
def killed():
    with Home() as home:
        store(home, SERVER)
        for moved in (False, True):
            with Running(home) as running:
                path = running.path
                if moved:
                    os.rename(path, path + "-moved")
                    path += "-moved"
                keepers = [pid for pid in children(running.process.pid) if pid != running.pid]
                equal(len(keepers), 1)
                running.process.kill()
                running.process.wait()
                wait_for(lambda: not os.path.lexists(running.path), "the directory to go")
                wait_for(lambda: not os.path.exists(f"/proc/{keepers[0]}/fd"), "the keeper to end")
                if moved:
                    equal(os.listdir(path), [])
                    os.rmdir(path)
                os.kill(running.pid, 0)  # the command is the caller's own affair


@case("the keeper has no terminal, no output and no session of ours, and ends with the command")
def keeper():
    with Home() as home:
        store(home, SERVER)
        with Running(home) as running:
            pid = next(pid for pid in children(running.process.pid) if pid != running.pid)
            equal(os.getsid(pid), pid)
            if os.geteuid() == 0:  # it is closed to its own user
                equal(os.readlink(f"/proc/{pid}/cwd"), "/")
                equal([os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)], ["/dev/null"] * 3)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                os.kill(pid, number)
            os.kill(running.process.pid, signal.SIGUSR1)
            equal(running.process.wait(30), 9)
            check(not os.path.exists(f"/proc/{pid}"), "the keeper is still there")
        # One that was killed is not needed where the command ends as it should.
        with Running(home) as running:
            os.kill(next(p for p in children(running.process.pid) if p != running.pid), signal.SIGKILL)
            os.kill(running.process.pid, signal.SIGUSR1)
            equal(running.process.wait(30), 9)
            check(not os.path.lexists(running.path), "the files stay")


@case("the secret stands in no argument, in no environment but the command's, in no other memory")
def secret_places():
    with Home() as home:
        store(home, SERVER)
        with Running(home) as running:
            pids = [running.process.pid, *children(running.process.pid)]
            equal(len(pids), 3)
            with open(f"/proc/{running.process.pid}/status", encoding="utf-8") as file:
                check("\nNoNewPrivs:\t1\n" in file.read(), "pullkey itself can gain privileges")
            for pid in pids:
                for name in ("cmdline", "environ", "comm", "status"):
                    if name == "environ" and (pid == running.pid or os.geteuid() != 0):
                        continue
                    with open(f"/proc/{pid}/{name}", "rb") as file:
                        text = file.read()
                    check(MARKER.encode() not in text and CODED.encode() not in text, f"{pid} {name}")
            with open(f"/proc/{running.pid}/environ", "rb") as file:
                check(CODED.encode() in file.read(), "the search itself")
            if os.geteuid() != 0:
                return  # pullkey's memory is closed to its own user
            for pid in pids:
                found = any(text in memory(pid) for text in (MARKER.encode(), CODED.encode()))
                equal(found, pid == running.pid, f"memory of {pid} of {pids}")


def memory(pid):
    """All that a process has written to or could have."""
    found = []
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            span, mode = line.split()[:2]
            start, end = (int(text, 16) for text in span.split("-"))
            if "w" in mode and end - start < 1 << 30:
                mem.seek(start)
                try:
                    found.append(mem.read(end - start))
                except OSError:
                    pass
    return b"".join(found)


@case("the command writes into its directory, shuts it, or puts a link in its place")
def written():
    with Home() as home:
        store(home, SERVER)
        kept = home.write("kept/file", "kept")
        for script in (
            "mkdir -p $DOCKER_CONFIG/buildx/a/b && touch $DOCKER_CONFIG/buildx/a/b/c",
            "ln -s $KEPT $DOCKER_CONFIG/link && ln $DOCKER_CONFIG/config.json $DOCKER_CONFIG/other",
            "mkdir $DOCKER_CONFIG/shut && touch $DOCKER_CONFIG/shut/x && chmod 0 $DOCKER_CONFIG/shut $DOCKER_CONFIG",
            "rm -r $DOCKER_CONFIG && ln -s $KEPT $DOCKER_CONFIG",
            "rm -r $DOCKER_CONFIG && mkdir $DOCKER_CONFIG && touch $DOCKER_CONFIG/x",
            "rm -r $DOCKER_CONFIG && touch $DOCKER_CONFIG",
            "rm -r $DOCKER_CONFIG",
        ):
            env = {"KEPT": os.path.dirname(kept)}
            command = ["sh", "-c", f"echo $DOCKER_CONFIG; {script}"]
            path = home.succeed([*start_of(home, "--for", SERVER), *command], env=env).strip()
            check(path.startswith("/") and not os.path.lexists(path), f"{script}: {path} is still there")
            equal(home.read("kept/file"), "kept", script)


@case("twenty at the same time have a directory each")
def parallel():
    with Home() as home:
        store(home, SERVER)
        command = [*start_of(home), sys.executable, "-c", WITNESS, IMAGE]
        processes = [home.start(command, subprocess.PIPE) for _ in range(20)]
        found = [json.loads(process.communicate(timeout=120)[0]) for process in processes]
        equal([process.returncode for process in processes], [0] * 20)
        paths = {each["environment"]["DOCKER_CONFIG"] for each in found}
        equal(len(paths), 20)
        equal([path for path in paths if os.path.lexists(path)], [])
        for each in found:
            equal(each["auths"], {SERVER: {"auth": CODED}})


class Mounts:
    """Runs scripts in a mount namespace of their own; $R is the runtime directory."""

    def __init__(self, home):
        self.home = home
        self.unshare = ["unshare", "--mount", "--propagation", "private"]
        if os.geteuid() != 0:
            self.unshare += ["--user", "--map-root-user"]
        if not shutil.which("unshare") or home.run([*self.unshare, "mount", "-t", "tmpfs", "x", "/mnt"]).returncode:
            raise Skip("this machine gives us no mount namespace")

    def run(self, script, command):
        """The script mounts; then `pullkey run` of the command, and a list of what is left."""
        text = f"""
            set -eu
            {script}
            status=0
            {self.home.pullkey} run --for {SERVER} -- sh -c '{command}' || status=$?
            echo left: $(ls -d $R/pullkey/run-* /run/pullkey/run-* 2>/dev/null || true)
            exit $status
        """
        env = {"R": self.home.env["XDG_RUNTIME_DIR"]}
        return self.home.run([*self.unshare, "sh", "-c", text], env=env)


NO_SHM = "mount --rbind /proc /dev/shm; "
NO_RUN = "mount --rbind /proc /run; "


@case("the place: $XDG_RUNTIME_DIR, for root /run, /dev/shm, whichever is in memory first")
def places():
    with Home() as home:
        store(home, SERVER)
        mounts = Mounts(home)
        runtime = home.env["XDG_RUNTIME_DIR"]
        own = "mount -t tmpfs -o mode=700 x $R; "
        run = "mount -t tmpfs -o mode=755 x /run; "
        for script, place in (
            (own + NO_SHM, f"{runtime}/pullkey/run-"),
            (own + run, f"{runtime}/pullkey/run-"),
            (own + "mkdir -m 700 $R/pullkey; " + NO_SHM, f"{runtime}/pullkey/run-"),
            (run + NO_SHM, "/run/pullkey/run-"),
            (run + "unset XDG_RUNTIME_DIR; ", "/run/pullkey/run-"),
            (NO_RUN, "/dev/shm/pullkey-run-"),
            ("mount -t tmpfs -o ro x $R; " + NO_RUN, "/dev/shm/pullkey-run-"),
            ("mount -t tmpfs x $R; " + NO_RUN, "/dev/shm/pullkey-run-"),  # others may write there
            (own + "mkdir -m 777 $R/pullkey; " + NO_RUN, "/dev/shm/pullkey-run-"),
            (own + "ln -s /etc $R/pullkey; " + NO_RUN, "/dev/shm/pullkey-run-"),
            ("mount -t ramfs x $R; chmod 700 $R; " + NO_SHM, f"{runtime}/pullkey/run-"),
        ):
            if os.geteuid() != 0 and "ramfs" in script:
                continue
            done = mounts.run(script, "echo $DOCKER_CONFIG; ls $DOCKER_CONFIG")
            lines = done.stdout.splitlines()
            equal((done.returncode, done.stderr), (0, ""), script)
            check(lines[0].startswith(place), f"{script}: {lines}")
            equal(lines[1:], ["config.json", "left:"], script)


@case("no memory to write to: refused with the reasons, and never on a disk")
def no_place():
    with Home() as home:
        store(home, SERVER)
        mounts = Mounts(home)
        small = "mount -t tmpfs -o size=4k x $R; mkdir -m 700 $R/pullkey; "
        for script, words in (
            (NO_SHM + NO_RUN, ["/dev/shm is not in memory", "disk"]),
            ("mount -t tmpfs -o ro x /dev/shm; " + NO_RUN, ["/dev/shm", "Read-only"]),
            (small + "head -c 4096 /dev/zero >$R/full; ", ["config.json", "No space"]),
            ("mount -t tmpfs -o nr_inodes=2 x $R; mkdir -m 700 $R/pullkey; ", ["cannot make", "No space"]),
        ):
            done = mounts.run(script, "touch ran; echo ran")
            equal((done.returncode, done.stdout), (1, "left:\n"), f"{script}: {done.stderr}")
            equal(done.stderr.count("\n"), 1, done.stderr)
            for word in words:
                check(word in done.stderr, f"{word!r} is not in {done.stderr!r}")
            check(MARKER not in done.stderr and CODED not in done.stderr, done.stderr)
        check(not os.path.exists(os.path.join(home.path, "ran")), "something was run")
        equal(home.find_text(CODED), [])


@case("interrupted while a backend takes its time: nothing is run and nothing stays")
def interrupted():
    with Home() as home, tempfile.TemporaryDirectory(dir="/dev/shm") as runtime:
        home.env["XDG_RUNTIME_DIR"] = runtime
        asked = os.path.join(home.path, "asked")
        program = home.write("docker-credential-slow", f"#!/bin/sh\necho $$ >{asked}.new\nmv {asked}.new {asked}\nexec sleep 1000\n")
        os.chmod(program, 0o755)
        home.write(
            ".config/pullkey/config.json",
            json.dumps({"version": 1, "default": [{"type": "exec", "path": program}]}),
        )
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            command = [*start_of(home, "--for", SERVER), "touch", os.path.join(home.path, "ran")]
            process = home.start(command, subprocess.PIPE)
            helper = int(wait_for(lambda: home.read("asked"), "the helper to be asked"))
            try:
                left = os.path.join(runtime, "pullkey")
                equal(len(os.listdir(left)), 1)
                process.send_signal(number)
                equal(process.wait(30), -number)
                wait_for(lambda: not os.listdir(left), "the directory to go")
                if number != signal.SIGKILL:
                    wait_for(lambda: has_ended(helper), "the helper to end")
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(helper, signal.SIGKILL)  # it may have outlived who asked
            os.unlink(asked)
            process.stdin.close(), process.stdout.close()
        check(not os.path.exists(os.path.join(home.path, "ran")), "something was run")


@case("the log says where a credential is from, and holds no secret")
def log():
    with Home() as home:
        store(home, SERVER)
        path = os.path.join(home.path, "log")
        witness(home, IMAGE, env={"PULLKEY_LOG": path})
        check(f"{SERVER}/team/app" in home.read("log"), home.read("log"))
        check(MARKER not in home.read("log") and CODED not in home.read("log"), home.read("log"))


sys.exit(run())
