# SPDX-License-Identifier: Apache-2.0
"""The image of packaging/kubernetes, made of its package without a network, and a node that is
installed from it.

usage: test-image.py SOURCE-ROOT PLACE
"""

import json
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import namespace
import packages
import tap

namespace.enter()

ROOT, PLACE = (os.path.abspath(path) for path in sys.argv[1:3])
del sys.argv[1:3]

KUBERNETES = os.path.join(ROOT, "packaging", "kubernetes")
TREE = "/opt/pullkey"
BASE, IMAGE = "localhost/base:12", "localhost/pullkey/installer:test"
DIRECTORY = packages.build(ROOT, PLACE + "-node", "--node")
SCRATCH = tempfile.TemporaryDirectory(dir="/var/tmp")


def buildah(*words):
    """Without a network, so that whatever asks for one fails."""
    storage = [f"--root={SCRATCH.name}/storage", f"--runroot={SCRATCH.name}/run", "--storage-driver=vfs"]
    environment = {"PATH": packages.PATH, "HOME": SCRATCH.name, "TMPDIR": SCRATCH.name}
    return packages.run("unshare", "--net", "buildah", *storage, *words, environment=environment)


def make_base():
    """What the Containerfile begins with, with an archive of the packages that are needed."""
    below = packages.base()
    buildah("from", "--name=base", "scratch")
    root = buildah("mount", "base").strip()
    packages.run("cp", "-a", f"{below}/root/.", root)
    packages.run("cp", "-a", f"{below}/archive", f"{root}/packages/0")
    with open(f"{root}/etc/apt/sources.list", "w", encoding="ascii") as file:
        file.write("deb [trusted=yes] file:/packages/0 ./\n")
    buildah("commit", "--quiet", "--rm", "base", BASE)


def make():
    make_base()
    containerfile = os.path.join(KUBERNETES, "Containerfile")
    words = ["--isolation=chroot", f"--build-arg=BASE={BASE}", f"--file={containerfile}", f"--tag={IMAGE}"]
    buildah("build", *words, DIRECTORY)
    buildah("from", "--name=made", IMAGE)
    return buildah("mount", "made").strip()


MADE = make()


def in_image(*words):
    return subprocess.run(
        ["chroot", MADE, *words],
        env={"PATH": packages.PATH},
        capture_output=True,
        text=True,
        timeout=packages.SECONDS,
    )


def entrypoint():
    return json.loads(buildah("inspect", "--type=image", IMAGE))["OCIv1"]["config"]["Entrypoint"]


@tap.case("lintian has no error and no warning on its package")
def clean():
    (path,) = packages.packages(DIRECTORY).values()
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error,warning", path],
        capture_output=True,
        text=True,
        timeout=packages.SECONDS,
    )
    tap.equal((done.returncode, done.stdout + done.stderr), (0, ""))


@tap.case("the image is one of OCI, and its program takes what daemonset.yaml gives it")
def image():
    layout = os.path.join(SCRATCH.name, "layout")
    buildah("push", "--quiet", IMAGE, f"oci:{layout}:test")
    with open(os.path.join(layout, "index.json"), encoding="utf-8") as file:
        (manifest,) = json.load(file)["manifests"]
    tap.equal(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json")
    done = in_image(*entrypoint(), "--help")
    tap.equal((done.returncode, done.stderr), (0, ""))
    with open(os.path.join(KUBERNETES, "daemonset.yaml"), encoding="utf-8") as file:
        text = file.read()
    (name,) = set(re.findall(r"image: (\S*pullkey\S*)", text))
    with open(os.path.join(KUBERNETES, "Containerfile"), encoding="utf-8") as file:
        tap.check(f"-t {name} " in file.read(), name)
    for option in re.findall(r"--[a-z-]+", re.search(r"args: \[(.*)\]", text)[1]):
        tap.check(f"  {option} " in done.stdout, option)


@tap.case("it has the package, what that needs, and nothing of how it was made")
def contents():
    done = in_image("dpkg-query", "--show", "-f", "${Package} ${Version}\n", "pullkey*")
    tap.equal(done.stdout, f"pullkey-node {os.environ['PULLKEY_VERSION']}\n")
    for name in ("/tmp", "/var/lib/apt/lists", "/var/cache/apt"):
        tap.equal(os.listdir(MADE + name), [], name)
    for name in ("gcc", "meson", "libc6-dev"):
        tap.check(in_image("dpkg-query", "--show", name).returncode != 0, name)


@tap.case("a node without anything is installed from it, and each program finds all it needs in /opt/pullkey")
def node():
    with tempfile.TemporaryDirectory(dir="/var/tmp") as root:
        os.makedirs(MADE + "/host")
        namespace.mount("--bind", root, MADE + "/host")
        try:
            done = in_image(*entrypoint(), "install", "--no-hosts")
        finally:
            namespace.unmount(MADE + "/host")
        tap.equal(done.returncode, 0, done.stdout + done.stderr)
        link = os.readlink(root + TREE)
        tap.check(re.fullmatch(r"pullkey-[0-9a-f]{12}", link), link)
        for words in (("bin/pullkey", "version", "--json"), ("libexec/pullkey/pullkey-hosts", "--version")):
            done = subprocess.run(
                ["chroot", root, f"{TREE}/{words[0]}", *words[1:]],
                env={"PATH": packages.PATH, "HOME": "/"},
                capture_output=True,
                text=True,
                timeout=60,
            )
            tap.equal((done.returncode, done.stderr), (0, ""), words)
            if "--json" in words:
                parts = json.loads(done.stdout)["parts"]
                tap.equal({name for name, state in parts.items() if state != "present"}, {"keyring"})


status = tap.run()
buildah("rm", "--all")
SCRATCH.cleanup()
sys.exit(status)
