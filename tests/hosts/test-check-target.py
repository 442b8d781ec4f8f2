# SPDX-License-Identifier: Apache-2.0
"""`pullkey hosts check`: the target and the kernel under it."""

import ctypes
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import BASIC, CERTS, CONFIG, Node
from tap import Skip, case, check, equal, run
from traps import A, E, HELPER, N, PLAIN, R, TARGET, W, config, header, reads, report_of_node, trap


@case("a kernel without Landlock is a note, where the node itself is looked at")
def landlock():
    without = os.path.join(os.path.dirname(os.path.abspath(__file__)), "without-landlock.py")
    with Node({CONFIG: config(TARGET), A: HELPER}) as node:
        for prefix, expected in (([sys.executable, without], 1), ([], 0 if has_landlock() else 1)):
            report = report_of_node(node, *prefix)
            found = [item["level"] for item in report["findings"] if item["id"] == "landlock-missing"]
            equal(found, [N] * expected)
        check("landlock-missing" not in [f[0] for f in node.findings()], "an image has no kernel that runs")


def has_landlock():
    return ctypes.CDLL(None).syscall(444, None, 0, 1) >= 1


@case("another target is one that the command line names")
def target():
    with Node({**reads("/srv/certs"), A: HELPER}, "2.1.0") as node:
        found = node.findings()
        equal([f[0] for f in found], ["config-path-not-target", "config-path-missing"][:len(found)])
        equal(node.findings("--target", "/srv/certs"), [])


@case("the target: others may read it, it is on a disk, it is the source")
def target_state():
    with Node({**reads(TARGET), A: HELPER, "/run/pullkey/hosts/a.example/hosts.toml": header(f'"Basic {BASIC}"'),
               TARGET: ("link", "/run/pullkey/hosts")}, "2.1.0") as node:
        os.chmod(node.path("/run/pullkey/hosts"), 0o755)
        found = {f[0] for f in node.findings()}
        check("target-readable" in found and "plaintext-header" not in found, found)
        os.chmod(node.path("/run/pullkey/hosts"), 0o700)
        check("target-readable" not in {f[0] for f in node.findings()}, "nobody else may")
    with Node({**reads(TARGET), A: HELPER, TARGET: ("link", CERTS)}, "2.1.0") as node:
        equal(node.findings(), [("target-is-source", TARGET, None, W)])


def is_memory(place):
    done = subprocess.run(["stat", "-f", "-c", "%T", place], capture_output=True, text=True)
    return done.stdout.strip() in ("tmpfs", "ramfs")


def place_of(memory):
    for place in ("/dev/shm", tempfile.gettempdir(), "/var/tmp", os.getcwd()):
        if os.access(place, os.W_OK) and is_memory(place) == memory:
            return place
    raise Skip(f"there is no directory {'in memory' if memory else 'on a disk'} here")


MOUNT_FIX = 'run "systemctl enable --now run-pullkey-hosts.mount", and restart pullkey-hosts.service'
for memory in (True, False):
    @case(f"a target {'in memory' if memory else 'on a disk'}")
    def target_place(memory=memory):
        for path, fix in ((TARGET, MOUNT_FIX), ("/srv/certs", "mount a tmpfs there")):
            with Node({**reads(path), A: HELPER, path: None}, "2.1.0", place_of(memory)) as node:
                os.chmod(node.path(path), 0o700)
                equal(node.findings("--target", path), [("target-on-disk", path, None, W)] * (not memory))
                equal([item["fix"] for item in node.report("--target", path)[1]["findings"]], [fix] * (not memory))


@case("under an overmount the real source is looked at")
def overmount():
    with Node({**reads(), A: header(f'"Basic {BASIC}"'),
               "/run/pullkey/source/a.example/hosts.toml": HELPER}, "2.1.0", place_of(False)) as node:
        os.chmod(node.path(CERTS), 0o700)
        equal(node.findings(), [("target-on-disk", CERTS, None, W)])
        (found,) = node.report()[1]["findings"]
        equal(found["fix"], MOUNT_FIX)
    # The same directory by another name is no overmount.
    with Node({**reads(), A: header(f'"Basic {BASIC}"'), "/run/pullkey/source": ("link", CERTS)},
              "2.1.0") as node:
        equal(node.findings(), [("plaintext-header", A, 2, E)])

# -- Memory, of a template -----------------------------------------------------------------------

FSTAB, LIB, MOUNT = "/etc/fstab", "/usr/lib/systemd", "run-pullkey-hosts.mount"
SWAP = {FSTAB: "# swap\n/dev/sda1 / ext4 defaults 0 1\nUUID=0123 none swap sw 0 0\n"}
MOUNTED = {**reads(TARGET), A: HELPER, f"{LIB}/system/{MOUNT}": "[Mount]\nOptions=mode=0700,nosuid\n"}
GENERATED = {f"{LIB}/system-generators/pullkey-hosts-generator": ""}
SWAPPABLE = ("target-swappable", FSTAB, 3, W)
trap("a tmpfs and swap", "2.1.0", {**MOUNTED, **SWAP}, SWAPPABLE)
trap("a tmpfs without swap", "2.1.0", {**MOUNTED, FSTAB: "/dev/sda1 / ext4 defaults 0 1\n"})
trap("no table of file systems", "2.1.0", MOUNTED)
trap("swap, and no word of the target's memory", "2.1.0", {**reads(TARGET), A: HELPER, **SWAP})
trap("noswap in a drop-in", "2.1.0",
     {**MOUNTED, **SWAP, f"/etc/systemd/system/{MOUNT}.d/x.conf": "[Mount]\nOptions=mode=0700,noswap\n"})
trap("noswap of the generator", "2.1.0", {**MOUNTED, **SWAP, **GENERATED})
for kernels, *found in (("6.1.0-18-amd64", SWAPPABLE), ("6.4.0",), ("5.10.0-9 6.12.1-2",), ("x",)):
    trap(f"noswap of the generator, with {kernels}", "2.1.0",
         {**MOUNTED, **SWAP, **GENERATED, **{f"/lib/modules/{kernel}": None for kernel in kernels.split()}}, *found)
for line in ("/dev/zram0 none swap sw 0 0", "/dev/sda2 none swap noauto 0 0", "#/dev/sda2 none swap sw 0 0",
             "/dev/mapper/cryptswap none swap sw 0 0", "/swap /mnt ext4 defaults 0 0", "swap"):
    trap(f"no swap in the clear: {line}", "2.1.0",
         {**MOUNTED, FSTAB: line + "\n", "/etc/crypttab": "cryptswap /dev/sda2 /dev/urandom swap\n"})
trap("swap on a volume that is not encrypted", "2.1.0",
     {**MOUNTED, FSTAB: "/dev/mapper/vg-swap none swap sw 0 0\n", "/etc/crypttab": "cryptswap /dev/sda2 none\n"},
     ("target-swappable", FSTAB, 1, W))
for line, *found in (
    ("tmpfs /run/pullkey/hosts tmpfs mode=0700 0 0", SWAPPABLE),
    ("tmpfs /run/pullkey/hosts tmpfs mode=0700,noswap 0 0",),
    ("tmpfs /run/pullkey/hosts tmpfs noswapping 0 0", SWAPPABLE),
    ("none /run/pullkey/hosts ramfs mode=0700 0 0",),
    ("/dev/sdb1 /run/pullkey/hosts ext4 defaults 0 0", ("target-on-disk", FSTAB, 4, W)),
):
    trap(f"mounted by {line}", "2.1.0", {**MOUNTED, FSTAB: SWAP[FSTAB] + line + "\n"}, *found)
trap("a table with empty lines and short ones", "2.1.0",
     {**MOUNTED, FSTAB: "\n\n/dev/sda2 none swap\nnoauto / ext4\n\n \ntmpfs /run/pullkey/hosts ext4\n"},
     ("target-on-disk", FSTAB, 7, W))
trap("swap in a line that is short", "2.1.0", {**MOUNTED, FSTAB: "\n\n/dev/sda2 none swap\nnoauto / ext4\n"}, SWAPPABLE)
trap("a table of nothing but line ends", "2.1.0", {**MOUNTED, FSTAB: "\n" * 1000000})
trap("swap, and config_path is not the target", "2.1.0", {**MOUNTED, **R, A: PLAIN, **SWAP})

# -- The machine ---------------------------------------------------------------------------------

HEAD = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
DISK, ZRAM, MAPPED = (f"/dev/{name}                partition\t1024\t\t0\t\t-2\n" for name in ("sda9", "zram0", "dm-99"))


class Machine:
    """The root is /, with some of it replaced: its /etc is that of a node, whose target is at /mnt, and its /run is
    empty."""

    def __init__(self, node, options="mode=0700", swaps=HEAD):
        node.put("/swaps", swaps)
        os.makedirs(node.path("/mnt"), exist_ok=True)
        self.node = node
        self.script = (f"mount -t tmpfs -o {options} tmpfs /mnt && mount --bind {node.path('/swaps')} /proc/swaps && "
                       "mount -t tmpfs tmpfs /run && mkdir -p /mnt/hosts && chmod 0700 /mnt/hosts && ")

    def ids(self, more="", locked="/mnt/hosts", levels=("error", "warning")):
        """What is found after some more commands of a shell, while a directory is locked."""
        lock = f"flock -x -o {locked} " if locked else ""
        report = report_of_node(self.node, "/bin/sh", "-c", f'{self.script}{more}exec {lock}"$@"', "sh",
                                words=("--target", "/mnt/hosts"))
        return sorted(item["id"] for item in report["findings"] if item["level"] in levels)


def on_machine():
    return Node({**reads("/mnt/hosts"), A: HELPER, "/etc/passwd": "root:x:0:0::/:/bin/sh\n"}, "2.1.0")


@case("the daemon of this machine runs, or does not")
def daemon():
    with on_machine() as node:
        machine = Machine(node)
        equal(machine.ids(), [])
        equal(machine.ids(locked=None), ["daemon-not-running"])
        equal(machine.ids(locked="/mnt"), ["daemon-not-running"], "another directory is locked")


@case("swap of this machine: the target's memory may go there, unless it is memory itself or not allowed")
def swap():
    with on_machine() as node:
        for swaps, expected in ((HEAD, []), (HEAD + ZRAM, []), (HEAD + DISK, ["target-swappable"]),
                                (HEAD + ZRAM + MAPPED, ["target-swappable"])):
            equal(Machine(node, swaps=swaps).ids(), expected, swaps)
        if os.geteuid() == 0:  # an ordinary user may not forbid swapping
            equal(Machine(node, "mode=0700,noswap", HEAD + DISK).ids(), [])


# Block devices: what is in each directory of theirs, and whether swap on dm-99 is in the clear.
BLOCK = {
    "by itself": ({"dm-99/dm/uuid": "CRYPT-PLAIN-swap"}, False),
    "not": ({"dm-99/dm/uuid": "LVM-0123"}, True),
    "as the disk of its volume": ({"dm-99/dm/uuid": "LVM-1", "dm-99/slaves/dm-98/dm/uuid": "CRYPT-LUKS2-2"}, False),
    "as one of two disks of its volume": (
        {"dm-99/slaves/dm-98/dm/uuid": "CRYPT-LUKS2-2", "dm-99/slaves/sda1/size": "1"}, True),
}
for how, (block_files, in_the_clear) in BLOCK.items():

    @case(f"swap that is encrypted: {how}")
    def encrypted(files=block_files, clear=in_the_clear):
        block = "mount -t tmpfs tmpfs /sys/class && " + "".join(
            f"mkdir -p /sys/class/block/{os.path.dirname(path)} && echo {text} >/sys/class/block/{path} && "
            for path, text in files.items())
        with on_machine() as node:
            equal(Machine(node, swaps=HEAD + MAPPED).ids(block), ["target-swappable"] if clear else [])


@case("swap in a file: what its file system is on counts")
def swap_file():
    with on_machine() as node:
        node.put("/swapfile", "")
        device = os.stat(node.path("/swapfile")).st_dev
        place = f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/dm"
        block = f"mount -t tmpfs tmpfs /sys/dev && mkdir -p {place} && echo {{}}-0123 >{place}/uuid && "
        line = f"{node.path('/swapfile')} file\t1024\t\t0\t\t-2\n"
        for uuid, expected in (("CRYPT-LUKS2", []), ("LVM", ["target-swappable"])):
            equal(Machine(node, swaps=HEAD + line).ids(block.format(uuid)), expected, uuid)


@case("SELinux of this machine")
def selinux():
    kernel = "mount -t tmpfs tmpfs /sys/fs && mkdir /sys/fs/selinux && echo {} >/sys/fs/selinux/enforce && "
    with on_machine() as node:
        for state, expected in (("1", True), ("0", False)):
            found = Machine(node).ids(kernel.format(state), levels=("note",))
            equal("selinux-enforcing" in found, expected, state)


@case("the service of this machine is looked at where systemd has started it")
def booted():
    system = "mkdir -p /run/systemd/system && "
    unit = "echo '[Unit]\nBefore=containerd.service' >/run/systemd/system/pullkey-hosts.service && "
    wants = "mkdir /run/systemd/system/containerd.service.wants && " \
            ": >/run/systemd/system/containerd.service.wants/pullkey-hosts.service && "
    with on_machine() as node:
        machine = Machine(node)
        equal(machine.ids(), [], "not by systemd")
        equal(machine.ids(system + unit), ["service-not-enabled"])
        equal(machine.ids(system + unit + wants), [])
        equal(machine.ids(system), [], "it runs without a unit")
        equal(machine.ids(system, locked=None), ["daemon-not-running", "service-missing"])


sys.exit(run())
