# SPDX-License-Identifier: Apache-2.0
"""`pullkey kubelet check` on a machine with a kubelet, in namespaces of its own; and the samples of packaging/kubelet."""

import json
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from home import Home
from kubelet_cases import PLAIN, START, WITH_TOKENS, change
from registry import find_program
from tap import Skip, case, check, equal, run

SAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "packaging", "kubelet")
GATE = "KubeletServiceAccountTokenForCredentialProviders"


class Machine(Home):
    """Processes and mounts of its own; inside, the caller is root."""

    def __init__(self, text=PLAIN):
        super().__init__()
        self.bin = self.directory("bin")
        for name in ("provider", "pullkey-kubelet"):
            os.chmod(self.write(f"bin/{name}", "#!/bin/sh\n"), 0o755)
        self.config = self.write("config.yaml", text)
        self.kubelet = shutil.copy(os.environ["KUBELET_PROGRAM"], self.directory("programs") + "/kubelet")
        os.chmod(self.kubelet, 0o755)
        namespaces = "-mpf" if os.geteuid() == 0 else "-Urmpf"
        self.enter = [find_program("unshare", "util-linux"), namespaces, "--mount-proc"]
        self.flags = ["--image-credential-provider-config=" + self.config,
                      "--image-credential-provider-bin-dir", self.bin]

    def __enter__(self):
        tried = self.run([*self.enter, "true"])
        if "unshare:" in tried.stderr:
            self.__exit__()
            raise Skip("no namespaces of its own here: " + tried.stderr.strip())
        equal(tried.returncode, 0, tried.stderr)
        return self

    def report(self, *words, before="true", kubelet=None, options="", env=None):
        """What check says beside a kubelet with these words, the first of which is its name."""
        script = f"{before} && exec {self.pullkey} kubelet check --json {options}"
        command = [sys.executable, "-c", START, script, kubelet or self.kubelet, *words] if words else ["sh", "-c", script]
        done = self.run([*self.enter, *command], env=env)
        check(done.returncode in (0, 1), done.stdout + done.stderr)
        report = json.loads(done.stdout)
        return report, [(item["level"], item["id"]) for item in report["findings"]]


def places(report):
    return report["config"], report["bin_dir"], report["version"]


@case("the flags of the kubelet that runs, and its version")
def running():
    with Machine() as machine:
        for name in ("kubelet", "/usr/bin/kubelet"):
            report, found = machine.report(name, "--v=2", *machine.flags)
            equal((places(report), found), ((machine.config, machine.bin, "1.34"), []), name)
        report, found = machine.report("other", *machine.flags)
        equal((places(report)[:2], found), ((None, None), [("warning", "no-config")]), "not a kubelet")


@case("a kubelet of a container is not this machine's")
def contained():
    with Machine() as machine:
        words = " ".join([machine.kubelet, *machine.flags])
        before = (f"mkfifo {machine.path}/fifo; unshare -pf --mount-proc {words} <>{machine.path}/fifo >/dev/null & "
                  f"until readlink /proc/[0-9]*/exe 2>/dev/null | grep -qx {machine.kubelet}; do :; done")
        report, found = machine.report(before=before)
        equal((places(report)[:2], found), ((None, None), [("warning", "no-config")]))


IMPOSTOR = """import ctypes, os, sys
os.setresuid(65534, 65534, 65534)
ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # not dumpable: what is inside its directory of /proc is root's
open({!r}, "w").close()
sys.stdin.read()
"""


def impostor():
    with Machine() as machine:
        ready = machine.directory("ready")
        for path in (machine.path, ready):
            os.chmod(path, 0o777)
        ready += "/yes"
        report, found = machine.report("kubelet", "-c", IMPOSTOR.format(ready), *machine.flags, kubelet=sys.executable,
                                       before=f"until test -e {ready}; do :; done")
        equal((places(report)[:2], found), ((None, None), [("warning", "no-config")]))


if os.geteuid() == 0:
    case("a process of another user is no kubelet, whatever it hides")(impostor)


@case("one flag, none, and options that win")
def flags():
    with Machine() as machine:
        _, found = machine.report("kubelet", machine.flags[0])
        equal(found, [("error", "kubelet-flags"), ("note", "bin-dir-unknown")])
        _, found = machine.report("kubelet")
        equal(found, [("warning", "kubelet-flags"), ("warning", "no-config")])
        _, found = machine.report("kubelet", machine.flags[0], options=f"--config {machine.config} --bin-dir {machine.bin}")
        equal(found, [], "a file that is named")
        options = f"--config {machine.write('other.yaml', PLAIN)} --kubelet-version 1.30 --bin-dir {machine.directory('none')}"
        report, found = machine.report("kubelet", *machine.flags, options=options)
        equal(places(report), (machine.path + "/other.yaml", machine.path + "/none", "1.30"))
        equal(found, [("error", "binary-missing")])


@case("a program that others can change is not run; one in PATH is")
def programs():
    with Machine() as machine:
        os.chmod(machine.kubelet, 0o757)
        report, _ = machine.report("kubelet", *machine.flags)
        equal(report["version"], None)
        os.chmod(machine.write("tools/kubelet", "#!/bin/sh\necho Kubernetes v1.31.0-eks-1234567\n"), 0o755)
        env = {"PATH": machine.path + "/tools:" + machine.env["PATH"]}
        report, _ = machine.report("kubelet", *machine.flags, env=env)
        equal(report["version"], "1.31")
        os.chmod(machine.path + "/tools", 0o777)
        report, _ = machine.report("kubelet", *machine.flags, env=env)
        equal(report["version"], None)


@case("the feature gate among the flags")
def gate():
    with Machine(WITH_TOKENS) as machine:
        for word, expected in (("true", []), ("false", [("error", "token-gate")])):
            _, found = machine.report("kubelet", *machine.flags, f"--feature-gates=Other=true,{GATE}={word}")
            equal(found, expected, word)
        os.chmod(machine.write("tools/kubelet", "#!/bin/sh\necho Kubernetes v1.33.1\n"), 0o755)
        env = {"PATH": machine.path + "/tools:" + machine.env["PATH"]}
        machine.write("config.yaml", change(WITH_TOKENS, "      cacheType: ServiceAccount\n", ""))
        for words, expected in (([], [("warning", "token-gate")]), ([f"--feature-gates={GATE}=true"], [])):
            # A shell that is called so says nothing of a version.
            report, found = machine.report("kubelet", "-c", "read x", *machine.flags, *words, kubelet="/bin/sh", env=env)
            equal((report["version"], found), ("1.33", expected), str(words))


@case("the usual places, where no kubelet runs")
def usual():
    with Machine() as machine:
        for config, bin_dir in (
            ("/etc/kubernetes/credential-provider.yaml", os.environ["PULLKEY_LIBEXECDIR"]),
            ("/etc/pullkey/credential-provider.yaml", "/opt/pullkey/libexec/pullkey"),
            ("/etc/eks/image-credential-provider/config.json", "/etc/eks/image-credential-provider"),
            ("/etc/srv/kubernetes/cri_auth_config.yaml", "/home/kubernetes/bin"),
        ):
            before = f"mount -t tmpfs tmpfs /etc && mkdir -p {os.path.dirname(config)} && cp {machine.config} {config}"
            report, _ = machine.report(before=before)
            equal(places(report)[:2], (config, bin_dir))


@case("the samples are what `pullkey kubelet config` prints, and nothing is wrong with them")
def samples():
    with Home() as home:
        path = shutil.copy(os.path.join(SAMPLES, "config.json"), home.path)
        os.chmod(path, 0o600)
        home.env["PULLKEY_CONFIG"] = path
        for name, words, versions in (("credential-provider.yaml", [], ("1.26", "1.34", "1.37")),
                                      ("credential-provider-tokens.yaml", ["--audience", "pullkey"], ("1.34", "1.37"))):
            with open(os.path.join(SAMPLES, name), encoding="utf-8") as file:
                text = re.sub(r"\A(#.*\n)+", "", file.read())
            for version in versions:
                release = ["--kubelet-version", version]
                equal(home.succeed([home.pullkey, "kubelet", "config", *release, *words]), text, version)
                command = [home.pullkey, "kubelet", "check", *release, "--config", os.path.join(SAMPLES, name)]
                done = home.run([*command, "--bin-dir", os.environ["PULLKEY_LIBEXECDIR"], "--json"])
                equal(json.loads(done.stdout)["findings"], [], version)


@case("the sample of a unit has both flags, as the kubelet of this test is read with them")
def unit():
    with open(os.path.join(SAMPLES, "pullkey.conf"), encoding="utf-8") as file:
        (words,) = re.findall(r'^Environment="KUBELET_EXTRA_ARGS=(.*)"$', file.read(), re.M)
    with Machine() as machine:
        report, _ = machine.report("kubelet", *words.split())
        equal(places(report)[:2], ("/etc/kubernetes/credential-provider.yaml", "/usr/libexec/pullkey"))


sys.exit(run())
