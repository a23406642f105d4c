"""`moosh init` and `moosh node`: the files they make, the processes they start and stop.

The daemons are a few lines of Python that write down what they are asked; the real ones are started in test_setup.py.
"""
import json
import os
import select
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("MOOSH_BUILD", ROOT / "build"))
MOOSH = BUILD / "src/cli/moosh"

# ---- init

KEYD = r"""#!/usr/bin/python3
import json, os, sys
args = sys.argv[1:]
state = args[args.index("--state") + 1]
with open(os.path.join(state, "keyd-calls"), "a") as log:
    entry = {"args": [a for a in args if not a.isdigit()]}
    for option in ("--passphrase-fd", "--mnemonic-fd"):
        if option in args:
            entry[option] = os.read(int(args[args.index(option) + 1]), 1000).decode()
    print(json.dumps(entry), file=log)
if "--init" in args:
    os.mkdir(os.path.join(state, "keys"))
    open(os.path.join(state, "keys", "wallet.json"), "w").close()
    print("abandon ability able")
elif "--write-policy" in args:
    open(os.path.join(state, "keyd-policy.conf"), "w").write("policy")
"""


@pytest.fixture
def installed(tmp_path):
    """moosh beside a moosh-keyd that writes down what it was asked."""
    directory = tmp_path / "bin"
    directory.mkdir()
    (directory / "moosh").write_bytes(MOOSH.read_bytes())
    (directory / "moosh-keyd").write_text(KEYD)
    for file in directory.iterdir():
        file.chmod(0o755)
    (tmp_path / "secret").write_text("open sesame\n")
    (tmp_path / "deployment.json").write_text(json.dumps({"chainId": 31337, "agreements": "0x" + "22" * 20}))

    def run(*args):
        return subprocess.run([directory / "moosh", "--state", tmp_path / "state", "init", *args], capture_output=True,
                              text=True, stdin=subprocess.DEVNULL, timeout=60)
    run.dir = tmp_path
    run.calls = lambda: [json.loads(line) for line in (tmp_path / "state/keyd-calls").read_text().splitlines()]
    return run


def test_init_makes_a_node_and_again_changes_nothing(installed):
    args = ["--rpc", "http://127.0.0.1:8545", "--rpc", "https://example.org/k", "--deployment", installed.dir / "deployment.json",
            "--listen", "127.0.0.1:7001", "--provider", "--passphrase-file", installed.dir / "secret", "--chain-id", "31337"]
    done = installed(*args)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "abandon ability able\n" and "shown once" in done.stderr
    state = installed.dir / "state"
    config = (state / "mooshd.conf").read_text()
    for line in ("rpc=http://127.0.0.1:8545;https://example.org/k;", "listen=127.0.0.1:7001", "enabled=true"):
        assert line in config
    assert "listen_host=127.0.0.1" in (state / "vmmd.conf").read_text()
    assert state.stat().st_mode & 0o777 == 0o700
    calls = installed.calls()
    assert [c["args"][2] for c in calls] == ["--init", "--write-policy"]
    assert calls[0]["--passphrase-fd"] == "open sesame"
    again = installed(*args)
    assert again.returncode == 0 and again.stdout == "" and (state / "mooshd.conf").read_text() == config
    assert len(installed.calls()) == 2


def test_init_of_a_provider_with_a_name(installed):
    common = ["--deployment", installed.dir / "deployment.json", "--passphrase-file", installed.dir / "secret"]
    assert installed("--rpc", "http://h", "--provider", "--listen", "pia.example.org:7001", *common).returncode == 0
    config = (installed.dir / "state/vmmd.conf").read_text()
    assert "listen_host=0.0.0.0" in config and "public_host=pia.example.org" in config
    (installed.dir / "state/vmmd.conf").write_text("# my own\n")
    assert installed("--listen", "192.0.2.1:7001", "--passphrase-file", installed.dir / "secret").returncode == 0
    assert (installed.dir / "state/vmmd.conf").read_text() == "# my own\n"


def test_init_brings_an_existing_wallet_and_new_limits(installed):
    (installed.dir / "words").write_text("zoo zoo zoo\n")
    args = ["--rpc", "http://127.0.0.1:8545", "--deployment", installed.dir / "deployment.json", "--passphrase-file",
            installed.dir / "secret", "--mnemonic-file", installed.dir / "words", "--per-day", "5"]
    done = installed(*args)
    assert done.returncode == 0 and done.stdout == "", done.stderr
    assert installed.calls()[0]["--mnemonic-fd"] == "zoo zoo zoo\n"
    assert "--per-day" in installed.calls()[1]["args"]
    assert installed(*args).returncode == 0
    assert (installed.dir / "state/keyd-policy.conf.old").exists()


@pytest.mark.parametrize("args, code, says", [
    (["--rpc", "ftp://h", "--deployment", "{dir}/deployment.json"], 2, "no http:// or https:// URL"),
    (["--rpc", "http://h", "--deployment", "{dir}/nothing"], 3, "deployment:"),
    (["--rpc", "http://h", "--deployment", "{dir}/secret"], 2, "no deployment file"),
    (["--rpc", "http://h", "--deployment", "{dir}/deployment.json", "--chain-id", "1"], 10, "not for chain 1"),
    (["--rpc", "http://h", "--deployment", "{dir}/deployment.json", "--listen", "nowhere"], 2, "not HOST:PORT"),
    (["--rpc", "http://h", "--deployment", "{dir}/deployment.json", "--passphrase-file", "{dir}/gone"], 3, "passphrase"),
    (["--rpc", "http://h", "--deployment", "{dir}/deployment.json"], 2, "no terminal"),
    (["--deployment", "{dir}/deployment.json"], 2, "--rpc"),
    (["--rpc", "http://h"], 2, "--deployment"),
])
def test_init_refuses_what_cannot_be(installed, args, code, says):
    done = installed(*[a.format(dir=installed.dir) for a in args])
    assert done.returncode == code and says in done.stderr, done.stderr
    assert not (installed.dir / "state/keys").exists()


# ---- node start and stop

DAEMON = r"""#!/usr/bin/python3
import json, os, signal, socket, sys, threading
args = sys.argv[1:]
state, fd = args[args.index("--state") + 1], int(args[args.index("--ready-fd") + 1])
name = {"moosh-keyd": "keyd", "mooshd": "mooshd", "moosh-vmmd": "vmmd"}[os.path.basename(sys.argv[0])]
print("hello from", name, flush=True)
if os.path.exists(os.path.join(state, "fail-" + name)):
    print("no luck today", flush=True)
    sys.exit(1)
path = os.path.join(state, name + ".sock")
if os.path.exists(path):
    os.unlink(path)
server = socket.socket(socket.AF_UNIX)
server.bind(path)
server.listen()
locked = True
def serve():
    global locked
    while True:
        connection, _ = server.accept()
        stream = connection.makefile("rw")
        for line in stream:
            request = json.loads(line)
            if request["method"] == "unlock":
                good = request["params"] == {"passphrase": "open sesame"}
                locked = not good
                answer = {"result": {}} if good else {"error": {"code": -1, "message": "wrong passphrase", "data": {"kind": "denied"}}}
            else:
                answer = {"result": {"locked": locked}}
            stream.write(json.dumps({"jsonrpc": "2.0", "id": request["id"], **answer}) + "\n")
            stream.flush()
threading.Thread(target=serve, daemon=True).start()
os.write(fd, b"ready\n")
os.close(fd)
signal.sigwait([signal.SIGTERM])
"""


@pytest.fixture
def node(tmp_path):
    directory, state = tmp_path / "bin", tmp_path / "state"
    directory.mkdir()
    state.mkdir()
    (directory / "moosh").write_bytes(MOOSH.read_bytes())
    for name in ("moosh-keyd", "mooshd", "moosh-vmmd"):
        (directory / name).write_text(DAEMON)
    for file in directory.iterdir():
        file.chmod(0o755)
    (state / "mooshd.conf").write_text("[chain]\nrpc=http://127.0.0.1:1\n")
    (tmp_path / "secret").write_text("open sesame\n")

    def run(*args):
        return subprocess.run([directory / "moosh", "--state", state, "node", *args], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=120)
    run.state, run.dir = state, tmp_path
    run.pids = lambda: {p.stem: int(p.read_text().split()[0]) for p in state.glob("*.pid")}
    yield run
    run("stop")


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_node_start_and_stop(node):
    done = node("start", "--passphrase-file", node.dir / "secret")
    assert done.returncode == 0, done.stderr
    pids = node.pids()
    assert set(pids) == {"keyd", "mooshd"} and all(map(alive, pids.values()))
    assert "hello from keyd" in (node.state / "keyd.log").read_text()
    assert node("start", "--passphrase-file", node.dir / "secret").returncode == 0 and node.pids() == pids
    assert node("stop").returncode == 0
    assert not any(map(alive, pids.values())) and node.pids() == {}
    assert "Nothing of the node was running" in node("stop").stderr


def test_node_start_of_a_provider(node):
    (node.state / "mooshd.conf").write_text("[provider]\nenabled=true\n")
    assert node("start", "--passphrase-file", node.dir / "secret").returncode == 0
    assert set(node.pids()) == {"keyd", "mooshd", "vmmd"}


def test_a_daemon_that_fails_is_quoted(node):
    (node.state / "fail-mooshd").touch()
    done = node("start", "--passphrase-file", node.dir / "secret")
    assert done.returncode == 1 and "mooshd did not come up: no luck today" in done.stderr


def test_a_daemon_that_died_is_quoted_later(node):
    assert node("start", "--passphrase-file", node.dir / "secret").returncode == 0
    pid = node.pids()["mooshd"]
    with os.fdopen(os.pidfd_open(pid)) as ended:
        os.kill(pid, 9)
        assert select.select([ended], [], [], 30)[0]
    done = node("status")
    assert done.returncode == 6 and "its last words: hello from mooshd" in done.stderr
    assert node("start", "--passphrase-file", node.dir / "secret").returncode == 0
    assert set(node.pids()) == {"keyd", "mooshd"}


def test_a_wrong_passphrase_is_said(node):
    (node.dir / "secret").write_text("open barley\n")
    done = node("start", "--passphrase-file", node.dir / "secret")
    assert done.returncode == 5 and "wrong passphrase" in done.stderr and "mooshd" not in node.pids()
    (node.dir / "secret").write_text("open sesame\n")
    assert node("unlock", "--passphrase-file", node.dir / "secret").returncode == 0


def test_a_recycled_pid_is_not_killed(node):
    """A pid file that names a process which began at another time belongs to nobody."""
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        (node.state / "mooshd.pid").write_text(f"{bystander.pid} 1\n")
        assert node("stop").returncode == 0
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_node_start_before_init(tmp_path):
    done = subprocess.run([MOOSH, "--state", tmp_path, "node", "start"], capture_output=True, text=True)
    assert done.returncode == 3 and "init" in done.stderr
