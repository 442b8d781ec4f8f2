# SPDX-License-Identifier: Apache-2.0
"""packaging/ci: what a job runs makes its tools get credentials by the job's identity token.

usage: test-ci.py SOURCE-ROOT
"""

import json
import os
import re
import shutil
import subprocess
import sys

from scene import MARKER, scene
from fake_federation import CONNECTION, Federation
from tap import Skip, case, check, equal, run

ROOT = os.path.abspath(sys.argv.pop(1))
CI = os.path.join(ROOT, "packaging", "ci")


def text_of(name):
    with open(os.path.join(CI, name), encoding="utf-8") as file:
        return file.read()


def yaml_of(text):
    try:
        import yaml
    except ImportError:
        raise Skip("python3-yaml is not installed") from None
    return yaml.safe_load(text)


def usage_of(name):
    """The example in the comment at the head of a file."""
    lines = re.findall(r"^#   ?(.*)$", text_of(name), re.M)
    return yaml_of("\n".join(lines))


class Job:
    """A home in which steps of a job run, one process each."""

    def __init__(self, them, it):
        self.them, self.it, self.home = them, it, it.home
        self.home.env.pop("PULLKEY_CONFIG", None)
        self.home.env["PATH"] = os.pathsep.join([self.home.directory("tools"), self.home.env["PATH"]])

    def github(self, with_identity=True):
        temp = self.home.directory("temp")
        self.home.env.update(
            GITHUB_ACTION_PATH=CI,
            GITHUB_ACTIONS="true",
            GITHUB_ENV=self.home.write("temp/env", ""),
            GITHUB_PATH=self.home.write("temp/path", ""),
            RUNNER_TEMP=temp,
        )
        if with_identity:
            self.home.env["ACTIONS_ID_TOKEN_REQUEST_URL"] = self.them.REQUEST_URL
            self.home.env["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] = self.them.request_token

    def use(self, **given):
        """`uses:` of the action, with `with:`, and what it leaves for the steps behind it."""
        action = yaml_of(text_of("action.yml"))
        inputs = {name: item.get("default") for name, item in action["inputs"].items()}
        check(set(given) <= set(inputs), given)
        inputs.update(given)
        (step,) = action["runs"]["steps"]
        env = {}
        for name, text in step["env"].items():
            found = re.fullmatch(r"\$\{\{ inputs\.(\w+) \}\}", text)
            env[name] = inputs[found[1]]
        done = self.home.run(["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]], env=env)
        for line in self.home.read("temp/env").splitlines():
            name, _, value = line.partition("=")
            self.home.env[name] = value
        return done

    def get(self, server):
        return self.it.get(server)


def with_authority(it, config):
    """The fake services have an authority of their own."""
    for rule in config["rules"]:
        for instance in rule["use"]:
            if instance["type"] == "token":
                instance["ca_file"] = it.authority
    return json.dumps(config, indent=2)


class job:
    def __init__(self):
        self.scene = scene(lambda request: self.them.handle(request), *Federation.HOSTS, headers=Federation.HEADERS)

    def __enter__(self):
        it = self.scene.__enter__()
        self.them = Federation(it.home.directory("keys"), MARKER)
        return Job(self.them, it)

    def __exit__(self, *error):
        if not error[0]:
            equal(self.them.objections, [], "objections")
        return self.scene.__exit__(*error)


@case("the action: inputs are variables and no text of a script, and its example is a job that may have a token")
def action():
    found = yaml_of(text_of("action.yml"))
    equal(set(found), {"name", "description", "inputs", "runs"})
    equal(found["runs"]["using"], "composite")
    for step in found["runs"]["steps"]:
        check("${{" not in step["run"], step)
        equal(step["shell"], "bash")
        for text in step["env"].values():
            check(text.removeprefix("${{ inputs.").removesuffix(" }}") in found["inputs"], text)
    check(all(item["description"] for item in found["inputs"].values()), found)
    usage = usage_of("action.yml")
    equal(usage["permissions"], {"contents": "read", "id-token": "write"})
    check(usage["steps"][0]["uses"].split("@")[0].endswith("/pullkey/packaging/ci"), usage)
    check(set(usage["steps"][0]["with"]) <= set(found["inputs"]), usage)


@case("a job on GitHub with the action of the example: docker gets a token of Docker Hub")
def github():
    with job() as it:
        it.github()
        config = json.loads(usage_of("action.yml")["steps"][0]["with"]["config"])
        done = it.use(config=with_authority(it.it, config))
        equal((done.returncode, done.stderr), (0, ""), done.stdout)
        check("::" not in done.stdout, done.stdout)
        equal(json.loads(it.home.read(".docker/config.json")), {"credsStore": "pullkey"})
        check(it.get("docker.io").startswith("example:"), "the credential")
        equal(it.them.asked[-1], "POST identity.docker.com/oauth/token")
        equal(os.stat(it.home.env["PULLKEY_CONFIG"]).st_mode & 0o077, 0)
        check(CONNECTION in it.home.read("temp/pullkey/config.json"), "the configuration")


@case("the same in a fork's pull request, without a token: a warning, and anonymous pulls")
def fork():
    with job() as it:
        it.github(with_identity=False)
        config = usage_of("action.yml")["steps"][0]["with"]["config"]
        done = it.use(config=config)
        equal(done.returncode, 0, done.stdout)
        check('::warning::this job has no identity token: give it "permissions: id-token: write"' in done.stdout, done)
        equal(it.get("docker.io"), None)
        equal(it.them.asked, [])


@case("a job on GitHub whose token is refused does not pull as anybody")
def refused():
    with job() as it:
        it.github()
        config = json.loads(usage_of("action.yml")["steps"][0]["with"]["config"])
        config["rules"][0]["use"][0]["variables"]["connection_id"] = CONNECTION.replace("9f7e", "0000")
        equal(it.use(config=with_authority(it.it, config)).returncode, 0)
        check("identity.docker.com refuses the GitHub Actions job" in it.it.error("docker.io"), "an error")


@case("the action leaves what docker has, or leaves docker alone, and refuses a configuration with a mistake")
def settings():
    with job() as it:
        it.github()
        config = '{"version": 1, "x-quotes": "$(touch here) `touch here` \\" \' ${HOME}"}'
        before = {"auths": {"r.example.com": {"auth": "x"}}, "credsStore": "desktop"}
        it.home.write(".docker/config.json", json.dumps(before))
        done = it.use(config=config, docker="false")
        equal(done.returncode, 0, done.stdout + done.stderr)
        equal(json.loads(it.home.read(".docker/config.json")), before)
        equal(it.home.read("temp/pullkey/config.json"), config + "\n")
        check(not os.path.exists(os.path.join(it.home.path, "here")), "a text was run")
        equal(it.use(config=config).returncode, 0)
        equal(json.loads(it.home.read(".docker/config.json")), {**before, "credsStore": "pullkey"})
        it.home.write(".docker/config.json", "{")
        done = it.use(config=config)
        check(done.returncode == 1 and "is no JSON" in done.stdout, done)
        equal(it.home.read(".docker/config.json"), "{")
        for wrong, said in (('{"version": 2}', "has a mistake"), ("", "is empty")):
            done = it.use(config=wrong)
            check(done.returncode == 1 and f"::error::the input \"config\" {said}" in done.stdout, done)


def hide_pullkey(it):
    """No pullkey in the PATH, and a curl that has an archive with one."""
    it.home.directory("bin")
    # Without a HOME the account is looked up.
    tools = "bash sh id getent cut mkdir rm mv cat sha256sum gzip grep chmod test touch"
    for name in tools.split():
        os.symlink(shutil.which(name), os.path.join(it.home.path, "bin", name))
    it.home.write("unpack/docker-credential-pullkey", "#!/bin/sh\n")
    home = it.home.path
    it.home.write("unpack/pullkey", f'#!/bin/sh\nprintf "%s\\n" "$*" >>"{home}/called"\n')
    for name in ("docker-credential-pullkey", "pullkey"):
        os.chmod(os.path.join(it.home.path, "unpack", name), 0o755)
    archive = os.path.join(it.home.path, "archive.tar.gz")
    subprocess.run(["tar", "-czf", archive, "-C", os.path.join(it.home.path, "unpack"), "."], check=True)
    # The tree of the archive goes into the home in place of /.
    programs = {
        "curl": f'while [ "$1" != -o ]; do shift; done\necho "$3" >>"{home}/asked"\nexec cp "{archive}" "$2"\n',
        "tar": f'echo "$*" >>"{home}/unpacked"\nexec {shutil.which("tar")} -xzf "$2" -C "{home}/bin"\n',
        "sudo": 'exec "$@"\n',
        "cp": f'exec {shutil.which("cp")} "$@"\n',
    }
    for name, text in programs.items():
        os.chmod(it.home.write(f"bin/{name}", "#!/bin/sh\n" + text), 0o755)
    it.home.env["PATH"] = os.path.join(it.home.path, "bin")
    done = subprocess.run(["sha256sum", archive], capture_output=True, text=True, check=True)
    return done.stdout.split()[0]


@case("the action with an archive: by https alone, and only with its digest")
def archives():
    with job() as it:
        it.github()
        digest = hide_pullkey(it)
        config = '{"version": 1}'
        url = "https://dl.example.com/pullkey.tar.gz"
        for given, said in (
            ({"archive": url}, 'give "sha256"'),
            ({"archive": url.replace("https", "http"), "sha256": digest}, "must be an https:// address"),
            ({"archive": url, "sha256": digest[::-1]}, 'not the one of "sha256"'),
        ):
            done = it.use(config=config, **given)
            check(done.returncode == 1 and "::error::" in done.stdout and said in done.stdout, done)
            equal(it.home.read("unpacked"), "")
        done = it.use(config=config, archive=url, sha256=digest)
        equal(done.returncode, 0, done.stdout + done.stderr)
        equal(it.home.read("asked").splitlines()[-1], url)
        equal(it.home.read("called"), "config check\n")


@case("the action without anything builds pullkey from its own tree")
def builds():
    with job() as it:
        it.github()
        hide_pullkey(it)
        # A tree with an installer that only says how it is called.
        home = it.home.path
        text = f'#!/bin/sh\necho "$*" >"{home}/built"\ncp "{home}"/unpack/* "{home}/bin"\n'
        it.home.write("tree/packaging/quickstart", text)
        os.chmod(os.path.join(it.home.path, "tree/packaging/quickstart"), 0o755)
        shutil.copytree(CI, os.path.join(it.home.path, "tree/packaging/ci"))
        it.home.env["GITHUB_ACTION_PATH"] = os.path.join(it.home.path, "tree/packaging/ci")
        done = it.use(config='{"version": 1}')
        equal(done.returncode, 0, done.stdout + done.stderr)
        equal(it.home.read("built"), "--install /usr/local\n")


def gitlab_scripts():
    hidden = yaml_of(text_of("gitlab.yml"))[".pullkey"]
    equal(set(hidden), {"id_tokens", "before_script"})
    equal(hidden["id_tokens"], {"PULLKEY_ID_TOKEN": {"aud": "$PULLKEY_AUDIENCE"}})
    return hidden["before_script"]


def run_gitlab(it, scripts):
    """As the runner does: one shell for all lines, ended by the first that fails."""
    return it.home.run(["sh", "-c", "set -e\n" + "\n".join(scripts)])


@case("a job on GitLab with the example: its id token becomes a token of JFrog")
def gitlab():
    scripts = gitlab_scripts()
    usage = usage_of("gitlab.yml")
    equal((usage["include"][0]["file"], usage["build"]["extends"]), ("packaging/ci/gitlab.yml", ".pullkey"))
    variables = usage["build"]["variables"]
    with job() as it:
        # What GitLab does with id_tokens.
        it.home.env["PULLKEY_ID_TOKEN"] = it.them.subject("jfrog")
        it.home.env.update(variables)
        it.home.env["PULLKEY_CONFIG_JSON"] = with_authority(it.it, json.loads(variables["PULLKEY_CONFIG_JSON"]))
        it.them.jfrog = {"provider_name": "gitlab"}
        done = run_gitlab(it, scripts)
        equal((done.returncode, done.stderr), (0, ""), done.stdout)
        equal(json.loads(it.home.read(".docker/config.json")), {"credsStore": "pullkey"})
        check(it.get("example.jfrog.io").startswith("builder:"), "the credential")
        # Once more, and with a configuration of docker's own.
        equal(run_gitlab(it, scripts).returncode, 0)
        it.home.write(".docker/config.json", '{"auths": {}}')
        done = run_gitlab(it, scripts)
        check(done.returncode == 0 and 'put "credsStore": "pullkey" into it' in done.stderr, done)
        equal(it.home.read(".docker/config.json"), '{"auths": {}}')
        # Nothing for a job without id_tokens, and an error where the token is refused.
        token = it.home.env.pop("PULLKEY_ID_TOKEN")
        equal(it.get("example.jfrog.io"), None)
        it.home.env["PULLKEY_ID_TOKEN"] = it.them.subject("somebody else")
        check("example.jfrog.io refuses the token in the variable PULLKEY_ID_TOKEN" in it.it.error("example.jfrog.io"), "no")
        it.home.env["PULLKEY_ID_TOKEN"] = token
        it.home.env["PULLKEY_CONFIG_JSON"] = "{"
        equal(run_gitlab(it, scripts).returncode, 1)
        del it.home.env["PULLKEY_CONFIG_JSON"]
        check("give the configuration of pullkey" in run_gitlab(it, scripts).stderr, "no configuration")


@case("GitLab with an archive: by https alone, and only with its digest")
def gitlab_archive():
    scripts = gitlab_scripts()
    with job() as it:
        digest = hide_pullkey(it)
        it.home.env["PULLKEY_CONFIG_JSON"] = '{"version": 1}'
        scripts = [text.replace("/tmp/", it.home.path + "/tmp/") for text in scripts]
        check("no PULLKEY_ARCHIVE" in run_gitlab(it, scripts).stderr, "nothing")
        for url, sum_, said in (
            ("http://dl.example.com/p", digest, "must be an https:// address"),
            ("https://dl.example.com/p", "", "give the digest"),
            ("https://dl.example.com/p", digest[::-1], "FAILED"),
        ):
            it.home.env.update(PULLKEY_ARCHIVE=url, PULLKEY_SHA256=sum_)
            done = run_gitlab(it, scripts)
            check(done.returncode != 0 and said in done.stdout + done.stderr, done)
            equal(it.home.read("unpacked"), "")
        it.home.env["PULLKEY_SHA256"] = digest
        done = run_gitlab(it, scripts)
        equal(done.returncode, 0, done.stdout + done.stderr)
        equal(it.home.read("called"), "config check\n")


def instructions(path):
    with open(path, encoding="utf-8") as file:
        text = re.sub(r"^#.*\n", "", file.read(), flags=re.M).replace("\\\n", "")
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line]


@case("the Containerfile: its first stage builds the tree, and its last makes docker ask pullkey")
def containerfile():
    ours = instructions(os.path.join(CI, "Containerfile"))
    last = max(i for i, (name, _) in enumerate(ours) if name == "FROM")
    equal(ours[last - 2 : last], [("COPY", ". /src"), ("RUN", "/src/packaging/kubernetes/build /build -Dman=disabled")])
    equal(ours[last + 1], ("COPY", "--from=pullkey /opt/pullkey /opt/pullkey"))
    with job() as it:
        text = ours[last + 2][1]
        equal(ours[last + 2][0], "RUN")
        places = {
            "/opt/pullkey": os.environ["PULLKEY_PREFIX"],
            "/root": it.home.path,
            "/usr/local/bin": it.home.directory("usr/bin"),
        }
        check(all(place in text for place in places), text)
        text = re.sub("|".join(places), lambda found: places[found[0]], text)
        it.home.succeed(["sh", "-eu", "-c", text])
        equal(json.loads(it.home.read(".docker/config.json")), {"credsStore": "pullkey"})
        for name in ("docker-credential-pullkey", "pullkey"):
            check("pullkey" in it.home.succeed([os.path.join(it.home.path, "usr/bin", name), "--version"]), name)


@case("packaging/ci/setup is clean for shellcheck, and so are the lines of GitLab")
def clean():
    if not shutil.which("shellcheck"):
        raise Skip("there is no shellcheck")
    script = "#!/bin/sh\nset -e\n" + "\n".join(gitlab_scripts())
    done = subprocess.run(["shellcheck", "-s", "sh", "-"], input=script, capture_output=True, text=True)
    equal((done.returncode, done.stdout), (0, ""))


if __name__ == "__main__":
    sys.exit(run())
