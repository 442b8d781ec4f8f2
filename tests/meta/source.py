# SPDX-License-Identifier: Apache-2.0
"""The rules of the source tree: layers, headers, lengths, and the calls that are not made.

usage: source.py SOURCE-ROOT BUILD-ROOT
"""

import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap

ROOT, BUILD = (os.path.abspath(path) for path in sys.argv[1:3])
del sys.argv[1:3]

MAX_LINES = 700
PROGRAMS = ("docker", "kubelet", "admin", "hosts")
BUILT_IN = ("file", "env", "exec")

# What several backends are built from.
SHARED = {"auths", "http", "key", "run"}

# Where a file of a part may include from: folders below helper/ or backends/.
ALLOWED = {
    "include": {"include"},
    "base": {"base", "include"},
    "core": {"core", "base", "include"},
    "auths": {"auths", "base", "include"},
    "http": {"http", "base", "include"},
    "key": {"key", "base", "include"},
    "run": {"run", "base", "include"},
}
for program in PROGRAMS:
    ALLOWED[program] = {program, "core", "base", "include"}
# `import` reads what the file backend reads, and `store rekey` is a part of that backend.
ALLOWED["admin"] |= {"auths", "file", "key"}

# An API server makes identities of service accounts, and is asked for them as for secrets.
ALLOWED["token"] = {"token", "kubernetes", "base", "include"} | SHARED

# One file under three names looks at the name.
ALLOWED["main.c"] = {"admin", "docker", "kubelet"}

# The one file in C++, and the one library that nothing else calls.
PLUS_PLUS = {"helper/hosts/toml-parse.cc": re.compile(r"^toml\+\+/")}

FOREIGN_LIBRARIES = re.compile(r"^(curl|openssl|libsecret|glib|gio|gobject|yaml|toml\+\+)([/.]|$)")

# Printing and leaving are for the files that own the process's output; leaving for main files only.
OUTPUT_OWNERS = re.compile(r"/(docker|kubelet|hosts|admin)/main\.c$|/base/output\.c$")
LEAVING_OWNERS = re.compile(r"/(docker|kubelet|hosts|admin)/main\.c$")
OUTPUT_CALLS = (
    "printf vprintf puts putchar putc putw fputc fputs fprintf vfprintf dprintf vdprintf fwrite"
    " putchar_unlocked putc_unlocked fputc_unlocked fputs_unlocked fwrite_unlocked"
    " perror psignal psiginfo syslog vsyslog"
).split()
# Some of them print before they leave.
LEAVING_CALLS = (
    "exit _exit _Exit quick_exit pthread_exit abort err verr errx verrx warn vwarn warnx vwarnx"
    " error error_at_line"
).split()
OUTPUT_WORDS = "stdout stderr".split()
# write, pwrite, writev, file_write_all, and what makes a stream of a descriptor.
OUTPUT_WRITE = re.compile(
    r"\b(\w*write\w*|fdopen|send|sendto|sendfile)\s*\(\s*(1|2|STDOUT_FILENO|STDERR_FILENO)\b"
)

BANNED = (
    "strcpy strcat stpcpy sprintf vsprintf strtok atoi atol atoll atof system popen alloca gets"
    " getenv tmpnam tempnam mktemp gmtime localtime ctime asctime rand srand random setjmp longjmp"
    " cJSON_Compare cJSON_Parse cJSON_ParseWithOpts cJSON_GetObjectItem assert realloc"
    " execlp execvp execvpe usleep sleep"
).split()


def tree(*parts):
    """Every C and C++ file below some folders, relative to the root."""
    found = []
    for part in parts:
        for directory, _, names in os.walk(os.path.join(ROOT, part)):
            found += [
                os.path.relpath(os.path.join(directory, name), ROOT)
                for name in names
                if name.endswith((".c", ".h", ".cc"))
            ]
    return sorted(found)


SOURCES = tree("helper", "backends")


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as text:
        return text.read()


TOKENS = re.compile(
    r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|' + r"'(?:\\.|[^'\\\n])*'", re.S
)


def code(text):
    """The text without comments, and with empty strings; lines stay where they are."""

    def blank(found):
        word = found[0]
        if word[0] == '"':
            return '""'
        return "\n" * word.count("\n") if word[0] == "/" else "0"

    return TOKENS.sub(blank, text)


def uses(text, names, call=True):
    """(line, name) where one of the names is called, or named."""
    pattern = re.compile(
        r"(?<![\w.>])(" + "|".join(map(re.escape, names)) + r")\b" + (r"\s*\(" if call else "")
    )
    result = []
    for number, line in enumerate(code(text).split("\n"), 1):
        result += [(number, found[1]) for found in pattern.finditer(line)]
    return result


def includes(text):
    """(line, name, is it in angle brackets)."""
    result = []
    for number, line in enumerate(text.split("\n"), 1):
        found = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if found:
            result.append((number, found[2], found[1] == "<"))
    return result


def part_of(path):
    """'base' for helper/base/x.c, 'cms' for backends/cms/x.c, 'include' for the public header."""
    return path.split("/")[1]


def resolve(path, name):
    """The file of the tree that an include names, or None."""
    places = [os.path.dirname(path), "helper", "helper/include", "backends", ""]
    for place in places:
        candidate = os.path.normpath(os.path.join(place, name))
        if os.path.isfile(os.path.join(ROOT, candidate)):
            return candidate
    return None


def include_problems(path, text):
    part = part_of(path)
    if path.startswith("backends/"):
        allowed = ALLOWED.get(part, {part, "base", "include"} | SHARED)
    else:
        allowed = ALLOWED[part]
    light = path.startswith("helper/") or part in BUILT_IN or part in ("auths", "run")
    for number, name, _ in includes(text):
        may = PLUS_PLUS.get(path)
        if light and FOREIGN_LIBRARIES.match(name) and not (may and may.match(name)):
            yield f"{path}:{number}: {name} belongs into a module"
        target = resolve(path, name)
        if target and part_of(target) not in allowed:
            yield f"{path}:{number}: {part} may not include {target}"
        if target and name.startswith("."):
            yield f"{path}:{number}: an include names a file from the root of its tree"


def output_problems(path, text):
    if not LEAVING_OWNERS.search("/" + path):
        for number, name in uses(text, LEAVING_CALLS):
            yield f"{path}:{number}: {name} outside a main file"
    if OUTPUT_OWNERS.search("/" + path):
        return
    for number, name in uses(text, OUTPUT_CALLS):
        yield f"{path}:{number}: {name} outside a main file"
    for number, name in uses(text, OUTPUT_WORDS, call=False):
        yield f"{path}:{number}: {name} outside a main file"
    plain = code(text)
    for found in OUTPUT_WRITE.finditer(plain):
        number = plain.count("\n", 0, found.start()) + 1
        yield f"{path}:{number}: {found[1]} to an output outside a main file"


# Names of the standard library of C++ that print, leave, or take memory behind our back.
PLUS_PLUS_WORDS = (
    "cout cerr clog cin printf fprintf puts exit terminate quick_exit malloc calloc free system"
    " getenv shared_ptr async thread fstream ifstream ofstream"
).split()


def plus_plus_problems(path, text):
    if not path.endswith(".cc"):
        return
    if path not in PLUS_PLUS:
        yield f"{path}: C++ is for {', '.join(PLUS_PLUS)} alone"
    for number, name in uses(text, PLUS_PLUS_WORDS, call=False):
        yield f"{path}:{number}: {name} is not used in C++ here"


def banned_problems(path, text):
    for number, name in uses(text, BANNED):
        yield f"{path}:{number}: {name} is not used here"


def length_problems(path, text):
    lines = text.count("\n")
    if lines > MAX_LINES:
        yield f"{path}: {lines} lines, at most {MAX_LINES}"


def form_problems(path, text):
    lines = text.split("\n")
    if "SPDX-License-Identifier: Apache-2.0" not in "\n".join(lines[:2]):
        yield f"{path}: no SPDX line"
    for number, line in enumerate(lines, 1):
        if "\t" in line or line.endswith((" ", "\r")):
            yield f"{path}:{number}: a tab or a blank at the end"


def check_tree(problems_of, files=None):
    problems = []
    for path in files if files is not None else SOURCES:
        problems += problems_of(path, read(path))
    tap.check(not problems, "\n" + "\n".join(problems))


def check_finds(problems_of, path, text, count):
    """The rule itself, on a text that breaks it: it must be found so often."""
    tap.equal(len(list(problems_of(path, text))), count, text)


@tap.case("the tree is where it is looked for")
def found():
    tap.check(len(SOURCES) > 30, f"only {len(SOURCES)} files")


@tap.case("include directions")
def directions():
    check_finds(include_problems, "helper/base/x.c", '#include "core/config.h"\n', 1)
    check_finds(include_problems, "helper/core/x.c", "#include <openssl/evp.h>\n", 1)
    check_finds(include_problems, "helper/docker/x.c", '#include "base/error.h"\n', 0)
    check_finds(include_problems, "backends/cms/x.c", '#include "core/config.h"\n', 1)
    check_finds(include_problems, "backends/cms/x.c", "#include <openssl/evp.h>\n", 0)
    check_finds(include_problems, "backends/file/x.c", "#include <openssl/evp.h>\n", 1)
    check_tree(include_problems)


@tap.case("printing and leaving are for main files")
def output():
    check_finds(output_problems, "helper/core/x.c", 'f(); printf("x");\nexit (1);\n', 2)
    check_finds(output_problems, "helper/core/x.c", "fputs(text, stderr);\n", 2)
    check_finds(output_problems, "helper/core/x.c", "write(1, a, n);\n", 1)
    check_finds(output_problems, "helper/core/x.c", "write(10, a, n);\n", 0)
    for call in ("puts(a)", "fwrite(a, 1, n, f)", "dprintf(1, a)", "_exit(1)", "_Exit(1)"):
        check_finds(output_problems, "backends/exec/x.c", call + ";\n", 1)
    check_finds(output_problems, "helper/core/x.c", "file_write_all(STDOUT_FILENO, a, n, e);\n", 1)
    check_finds(output_problems, "helper/core/x.c", "file_write_all(\n    STDERR_FILENO, a);\n", 1)
    check_finds(output_problems, "helper/core/x.c", "writev(2, a, n); pwrite(1, a, n, 0);\n", 2)
    check_finds(output_problems, "helper/core/x.c", "file_write_all(fd, a, n, e);\n", 0)
    check_finds(output_problems, "helper/core/x.c", "adddup2(a, out, STDOUT_FILENO);\n", 0)
    check_finds(output_problems, "helper/docker/main.c", "exit(1);\n", 0)
    check_finds(output_problems, "helper/admin/main.c", 'puts("x"); _exit(1);\n', 0)
    check_finds(output_problems, "helper/base/output.c", "fwrite(a, 1, n, stdout);\n", 0)
    check_finds(output_problems, "helper/base/output.c", "exit(1); _exit(1);\n", 2)
    check_finds(output_problems, "helper/admin/x.c", "fwrite(a, 1, n, f);\n", 1)
    check_finds(output_problems, "helper/core/x.c", '/* exit(1) */ s = "exit(1)"; a->exit(1);', 0)
    check_tree(output_problems)


@tap.case("calls that are not made")
def banned():
    check_finds(banned_problems, "helper/core/x.c", "strcpy(a, b); atoi (c);\n", 2)
    check_finds(banned_problems, "helper/core/x.c", "secure_getenv(n); file_access(x);\n", 0)
    check_tree(banned_problems)


@tap.case("C++ is in one file, which allocates wiped memory and prints nothing")
def plus_plus():
    check_finds(plus_plus_problems, "helper/hosts/x.cc", "int a;\n", 1)
    check_finds(plus_plus_problems, "helper/hosts/toml-parse.cc", "std::cout << a; free(b);\n", 2)
    check_finds(plus_plus_problems, "helper/hosts/toml-parse.cc", "f(); // std::cout\n", 0)
    check_finds(include_problems, "helper/hosts/toml-parse.cc", "#include <toml++/toml.h>\n", 0)
    check_finds(include_problems, "helper/hosts/toml-parse.cc", "#include <openssl/evp.h>\n", 1)
    check_finds(include_problems, "helper/hosts/toml-parse.cc", '#include "cms/gate.h"\n', 1)
    check_finds(include_problems, "helper/hosts/x.c", "#include <toml++/toml.h>\n", 1)
    check_tree(plus_plus_problems)


@tap.case("no file is longer than 700 lines, in the tests neither")
def lengths():
    check_finds(length_problems, "x.c", "\n" * 701, 1)
    check_tree(length_problems, SOURCES + tree("tests"))


@tap.case("SPDX lines, no tabs, no blanks at the end")
def form():
    check_finds(form_problems, "x.c", "int a; \n\tint b;\n", 3)
    check_tree(form_problems, SOURCES + tree("tests"))


def flags(name):
    done = subprocess.run(["pkg-config", "--cflags", name], capture_output=True, text=True)
    return done.stdout.split() if done.returncode == 0 else []


def alone(compiler):
    """Each header is the only thing in a program, twice, so that its guard is tried too."""
    if not shutil.which(compiler):
        raise tap.Skip(f"{compiler} is not installed")
    words = [compiler, "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror"]
    words += ["-fsyntax-only", "-x", "c", "-"]
    for place in ("helper", "helper/include", "backends"):
        words += ["-I", os.path.join(ROOT, place)]
    words += ["-I", BUILD]
    for library in ("libcjson", "libcurl", "libcrypto", "libsecret-1"):
        words += flags(library)

    def compiles(text):
        return subprocess.run(words, input=text, capture_output=True, text=True)

    tap.check(compiles("int f(void);\n").returncode == 0, "the compiler does not work")
    tap.check(compiles("undeclared f(void);\n").returncode != 0, "the compiler takes anything")
    problems = []
    headers = [path for path in SOURCES if path.endswith(".h")]
    for path in headers:
        full = os.path.join(ROOT, path)
        done = compiles(f'#include "{full}"\n#include "{full}"\n')
        if done.returncode:
            problems.append(f"{path}:\n{done.stderr}")
    tap.check(not problems, "\n" + "\n".join(problems))
    tap.comment(f"{len(headers)} headers")


for compiler_name in ("gcc", "clang"):
    tap.case(f"every header compiles alone with {compiler_name}")(
        lambda name=compiler_name: alone(name)
    )


@tap.case("the backend contract compiles as C++ too, and needs no other header of ours")
def contract():
    path = os.path.join(ROOT, "helper", "include", "pullkey", "backend.h")
    plus = shutil.which("g++") or shutil.which("clang++")
    if not plus:
        raise tap.Skip("neither g++ nor clang++ is installed")
    for words in ([plus, "-std=c++17", "-x", "c++"], ["gcc", "-std=c11", "-x", "c"]):
        done = subprocess.run(
            [*words, "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only", path],
            capture_output=True,
            text=True,
        )
        # A header as the main file is only worth a remark.
        text = re.sub(r".*#pragma once in main file.*", "", done.stderr)
        tap.equal(done.returncode, 0, text)
    for number, name, angle in includes(read("helper/include/pullkey/backend.h")):
        tap.check(angle and "/" not in name, f"line {number} includes {name}")


sys.exit(tap.run())
