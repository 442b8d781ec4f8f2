# SPDX-License-Identifier: Apache-2.0
"""Helpers, limits and surroundings that are not meant well, or just badly set up."""

import contextlib
import fcntl
import json
import os
import struct
import subprocess
import sys
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from home import NOT_FOUND, SECONDS, Home
from tap import case, check, equal, run

SERVER = "registry.example.com"
MARKER = "marker-7be2f0"


def payload(server=SERVER, secret=MARKER):
    return json.dumps({"ServerURL": server, "Username": "alice", "Secret": secret})


def use_helper(home, path):
    backends = {"other": {"type": "exec", "path": path}}
    text = json.dumps({"version": 1, "backends": backends, "default": ["other"]})
    home.env["PULLKEY_CONFIG_JSON"] = text


def script(home, text):
    path = home.write("docker-credential-script", text)
    os.chmod(path, 0o755)
    return path


def queued(pipe):
    return struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))[0]


def wait_until(condition, what):
    deadline = time.monotonic() + SECONDS
    while not condition():
        check(time.monotonic() < deadline, f"waited in vain: {what}")
        time.sleep(0.01)


def refusal(home, verb, text):
    """One line on stdout, exit status 1, and never the words that mean "go on without"."""
    done = home.run([home.helper, verb], text)
    equal((done.returncode, done.stdout.count("\n")), (1, 1), f"{verb}: {done.stdout}{done.stderr}")
    check(done.stdout != NOT_FOUND, f"{verb} says that there is no credential")
    check(MARKER not in done.stdout + done.stderr, done.stdout)
    return done.stdout


@case("a helper or interpreter that is not installed is an error, not a missing credential")
def missing_helper():
    with Home() as home:
        for path in (
            os.path.join(home.path, "docker-credential-none"),
            script(home, "#!/nonexistent/interpreter\n"),
        ):
            use_helper(home, path)
            for verb in ("get", "erase"):
                check(path in refusal(home, verb, SERVER), f"{verb} does not name {path}")
            check(path in refusal(home, "store", payload()), "store does not name the program")


@case("a helper that takes one name of a registry for another keeps what was stored")
def normalising_helper():
    with Home() as home:
        # pullkey itself is such a helper, behind a wrapper with a home of its own.
        inner = home.directory("inner")
        text = f"#!/bin/sh\nunset PULLKEY_CONFIG_JSON\nexport HOME={inner}\n"
        text += f"export XDG_CONFIG_HOME={inner}/c XDG_STATE_HOME={inner}/s\n"
        use_helper(home, script(home, f'{text}exec {home.helper} "$1"\n'))
        for secret in (MARKER, "another", "another"):
            for server in (SERVER, f"https://{SERVER}", "docker.io"):
                home.succeed([home.helper, "store"], payload(server, secret))
                equal((home.get(server) or {}).get("Secret"), secret, server)
        equal(len(home.list()), 2)
        home.succeed([home.helper, "erase"], SERVER)
        equal(home.get(SERVER), None)


@case("a large answer is written whole into a pipe that does not block")
def non_blocking_output():
    with Home() as home:
        secret = '"' * 60000
        home.succeed([home.helper, "store"], payload(secret=secret))
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        with open(reader, "rb") as answers:
            process = home.start([home.helper, "get"], stdout=writer)
            os.close(writer)
            process.stdin.write(SERVER.encode())
            process.stdin.close()
            wait_until(lambda: queued(reader) >= 65536, "the pipe is full")
            answer = answers.read()
        equal(process.wait(SECONDS), 0)
        equal(json.loads(answer)["Secret"], secret)


@case("a request that is too long and does not end is refused in time")
def endless_request():
    with Home() as home:
        process = home.start([home.helper, "get"], stdout=subprocess.PIPE)
        process.stdin.write(b"a" * 2_000_000)
        process.stdin.flush()
        # The end of the input never comes.
        answer = process.stdout.read()
        equal((process.wait(SECONDS), answer.count(b"\n")), (1, 1), answer)
        process.stdin.close()
        process.stdout.close()


TWINS = (
    [{"type": "file"}, "file"],
    ["file", {"type": "file", "path": "~/.config//pullkey/auth.cms"}],
    ["file", {"type": "exec", "path": "%s"}],
)


@case("two instances that stand for one store: what is stored stays")
def twins():
    for chain in TWINS:
        with Home() as home:
            helper = home.write(
                "docker-credential-twin",
                f'#!/bin/sh\nPULLKEY_CONFIG_JSON=\'{{"version":1}}\' exec {home.helper} "$1"\n',
            )
            os.chmod(helper, 0o755)
            text = json.dumps({"version": 1, "rules": [{"match": "**", "use": chain}]})
            home.write(".config/pullkey/config.json", text.replace("%s", helper))
            for secret in ("first", "second"):
                home.succeed([home.helper, "store"], payload(secret=secret))
                equal(home.get(SERVER)["Secret"], secret, f"{chain}")
            home.succeed([home.helper, "erase"], SERVER)
            equal(home.list(), {})


@case("a log that is a store by mistake spoils nothing")
def log_into_store():
    with Home() as home:
        home.succeed([home.helper, "store"], payload())
        store = os.path.join(home.path, ".config/pullkey/auth.cms")
        os.link(store, os.path.join(home.path, "linked"))
        for path in (store, os.path.join(home.path, "linked")):
            home.run([home.helper, "get"], SERVER, {"PULLKEY_LOG": path})
        os.unlink(os.path.join(home.path, "linked"))
        equal(home.get(SERVER)["Secret"], MARKER)


@case("a client that takes no answer does not keep the helper for ever")
def nobody_reads():
    with Home() as home:
        home.succeed([home.helper, "store"], payload())
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, b"x" * 4096)
        os.set_blocking(writer, True)
        process = home.start([home.helper, "get"], stdout=writer)
        process.stdin.write(SERVER.encode())
        process.stdin.close()
        equal(process.wait(SECONDS), 1)
        os.close(reader)
        os.close(writer)


@case("many entries that are none do not take the time of a request")
def malformed_entries():
    with Home() as home:
        entries = ",".join(f'\n"k{number}":1' for number in range(60000))
        bad = home.write("bad.json", f'{{"auths":{{{entries}}}}}')
        home.succeed([home.helper, "store"], payload())
        config = {"version": 1, "default": ["file", {"type": "file", "sources": [bad]}]}
        home.write(".config/pullkey/config.json", json.dumps(config))
        before = time.monotonic()
        equal(list(home.list()), [SERVER])
        check(time.monotonic() - before < 5, "it took too long")


@case("pullkey called by a helper of its own comes to an end")
def loop_through_list():
    with Home() as home:
        count = os.path.join(home.path, "count")
        helper = home.write(
            "docker-credential-loop",
            f"#!/bin/sh\necho x >>{count}\n[ $(wc -l <{count}) -gt 40 ] && exit 1\n"
            f"exec {home.pullkey} list --json\n",
        )
        os.chmod(helper, 0o755)
        config = {"version": 1, "default": [{"type": "exec", "path": helper}]}
        home.write(".config/pullkey/config.json", json.dumps(config))
        done = home.run([home.pullkey, "list"])
        equal((done.returncode, done.stderr.count("\n")), (1, 1), done.stderr)
        check(len(home.read("count").split()) <= 3, home.read("count"))


@case("a limit on the size of files ends no program that only answers")
def file_size_limit_of_answers():
    with Home() as home:
        home.succeed([home.helper, "store"], payload())
        log = os.path.join(home.path, "log")
        limited = ["/bin/sh", "-c", 'ulimit -f 0; exec "$0" get', home.helper]
        done = home.run(limited, SERVER, {"PULLKEY_LOG": log})
        equal(json.loads(done.stdout)["Secret"], MARKER)
        script = f'ulimit -f 0; "{home.pullkey}" list >{home.path}/out; echo $?'
        done = home.run(["/bin/sh", "-c", script])
        equal(done.stdout, "1\n", "an error, and no signal")


@case("a limit on the size of files is an error that leaves the old store")
def file_size_limit():
    with Home() as home:
        home.succeed([home.helper, "store"], payload())
        limited = ["/bin/sh", "-c", 'ulimit -f 0; exec "$0" store', home.helper]
        done = home.run(limited, payload("other.example.com"))
        equal((done.returncode, done.stdout.count("\n")), (1, 1), done.stdout)
        check("File too large" in done.stdout and MARKER not in done.stdout, done.stdout)
        equal(home.list(), {SERVER: "alice"})
        home.succeed([home.helper, "store"], payload("other.example.com"))


@case("tens of thousands of entries are listed in seconds")
def many_entries():
    with Home() as home:
        auths = {f"r{number}.example.com": {"auth": "dTpw"} for number in range(20000)}
        home.write("auth.json", json.dumps({"auths": auths}))
        backends = {"many": {"type": "file", "sources": [os.path.join(home.path, "auth.json")]}}
        home.env["PULLKEY_CONFIG_JSON"] = json.dumps(
            {"version": 1, "backends": backends, "default": ["many"]}
        )
        limited = ["/bin/sh", "-c", 'ulimit -t 15; exec "$0" list', home.pullkey]
        equal(home.succeed(limited).count("\n"), 20001)


def root_in_a_users_home():
    """Files of root's there would shut the user out for good."""
    with Home() as home:
        os.chown(home.path, 65534, 65534)
        for variable in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
            home.env[variable] = os.path.join(home.path, variable)
        done = home.run([home.helper, "store"], payload())
        equal(done.returncode, 1, done.stdout)
        check("belongs to user 65534" in done.stdout, done.stdout)
        place = os.path.join(home.path, "XDG_CONFIG_HOME")
        check(not os.path.exists(place), "root made a directory there")
        os.makedirs(os.path.join(place, "pullkey"), 0o700)
        os.chown(os.path.join(place, "pullkey"), 65534, 65534)
        path = os.path.join(place, "pullkey", "auth.json")
        home.env["PULLKEY_CONFIG_JSON"] = json.dumps(
            {
                "version": 1,
                "backends": {"plain": {"type": "file", "path": path, "encryption": "none"}},
                "default": ["plain"],
            }
        )
        check("belongs to user 65534" in refusal(home, "store", payload()), "another reason")
        equal(os.listdir(os.path.dirname(path)), [])


# Nobody else can make what belongs to another.
if os.geteuid() == 0:
    case("root leaves nothing of its own in a user's home")(root_in_a_users_home)


if __name__ == "__main__":
    sys.exit(run())
