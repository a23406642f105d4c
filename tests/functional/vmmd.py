"""A machine manager for tests: its state directory, requests to it, blueprints for it, its guests seen from outside."""
import hashlib
import json
import os
import secrets
import socket
import subprocess
import time
from pathlib import Path

import cbor2
from world import PROGRAMS, ROOT, Failed, Process

POOL = "ab" * 32


class Refused(Exception):
    def __init__(self, error):
        super().__init__(error["message"])
        self.kind = error["data"]["kind"]


class Vmmd:
    """A machine manager with a state directory of its own."""

    def __init__(self, directory, **settings):
        self.dir = Path(directory)
        self.dir.mkdir(parents=True, exist_ok=True)
        settings = {"build.allow_file_urls": "true", "build.nix_dir": ROOT / "nix", **settings}
        groups = {}
        for name, value in settings.items():
            group, key = name.split(".")
            groups.setdefault(group, []).append(f"{key}={value}")
        (self.dir / "vmmd.conf").write_text("".join(f"[{g}]\n" + "\n".join(lines) + "\n" for g, lines in groups.items()))
        self.process = Process("vmmd", [PROGRAMS["vmmd"], "--state", self.dir, "--log-level", "debug"],
                               self.dir / "vmmd.log", ready=True)
        self.key = self.dir / "client"
        if not self.key.exists():
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "tester", "-f", self.key], check=True)

    def start(self):
        self.process.start()
        return self

    def call(self, method, **params):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(self.dir / "vmmd.sock"))  # blocking: a queue that is full for a moment is no error
            s.settimeout(120)
            s.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode() + b"\n")
            line = s.makefile("r").readline()
        if not line:
            raise Failed(f"{method}: vmmd closed the connection")
        answer = json.loads(line)
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["result"]

    def pool(self, pool=POOL, pool_class=1, overcommit=100, **capacity):
        capacity = {"vcpu_milli": 2000, "ram_mib": 4096, "disk_gib": 20, **capacity}
        return self.call("inventory.set", pool=pool, **{"class": pool_class}, overcommit_pct=overcommit,
                         capacity=capacity)

    def request(self, url, attribute="default", **more):
        """A provision request for `git+file://PATH?rev=COMMIT` and its hash, in hex."""
        base, commit = url.removeprefix("git+").split("?rev=")
        fields = {0: 1, 2: base, 4: bytes.fromhex(commit), 6: attribute,
                  8: [self.key.with_suffix(".pub").read_text().strip()]}
        if more.get("volumes"):
            fields[10] = [{0: n, 2: g} for n, g in more["volumes"]]
        if more.get("internet") or more.get("ports"):
            fields[12] = {0: bool(more.get("internet")), **({2: more["ports"]} if more.get("ports") else {})}
        if more.get("secrets"):
            fields[14] = [{0: n, 2: v} for n, v in more["secrets"]]
        fields[16] = secrets.token_bytes(32)
        raw = cbor2.dumps(fields)
        return raw.hex(), hashlib.sha256(raw).hexdigest()

    def reserve(self, agreement, request_hash, pool=POOL, **units):
        units = {"vcpu_milli": 1000, "ram_mib": 256, "disk_gib": 1, **units}
        return self.call("machine.reserve", agreement=agreement, pool=pool, units=units, request_hash=request_hash)

    def order(self, agreement, url, pool=POOL, units=None, internet=None, **more):
        """Reserve and provision; returns the status."""
        raw, digest = self.request(url, internet=internet, **more)
        self.reserve(agreement, digest, pool, **(units or {}))
        extra = {} if internet is None else {"internet": internet}
        return self.call("machine.provision", agreement=agreement, request=raw, **extra)

    def status(self, agreement):
        return self.call("machine.status", agreement=agreement)

    def wait(self, agreement, *states, timeout=120):
        """Wait until the machine is in one of `states`; any other end than those is a failure of the test."""
        deadline = time.monotonic() + timeout
        ends = {"destroyed", "released"} if "destroyed" in states or "released" in states else {
            "failed", "destroyed", "released"}
        status = self.status(agreement)
        while status["state"] not in states:
            if status["state"] in ends or time.monotonic() > deadline:
                raise Failed(f"{agreement}: {status['state']} ({status['error']}), wanted {states}:\n"
                             + self.call("machine.log", agreement=agreement, offset=-4000)["text"]
                             + self.call("machine.console", agreement=agreement, offset=-4000)["text"]
                             + self.process.tail())
            status = self.call("machine.wait", agreement=agreement, state=status["state"], timeout_ms=2000)
        return status

    def ssh(self, agreement, command, check=True, timeout=60):
        status = self.status(agreement)
        hosts = self.dir / f"known-{agreement}"
        endpoint = status["endpoint"]
        hosts.write_text(f"[{endpoint['host']}]:{endpoint['port']} {status['ssh_host_key']}\n")
        done = subprocess.run(["ssh", "-F", "none", "-i", self.key, "-o", f"UserKnownHostsFile={hosts}",
                               "-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
                               "-o", "ConnectTimeout=20", "-p", str(endpoint["port"]), f"root@{endpoint['host']}",
                               command], capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
        if check and done.returncode != 0:
            raise Failed(f"ssh {command}: {done.returncode}: {done.stderr}")
        return done.stdout if check else done

    @property
    def uids(self):
        """The users of this manager's guests."""
        if not hasattr(self, "_uids"):
            host = self.call("host.measure")
            self._uids = range(host["uid_first"], host["uid_first"] + host["uid_count"])
        return self._uids

    def guests(self):
        """pids of the guests' QEMU processes; works while the manager is dead, once it was asked for `uids`."""
        return qemu_of(self.uids[1:])  # the first is the probe's

    def vm(self, agreement, name=""):
        """A file of a machine; machines are numbered in the order of their reservation."""
        numbers = [m["agreement"] for m in self.call("machine.list", all=True)["machines"]]
        return self.dir / "vm" / str(len(numbers) - numbers[::-1].index(agreement)) / name

    def kill(self):
        self.uids
        self.process.kill()

    def stop(self):
        """End every machine, then the daemon."""
        if not self.process.running():
            self.process.start()
        for machine in self.call("machine.list")["machines"]:
            self.call("machine.destroy", agreement=machine["agreement"], retain_until_s=0)
        for machine in self.call("machine.list")["machines"]:
            self.wait(machine["agreement"], "destroyed", "released")
        self.process.stop()


def qemu_of(uids):
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if entry.stat().st_uid in uids and (entry / "exe").readlink().name.startswith("qemu-system"):
                    found.append(int(entry.name))
            except OSError:
                pass
    return sorted(found)


def blueprint(directory, text='{ default = import <moosh/micro> { name = "plain"; }; }\n'):
    """A repository with one default.nix; its git+file URL."""
    directory = Path(directory)
    directory.mkdir(parents=True)
    (directory / "default.nix").write_text(text)
    git = ["git", "-C", directory, "-c", "user.name=Tester", "-c", "user.email=tester@localhost"]
    # the same files give the same commit, so that later runs find it built
    env = {**os.environ, "GIT_AUTHOR_DATE": "2024-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2024-01-01T00:00:00Z"}
    for args in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "A blueprint"]):
        subprocess.run([*git, *args], check=True, capture_output=True, env=env)
    rev = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    return f"git+file://{directory}?rev={rev}"


