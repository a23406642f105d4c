"""A market on one machine: a chain, and parties that share nothing but the chain and the network.

Used by the functional tests and by the demo. Everything that is started here is stopped here, by its process id.
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("MOOSH_BUILD", ROOT / "build"))
NODE_BIN = ROOT / "node_modules" / ".bin"
# Test accounts of anvil's well-known mnemonic; they exist on development chains only.
RICH_KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
RICH_ADDRESS = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
PROGRAMS = {
    "moosh": BUILD / "src/cli/moosh",
    "moosh-vmm": BUILD / "src/cli/moosh-vmm",
    "mooshd": BUILD / "src/daemon/mooshd/mooshd",
    "keyd": BUILD / "src/daemon/keyd/moosh-keyd",
    "vmmd": BUILD / "src/daemon/vmmd/moosh-vmmd",
}


class Failed(Exception):
    """A command ended badly; the text says which and how."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(condition, timeout, what):
    """Wait for condition() to be true and return it; an exception counts as not yet."""
    deadline = time.monotonic() + timeout
    last = None
    while time.monotonic() < deadline:
        try:
            value = condition()
            if value:
                return value
        except (OSError, Failed, ValueError, KeyError) as e:
            last = e
        time.sleep(0.05)  # between two looks at the condition
    raise Failed(f"{what} did not happen within {timeout} s" + (f" ({last})" if last else ""))


class Process:
    """A daemon with a log file."""

    def __init__(self, name, argv, log, env=None, ready=False, pass_text=None):
        self.name, self.argv, self.log = name, [str(a) for a in argv], Path(log)
        self.env = {**os.environ, **(env or {})}
        self.ready, self.pass_text = ready, pass_text
        self.popen = None

    def start(self, timeout=60):
        argv, fds = list(self.argv), []
        if self.ready:
            r, w = os.pipe()
            argv += ["--ready-fd", str(w)]
            fds.append(w)
        if self.pass_text is not None:
            pr, pw = os.pipe()
            os.write(pw, (self.pass_text + "\n").encode())
            os.close(pw)
            argv += ["--passphrase-fd", str(pr)]
            fds.append(pr)
        with open(self.log, "ab") as log:
            self.popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=fds,
                                          env=self.env, start_new_session=True)
        for fd in fds:
            os.close(fd)
        if self.ready:
            self._wait_ready(r, timeout)
        return self

    def _wait_ready(self, fd, timeout):
        import select
        with os.fdopen(fd, "rb") as pipe:
            if not select.select([pipe], [], [], timeout)[0]:
                self.kill()
                raise Failed(f"{self.name} was not ready within {timeout} s:\n{self.tail()}")
            if pipe.readline() != b"ready\n":
                self.popen.wait()
                raise Failed(f"{self.name} did not start:\n{self.tail()}")

    def running(self):
        return self.popen is not None and self.popen.poll() is None

    def kill(self):
        """As if the power went: SIGKILL."""
        if self.running():
            self.popen.kill()
            self.popen.wait()

    def stop(self, timeout=30):
        if not self.running():
            return
        self.popen.terminate()
        try:
            self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed(f"{self.name} did not end on SIGTERM:\n{self.tail()}") from None

    def tail(self, lines=30):
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""


class Chain:
    """anvil with the market's contracts on it."""

    def __init__(self, directory, block_time=None):
        self.dir = Path(directory)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.state = self.dir / "anvil.json"
        argv = [NODE_BIN / "anvil", "--port", self.port, "--host", "127.0.0.1", "--silent", "--state", self.state,
                "--preserve-historical-states"]
        if block_time:
            argv += ["--block-time", block_time]
        self.process = Process("anvil", argv, self.dir / "anvil.log")
        self.deployment = self.dir / "deployment.json"

    def start(self, deploy=True):
        self.process.start()
        wait_until(lambda: self.rpc("eth_chainId"), 30, "the chain's first answer")
        if deploy:
            self._deploy()
        return self

    def _deploy(self):
        done = subprocess.run([ROOT / "contracts/deploy", self.url, RICH_KEY, self.deployment],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f"contracts/deploy: {done.stderr}")

    def stop(self):
        self.process.stop()

    def restart(self):
        """Stop, keep the state, start again on the same port."""
        self.process.stop()
        self.process.start()
        wait_until(lambda: self.rpc("eth_chainId"), 30, "the chain's return")

    def rpc(self, method, *params):
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as reply:
            answer = json.load(reply)
        if "error" in answer:
            raise Failed(f"{method}: {answer['error']}")
        return answer["result"]

    def contract(self, name):
        return json.loads(self.deployment.read_text())[name]

    def fund(self, address, ether=10, tokens=1000):
        """Give an address gas money and tUSD."""
        self.rpc("anvil_setBalance", address, hex(ether * 10**18))
        self.send(self.contract("testUsd"), "mint(address,uint256)", address, str(tokens * 10**6))

    def send(self, to, signature, *args, key=RICH_KEY):
        done = subprocess.run([NODE_BIN / "cast", "send", "--json", "--rpc-url", self.url, "--private-key", key, to,
                               signature, *map(str, args)], capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f"cast send {signature}: {done.stderr}")
        return json.loads(done.stdout)

    def call(self, to, signature, *args):
        done = subprocess.run([NODE_BIN / "cast", "call", "--rpc-url", self.url, to, signature, *map(str, args)],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f"cast call {signature}: {done.stderr}")
        return done.stdout.strip()

    def token_balance(self, address):
        call = {"to": self.contract("testUsd"), "data": "0x70a08231" + address[2:].lower().rjust(64, "0")}  # balanceOf
        return int(self.rpc("eth_call", call, "latest"), 16)

    def now(self):
        return int(self.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def pass_time(self, seconds):
        self.rpc("evm_increaseTime", seconds)
        self.rpc("evm_mine")


class Party:
    """A person or firm with a state directory, its daemons, and the command line."""

    PASSPHRASE = "a passphrase for tests"

    def __init__(self, name, directory, chain, provider=False, env=None):
        self.name, self.dir, self.chain, self.provider = name, Path(directory), chain, provider
        self.dir.mkdir(parents=True, exist_ok=True)
        self.env = env or {}
        self.listen = f"127.0.0.1:{free_port()}"
        state = ["--state", self.dir]
        self.keyd = Process(f"{name}'s keyd", [PROGRAMS["keyd"], *state], self.dir / "keyd.log", self.env,
                            ready=True, pass_text=self.PASSPHRASE)
        self.mooshd = Process(f"{name}'s mooshd", [PROGRAMS["mooshd"], *state, "--log-level", "info"],
                              self.dir / "mooshd.log", self.env, ready=True)
        self.vmmd = Process(f"{name}'s vmmd", [PROGRAMS["vmmd"], *state, "--log-level", "info"],
                            self.dir / "vmmd.log", self.env, ready=True)

    # -- the command line

    def run(self, *args, program="moosh", check=True, timeout=300, text_in=None):
        """Run a command; returns CompletedProcess. With check, a bad end is Failed."""
        argv = [PROGRAMS[program], "--state", self.dir, *map(str, args)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, input=text_in,
                              stdin=subprocess.DEVNULL if text_in is None else None, env={**os.environ, **self.env})
        if check and done.returncode != 0:
            raise Failed(f"{self.name}: {program} {' '.join(map(str, args))} ended with {done.returncode}:\n{done.stderr}")
        return done

    def json(self, *args, **more):
        """A command's --json output."""
        return json.loads(self.run("--json", *args, **more).stdout)

    def call(self, method, daemon="mooshd", **params):
        """A JSON-RPC call on a daemon's socket, as a program would make it."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(300)
            s.connect(str(self.dir / f"{daemon}.sock"))
            s.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode() + b"\n")
            line = s.makefile("r").readline()
        if not line:
            raise Failed(f"{self.name}: {method}: {daemon} closed the connection")
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(f"{self.name}: {method}: {answer['error']['message']}")
        return answer["result"]

    # -- setting up

    def init(self, tokens=1000, ether=10):
        secret = self.dir / "passphrase"
        secret.write_text(self.PASSPHRASE + "\n")
        secret.chmod(0o600)
        args = ["init", "--rpc", self.chain.url, "--deployment", self.chain.deployment, "--listen", self.listen,
                "--passphrase-file", secret]
        if self.provider:
            args.append("--provider")
        self.run(*args)
        secret.unlink()
        self._tune("mooshd.conf", "chain", "poll_ms", "300")
        if self.provider:
            for group, key, value in (("build", "allow_file_urls", "true"), ("network", "listen_host", "127.0.0.1"),
                                      ("build", "nix_dir", str(ROOT / "nix"))):
                self._tune("vmmd.conf", group, key, value)
        self.keyd.start()
        self.address = self.call("status", daemon="keyd")["address"]
        self.chain.fund(self.address, ether, tokens)
        return self

    def _tune(self, file, group, key, value):
        import configparser
        config = configparser.ConfigParser(interpolation=None, delimiters=("=",))
        config.optionxform = str
        config.read(self.dir / file)
        if not config.has_section(group):
            config.add_section(group)
        config.set(group, key, str(value))
        with open(self.dir / file, "w") as f:
            config.write(f, space_around_delimiters=False)

    def start(self):
        if not self.keyd.running():
            self.keyd.start()
        if self.provider and not self.vmmd.running():
            self.vmmd.start()
        if not self.mooshd.running():
            self.mooshd.start()
        return self

    @property
    def contact(self):
        """KEY@HOST:PORT, to be given to others."""
        return self.call("node.status")["address"]

    def stop(self):
        if self.provider and self.vmmd.running():
            self.end_machines()
        for process in (self.mooshd, self.vmmd, self.keyd):
            process.stop()

    def end_machines(self):
        for machine in self.call("machine.list", daemon="vmmd")["machines"]:
            self.call("machine.destroy", daemon="vmmd", agreement=machine["agreement"], retain_until_s=0)

    def logs(self):
        return "".join(f"--- {p.name}\n{p.tail(40)}\n" for p in (self.mooshd, self.vmmd, self.keyd) if p.log.exists())


class World:
    """A chain, and parties by name. A context manager that leaves nothing behind."""

    def __init__(self, keep=False):
        self.dir = Path(tempfile.mkdtemp(prefix="moosh-"))
        self.keep = keep
        self.parties = {}
        self.chain = Chain(self.dir / "chain")

    def __enter__(self):
        try:
            self.chain.start()
        except BaseException:
            self.close()
            raise
        return self

    def party(self, name, provider=False, env=None, **more):
        party = Party(name, self.dir / name, self.chain, provider, env)
        self.parties[name] = party
        return party.init(**more)

    def close(self):
        for party in self.parties.values():
            try:
                party.stop()
            except (Failed, OSError) as e:
                print(e, file=sys.stderr)
                for process in (party.mooshd, party.vmmd, party.keyd):
                    process.kill()
        try:
            self.chain.stop()
        except Failed:
            pass
        shutil.rmtree(self.dir, ignore_errors=True)

    def __exit__(self, kind, value, trace):
        if kind is not None:
            for party in self.parties.values():
                sys.stderr.write(party.logs())
        if not self.keep or kind is not None:
            self.close()


def blueprint_repository(directory, source=None):
    """Make a git repository of a blueprint's files; returns its git+file URL with the commit and its path."""
    directory = Path(directory)
    shutil.copytree(source or ROOT / "nix/examples/hello", directory, dirs_exist_ok=True)
    git = ["git", "-C", directory, "-c", "user.name=Tester", "-c", "user.email=tester@localhost", "-c",
           "commit.gpgsign=false"]
    for args in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "A blueprint"]):
        subprocess.run([*map(str, git), *args], check=True, capture_output=True)
    rev = subprocess.run([*map(str, git), "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    return f"git+file://{directory}?rev={rev}"
