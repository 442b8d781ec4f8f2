# SPDX-License-Identifier: Apache-2.0
"""The installed programs and modules as files: libraries, exports, hardening.

usage: elf.py CONTROL, an empty program built with the project's own flags
"""

import functools
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap

CONTROL = os.path.abspath(sys.argv[1])
del sys.argv[1:2]

BINDIR, MODULES = os.environ["PULLKEY_BINDIR"], os.environ["PULLKEY_MODULES"]
PREFIX = os.environ["PULLKEY_PREFIX"]
BUILTIN = os.environ["PULLKEY_LINKAGE"] == "builtin"
FEATURES = set(os.environ["PULLKEY_FEATURES"].split())
PARTS = os.environ["PULLKEY_PARTS"].split()  # what is a module, or linked in where there are none
GCC = os.environ["PULLKEY_COMPILER"] == "gcc"
X86_64 = os.uname().machine == "x86_64"
FORTIFIED = os.environ["PULLKEY_FORTIFIED"] == "1"

PAGE = 4096
PROGRAMS = ("docker-credential-pullkey", "pullkey")
LIGHT = {"libc.so.6", "libcjson.so.1"}

# What a program links beside them. pullkey-hosts has operator new and delete of its own, which wipe,
# and which libstdc++ is to call.
MORE = {"pullkey-hosts": {"libtomlplusplus.so.3", "libstdc++.so.6", "libgcc_s.so.1"}}
EXPORTS = {"pullkey-hosts": re.compile(r"_Zn[aw]m|_Zd[al]Pvm?|_Z(n[aw]m|d[al]Pv)RKSt9nothrow_t")}

KEYRING = {"libsecret-1.so.0", "libgio-2.0.so.0", "libgobject-2.0.so.0", "libglib-2.0.so.0"}

# What each part brings into the programs where it is linked in.
LINKED = {
    "cms": {"libcrypto.so.3"},
    "keyring": KEYRING,
    "kubernetes": {"libcurl.so.4"},
    "probe": {"libcurl.so.4"},
    "token": {"libcurl.so.4", "libcrypto.so.3"},
    "yaml": {"libyaml-0.so.2"},
}

# What a module may name. Nothing else may creep in through a new dependency.
LIBRARIES = {
    "cms.so": {"libc.so.6", "libcjson.so.1", "libcrypto.so.3"},
    "keyring.so": LIGHT | KEYRING,
    "net.so": {"libc.so.6", "libcjson.so.1", "libcurl.so.4", "libcrypto.so.3"},
    "yaml.so": {"libc.so.6", "libcjson.so.1", "libyaml-0.so.2"},
}

# These are one file.
NET = {"kubernetes", "probe", "token"}


def readelf(option, path):
    return subprocess.run(
        ["readelf", "-W", option, path],
        capture_output=True,
        text=True,
        check=True,
        env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
    ).stdout


def programs():
    return [os.path.join(BINDIR, name) for name in PROGRAMS] + sorted(
        os.path.join(directory, name)
        for directory, _, names in os.walk(os.path.join(PREFIX, "libexec", "pullkey"))
        for name in names
    )


def modules():
    if not os.path.isdir(MODULES):
        return []
    # With the tests their misbehaving modules are installed too, as fake-NAME.
    names = [n for n in os.listdir(MODULES) if n.endswith(".so") and not n.startswith("fake-")]
    return sorted(os.path.join(MODULES, name) for name in names)


def needed(path):
    names = set(re.findall(r"\(NEEDED\).*\[(.+)\]", readelf("-d", path)))
    return {name for name in names if not name.startswith("ld-linux")}


def dynamic_symbols(path):
    """(defined and visible outside, needed from outside), names without versions."""
    defined, wanted = set(), set()
    for line in readelf("--dyn-syms", path).splitlines():
        words = line.split()
        if len(words) < 8 or not words[0].endswith(":") or words[4] not in ("GLOBAL", "WEAK"):
            continue
        name = words[7].split("@")[0]
        (wanted if words[6] == "UND" else defined).add(name)
    return defined, wanted


def provided(path):
    """What the libraries that a file names define: libsecret has names that ours resemble."""
    lines = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout.splitlines()
    places = [re.match(r"\s*(\S+) => (/\S+)", line) for line in lines]
    names = needed(path)
    return set().union(*(dynamic_symbols(place[2])[0] for place in places if place and place[1] in names))


def program_export_problems(path):
    # The linker puts copies of the C library's variables into a program.
    copies = set("stdin stdout stderr environ _environ __environ optarg optind opterr optopt".split())
    defined, _ = dynamic_symbols(path)
    meant = EXPORTS.get(os.path.basename(path))
    copies |= {name for name in defined if meant and meant.fullmatch(name)}
    return [f"exports {name}" for name in sorted(defined - copies)]


def export_problems(path):
    """How a file breaks the rule that it shows its module, or each of several, and takes nothing of ours."""
    defined, wanted = dynamic_symbols(path)
    meant = {"pullkey_module"}
    if os.path.basename(path) == "net.so":
        meant = {f"pullkey_module_{name}" for name in FEATURES & NET}
    found = [f"exports {name}" for name in sorted(defined - meant)]
    found += [f"does not export {name}" for name in sorted(meant - defined)]
    ours = re.compile(r"(error|secret|buffer|file|log|pullkey)_")
    return found + [f"imports {name}" for name in sorted(wanted - provided(path)) if ours.match(name)]


@functools.cache
def marks_of_the_c_library():
    """How often endbr64 is in a program that was compiled without it."""
    with tempfile.TemporaryDirectory() as scratch:
        source, program = os.path.join(scratch, "bare.c"), os.path.join(scratch, "bare")
        with open(source, "w", encoding="ascii") as out:
            out.write("int main(void) { return 0; }")
        subprocess.run(["cc", "-fcf-protection=none", "-o", program, source], check=True)
        return disassembly(program).count("endbr64")


def disassembly(path):
    words = ["objdump", "--disassemble", "--no-show-raw-insn", path]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def code_weaknesses(path):
    """What of the hardening is missing from the instructions. Known for one machine only."""
    if not X86_64:
        return []
    code, found = disassembly(path), []
    # A frame grows by a page at a time, each of which is touched.
    frames = [int(size, 16) for size in re.findall(r"\bsub +\$0x([0-9a-f]+),%rsp", code)]
    large = [size for size in frames if PAGE < size < 1 << 31]
    touch = rf"\b{'or' if GCC else 'mov'}[bwlq] +\$0x0,.*\(%rsp"
    if large or PAGE in frames and not re.search(touch, code):
        found.append(f"the stack may clash: {large}")
    if code.count("endbr64") <= marks_of_the_c_library():
        found.append("no endbr64: a jump may lead anywhere")
    # Before it returns, a function empties what it used but its result. Some use nothing else.
    returns = len(re.findall(r"\bret", code))
    zeroed = len(re.findall(r"\bxor +%(e[sd]i|e[cd]x|r(?:8|9|10|11)d),%\1\n.*\bret", code))
    if GCC and zeroed * 2 < returns:
        found.append(f"registers are left as they are: {returns - zeroed} of {returns} times")
    return found


def weaknesses(path, program):
    """What of the hardening is missing from a file."""
    header, dynamic = readelf("-h", path), readelf("-d", path)
    segments, notes = readelf("-l", path), readelf("-n", path)
    _, wanted = dynamic_symbols(path)
    found = []
    if not re.search(r"Type:\s+DYN", header):
        found.append("not position independent")
    if program and not re.search(r"FLAGS_1.*\bPIE\b", dynamic):
        found.append("not PIE")
    if "GNU_RELRO" not in segments:
        found.append("no RELRO")
    if not re.search(r"BIND_NOW|FLAGS_1.*\bNOW\b", dynamic):
        found.append("not BIND_NOW, so RELRO is partial")
    stack = re.search(r"GNU_STACK(?:\s+0x[0-9a-f]+){5}\s+(\S+)", segments)
    if not stack or "E" in stack[1]:
        found.append("executable stack")
    if re.search(r"^\s+LOAD\s.*\sRWE\s", segments, re.M):
        found.append("a segment that is writable and executable")
    for word in ("TEXTREL", "RPATH", "RUNPATH"):
        if re.search(rf"\({word}\)", dynamic):
            found.append(word)
    if "__stack_chk_fail" not in wanted:
        found.append("no stack protector")
    for feature in ("IBT", "SHSTK"):
        if re.search(rf"x86 feature:.*\b{feature}\b", readelf("-n", CONTROL)) and not re.search(
            rf"x86 feature:.*\b{feature}\b", notes
        ):
            found.append(f"no {feature}")
    if FORTIFIED and not any(re.fullmatch(r"__\w+_chk", n) for n in wanted - {"__stack_chk_fail"}):
        found.append("nothing is fortified")
    return found + code_weaknesses(path)


@tap.case("the checks find a program without any of it")
def the_checks():
    with tempfile.TemporaryDirectory() as scratch:
        source, program = os.path.join(scratch, "weak.c"), os.path.join(scratch, "weak")
        with open(source, "w", encoding="ascii") as out:
            out.write("#include <stdio.h>\nint main(void) { char b[9999]; return !fgets(b, 9, stdin); }")
        flags = "-O0 -no-pie -fno-pie -fno-stack-protector -fcf-protection=none -Wl,-z,execstack"
        flags += " -fno-stack-clash-protection -Wl,-z,lazy -Wl,-z,norelro -Wl,-rpath,/tmp -U_FORTIFY_SOURCE -rdynamic"
        if not X86_64:
            flags = flags.replace(" -fcf-protection=none", "")
        subprocess.run(["cc", *flags.split(), "-o", program, source], check=True)
        found = " ".join(weaknesses(program, True))
        for word in ("PIE", "no RELRO", "BIND_NOW", "executable stack", "stack protector", "PATH"):
            tap.check(word in found, f"{word} was not found: {found}")
        if FORTIFIED:
            tap.check("fortified" in found, found)
        if X86_64:
            tap.check("clash" in found, found)
            tap.check("endbr64" in found, found)
            tap.check("registers" in found or not GCC, found)
        tap.check("exports main" in program_export_problems(program), "exports")


@tap.case("the rule of exports finds one symbol too many, one too few, and one of ours")
def the_export_rule():
    right = "const void *const pullkey_module = 0;"
    cases = (
        (right, []),
        (right + "int helper(void) { return 1; }", ["exports helper"]),
        ("", ["does not export pullkey_module"]),
        (
            right + "int log_line(void); __attribute__((visibility(\"hidden\"))) int f(void) "
            "{ return log_line(); }",
            ["imports log_line"],
        ),
    )
    with tempfile.TemporaryDirectory() as scratch:
        source, module = os.path.join(scratch, "weak.c"), os.path.join(scratch, "weak.so")
        for text, expected in cases:
            with open(source, "w", encoding="ascii") as out:
                out.write(text)
            subprocess.run(["cc", "-fPIC", "-shared", "-o", module, source], check=True)
            tap.equal(export_problems(module), expected, text)


@tap.case("programs name libc and libcjson, what is known of them, what is linked in, and nothing else")
def program_libraries():
    expected = LIGHT.union(*(LINKED[part] for part in PARTS)) if BUILTIN else LIGHT
    for path in programs():
        tap.equal(needed(path), expected | MORE.get(os.path.basename(path), set()), path)
        if BUILTIN:
            _, wanted = dynamic_symbols(path)
            loading = {name for name in wanted if re.match(r"dlm?open|dlsym|dlvsym", name)}
            tap.equal(loading, set(), path)


@tap.case("each module names the libraries that it is known to need")
def module_libraries():
    for path in modules():
        name = os.path.basename(path)
        tap.check(name in LIBRARIES, f"{name} is new: say what it may link")
        more = needed(path) - LIBRARIES[name]
        tap.check(not more, f"{name} also needs {sorted(more)}")


@tap.case("each module exports what belongs to its names, and imports nothing of ours")
def exports():
    expected = set() if BUILTIN else FEATURES & set(name[:-3] for name in LIBRARIES)
    tap.equal({os.path.basename(path)[:-3] for path in modules()}, expected)
    for path in modules():
        tap.equal(export_problems(path), [], path)


@tap.case("programs export nothing")
def program_exports():
    for path in programs():
        tap.equal(program_export_problems(path), [], path)


@tap.case("hardening took: programs")
def hardened_programs():
    for path in programs():
        tap.equal(weaknesses(path, True), [], path)


@tap.case("hardening took: modules")
def hardened_modules():
    for path in modules():
        tap.equal(weaknesses(path, False), [], path)


@tap.case("nothing is set-user-ID or writable by others")
def modes():
    for path in [*programs(), *modules()]:
        mode = os.stat(path).st_mode
        tap.check(not mode & 0o6022, f"{path}: {mode:o}")


sys.exit(tap.run())
