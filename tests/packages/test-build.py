# SPDX-License-Identifier: Apache-2.0
"""The packages as they are built: what lintian says, what is in them, and that another build of the
same tree has the same bytes.

usage: test-build.py SOURCE-ROOT PLACE
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import packages
import tap

ROOT, PLACE = (os.path.abspath(path) for path in sys.argv[1:3])
del sys.argv[1:3]

DIRECTORY = packages.build(ROOT, PLACE)
MULTIARCH = packages.run("dpkg-architecture", "--query", "DEB_HOST_MULTIARCH").strip()


def changes():
    (name,) = [name for name in os.listdir(DIRECTORY) if name.endswith(".changes")]
    return os.path.join(DIRECTORY, name)


def lintian(path):
    words = ["lintian", "--allow-root", "--fail-on", "error,warning", path]
    done = subprocess.run(words, capture_output=True, text=True, timeout=packages.SECONDS)
    return done.returncode, done.stdout + done.stderr


@tap.case("lintian has no error and no warning, and would have said so")
def clean():
    tap.equal(lintian(changes()), (0, ""))
    with tempfile.TemporaryDirectory() as scratch:
        tree, bad = os.path.join(scratch, "tree"), os.path.join(scratch, "bad.deb")
        packages.run("dpkg-deb", "-R", packages.packages(DIRECTORY)["pullkey-net"], tree)
        shutil.rmtree(os.path.join(tree, "usr", "share", "doc"))
        packages.run("dpkg-deb", "--root-owner-group", "--build", tree, bad)
        status, text = lintian(bad)
        tap.check(status != 0 and "no-copyright-file" in text, text)


@tap.case("the version is that of meson.build, and each package needs the others of the same one")
def versions():
    found = packages.packages(DIRECTORY)
    tap.equal(packages.version_of(DIRECTORY), os.environ["PULLKEY_VERSION"])
    parts = ["pullkey-hosts", "pullkey-keyring", "pullkey-kubernetes", "pullkey-net", "pullkey-token"]
    tap.equal(sorted(found), ["pullkey", "pullkey-dev", *parts])
    for name in parts:
        needs = packages.run("dpkg-deb", "--field", found[name], "Depends")
        tap.check(re.search(rf"\bpullkey(-net)? \(= {os.environ['PULLKEY_VERSION']}\)", needs), needs)


def where_debian_has_it(path):
    path = path.replace("/share/zsh/site-functions/", "/share/zsh/vendor-completions/")
    path = path.replace("/usr/lib/systemd/", "/lib/systemd/")
    return path + ".gz" if "/man/" in path else path


def contents(path):
    """The files of a package: their names, modes and owners."""
    found = {}
    for line in packages.run("dpkg-deb", "--contents", path).splitlines():
        mode, owner, _, _, _, name = line.split(None, 5)
        if not mode.startswith("d"):
            found[name.partition(" -> ")[0][1:]] = mode, owner
    return found


@tap.case("every file that is installed is in one package, and what else is in them is documentation")
def files():
    owners = {}
    for package, path in packages.packages(DIRECTORY).items():
        for name, (mode, owner) in contents(path).items():
            owners.setdefault(name, []).append(package)
            tap.equal(owner, "root/root", name)
            tap.check(mode in ("-rw-r--r--", "-rwxr-xr-x", "lrwxrwxrwx"), f"{mode} {name}")
    tap.equal({name: found for name, found in owners.items() if len(found) > 1}, {})
    beside = re.compile(r"^/usr/share/(doc|lintian/overrides)/")
    installed = {where_debian_has_it(path) for path in packages.listed(ROOT, f"lib/{MULTIARCH}")}
    tap.equal({name for name in owners if not beside.match(name)} ^ installed, set())
    for package in packages.packages(DIRECTORY):
        tap.equal(owners.get(f"/usr/share/doc/{package}/copyright"), [package])


REF = r"pkg:deb/debian/[a-z0-9.+-]+@[A-Za-z0-9.%~-]+\?arch=[a-z0-9]+&distro=debian-\d+|pullkey@[0-9.]+"
COMPONENT = {
    "type": r"application|library",
    "bom-ref": REF,
    "name": r"[a-z0-9.+-]+",
    "version": r"\S+",
}
SERIAL = r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def check_component(component):
    """What CycloneDX 1.5 requires of one, and what it knows."""
    for field, pattern in COMPONENT.items():
        tap.check(re.fullmatch(pattern, component[field]), f"{field} of {component}")
    known = {*COMPONENT, "description", "hashes", "licenses", "purl"}
    tap.check(set(component) <= known, component)
    tap.equal(component.get("purl", component["bom-ref"]), component["bom-ref"])


@tap.case("the bill of materials is CycloneDX, and has what shlibs say that the packages need")
def materials():
    (name,) = [name for name in os.listdir(DIRECTORY) if name.endswith(".cdx.json")]
    with open(os.path.join(DIRECTORY, name), encoding="utf-8") as file:
        bill = json.load(file)
    tap.equal((bill["bomFormat"], bill["specVersion"], bill["version"]), ("CycloneDX", "1.5", 1))
    tap.check(re.fullmatch(SERIAL, bill["serialNumber"]), bill["serialNumber"])
    timestamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    tap.check(re.fullmatch(timestamp, bill["metadata"]["timestamp"]), bill["metadata"])
    tap.equal(len(bill), 7, sorted(bill))
    components = [bill["metadata"]["component"], *bill["components"]]
    for component in components:
        check_component(component)
    refs = {component["bom-ref"]: component for component in components}
    tap.equal(len(refs), len(components), "a name is there twice")
    graph = {entry["ref"]: entry["dependsOn"] for entry in bill["dependencies"]}
    tap.equal(set(graph), set(refs))
    for ref, below in graph.items():
        tap.check(set(below) <= set(refs) and len(set(below)) == len(below), f"{ref}: {below}")
    for package, path in packages.packages(DIRECTORY).items():
        (component,) = [one for one in components if one["name"] == package and "purl" in one]
        with open(path, "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        tap.equal(component["hashes"], [{"alg": "SHA-256", "content": digest}])
        tap.equal(component["licenses"], [{"license": {"id": "Apache-2.0"}}])
        needs = packages.run("dpkg-deb", "--field", path, "Depends")
        libraries = {name for name in re.findall(r"\blib[a-z0-9.+-]+", needs)}
        found = {refs[ref]["name"] for ref in graph[component["bom-ref"]]}
        tap.equal({name for name in found if name.startswith("lib")}, libraries, package)
    versions = [row.split(" ") for row in installed_libraries().splitlines()]
    tap.check({(one["name"], one["version"]) for one in components if one["type"] == "library"} <= set(map(tuple, versions)), "versions")


def installed_libraries():
    return packages.run("dpkg-query", "--show", "-f", "${Package} ${Version}\n")


def copy_elsewhere(place):
    """The tree as another would have it: no checkout, other modes, files made in another order."""
    names = packages.files_of(ROOT)
    packages.copy_files(ROOT, place, reversed(names))
    for path in (os.path.join(place, name) for name in names):
        if not os.path.islink(path):
            os.chmod(path, 0o775 if os.access(path, os.X_OK) else 0o600)


@tap.case("another build has the same bytes: elsewhere, of no checkout, with other modes, zone and language")
def reproducible():
    with tempfile.TemporaryDirectory(prefix="another-place-to-build-packages-in.", dir="/var/tmp") as scratch:
        tree, output = os.path.join(scratch, "the tree", "of-another"), os.path.join(scratch, "output")
        copy_elsewhere(tree)
        environment = {
            "PATH": packages.PATH,
            "HOME": scratch,
            "TMPDIR": scratch,
            "TZ": "Pacific/Kiritimati",
            "LC_ALL": "C",
            "LANGUAGE": "tr",
            "USER": "another",
        }
        command = os.path.join(tree, "packaging", "debian", "build")
        packages.run(command, "--output", output, environment=environment, umask=0o077)
        names = {name for name in os.listdir(DIRECTORY) if name.endswith((".deb", ".dsc", ".xz", ".json"))}
        tap.check(len(names) > 10, names)
        for name in sorted(names):
            one, other = (os.path.join(place, name) for place in (DIRECTORY, output))
            with open(one, "rb") as first, open(other, "rb") as second:
                if first.read() != second.read():
                    os.makedirs(PLACE + "-differs", exist_ok=True)
                    shutil.copy(other, PLACE + "-differs")
                    raise AssertionError(f"{one} differs from {PLACE}-differs/{name}")


sys.exit(tap.run())
