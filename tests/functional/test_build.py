"""The builder against real git, Nix and hostile blueprints (blueprints/bad/default.nix).

Each case is one run of build_tool, a program around moosh_builder_build. All share one state directory, so that the
store is prepared once; what a test must not see of another has its own.
"""
import hashlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("MOOSH_BUILD", ROOT / "build"))
TOOL = BUILD / "tests/functional/build_tool"
GUEST = subprocess.run([ROOT / "scripts/guest-kernel", "--print"], check=True, capture_output=True, text=True).stdout.strip()
AS_ROOT = os.geteuid() == 0
BUILD_UID = 60777 if AS_ROOT else os.geteuid()
needs_root = pytest.mark.skipif(not AS_ROOT, reason="only root can make this situation")


def git(repo, *args):
    argv = ["git", "-C", repo, "-c", "user.name=Tester", "-c", "user.email=tester@localhost", "-c", "commit.gpgsign=false",
            "-c", f"safe.directory={repo}", *args]
    return subprocess.run(list(map(str, argv)), check=True, capture_output=True, text=True).stdout.strip()


def repository(path, source=None):
    """Make a git repository of a directory's files, or of what is in `path` already."""
    if source:
        shutil.copytree(source, path, symlinks=True)
    git(path, "init", "-q", "-b", "main")
    git(path, "add", "-A")
    git(path, "commit", "-q", "-m", "A blueprint")
    return path


def processes():
    """Command lines of what runs as the build user, zombies left out."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and entry.stat().st_uid == BUILD_UID and AS_ROOT:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if command:
                    found.append(command)
        except OSError:
            pass
    return found


class Outcome:
    def __init__(self, run, log):
        self.code, self.steps = run.returncode, [line[5:] for line in run.stderr.splitlines() if line.startswith("step ")]
        self.stderr = run.stderr
        assert run.stdout, run.stderr
        self.answer = json.loads(run.stdout)
        self.log = log.read_text() if log.exists() else ""

    def __getattr__(self, name):
        return self.answer[name]


class Builder:
    def __init__(self, directory):
        self.dir, self.state = directory, directory / "state"
        self.count = 0

    def argv(self, *args):
        return [str(a) for a in (TOOL, "--state", self.state, "--nix", ROOT / "nix", "--guest", GUEST, "--uid", BUILD_UID,
                                 *args)]

    def arguments(self, repo, attribute, commit=None, url=None, limits=(), policy=None, allow_file=True):
        self.count += 1
        self.log = self.dir / f"log{self.count}"
        args = ["--url", url or f"file://{repo}", "--commit", commit or git(repo, "rev-parse", "HEAD"), "--attribute",
                attribute, "--log", self.log]
        for limit in limits:
            args += ["--limit", limit]
        if policy is not None:
            args += ["--policy", policy]
        return self.argv(*args, *(["--allow-file"] if allow_file else []))

    def build(self, repo, attribute, extra=(), before=(), **kwargs):
        argv = [*before, *self.arguments(repo, attribute, **kwargs), *map(str, extra)]
        run = subprocess.run(argv, capture_output=True, text=True, timeout=180)
        result = Outcome(run, self.log)
        self.check_clean()
        return result

    def check_clean(self):
        """Nothing is left over, whatever happened."""
        assert list((self.state / "work").iterdir()) == []
        assert processes() == []

    def refused(self, repo, attribute, kind, *words, **kwargs):
        result = self.build(repo, attribute, **kwargs)
        assert not result.ok, result.answer
        assert result.kind == kind, result.answer
        for word in words:
            assert word in result.message, result.message
        assert "/cage" not in result.message and str(self.state) not in result.message
        assert result.log.rstrip().endswith("moosh: " + result.message[:900].rstrip())
        return result


@pytest.fixture(scope="module")
def builder(tmp_path_factory):
    return Builder(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="module")
def listener():
    """A port of this host that counts who gets through to it, on every address."""
    server = socket.create_server(("0.0.0.0", 0))
    reached = []

    def serve():
        while True:
            try:
                reached.append(server.accept()[1])
            except OSError:
                return
    threading.Thread(target=serve, daemon=True).start()
    yield server.getsockname()[1], reached
    server.close()


@pytest.fixture(scope="module")
def bad(tmp_path_factory, listener):
    path = repository(tmp_path_factory.mktemp("repo") / "bad", ROOT / "tests/functional/blueprints/bad")
    (path / "target").write_text(f"127.0.0.1 {listener[0]}")
    git(path, "commit", "-q", "-a", "-m", "Where the listener is")
    return path


@pytest.fixture(scope="module")
def hello(tmp_path_factory):
    return repository(tmp_path_factory.mktemp("repo") / "hello", ROOT / "nix/examples/hello")


# What works

def test_micro_guest_builds_and_is_found_again(builder, hello):
    first = builder.build(hello, "default")
    assert first.ok, first.answer
    assert first.steps == ["fetch", "evaluate", "build", "check"]
    assert not first.cached
    for name in ("kernel", "initrd"):
        path = Path(first.answer[name])
        assert path.is_file() and path.stat().st_size > 1_000_000 and path.stat().st_mode & 0o004
    assert "console=ttyS0" in first.cmdline
    assert first.log_digest == "0x" + hashlib.sha256(first.log.encode()).hexdigest()
    assert "building '/nix/store/" in first.log

    second = builder.build(hello, "default")
    assert second.ok and second.cached and second.steps == []
    assert second.store_path == first.store_path
    assert second.log == first.log and second.log_digest == first.log_digest


@pytest.mark.parametrize("example", [p.name for p in (ROOT / "nix/examples").iterdir() if (p / "default.nix").exists()])
def test_every_example_builds(builder, tmp_path, example):
    repo = repository(tmp_path / example, ROOT / "nix/examples" / example)
    assert builder.build(repo, "default").ok


def test_the_log_has_the_builds_words_without_escapes(builder, bad):
    result = builder.build(bad, "talks")
    assert result.ok
    assert "a line of the build" in result.log
    assert "\x1b" not in result.log and "red" in result.log


def test_any_commit_of_any_branch(builder, tmp_path):
    repo = repository(tmp_path / "repo", ROOT / "nix/examples/hello")
    old = git(repo, "rev-parse", "HEAD")
    git(repo, "checkout", "-q", "-b", "side")
    (repo / "index.html").write_text("side\n")
    git(repo, "commit", "-q", "-a", "-m", "side")
    side = git(repo, "rev-parse", "HEAD")
    git(repo, "checkout", "-q", "main")
    (repo / "index.html").write_text("new\n")
    git(repo, "commit", "-q", "-a", "-m", "new")
    built = {builder.build(repo, "default", commit=commit).store_path for commit in (old, side, git(repo, "rev-parse", "HEAD"))}
    assert len(built) == 3


def test_a_cached_system_that_was_lost_is_built_again(builder, bad):
    first = builder.build(bad, "good")
    shutil.rmtree(Path(first.kernel).parent)
    # Nix still believes in the path; a provider's cure is to collect
    keep = [arg for s in () for arg in ("--keep", s)]
    subprocess.run(builder.argv("--collect", *keep), check=True, capture_output=True)
    again = builder.build(bad, "good")
    assert again.ok and not again.cached and Path(again.kernel).is_file()


def test_collecting_keeps_what_is_named(tmp_path, bad):
    builder = Builder(tmp_path)
    kept, dropped = builder.build(bad, "good"), builder.build(bad, "talks")
    run = subprocess.run(builder.argv("--collect", "--keep", kept.store_path), capture_output=True, text=True, check=True)
    assert json.loads(run.stdout)["freed"] > 0
    assert Path(kept.kernel).exists() and not Path(dropped.kernel).exists()
    assert builder.build(bad, "good").cached
    assert not builder.build(bad, "talks").cached


def test_a_full_store_forgets_what_nobody_uses(tmp_path, bad):
    builder = Builder(tmp_path)
    used, recent, old = (builder.build(bad, a) for a in ("good", "talks", "looks"))
    for record in (builder.state / "systems").glob("*/record"):
        if recent.store_path not in record.read_text():
            os.utime(record, (0, 0))
    limits = ["store_bytes=1000000"]  # the guest's parts alone are more
    assert builder.build(bad, "environment", limits=limits, extra=["--keep", used.store_path]).ok
    assert Path(used.kernel).exists() and Path(recent.kernel).exists() and not Path(old.kernel).exists()


def test_builds_at_once(tmp_path, bad):
    builder = Builder(tmp_path)
    more = ["talks", "fails", "looks", "passwd", "good"]
    argv = builder.arguments(bad, "good", limits=["concurrent=3"]) + [w for a in more for w in ("--attribute", a)]
    run = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    assert [a["ok"] for a in answers] == [True, True, False, True, False, True], answers
    assert answers[0]["store_path"] == answers[5]["store_path"]
    assert "about to fail" in Path(f"{builder.log}-fails").read_text()
    builder.check_clean()


# What git refuses

def test_repository_that_does_not_exist(builder, bad, tmp_path):
    builder.refused(bad, "good", "not_found", "there is no git repository", url=f"file://{tmp_path}/nowhere")
    (tmp_path / "plain").mkdir()
    builder.refused(bad, "good", "not_found", "there is no git repository", url=f"file://{tmp_path}/plain")


def test_commit_that_does_not_exist(builder, bad):
    result = builder.refused(bad, "good", "not_found", "no such commit", "0" * 39 + "1", commit="0" * 39 + "1")
    assert result.steps == ["fetch"] and result.code == 3


def test_an_object_that_is_no_commit(builder, bad):
    tree = git(bad, "rev-parse", "HEAD^{tree}")
    builder.refused(bad, "good", "not_found", "no such commit", commit=tree)


@needs_root
def test_repository_of_another_user(builder, bad, tmp_path):
    repo = tmp_path / "theirs"
    shutil.copytree(bad, repo, symlinks=True)
    commit = git(repo, "rev-parse", "HEAD")
    subprocess.run(["chown", "-R", "12345:12345", repo], check=True)
    builder.refused(repo, "good", "denied", "belongs to another user", "safe.directory", commit=commit)


def test_file_urls_only_where_the_provider_wants_them(builder, bad):
    result = builder.refused(bad, "good", "denied", "file://", allow_file=False)
    assert result.steps == [] and result.code == 5


@pytest.mark.parametrize("url, kind", [
    ("http://example.org/repo", "denied"), ("git://example.org/repo", "denied"), ("ext::sh -c id", "usage"),
    ("https://user:pw@example.org/repo", "usage"), ("https:///repo", "usage"), ("https://example.org", "usage"),
    ("https://-x/repo", "usage"), ("ssh://-oProxyCommand=id/repo", "usage"), ("--upload-pack=id", "denied"),
    ("https://example.org/a/../b", "usage"), ("https://localhost/repo", "denied"), ("https://127.0.0.1:8443/repo", "denied"),
    ("ssh://git@[::1]/repo", "denied"), ("https://169.254.169.254/latest", "denied"), ("https://10.0.0.1/repo", "denied"),
    ("https://[::ffff:127.0.0.1]/repo", "denied"), ("https://no-such-host.invalid/repo", "unavailable"),
])
def test_urls_that_are_not_fetched(builder, bad, url, kind):
    builder.refused(bad, "good", kind, url=url)


def test_server_that_does_not_answer(builder, bad):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    for url in (f"https://localhost:{port}/repo", f"ssh://git@127.0.0.1:{port}/repo"):
        builder.refused(bad, "good", "unavailable", "does not answer", url=url, extra=["--allow-private"])


def test_server_that_never_finishes(builder, bad):
    server = socket.create_server(("127.0.0.1", 0))
    builder.refused(bad, "good", "timeout", "2 s", url=f"https://localhost:{server.getsockname()[1]}/repo",
                    extra=["--allow-private"], limits=["fetch_s=2"])
    server.close()


def test_repository_that_is_too_large(builder, tmp_path):
    repo = tmp_path / "large"
    repo.mkdir()
    (repo / "noise").write_bytes(os.urandom(3_000_000))
    repository(repo)
    builder.refused(repo, "good", "limit", "larger than this provider fetches", limits=["fetch_bytes=1000000"])


def test_small_pack_with_a_large_tree(builder, tmp_path):
    repo = tmp_path / "zeros"
    repo.mkdir()
    for i in range(20):
        (repo / f"zeros{i}").write_bytes(bytes(3_000_000))
    repository(repo)
    builder.refused(repo, "good", "limit", "60000000 bytes", limits=["fetch_bytes=10000000"])
    builder.refused(repo, "good", "limit", "20 files", limits=["tree_files=19"])


# What evaluation refuses

@pytest.mark.parametrize("attribute, kind, words", [
    ("missing", "not_found", "missing"),
    ("syntax", "refused", "syntax error"),
    ("throws", "refused", "the author gave up"),
    ("number", "refused", "derivation"),
    ("two", "refused", "not one derivation"),
    ("imports", "refused", "allow-import-from-derivation"),
    ("passwd", "refused", "restricted mode"),
    ("link", "refused", "No such file"),
    ("listing", "refused", "restricted mode"),
    ("url", "refused", "restricted mode"),
    ("fetches", "refused", "restricted mode"),
])
def test_what_does_not_evaluate(builder, bad, attribute, kind, words):
    assert builder.refused(bad, attribute, kind, words).steps == ["fetch", "evaluate"]


def test_blueprint_without_default_nix(builder, tmp_path):
    repo = tmp_path / "nothing"
    repo.mkdir()
    (repo / "README").write_text("no blueprint here\n")
    builder.refused(repository(repo), "good", "not_found", "default.nix")


def test_evaluation_sees_no_environment(builder, bad):
    assert builder.build(bad, "environment").store_path.endswith("-environment-x")


def test_endless_evaluation(builder, bad):
    started = time.monotonic()
    builder.refused(bad, "endless", "timeout", "2 s", limits=["eval_s=2"])
    assert time.monotonic() - started < 10


def test_evaluation_that_eats_memory(builder, bad):
    builder.refused(bad, "bomb", "limit", "512 MiB", limits=[f"eval_memory={512 << 20}"])


# What the build refuses

def test_build_that_fails(builder, bad):
    result = builder.refused(bad, "fails", "refused", "does not build", "exit code 3")
    assert "about to fail" in result.log and result.steps == ["fetch", "evaluate", "build"]


def test_build_that_takes_too_long(builder, bad):
    builder.refused(bad, "slow", "timeout", "3 s", limits=["build_s=3"])


def test_build_that_says_nothing(builder, bad):
    builder.refused(bad, "silent", "timeout", "said nothing for 2 s", limits=["build_silence_s=2"])


def test_build_that_says_too_much(builder, bad):
    result = builder.refused(bad, "chatty", "limit", "log", limits=["log_bytes=65536"])
    assert 60_000 < len(result.log) <= 65536


def test_build_that_eats_memory(builder, bad):
    result = builder.refused(bad, "hungry", "limit", "memory", limits=[f"build_memory={192 << 20}"])
    assert result.steps[-1] == "build"


def test_build_that_forks(builder, bad):
    builder.refused(bad, "forks", "refused", "does not build", limits=["build_processes=64", "build_s=60"])


def test_build_that_fills_the_disk(builder, bad):
    builder.refused(bad, "fat", "limit", "64 MiB of disk", limits=[f"build_bytes={64 << 20}"])


def test_build_has_no_network(builder, bad, listener):
    result = builder.build(bad, "calls")
    assert result.ok and result.cmdline == "alone", result.answer
    # builds when its content is "alone", and then is no system
    builder.refused(bad, "calls-fixed", "refused", "no system")
    assert listener[1] == []


def test_build_sees_neither_root_nor_the_host(builder, bad):
    seen = builder.build(bad, "looks").cmdline
    assert seen.startswith("ids ") and not seen.startswith("ids 0 ")
    assert set(seen.split("root ")[1].split()) <= {"bin", "build", "dev", "etc", "nix", "proc", "tmp", "sys"}


@pytest.mark.parametrize("attribute, kind, words", [
    ("empty", "refused", 'no regular file "kernel"'),
    ("file", "refused", "no system"),
    ("linked", "refused", 'no regular file "kernel"'),
    ("multiline", "refused", "one line"),
    ("giant", "limit", "3000000 bytes"),
])
def test_results_that_are_no_system(builder, bad, attribute, kind, words):
    builder.refused(bad, attribute, kind, words, limits=["kernel_bytes=2000000"])


# What a provider may add: a nixpkgs tree, binary caches

def test_nixpkgs_of_the_provider(builder, bad, tmp_path):
    builder.refused(bad, "from-nixpkgs", "refused", "nixpkgs")
    tmp_path.chmod(0o755)
    (tmp_path / "default.nix").write_text('{ }: { name = "a-tree"; }')
    assert builder.build(bad, "from-nixpkgs", extra=["--nixpkgs", tmp_path]).store_path.endswith("-from-a-tree")


@pytest.fixture(scope="module")
def cache(tmp_path_factory, bad):
    """A signed binary cache, served over HTTP, of what only its maker could build."""
    directory = tmp_path_factory.mktemp("cache")
    store, files = directory / "store", directory / "files"
    (directory / "secret").write_text("from elsewhere\n")
    subprocess.run(["nix-store", "--generate-binary-cache-key", "cache-1", directory / "key", directory / "public"], check=True)
    # root has no build users here: the same as another user would have it
    nix = ["env", "-i", f"HOME={directory}", f"PATH={os.environ['PATH']}", "NIX_CONF_DIR=/nowhere", "USER=tester"]
    options = ["--option", "build-users-group", "", "--option", "substituters", "", "--option", "sandbox", "true"]
    shell = Path(GUEST) / "bin/busybox"
    expression = f'(import {bad} ).cached'
    drv = subprocess.run([*nix, "nix-instantiate", "--store", store, *options, "--expr", expression], check=True,
                         capture_output=True, text=True).stdout.strip()
    inner = subprocess.run([*nix, "nix-store", "--store", store, "--query", "--requisites", drv], check=True,
                           capture_output=True, text=True).stdout
    inner = next(line for line in inner.split() if line.endswith("-made-elsewhere.drv"))
    path = subprocess.run([*nix, "nix-store", "--store", store, *options, "--option", "sandbox-paths",
                           f"/bin/sh={shell} /made-elsewhere={directory}/secret", "--realise", inner], check=True,
                          capture_output=True, text=True).stdout.strip()
    subprocess.run([*nix, "nix", "--extra-experimental-features", "nix-command", "copy", "--store", store, "--to",
                    f"file://{files}?secret-key={directory}/key", path], check=True, capture_output=True)
    server = HTTPServer(("127.0.0.1", 0), partial(QuietFiles, directory=files))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", (directory / "public").read_text().strip()
    server.shutdown()


class QuietFiles(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_binary_cache(builder, bad, cache):
    url, key = cache
    builder.refused(bad, "cached", "refused", "made-elsewhere")
    stranger = "cache-1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    builder.refused(bad, "cached", "refused", "made-elsewhere", extra=["--substituters", url, "--trusted-keys", stranger])
    result = builder.build(bad, "cached", extra=["--substituters", url, "--trusted-keys", key])
    assert result.ok, (result.answer, result.log)
    assert "from elsewhere" in result.log


def test_the_network_of_a_cache_is_not_the_builds(tmp_path, bad, cache, listener):
    builder, caches = Builder(tmp_path), ["--substituters", cache[0], "--trusted-keys", cache[1]]
    result = builder.build(bad, "calls", extra=caches)
    assert result.ok and not result.cached and result.cmdline == "alone"
    builder.refused(bad, "calls-fixed", "refused", "no system", extra=caches)
    assert listener[1] == []


# Without root: the same cage by way of user namespaces, rlimits instead of control groups

@needs_root
def test_as_a_plain_user(hello, bad):
    become = ["setpriv", "--reuid=60888", "--regid=60888", "--clear-groups", "env", "HOME=/nowhere"]
    if subprocess.run([*become, "test", "-x", TOOL, "-a", "-r", f"{GUEST}/vmlinuz"]).returncode != 0:
        pytest.skip("a plain user does not get to this checkout")
    directory = Path(tempfile.mkdtemp(prefix="moosh-plain-"))
    try:
        for repo in (hello, bad):
            shutil.copytree(repo, directory / repo.name, symlinks=True)
        subprocess.run(["chown", "-R", "60888:60888", directory], check=True)
        builder = Builder(directory)
        assert builder.build(directory / "hello", "default", before=become).ok
        assert builder.build(directory / "bad", "calls", before=become).cmdline == "alone"
        for attribute, kind, limit in (("forks", "refused", "build_processes=64"), ("slow", "timeout", "build_s=2"),
                                       ("bomb", "limit", f"eval_memory={512 << 20}"), ("passwd", "refused", "eval_s=60"),
                                       ("hungry", "refused", f"build_memory={192 << 20}")):
            builder.refused(directory / "bad", attribute, kind, before=become, limits=[limit])
    finally:
        shutil.rmtree(directory)


# Policy

def test_policy_before_the_fetch(builder, bad):
    commit = git(bad, "rev-parse", "HEAD")
    for policy in (f"git file://{bad}", f"git file://{bad.parent}/ good", f"commit {commit}", "# all\n", ""):
        assert builder.build(bad, "good", policy=policy).ok, policy
    for policy in ("git https://example.org/", f"git file://{bad} other", f"git file://{str(bad)[:-1]}", f"commit {'0' * 40}"):
        result = builder.refused(bad, "good", "denied", "software policy", policy=policy)
        assert result.steps == []
    builder.refused(bad, "good", "usage", "line 1", policy="allow everything")


def test_policy_on_the_closure(builder, bad):
    assert builder.build(bad, "good", policy="closure g?od\nclosure micro-*").ok
    builder.refused(bad, "good", "denied", "-good", policy="closure micro-*")


# Being stopped

def wait_for(condition, what):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)  # between two looks at the condition


def start_slow(builder, bad):
    tool = subprocess.Popen(builder.arguments(bad, "slow"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    wait_for(lambda: builder.log.exists() and "still here" in builder.log.read_text(), "the build did not begin")
    return tool


def test_cancelled(builder, bad):
    tool = start_slow(builder, bad)
    tool.send_signal(signal.SIGTERM)
    answer = json.loads(tool.communicate(timeout=30)[0])
    assert answer["kind"] == "cancelled" and tool.returncode == 14
    builder.check_clean()


def test_killed_and_started_again(builder, bad):
    tool = start_slow(builder, bad)
    tool.kill()
    tool.wait()
    wait_for(lambda: processes() == [], "the build outlived the builder")
    assert list((builder.state / "work").iterdir()) != []
    assert builder.build(bad, "good").ok  # and checks that the scratch space is gone


# Over the network: https and ssh servers of this host's loopback, in a mount namespace where they are trusted

class GitHttp(BaseHTTPRequestHandler):
    """git http-backend, as CGI."""
    protocol_version = "HTTP/1.0"
    root = None

    def log_message(self, *_):
        pass

    def serve(self):
        if self.path.startswith("/moved/"):
            self.send_response(302)
            self.send_header("Location", self.path.replace("/moved/", "/repo/"))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        env = {"PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(self.root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
               "QUERY_STRING": query, "REQUEST_METHOD": self.command, "CONTENT_TYPE": self.headers.get("Content-Type", ""),
               "CONTENT_LENGTH": str(len(body)), "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
               "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""), "GIT_CONFIG_COUNT": "1",
               "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
        answer = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True).stdout
        head, _, content = answer.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = serve


@pytest.fixture(scope="module")
def https(tmp_path_factory, hello):
    directory = tmp_path_factory.mktemp("https")
    shutil.copytree(hello, directory / "repo")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost", "-keyout", directory / "key", "-out", directory / "cert"],
                   check=True, capture_output=True)
    server = HTTPServer(("127.0.0.1", 0), type("Handler", (GitHttp,), {"root": directory}))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "cert", directory / "key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://localhost:{server.server_port}", directory / "cert"
    server.shutdown()


def trusting(certificate):
    """Run the rest in a mount namespace where this certificate is all that is trusted."""
    return ["unshare", "--mount", "sh", "-c",
            'mount --bind "$0" /etc/ssl/certs/ca-certificates.crt && exec "$@"', str(certificate)]


@needs_root
def test_https(builder, hello, https):
    url, certificate = https
    result = builder.build(hello, "default", url=f"{url}/repo", extra=["--allow-private"], before=trusting(certificate))
    assert result.ok and not result.cached, (result.answer, result.log)
    result = builder.build(hello, "default", url=f"{url}/repo", commit="0" * 40, extra=["--allow-private"],
                           before=trusting(certificate))
    assert result.kind == "not_found" and "no such commit" in result.message
    result = builder.build(hello, "default", url=f"{url}/other", extra=["--allow-private"], before=trusting(certificate))
    assert result.kind == "not_found"
    # a redirect is a second address that nobody has checked
    result = builder.build(hello, "default", url=f"{url}/moved", extra=["--allow-private"], before=trusting(certificate))
    assert result.kind == "not_found" and "redirects" in result.message


@needs_root
def test_https_with_a_certificate_nobody_signed(builder, hello, https):
    builder.refused(hello, "default", "unavailable", "cannot be reached", url=f"{https[0]}/repo.git", extra=["--allow-private"])


@needs_root
def test_ssh(builder, hello, tmp_path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    subprocess.run(["dropbearkey", "-t", "ed25519", "-f", tmp_path / "host"], check=True, capture_output=True)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    script = f"""mount -t tmpfs -o mode=700 tmpfs /root && mkdir -m 700 /root/.ssh && cp {tmp_path}/key.pub /root/.ssh/authorized_keys
                 git config --file /root/.gitconfig safe.directory '*'
                 exec /usr/sbin/dropbear -F -s -r {tmp_path}/host -P {tmp_path}/pid -p 127.0.0.1:{port}"""
    server = subprocess.Popen(["unshare", "--mount", "sh", "-c", script], stderr=subprocess.DEVNULL)
    try:
        def listens():
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", port)) == 0
        wait_for(listens, "the SSH server did not start")
        url = f"ssh://root@127.0.0.1:{port}{hello}"
        result = builder.build(hello, "default", url=url, extra=["--allow-private", "--ssh-key", tmp_path / "key"])
        assert result.ok and not result.cached, (result.answer, result.log)
        builder.refused(hello, "default", "not_found", "login", url=url, commit="0" * 40, extra=["--allow-private"])
    finally:
        server.kill()
        server.wait()
