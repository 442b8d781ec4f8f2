# SPDX-License-Identifier: Apache-2.0
"""The example of docs/BACKENDS.md is a module: it compiles as the guide says, with stubs behind it.

usage: example.py SOURCE-ROOT
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap

ROOT = os.path.abspath(sys.argv[1])
del sys.argv[1:2]

STRICT = ["-Wall", "-Wextra", "-pedantic", "-Werror", "-I", os.path.join(ROOT, "helper", "include")]
INCLUDE = "#include <pullkey/backend.h>\n"

def guide():
    with open(os.path.join(ROOT, "docs", "BACKENDS.md"), encoding="utf-8") as text:
        return text.read()


def example():
    blocks = re.findall(r"^```c\n(.*?)^```", guide(), re.M | re.S)
    tap.equal(len(blocks), 1, "blocks of C in the guide")
    tap.check(blocks[0].startswith(INCLUDE), "the example does not begin with its header")
    return blocks[0]


def guide_flags():
    found = re.search(r"Compile with `([^`]+)`", guide())
    tap.check(found, "the guide does not say how to compile")
    return found[1].split()


def members():
    """Each operation of a backend: what comes before its name in the header, and what behind it."""
    path = os.path.join(ROOT, "helper", "include", "pullkey", "backend.h")
    with open(path, encoding="utf-8") as text:
        body = re.search(r"^struct pullkey_backend \{\n(.*?)^\};", text.read(), re.M | re.S)[1]
    found = re.findall(r"^    (\w+) \(\*(\w+)\)(\(.*?\));", body, re.M | re.S)
    tap.check(len(found) >= 6, f"operations in the header: {found}")
    return {name: (result, " ".join(parameters.split())) for result, name, parameters in found}


def whole(text):
    """The example with its functions, declared before it, and one that only other files would use."""
    heads, bodies = "int example_helper(void);\n", "int example_helper(void)\n{\n    return 0;\n}\n"
    for name, (result, parameters) in members().items():
        if f"example_{name}" not in text:
            continue
        head = f"static {result} example_{name}{parameters}"
        heads += head + ";\n"
        bodies += head + "\n{\n"
        bodies += "".join(f"    (void){word};\n" for word in re.findall(r"(\w+)[,)]", parameters))
        bodies += "}\n" if result == "void" else "    return -PULLKEY_UNSUPPORTED;\n}\n"
    return text.replace(INCLUDE, INCLUDE + heads, 1) + bodies


def compile_text(words, text, output=os.devnull):
    return subprocess.run(
        [*words, *STRICT, *guide_flags(), "-o", output, "-"],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
    )


def exported(words, text):
    """What a module shows that compiles without a warning."""
    with tempfile.TemporaryDirectory() as scratch:
        module = os.path.join(scratch, "example.so")
        done = compile_text(words, text, module)
        tap.equal((done.returncode, done.stderr), (0, ""), " ".join(words))
        symbols = subprocess.run(
            ["nm", "--dynamic", "--defined-only", "--format=posix", module],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    return sorted(line.split()[0] for line in symbols.splitlines())


def compilers(*names):
    found = [name for name in names if shutil.which(name)]
    if not found:
        raise tap.Skip(f"none of {', '.join(names)} is installed")
    return found


@tap.case("the example compiles as C11, without a warning, and exports what the guide says")
def as_c():
    for compiler in compilers("gcc", "clang"):
        words = [compiler, "-std=c11", "-x", "c"]
        tap.equal(exported(words, whole(example())), ["pullkey_module"], compiler)


@tap.case("an example that went wrong does not compile")
def controls():
    text = whole(example())
    wrong = (
        ("PULLKEY_OPTION_STRING", "PULLKEY_OPTION_TEXT"),
        (".get = example_get", ".get = example_list"),
        (".inputs", ".input"),
        ("PULLKEY_EXPORT_MODULE(example_backend)", ""),
    )
    for old, new in wrong:
        tap.check(old in text, f"the example has no {old}")
        for compiler in compilers("gcc", "clang"):
            done = compile_text([compiler, "-std=c11", "-x", "c"], text.replace(old, new))
            tap.check(done.returncode != 0, f"{compiler} takes {new or 'a module without its symbol'}")


CPLUSPLUS = """
extern "C" __attribute__((visibility("default"))) int probe(const pullkey_host *host,
                                                            pullkey_error *error)
{
    pullkey_list list = {};
    pullkey_secret secret = {};
    error->code = host->size < sizeof(*host) ? PULLKEY_INVALID : PULLKEY_OK;
    secret.bytes = static_cast<char *>(host->alloc(1));
    host->release(secret.bytes);
    return host->list_add(&list, "key", "user", error);
}
static pullkey_backend describe()
{
    pullkey_backend result = {};
    result.module.abi_major = PULLKEY_ABI_MAJOR;
    result.module.size = sizeof(result);
    result.module.kind = PULLKEY_KIND_BACKEND;
    result.module.type = "example";
    return result;
}
static const pullkey_backend backend = describe();
PULLKEY_EXPORT_MODULE(backend);
"""


@tap.case("a module in C++ can include the header and use it")
def as_cplusplus():
    for compiler in compilers("g++", "clang++"):
        for standard in ("c++11", "c++17", "c++20"):
            words = [compiler, f"-std={standard}", "-x", "c++"]
            found = exported(words, INCLUDE + CPLUSPLUS)
            tap.equal(found, ["probe", "pullkey_module"], " ".join(words))


sys.exit(tap.run())
