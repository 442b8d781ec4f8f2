# SPDX-License-Identifier: Apache-2.0
"""The packages of packaging/debian, and machines that they are installed on.

    directory = build(root, place)         made once for a tree, whoever asks first
    older = lower(directory, "0.0.1", place)    the same with another version
    with Machine(directory, older) as machine:      a Debian without anything added
        machine.apt("install", "pullkey")       from these and from what they need; nothing is fetched
        machine.succeed("pullkey", "list")
        machine.path("/etc/pullkey")            its place outside
"""

import fcntl
import glob
import hashlib
import os
import re
import shutil
import subprocess
import tempfile

import namespace
from rootdir import Root
from tap import check, equal

HERE = os.path.dirname(os.path.abspath(__file__))
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SECONDS = 1500
TOOLS = ("dpkg-buildpackage", "dh", "lintian", "debootstrap", "buildah", "apt-get")


def need_tools():
    """Ends a test where one is missing: skipped, or in CI failed."""
    missing = [name for name in TOOLS if not shutil.which(name)]
    if missing and os.environ.get("CI") == "true":
        raise SystemExit(f"{', '.join(missing)}: not installed")
    if missing:
        print(f"1..0 # SKIP {', '.join(missing)}: not installed")
        raise SystemExit(0)


need_tools()


def run(*words, environment=None, text="", cwd=None, umask=0o022):
    done = subprocess.run(
        words,
        input=text,
        env=environment or {**os.environ, "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        cwd=cwd,
        umask=umask,
        timeout=SECONDS,
    )
    equal(done.returncode, 0, f"{words}: {(done.stdout + done.stderr)[-6000:]}")
    return done.stdout


def files_of(root):
    """What is built from: what git knows or would add; all of it where this is no checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
    )
    names = listed.stdout.split("\0")
    if listed.returncode != 0:
        found = run("find", ".", "-name", "build*", "-prune", "-o", "-type", "f", "-print", cwd=root)
        names = [name[2:] for name in found.splitlines() if "__pycache__" not in name]
    return sorted({name for name in names if os.path.isfile(os.path.join(root, name))})


def copy_files(root, place, names):
    """Links stay links, modes are kept."""
    for name in names:
        path = os.path.join(place, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        shutil.copy(os.path.join(root, name), path, follow_symlinks=False)


def listed(root, libdir):
    """What tests/meta/installed.txt says that everything has, below /usr."""
    places = {
        "bindir": "bin",
        "datadir": "share",
        "includedir": "include",
        "libdir": libdir,
        "libexecdir": "libexec",
        "mandir": "share/man",
        "systemd_libdir": "lib",
    }
    result = set()
    with open(os.path.join(root, "tests", "meta", "installed.txt"), encoding="ascii") as lines:
        for words in (line.split("#")[0].split() for line in lines):
            if words:
                result.add("/usr/" + re.sub(r"\{(\w+)\}", lambda found: places[found[1]], words[0]))
    return result


def digest_of(root):
    digest = hashlib.sha256()
    for name in files_of(root):
        with open(os.path.join(root, name), "rb") as file:
            digest.update(f"{name}\0".encode() + hashlib.sha256(file.read()).digest())
    return digest.hexdigest()[:16]


def build(root, place, *options):
    """The directory with the packages of this tree, below `place`, which has those of no others."""
    os.makedirs(place, exist_ok=True)
    directory = os.path.join(place, digest_of(root))
    with open(os.path.join(place, "lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isdir(directory):
            for old in glob.glob(os.path.join(place, "*", "")):
                shutil.rmtree(old)
            run(os.path.join(root, "packaging", "debian", "build"), "--output", directory + ".new", *options)
            os.rename(directory + ".new", directory)
    return directory


def packages(directory):
    """Name and path of each, less those for debuggers."""
    found = {os.path.basename(path).split("_")[0]: path for path in glob.glob(directory + "/*.deb")}
    return {name: path for name, path in found.items() if not name.endswith("-dbgsym")}


def version_of(directory):
    return run("dpkg-deb", "--field", packages(directory)["pullkey"], "Version").strip()


def lower(directory, version, place):
    """The packages once more in `place`, as a release before this one would be."""
    os.makedirs(place)
    now = version_of(directory)
    for path in packages(directory).values():
        with tempfile.TemporaryDirectory() as scratch:
            run("dpkg-deb", "--raw-extract", path, scratch)
            control = os.path.join(scratch, "DEBIAN", "control")
            with open(control, encoding="utf-8") as file:
                text = file.read()
            text = re.sub(rf"(^Version: |\(= ){re.escape(now)}(?=\)|$)", rf"\g<1>{version}", text, flags=re.M)
            check(f"Version: {version}\n" in text, text)
            with open(control, "w", encoding="utf-8") as file:
                file.write(text)
            run("dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", scratch, place)
    return place


def base():
    return run(os.path.join(HERE, "..", "packages", "root")).strip()


class Machine(Root):
    """A root directory in memory, above one that is never changed; namespace.enter() before it."""

    def __init__(self, *directories):
        self.place = tempfile.mkdtemp(prefix="pullkey-machine.")
        self.root = os.path.join(self.place, "root")
        self.directories = directories

    def start(self):
        below = base()
        namespace.mount("-t", "tmpfs", "-o", "mode=0755", "none", self.place)
        for name in ("root", "upper", "work"):
            os.mkdir(os.path.join(self.place, name))
        layers = f"lowerdir={below}/root,upperdir={self.place}/upper,workdir={self.place}/work"
        namespace.mount("-t", "overlay", "-o", layers, "none", self.root)
        namespace.mount("-t", "proc", "none", self.path("/proc"))
        namespace.mount("--rbind", "/dev", self.path("/dev"))
        for name in ("/run", "/tmp"):
            namespace.mount("-t", "tmpfs", "-o", "mode=0755", "none", self.path(name))
        sources = []
        for number, directory in enumerate((f"{below}/archive", *self.directories)):
            inside = f"/packages/{number}"
            os.makedirs(self.path(inside))
            if number == 0:
                namespace.mount("--bind", directory, self.path(inside))
            else:
                for path in packages(directory).values():
                    shutil.copy(path, self.path(inside))
                index = run("dpkg-scanpackages", "--multiversion", ".", cwd=self.path(inside))
                self.write(f"{inside}/Packages", index)
            sources.append(f"deb [trusted=yes] file:{inside} ./\n")
        self.write("/etc/apt/sources.list", "".join(sources))
        self.succeed("apt-get", "update")

    def stop(self):
        if os.path.ismount(self.place):
            namespace.unmount(self.place)
        os.rmdir(self.place)

    def command(self, *words):
        return ["chroot", self.root, *words]

    def environment(self, **more):
        return {"PATH": PATH, "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive", **more}

    def run(self, *words, text="", **more):
        return subprocess.run(
            self.command(*words),
            input=text,
            env=self.environment(**more),
            capture_output=True,
            text=True,
            umask=0o022,
            timeout=SECONDS,
        )

    def succeed(self, *words, **more):
        done = self.run(*words, **more)
        equal(done.returncode, 0, f"{words}: {(done.stdout + done.stderr)[-4000:]}")
        return done.stdout + done.stderr

    def apt(self, verb, *words, recommends=True):
        option = f"APT::Install-Recommends={str(recommends).lower()}"
        return self.succeed("apt-get", "--yes", "--quiet", "-o", option, verb, *words)

    def installed(self):
        """Name and version of each package that is."""
        done = self.run("dpkg-query", "--show", "-f", "${binary:Package} ${Version} ${db:Status-Status}\n")
        rows = [line.split(" ") for line in done.stdout.splitlines()]
        return {name.partition(":")[0]: version for name, version, status in rows if status == "installed"}

    def files(self):
        """Every file, link and directory that is not mounted, and what is in /run."""
        found = set()
        for directory, names, files in os.walk(self.root):
            names[:] = [name for name in names if os.path.join(directory, name) not in self.elsewhere()]
            for name in names + files:
                found.add("/" + os.path.relpath(os.path.join(directory, name), self.root))
        return found

    def elsewhere(self):
        return {self.path(name) for name in ("/proc", "/dev", "/tmp", "/packages")}
