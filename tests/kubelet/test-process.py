# SPDX-License-Identifier: Apache-2.0
"""The plugin as a process: how a kubelet starts it, when it ends, and what it leaves behind."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import struct
import sys
import termios
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import tap
from plugin import PASSWORD, Plugin, decode, request, rule, token
from program import has_ended
from registry import wait_for

HOST = "registry.example.com"
IMAGE = f"{HOST}/team/app"
REQUEST = request(IMAGE)
DEADLINE = 25
ANSWER = json.dumps({"ServerURL": HOST, "Username": "alice", "Secret": PASSWORD})
# What a kubelet may have in its environment, and must not reach a program of somebody else.
HOSTILE = {
    "LD_LIBRARY_PATH": "/nowhere",
    "LD_DEBUG_OUTPUT": "/nowhere",
    "HTTP_PROXY": "http://proxy.invalid:3128",
    "HTTPS_PROXY": "http://proxy.invalid:3128",
    "https_proxy": "http://proxy.invalid:3128",
    "ALL_PROXY": "socks5://proxy.invalid",
    "NO_PROXY": "*",
    "SSLKEYLOGFILE": "/nowhere",
    "SSL_CERT_FILE": "/nowhere",
    "OPENSSL_CONF": "/nowhere",
    "MALLOC_TRACE": "/nowhere",
    "GLIBC_TUNABLES": "glibc.malloc.check=3",
    "KUBECONFIG": "/nowhere",
    "PULLKEY_CONFIG_JSON": '{"version":1}',
    "XDG_CONFIG_HOME": "/nowhere",
    "BASH_ENV": "/nowhere",
    "ENV": "/nowhere",
}


@contextlib.contextmanager
def with_script(script, **members):
    """A plugin whose credential comes from a shell script."""
    with Plugin() as plugin:
        plugin.configure([rule(use=[plugin.helper(script, **members)])])
        yield plugin


@contextlib.contextmanager
def with_file():
    with Plugin() as plugin:
        plugin.configure([rule(use=[plugin.store({HOST: ("alice", PASSWORD)})])])
        yield plugin


def check_served(done):
    tap.equal((done.returncode, done.stderr), (0, b""))
    for pair in decode(done.stdout, "v1")["auth"].values():
        tap.equal(pair["password"], PASSWORD)


def wait_read(plugin, process):
    """Until what was written to it is read. Its deadline is set then."""

    def is_empty():
        return struct.unpack("i", fcntl.ioctl(process.stdin, termios.FIONREAD, bytes(4)))[0] == 0

    wait_for(is_empty, "the request to be read", 30)


def start_reading(plugin, text=REQUEST, **options):
    """A plugin that has read all of its request but its end."""
    process = plugin.start(**options)
    process.stdin.write(text.encode())
    process.stdin.flush()
    wait_read(plugin, process)
    return process


@tap.case("as a kubelet starts it: no HOME, in /, by any name that begins with its own")
def names():
    with with_file() as plugin:
        for name in ("pullkey-kubelet", "pullkey-kubelet-tokens", "pullkey-kubelet.2"):
            link = os.path.join(plugin.home.directory("bin"), name)
            os.symlink(plugin.program, link)
            check_served(plugin.run(REQUEST, program=link))
            check_served(plugin.finish(plugin.start(program=link, umask=0o777), REQUEST))
        copy = shutil.copy(plugin.program, plugin.path("bin/pullkey-kubelet-copy"))
        check_served(plugin.run(REQUEST, program=copy))


@tap.case("by another name it is docker-credential-pullkey, or pullkey")
def other_names():
    with with_file() as plugin:

        def run(name):
            link = os.path.join(plugin.home.directory("bin"), name)
            os.symlink(plugin.program, link)
            return plugin.run(REQUEST, program=link)

        for name in ("docker-credential-pullkey", "kubelet", "pullkey2", "x-pullkey-kubelet"):
            done = run(name)
            tap.equal(done.returncode, 1)
            tap.check(b"Usage: docker-credential-pullkey" in done.stdout, done.stdout)
        done = run("pullkey")
        tap.equal((done.returncode, done.stdout), (2, b""))
        tap.check(b'run "pullkey help"' in done.stderr, done.stderr)


@tap.case("without a name it is that too")
def no_name():
    with with_file() as plugin:
        words = ["-c", 'exec -a "" "$0"', plugin.program]
        done = plugin.run("", program="/bin/bash", arguments=words)
        tap.equal(done.returncode, 1)
        tap.check(b"Usage: docker-credential-pullkey" in done.stdout, done.stdout)


@tap.case("the configuration is the system's, whatever the caller's home says")
def configuration():
    with with_file() as plugin:
        config = plugin.home.read("config.json")
        home = plugin.home.directory("user")
        plugin.home.write("user/.config/pullkey/config.json", config)
        del plugin.env["PULLKEY_CONFIG"]
        for env in (
            {"HOME": home},
            {"HOME": home, "XDG_CONFIG_HOME": f"{home}/.config"},
            {"PULLKEY_CONFIG_JSON": config},
        ):
            tap.equal(plugin.answer(IMAGE, env=env)["auth"], {}, env)


@tap.case("a helper gets nothing of the kubelet's environment but what `env` names (row 16)")
def environment():
    with Plugin() as plugin:
        seen = plugin.path("seen")
        script = f"env > {seen}; cat > /dev/null; echo '{ANSWER}'\n"
        for named in ([], ["SSL_CERT_FILE", "LD_LIBRARY_PATH"]):
            use = {**plugin.helper(script), "env": named}
            plugin.configure([rule(use=[use])])
            check_served(plugin.ask(IMAGE, env=HOSTILE))
            lines = plugin.home.read("seen").splitlines()
            got = {line.partition("=")[0] for line in lines} & {*HOSTILE, *plugin.env}
            # LD_* is gone before it could be named.
            tap.equal(got - {"PATH"}, {"SSL_CERT_FILE"} if named else set())


@tap.case("closed descriptors are errors, and no file takes their place")
def closed():
    with with_file() as plugin:

        def run(closing, text=REQUEST):
            script = f'exec "$0" {closing}'
            words = ["-c", script, plugin.program]
            return plugin.run(text, program="/bin/sh", arguments=words)

        plugin.check_failed(run("<&-"), "the request on standard input: cannot read")
        plugin.check_failed(run(">&-"), "the answer cannot be written to standard output")
        check_served(run("2>&-"))
        before = plugin.home.read("auth.json"), plugin.home.read("config.json")
        for closing in ("<&- >&-", ">&- 2>&-", "<&- >&- 2>&-"):
            done = run(closing)
            tap.equal((done.returncode, done.stdout), (1, b""), closing)
        tap.equal((plugin.home.read("auth.json"), plugin.home.read("config.json")), before)


@tap.case("an answer that cannot be written is exit status 1")
def full():
    with with_file() as plugin:
        for text in (REQUEST, request("r.example.com/a")):
            with open("/dev/full", "wb") as output:
                done = plugin.finish(plugin.start(stdout=output), text)
            tap.equal(done.returncode, 1)
            tap.check(b"the answer cannot be written" in done.stderr, done.stderr)
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "wb") as output:
            done = plugin.finish(plugin.start(stdout=output), REQUEST)
        tap.equal(done.returncode, 1)
        for word in ("--help", "--version"):
            with open("/dev/full", "wb") as output:
                done = plugin.finish(plugin.start(stdout=output, arguments=[word]))
            tap.equal(done.returncode, 1, word)
        with open("/dev/full", "wb") as output:
            done = plugin.finish(plugin.start(stderr=output), "{")
        tap.equal((done.returncode, done.stdout), (1, b""))


def go_on(plugin, seconds):
    """So much time passes, to plugins that have plugin.env from with_clock()."""
    with open(plugin.path("clock"), "r+b") as file:
        file.write(struct.pack("qq", seconds, seconds))


def with_clock(plugin):
    plugin.home.write("clock", "\0" * 16)
    library = os.environ["CLOCK_SHIFT_LIBRARY"]
    return {"LD_PRELOAD": library, "CLOCK_SHIFT": plugin.path("clock")}


@tap.case(f"a helper that hangs is given up {DEADLINE} s after the start (row 11)")
def deadline():
    with with_script("cat > /dev/null; sleep 60\n") as plugin:
        process = start_reading(plugin, env=with_clock(plugin))
        # The request is read slowly, and the helper gets what is left.
        go_on(plugin, DEADLINE - 1)
        begin = time.monotonic()
        done = plugin.finish(process)
        seconds = time.monotonic() - begin
        plugin.check_failed(done, "it did not answer in time")
        tap.check(0.5 < seconds < DEADLINE - 5, f"after {seconds:.1f} s")


@tap.case("one that is forgiven leaves time for the next")
def shares():
    with Plugin() as plugin:
        hanging = {**plugin.helper("exec sleep 60\n"), "on_error": "next"}
        plugin.configure([rule(use=[hanging, plugin.store({HOST: ("alice", PASSWORD)})])])
        process = start_reading(plugin, env=with_clock(plugin))
        go_on(plugin, DEADLINE - 2)
        check_served(plugin.finish(process))


def alarm(process):
    """What the kernel does when the guard's time is up."""
    process.send_signal(signal.SIGALRM)


@tap.case("what keeps to no deadline is ended by an alarm, with a line and no answer")
def guard():
    with with_file() as plugin:
        process = start_reading(plugin)
        alarm(process)
        plugin.check_failed(plugin.finish(process), "the request took too long", "PULLKEY_LOG")
        # A caller that blocks or ignores the signal does not disarm it.
        for disarm in (
            lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM}),
            lambda: signal.signal(signal.SIGALRM, signal.SIG_IGN),
        ):
            process = start_reading(plugin, prepare=disarm)
            alarm(process)
            plugin.check_failed(plugin.finish(process), "the request took too long")


@tap.case("it ends the helper that runs then, and what that has started")
def guard_ends_helpers():
    for last in ("wait", "exit 0"):
        with Plugin() as plugin:
            script = f"cat > /dev/null; cd {plugin.home.path}; echo $$ > leader\n"
            script += f"sh -c 'echo $$ > child; exec sleep 600' &\n{last}\n"
            plugin.configure([rule(use=[plugin.helper(script)])])
            process = start_reading(plugin)
            process.stdin.close()
            process.stdin = None
            leader, child = (number_in(plugin, name) for name in ("leader", "child"))
            wait_for(lambda: last == "wait" or has_ended(leader), "its end", 30)
            alarm(process)
            plugin.check_failed(plugin.finish(process), "the request took too long")
            wait_for(lambda: has_ended(leader) and has_ended(child), "the end of both", 30)


def number_in(plugin, name):
    wait_for(lambda: plugin.home.read(name).endswith("\n"), f"the number of {name}", 30)
    return int(plugin.home.read(name))


@tap.case("the alarm is set: it comes by itself, before the kubelet's minute is over")
def guard_is_set():
    with with_file() as plugin:
        env = {**with_clock(plugin), "CLOCK_ALARM": plugin.path("alarms")}
        check_served(plugin.run(REQUEST, env=env))
        seconds = plugin.home.read("alarms").split()
        tap.check(len(seconds) == 1 and DEADLINE < int(seconds[0]) < 60, seconds)


@tap.case("a grandchild that lives on does not keep the kubelet waiting (a kubelet waits for EOF)")
def grandchild():
    with Plugin() as plugin:
        number = plugin.path("number")
        orphan = f"setsid sh -c 'echo $$ > {number}; exec sleep 60' <&- >&- 2>&- &\n"
        script = f"cat > /dev/null\n{orphan}echo '{ANSWER}'\n"
        plugin.configure([rule(use=[plugin.helper(script)])])
        begin = time.monotonic()
        # finish() reads until all that could write have closed their ends.
        check_served(plugin.run(REQUEST))
        seconds = time.monotonic() - begin
        os.kill(number_in(plugin, "number"), signal.SIGKILL)
        tap.check(seconds < 20, f"{seconds} s")


@tap.case("one that keeps the helper's own output open is killed with it at the deadline")
def holding_grandchild():
    with Plugin() as plugin:
        number = plugin.path("number")
        orphan = f"sh -c 'echo $$ > {number}; exec sleep 60' &\n"
        script = f"cat > /dev/null\n{orphan}echo '{ANSWER}'\n"
        plugin.configure([rule(use=[plugin.helper(script)])])
        process = start_reading(plugin, env=with_clock(plugin))
        go_on(plugin, DEADLINE - 5)
        plugin.check_failed(plugin.finish(process), "it did not answer in time")
        wait_for(lambda: has_ended(int(plugin.home.read("number"))), "the orphan's end", 30)


@tap.case("no descriptor of the kubelet's reaches a helper")
def descriptors():
    with Plugin() as plugin:
        seen = plugin.path("seen")
        script = f"cat > /dev/null; ls /proc/self/fd > {seen}; echo '{ANSWER}'\n"
        plugin.configure([rule(use=[plugin.helper(script)])])
        reader, writer = os.pipe()
        try:
            done = plugin.finish(plugin.start(pass_fds=[reader, writer]), REQUEST)
        finally:
            os.close(reader)
            os.close(writer)
        check_served(done)
        # 0 to 2, and the directory that ls reads.
        tap.equal(plugin.home.read("seen").split(), ["0", "1", "2", "3"])


@tap.case("secrets are in no argument, no environment and no core file")
def secrets_of_processes():
    own = token()
    with with_script("cat > /dev/null; exec sleep 60\n") as plugin:
        text = request(IMAGE, serviceAccountToken=own)
        plugin.secrets.append(own)
        process = start_reading(plugin, text)
        with open(f"/proc/{process.pid}/limits", encoding="ascii") as file:
            limit = next(line for line in file if line.startswith("Max core file size")).split()[4]
        tap.equal(limit, "0", "the limit of core files")
        with open(f"/proc/{process.pid}/cmdline", "rb") as file:
            plugin.search(file.read(), "cmdline")
        process.send_signal(signal.SIGQUIT)
        _, status = os.waitpid(process.pid, 0)
        process.returncode = -os.WTERMSIG(status)
        tap.check(not os.WCOREDUMP(status), "a core file was written")
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()


sys.exit(tap.run())
