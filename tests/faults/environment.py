# SPDX-License-Identifier: Apache-2.0
"""Environment variables that load code, leak, or change behaviour have no effect.

Each is set alone and all together; the answers must be those of a clean environment, no file may
appear, and a helper that the exec backend runs must not inherit one of them.
"""

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys

import sandbox
import tap
from sandbox import SERVER, Sandbox

PROCESS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../helper/base/process.c")

# A library whose constructor leaves a mark: whatever loads it has run foreign code.
INTRUDER = r"""
#include <fcntl.h>
#include <unistd.h>
__attribute__((constructor)) static void leave_mark(void)
{
    int fd = open(MARK, O_WRONLY | O_CREAT, 0600);
    if (fd >= 0)
        close(fd);
}
"""

OPENSSL_CONF = """
openssl_conf = all
[all]
providers = providers
[providers]
intruder = intruder
[intruder]
module = {library}
activate = 1
"""


class Traps:
    """Files that the variables point to, and the mark that must not appear."""

    def __init__(self, user):
        place = user.path("tmp", "traps")
        os.mkdir(place)
        self.mark = user.path("tmp", "intruder-was-here")
        self.library = os.path.join(place, "intruder.so")
        self.place = place
        source = os.path.join(place, "intruder.c")
        with open(source, "w", encoding="ascii") as out:
            out.write(INTRUDER)
        subprocess.run(
            ["cc", "-shared", "-fPIC", f'-DMARK="{self.mark}"', "-o", self.library, source],
            check=True,
        )
        self.openssl = os.path.join(place, "openssl.cnf")
        with open(self.openssl, "w", encoding="ascii") as out:
            out.write(OPENSSL_CONF.format(library=self.library))
        with open(os.path.join(place, "gconv-modules"), "w", encoding="ascii") as out:
            out.write("module UTF-8// INTERNAL intruder 1\nmodule INTERNAL UTF-8// intruder 1\n")
        for name in ("legacy.so", "default.so", "base.so", "libcjson.so.9", "pkcs11.so"):
            shutil.copy(self.library, os.path.join(place, name))

    def dropped(self):
        """Name to value of what no program that pullkey runs may inherit.

        Less what the linker obeys before main can act (LD_PRELOAD, LD_AUDIT, LD_DEBUG).
        """
        place, library = self.place, self.library
        written = os.path.join(place, "written-")
        return {
            "OPENSSL_CONF": self.openssl,
            "OPENSSL_CONF_INCLUDE": place,
            "OPENSSL_MODULES": place,
            "OPENSSL_ENGINES": place,
            "OPENSSL_ia32cap": "0",
            "OPENSSL_TRACE": "ALL",
            "OPENSSL_armcap": "0",
            "OPENSSL_OF_TOMORROW": place,
            "SSLKEYLOGFILE": written + "keys",
            "GCONV_PATH": place,
            "GETCONF_DIR": place,
            "LOCPATH": place,
            "NLSPATH": place + "/%N",
            "HOSTALIASES": place + "/hosts",
            "LOCALDOMAIN": "evil.example",
            "RES_OPTIONS": "debug ndots:9",
            "RESOLV_HOST_CONF": place + "/hosts",
            "NIS_PATH": "evil.example",
            "MALLOC_TRACE": written + "malloc",
            "MALLOC_CHECK_": "3",
            "MALLOC_PERTURB_": "165",
            "MALLOC_OF_TOMORROW": written + "malloc",
            "GLIBC_TUNABLES": "glibc.malloc.check=3:glibc.malloc.perturb=165",
            "LD_BIND_NOW": "",
            "LD_DYNAMIC_WEAK": "1",
            "LD_HWCAP_MASK": "0",
            "LD_LIBRARY_PATH": place,
            "LD_ORIGIN_PATH": place,
            # Of a library that is not there: the linker itself would obey, before main.
            "LD_PROFILE": "libabsent.so.1",
            "LD_PROFILE_OUTPUT": place,
            "LD_DEBUG_OUTPUT": written + "debug",
            "LD_OF_TOMORROW": library,
            "NETRC": place + "/netrc",
            "QLOGDIR": place,
            "GIO_EXTRA_MODULES": place,
            "GIO_MODULE_DIR": place,
            "GIO_USE_VFS": "intruder",
            "GIO_OF_TOMORROW": place,
            "GTK_MODULES": library,
            "GSETTINGS_BACKEND": "intruder",
            "GSETTINGS_SCHEMA_DIR": place,
            "GSETTINGS_OF_TOMORROW": place,
            "G_DEBUG": "fatal-warnings",
            "G_MESSAGES_DEBUG": "all",
            "G_DBUS_DEBUG": "all",
            "G_DBUS_OF_TOMORROW": place,
            "SECMEM_FORCE_FALLBACK": "1",
            "SECRET_SERVICE_BUS_NAME": "org.evil.example",
            "P11_KIT_DEBUG": "all",
            "P11_KIT_STRICT": "yes",
            "P11_KIT_OF_TOMORROW": place,
            "SOFTHSM2_CONF": place + "/softhsm",
        }

    def inherited(self):
        """Name to value of what changes nothing here, and is the user's own to give to programs."""
        return {
            "LC_ALL": "tr_TR.UTF-8",
            "LANG": "de_DE.UTF-8",
            "LANGUAGE": "de",
            "TZ": "../../../" + self.place + "/zone",
            "TZDIR": self.place,
            "IFS": "/",
            "POSIXLY_CORRECT": "1",
            "TMPDIR": "/nonexistent",
            "PULLKEY_MODULE_DIR": self.place,
            "PULLKEY_LIBDIR": self.place,
        }

    def variables(self):
        return {**self.dropped(), **self.inherited()}


REQUESTS = (
    ("get", SERVER),
    ("get", "https://absent.example.com"),
    ("get", "bad host"),
    ("list", ""),
    ("version", ""),
    ("store", "not json"),
    ("store", sandbox.entry("https://e.example.com", "eve", sandbox.secret("e"))),
    ("erase", "https://e.example.com"),
)


def answers(user, extra=None):
    result = []
    for verb, text in REQUESTS:
        done = user.helper(verb, text, env=extra)
        result.append((verb, text, done.returncode, done.stdout, done.stderr))
    return result


def compare(kind):
    with Sandbox(kind) as user:
        user.store(SERVER, "alice", sandbox.secret("\u00fc\u20ac"))
        traps = Traps(user)
        clean = answers(user)
        names = set(user.files())
        variables = traps.variables()
        tap.check(len(variables) >= 30, "thirty variables")
        for name, value in [*variables.items(), (None, None)]:
            extra = variables if name is None else {name: value}
            got = answers(user, extra)
            for one, other in zip(got, clean, strict=True):
                tap.check(one == other, f"{name or 'all together'}: {one[:2]} differs")
            new = set(user.files()) - names
            tap.check(not new, f"{name or 'all together'}: {sorted(new)} appeared")


for kind_of_store in sandbox.KINDS:
    tap.case(f"{kind_of_store}: the same answers with each hostile variable")(
        lambda kind=kind_of_store: compare(kind)
    )


@tap.case("the traps work: what obeys the variables leaves the mark")
def traps_work():
    with Sandbox("plain") as user:
        traps = Traps(user)
        done = subprocess.run(
            ["openssl", "version"],
            env={"PATH": "/usr/bin:/bin", "OPENSSL_CONF": traps.openssl},
            capture_output=True,
        )
        subprocess.run(
            ["openssl", "dgst", "-sha256", "/dev/null"],
            env={"PATH": "/usr/bin:/bin", "OPENSSL_CONF": traps.openssl},
            capture_output=True,
        )
        tap.check(done.returncode == 0 and os.path.exists(traps.mark), "the trap is not armed")


CHILD = """#!/usr/bin/python3 -IS
import os, sys
descriptors = sorted(os.listdir("/proc/self/fd"))
with open({dump!r}, "wb") as out:
    for name, value in os.environb.items():
        out.write(name + b"=" + value + b"\\0")
    out.write(b"=fds=" + ",".join(descriptors).encode())
sys.stdin.read()
print('{{"ServerURL":"x","Username":"child","Secret":"from the child"}}')
"""


def with_child(user):
    dump = user.path("tmp", "child-environment")
    path = user.path("home", "docker-credential-child")
    with open(path, "w", encoding="ascii", opener=lambda p, f: os.open(p, f, 0o700)) as out:
        out.write(CHILD.format(dump=dump))
    user.configure(
        {
            "version": 1,
            "backends": {"child": {"type": "exec", "path": path}},
            "default": ["child"],
        }
    )
    return dump


def child_environment(dump):
    with open(dump, "rb") as data:
        *pairs, descriptors = data.read().split(b"\0")
    os.unlink(dump)
    return dict(pair.decode().split("=", 1) for pair in pairs), descriptors.decode()


@tap.case("exec: a helper inherits the user's environment, but none of the hostile variables")
def child_inherits():
    with Sandbox("plain", config={"version": 1}) as user:
        traps = Traps(user)
        dump = with_child(user)
        extra = {**traps.variables(), "HARMLESS": "yes", "AWS_PROFILE": "work"}
        reader, writer = os.pipe()
        try:
            answer = user.get(SERVER, env=extra, pass_fds=(reader, writer))
        finally:
            os.close(reader)
            os.close(writer)
        tap.equal(answer, ("child", "from the child"))
        environment, descriptors = child_environment(dump)
        tap.equal(sorted(traps.dropped().keys() & environment), [])
        for name in extra.keys() - traps.dropped():
            tap.equal(environment.get(name), extra[name], name)
        # 3 is the listing of the directory itself.
        tap.equal(descriptors, "=fds=0,1,2,3", "descriptors of the child")
        tap.check(not os.path.exists(traps.mark), "foreign code has run")


@tap.case("exec: each hostile variable alone does not reach a helper")
def child_inherits_none():
    with Sandbox("plain", config={"version": 1}) as user:
        traps = Traps(user)
        dump = with_child(user)
        for name, value in traps.dropped().items():
            tap.equal(user.get(SERVER, env={name: value}), ("child", "from the child"), name)
            environment, _ = child_environment(dump)
            tap.check(name not in environment, f"{name} is inherited")
            tap.equal(environment.get("HOME"), user.path("home"))


@tap.case("what process.c drops is tested here, each name and each beginning")
def list_is_complete():
    with open(PROCESS, encoding="utf-8") as source:
        table = re.search(r"hostile\[\] = \{(.*?)\};", source.read(), re.S)[1]
    patterns = re.findall(r'"([^"]+)"', table)
    tap.check(len(patterns) > 20, f"only {patterns}")
    with Sandbox("plain") as user:
        names = Traps(user).dropped()
    for pattern in patterns:
        found = [name for name in names if fnmatch.fnmatchcase(name, pattern)]
        tap.check(found, f"{pattern} is not tried")
        if pattern.endswith("*"):
            # One that nobody knows: the beginning alone decides.
            tap.check(pattern[:-1] + "OF_TOMORROW" in found, f"{pattern} is only tried by names")


@tap.case("exec: no variable of the child holds the request or a secret")
def child_secrets():
    with Sandbox("plain", config={"version": 1}) as user:
        dump = with_child(user)
        user.get(SERVER, env={"UNRELATED": "1"})
        environment, _ = child_environment(dump)
        text = json.dumps(environment)
        tap.check(SERVER not in text and not sandbox.leaks(text.encode()), "a leak")


sys.exit(tap.run())
