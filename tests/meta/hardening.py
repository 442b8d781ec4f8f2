# SPDX-License-Identifier: Apache-2.0
"""Each object of the programs and modules is compiled with the hardening flags, and what they do.

usage: hardening.py SOURCE-ROOT BUILD-ROOT

What is linked as a whole has its code made then, so the same flags are there.
The flags are taken from the build's own commands. Their effect is seen in small objects that are
compiled by such a command, and missed in the same objects once the flag is taken away. elf.py looks
at what is installed.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap

ROOT, BUILD = (os.path.abspath(path) for path in sys.argv[1:3])
del sys.argv[1:3]

GCC = os.environ["PULLKEY_COMPILER"] == "gcc"
FORTIFIED = os.environ["PULLKEY_FORTIFIED"] == "1"
X86_64 = os.uname().machine == "x86_64"

# Each flag, and the words of which the last one counts.
FLAGS = {
    "-fstack-protector-strong": r"-f(no-)?stack-protector(-.*)?",
    "-fstack-clash-protection": r"-f(no-)?stack-clash-protection",
    "-Wformat=2": r"-W(no-)?format(=.)?",
    "-Werror=format-security": r"-W(no-)?(error=)?format-security",
}
if GCC:
    FLAGS["-fzero-call-used-regs=used-gpr"] = r"-fzero-call-used-regs=.*"
    FLAGS["-ftrivial-auto-var-init=zero"] = r"-ftrivial-auto-var-init=.*"
if X86_64:
    FLAGS["-fcf-protection"] = r"-fcf-protection(=.*)?"
if FORTIFIED:
    FLAGS["-D_FORTIFY_SOURCE=3"] = r"-[DU]_FORTIFY_SOURCE(=.*)?"

# A source could take it back too.
EXEMPTIONS = re.compile(
    r"#\s*pragma\s+(GCC|clang)"
    r"|\b_*(no_stack_protector|uninitialized|zero_call_used_regs|optimize|nocf_check)_*\b\s*[(,)]"
)

# What this build has not: folders whose library is missing, and net.c where the modules are linked in.
PARTS = set(os.environ["PULLKEY_PARTS"].split())
ABSENT = {"cms", "http", "keyring", "kubernetes", "net.c", "probe", "token", "yaml"} - PARTS
if {"kubernetes", "probe", "token"} & PARTS:
    ABSENT.discard("http")
    if os.environ["PULLKEY_LINKAGE"] != "builtin":
        ABSENT.discard("net.c")


def commands():
    """(source, words) of every object that is made of a file of helper/ or backends/; fuzz targets
    have objects of their own, with a sanitizer."""
    found = []
    with open(os.path.join(BUILD, "compile_commands.json"), encoding="utf-8") as text:
        for entry in json.load(text):
            path = os.path.realpath(os.path.join(entry["directory"], entry["file"]))
            path = os.path.relpath(path, os.path.realpath(ROOT))
            fuzzed = entry["output"].startswith("tests/fuzz/")
            if re.match(r"(helper|backends)/.*\.c$", path) and not fuzzed:
                found.append((path, shlex.split(entry["command"])))
    return found


def sources():
    return {
        os.path.relpath(os.path.join(directory, name), ROOT)
        for part in ("helper", "backends")
        for directory, _, names in os.walk(os.path.join(ROOT, part))
        for name in names
        if name.endswith(".c")
    }


def missing(words):
    """The flags that do not count in a command."""
    found = []
    for flag, family in FLAGS.items():
        last = [word for word in words if re.fullmatch(family, word)][-1:]
        if last != [flag]:
            found.append(flag)
    return found + [word for word in words if word in ("-w", "-Wno-error", "-Wno-format-nonliteral")]


@tap.case("every object of helper/ and backends/ is compiled with every flag")
def commands_have_flags():
    every = commands()
    never = sources() - {path for path, _ in every}
    never = sorted(path for path in never if path.split("/")[1] not in ABSENT)
    tap.equal(never, [], "never compiled")
    for path, words in every:
        tap.equal(missing(words), [], path)
    tap.comment(f"{len(every)} objects")


@tap.case("a flag that is not there, or is taken back, is missed")
def commands_control():
    _, words = commands()[0]
    for flag in FLAGS:
        without = [word for word in words if word != flag]
        tap.check(flag in missing(without), f"{flag} is not missed")
    for flag, undone in (
        ("-fstack-protector-strong", "-fno-stack-protector"),
        ("-fstack-clash-protection", "-fno-stack-clash-protection"),
        ("-fzero-call-used-regs=used-gpr", "-fzero-call-used-regs=skip"),
        ("-ftrivial-auto-var-init=zero", "-ftrivial-auto-var-init=uninitialized"),
        ("-Wformat=2", "-Wno-format"),
        ("-Werror=format-security", "-Wno-error=format-security"),
        ("-D_FORTIFY_SOURCE=3", "-U_FORTIFY_SOURCE"),
    ):
        tap.equal(missing([*words, undone]), [flag] if flag in FLAGS else [], undone)
    tap.equal(missing([*words, "-w"]), ["-w"])


def links():
    """(output, words) of every program and module that is installed."""
    with open(os.path.join(BUILD, "meson-info", "intro-installed.json"), encoding="utf-8") as text:
        installed = {os.path.relpath(path, BUILD) for path in json.load(text)}
    with open(os.path.join(BUILD, "build.ninja"), encoding="utf-8") as text:
        found = re.findall(r"^build (\S+): c(?:pp)?_LINKER .*\n LINK_ARGS = (.*)$", text.read(), re.M)
    return [(output, words.split()) for output, words in found if output in installed]


@tap.case("what is optimised as a whole has every flag where its code is made, and all of it is")
def links_have_flags():
    whole = [(output, words) for output, words in links() if not output.startswith("tests/")]
    tap.check(whole, "nothing is linked")
    if not any("-flto" in words for _, words in whole):
        # Then no object waits for it either.
        tap.equal([path for path, words in commands() if "-flto" in words], [])
        return
    for output, words in whole:
        tap.equal([word for word in words if word in ("-flto", "-fno-lto")][-1:], ["-flto"], output)
        # Fortifying is the preprocessor's.
        late = [flag for flag in missing(words[words.index("-flto") :]) if not flag.startswith("-D")]
        tap.equal(late, [], output)


@tap.case("no source exempts itself")
def no_exemptions():
    tap.check(EXEMPTIONS.search('#pragma GCC diagnostic ignored "-Wformat"'), "a pragma is missed")
    tap.check(EXEMPTIONS.search("__attribute__((__uninitialized__))"), "an attribute is missed")
    for path in sorted(sources()):
        with open(os.path.join(ROOT, path), encoding="utf-8") as text:
            found = EXEMPTIONS.search(text.read())
        tap.check(not found, f"{path}: {found and found[0]}")


def compile_control(text, output, without=(), more=()):
    """Compiles a text as a file of helper/base is, but for some flags."""
    words = next(words for path, words in commands() if path == "helper/base/file.c")
    kept, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word in ("-o", "-c", "-MQ", "-MF"):
            skip = True
        elif word not in ("-MD", *without):
            kept.append(word)
    return subprocess.run(
        [*kept, *more, "-fdiagnostics-color=never", "-x", "c", "-o", output, "-"],
        input=text,
        capture_output=True,
        text=True,
        cwd=BUILD,
        env={**os.environ, "LC_ALL": "C"},
        timeout=60,
    )


def instructions(text, without=()):
    with tempfile.TemporaryDirectory() as scratch:
        output = os.path.join(scratch, "control.o")
        done = compile_control(text, output, without, ["-c"])
        tap.equal(done.returncode, 0, done.stderr)
        words = ["objdump", "--disassemble", "--no-show-raw-insn", output]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def only_x86_64():
    if not X86_64:
        raise tap.Skip("the instructions of this machine are not known here")


@tap.case("a large frame grows by a page at a time")
def stack_clash():
    only_x86_64()
    text = "void use(char *); void f(void); void f(void) { char a[65536]; use(a); }\n"
    touched = re.compile(rf"\b{'or' if GCC else 'mov'}[bwlq] +\$0x0,.*\(%rsp")
    at_once = re.compile(r"\b(sub +\$0x100[0-9a-f]{2},|add +\$0xf+effff[0-9a-f]+,)%rsp")
    with_flag, without = instructions(text), instructions(text, ["-fstack-clash-protection"])
    tap.check(touched.search(with_flag) and not at_once.search(with_flag), with_flag)
    tap.check(at_once.search(without) and not touched.search(without), without)


@tap.case("a function leaves no argument in a register")
def zeroed_registers():
    only_x86_64()
    flag = "-fzero-call-used-regs=used-gpr"
    if flag not in FLAGS:
        raise tap.Skip("this compiler is not asked for it")
    text = "int f(int a, int b); int f(int a, int b) { return a * b; }\n"
    for register in ("edi", "esi"):
        zeroed = re.compile(rf"\bxor +%{register},%{register}\n(.*\n)?.*\bret")
        tap.check(zeroed.search(instructions(text)), register)
        tap.check(not zeroed.search(instructions(text, [flag])), register)


# What sum() finds is what dirty() left there, unless the compiler clears it.
UNINITIALIZED = """
__attribute__((noinline)) static void dirty(void)
{
    volatile char a[256];

    for (unsigned int i = 0; i < sizeof(a); i++)
        a[i] = 0x5a;
}

__attribute__((noinline)) static int sum(void)
{
    char a[256];
    int result = 0;

    __asm__ volatile("" : : "r"(a) : "memory");
    for (unsigned int i = 0; i < sizeof(a); i++)
        result |= a[i];
    return result;
}

int main(void)
{
    dirty();
    return sum() != 0;
}
"""


@tap.case("a variable without a value is zero")
def initialized():
    flag = "-ftrivial-auto-var-init=zero"
    if flag not in FLAGS:
        raise tap.Skip("this compiler is not asked for it")
    for without, expected in ((), 0), ([flag], 1):
        with tempfile.TemporaryDirectory() as scratch:
            program = os.path.join(scratch, "control")
            done = compile_control(UNINITIALIZED, program, without, ["-Wno-maybe-uninitialized"])
            tap.equal(done.returncode, 0, done.stderr)
            tap.equal(subprocess.run([program]).returncode, expected, f"without {without}")


def compile_format(body, without):
    # Not printf, which the C library makes a macro of its own for some compilers.
    text = "__attribute__((format(printf, 1, 2))) void say(const char *format, ...);\n"
    text += f"void f(const char *t);\nvoid f(const char *t)\n{{ {body} }}\n"
    # -Werror itself is for those who build with it.
    return compile_control(text, os.devnull, ["-Werror", *without], ["-c"])


@tap.case("a text where a format belongs is an error, and a format that is no literal a warning")
def formats():
    flags = ["-Wformat=2", "-Werror=format-security"]
    done = compile_format("say(t);", [])
    tap.check(done.returncode != 0 and "format-security]" in done.stderr, done.stderr)
    tap.equal(compile_format("say(t);", flags).returncode, 0)
    done = compile_format("say(t, 1);", [])
    tap.check(done.returncode == 0 and "-Wformat-nonliteral" in done.stderr, done.stderr)
    tap.equal(compile_format("say(t, 1);", flags[:1]).stderr, "")


sys.exit(tap.run())
