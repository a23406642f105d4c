"""The micro guest keeps what docs/guests.md promises: booted with QEMU alone, no daemon of ours.

Two boots: a guest with everything in its seed, which is rebooted and powered off, and one with next to nothing.
"""
import json
import re
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HASH = "5a" * 32
BLUEPRINT = """
import <moosh/micro> {
  name = "tested";
  files."/www/index.html" = "a page\\n";
  files."/usr/bin/greet" = <moosh> + "/micro/root/etc/moosh/shutdown";
  modules = [ "loop" ];
  services.web = "exec httpd -f -p 80 -h /www";
  services.flaky = "echo x >>/run/flaky; sleep 1";
  cmdline = "moosh.tested";
}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(condition, timeout, what):
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)  # between two looks at the condition
    raise AssertionError(f"{what} did not happen within {timeout} s")


@pytest.fixture(scope="module")
def system():
    run = subprocess.run([ROOT / "nix/build-micro", BLUEPRINT], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return Path(run.stdout.strip())


class Guest:
    def __init__(self, directory, system, seed, disks):
        self.dir, self.console = directory, directory / "console"
        self.ssh_port, self.http_port = free_port(), free_port()
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / "id"], check=True)
        files = directory / "seed"
        (files / "moosh/secrets").mkdir(parents=True)
        (files / "moosh/authorized_keys").write_text((directory / "id.pub").read_text())
        for name, content in seed.items():
            (files / "moosh" / name).write_text(content)
        self.host_key = None
        if seed:
            made = subprocess.run(["dropbearkey", "-t", "ed25519", "-f", files / "moosh/dropbear_host_key"], check=True,
                                  capture_output=True, text=True).stdout
            self.host_key = re.search(r"ssh-ed25519 \S+", made).group()
        subprocess.run(["genisoimage", "-quiet", "-R", "-V", "cidata", "-o", directory / "seed.iso", files], check=True)
        argv = ["qemu-system-x86_64", "-M", "q35", "-accel", "tcg", "-cpu", "max", "-m", "256", "-smp", "2", "-nodefaults",
                "-no-user-config", "-display", "none", "-kernel", system / "kernel", "-initrd", system / "initrd", "-append",
                (system / "cmdline").read_text().strip(), "-serial", f"file:{self.console}", "-qmp",
                f"unix:{directory}/qmp,server=on,wait=off", "-netdev",
                f"user,id=n,hostfwd=tcp:127.0.0.1:{self.ssh_port}-:22,hostfwd=tcp:127.0.0.1:{self.http_port}-:80", "-device",
                "virtio-net-pci,netdev=n,romfile="]
        for i, (path, serial) in enumerate([*disks, (directory / "seed.iso", "seed" if seed else "")]):
            argv += ["-drive", f"if=none,id=d{i},format=raw,file={path}", "-device",
                     f"virtio-blk-pci,drive=d{i}" + (f",serial={serial}" if serial else "")]
        self.qemu = subprocess.Popen([str(a) for a in argv])

    def text(self):
        return self.console.read_text(errors="replace") if self.console.exists() else ""

    def wait_ready(self, times=1):
        wait_until(lambda: self.text().count("moosh: ready\n") >= times or self.qemu.poll() is not None, 90, "moosh: ready")
        assert self.qemu.poll() is None, self.text()

    def ssh(self, command, check=True):
        known = self.dir / "known_hosts"
        known.write_text(f"[127.0.0.1]:{self.ssh_port} {self.host_key}\n")
        run = subprocess.run(["ssh", "-F", "none", "-i", self.dir / "id", "-p", str(self.ssh_port), "-o", "BatchMode=yes", "-o",
                              "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={known}", "-o", "ConnectTimeout=20",
                              "root@127.0.0.1", command], capture_output=True, text=True, timeout=60)
        assert run.returncode == 0 or not check, run.stderr + self.text()
        return run.stdout.strip()

    def qmp(self, command):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(self.dir / "qmp"))
            file = s.makefile("rw")
            file.readline()
            for execute in ("qmp_capabilities", command):
                file.write(json.dumps({"execute": execute}) + "\n")
                file.flush()
                file.readline()

    def end(self):
        self.qemu.kill()
        self.qemu.wait()


def disk(path, mib, start=b""):
    with open(path, "wb") as f:
        f.truncate(mib << 20)
        f.write(start)
    return path


@pytest.fixture(scope="module")
def guest(tmp_path_factory, system):
    directory = tmp_path_factory.mktemp("guest")
    disks = [(disk(directory / "one", 64), "data0"), (disk(directory / "two", 2048), "data1"),
             (disk(directory / "foreign", 16, b"somebody's"), "data2")]
    seed = {"request-hash": HASH + "\n", "hostname": "tester\n", "secrets/token": "hush",
            "network": "ADDRESS=10.0.2.15/24\nGATEWAY=10.0.2.2\nDNS=10.0.2.3\n"}
    guest = Guest(directory, system, seed, disks)
    yield guest
    guest.end()


def test_system_is_three_files(system):
    assert sorted(p.name for p in system.iterdir()) == ["cmdline", "initrd", "kernel"]
    assert (system / "cmdline").read_text().count("\n") <= 1
    assert (system / "cmdline").read_text().strip().endswith("moosh.tested")


def test_ready_and_probe(guest):
    guest.wait_ready()
    probe = json.loads(guest.ssh("moosh-probe"))
    assert probe.pop("uptime_s") > 0
    assert probe == {"request_hash": HASH, "cpus": 2, "ram_mib": 256, "disk_gib": 0, "disk_mib": 64}
    assert guest.ssh("hostname") == "tester"


def test_passwords_and_other_keys_are_refused(guest):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", guest.dir / "other"], check=True)
    run = subprocess.run(["ssh", "-F", "none", "-v", "-i", guest.dir / "other", "-p", str(guest.ssh_port), "-o", "BatchMode=yes",
                          "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes", "-o",
                          f"UserKnownHostsFile={guest.dir}/known_hosts", "root@127.0.0.1", "true"],
                         capture_output=True, text=True, timeout=60)
    assert run.returncode == 255
    assert "Authentications that can continue: publickey\n" in run.stderr.replace("\r", "")


def test_seed_is_roots_alone(guest):
    assert guest.ssh("cat /run/seed/moosh/secrets/token") == "hush"
    assert guest.ssh("stat -c %a /run/seed/moosh/secrets /run/seed/moosh/secrets/token").split() == ["500", "400"]


def test_disks(guest):
    mounts = guest.ssh("cat /proc/mounts")
    assert re.search(r"^/dev/vd. /data ext4 rw", mounts, re.M) and re.search(r"^/dev/vd. /data1 ext4 rw", mounts, re.M)
    assert " /data2 " not in mounts
    assert "not ext4 and not empty, left alone" in guest.text()
    assert (guest.dir / "foreign").read_bytes().startswith(b"somebody's\0")
    guest.ssh("echo kept >/data/file; mkdir /data1/dir; sync")


def test_files_services_and_modules(guest):
    def page():
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{guest.http_port}/", timeout=10).read()
        except OSError:
            return None
    assert wait_until(page, 30, "the web page") == b"a page\n"
    assert guest.ssh("[ -x /usr/bin/greet ] && lsmod | grep -c '^loop '") == "1"
    wait_until(lambda: int(guest.ssh("wc -l </run/flaky")) >= 2, 30, "the flaky service's second start")
    assert "moosh.tested" in guest.ssh("cat /proc/cmdline")


def test_reboot_keeps_data_and_host_key(guest):
    guest.ssh("reboot", check=False)
    guest.wait_ready(times=2)
    assert guest.ssh("cat /data/file; ls /data1").split() == ["kept", "dir", "lost+found"]
    assert json.loads(guest.ssh("moosh-probe"))["request_hash"] == HASH


def test_power_button(guest):
    guest.wait_ready(times=2)
    # the last module loads a moment after "ready"
    wait_until(lambda: guest.ssh("pidof acpid", check=False), 30, "somebody who listens to the button")
    guest.qmp("system_powerdown")
    guest.qemu.wait(timeout=60)
    state = subprocess.run(["/usr/sbin/dumpe2fs", "-h", guest.dir / "one"], capture_output=True, text=True).stdout
    assert "Filesystem state:         clean" in state and "has_journal" in state and "needs_recovery" not in state


def test_with_next_to_nothing(tmp_path, system):
    guest = Guest(tmp_path, system, {}, [])
    try:
        guest.wait_ready()
        guest.host_key = re.search(r"moosh: host key (ssh-ed25519 \S+)", guest.text()).group(1)
        probe = json.loads(guest.ssh("moosh-probe"))
        assert probe["request_hash"] == "" and probe["disk_mib"] == 0
        assert "nameserver 10.0.2.3" in guest.ssh("cat /etc/resolv.conf")  # by DHCP
    finally:
        guest.end()


@pytest.mark.parametrize("arguments, words", [
    ('files."relative" = "x";', "absolute path"),
    ('name = "a b";', "use letters"),
    ('services."a/b" = "x";', "use letters"),
    ('modules = [ "no-such-module" ];', "there is no kernel module no-such-module"),
])
def test_mistakes_are_named(arguments, words):
    run = subprocess.run([ROOT / "nix/build-micro", f"import <moosh/micro> {{ {arguments} }}"], capture_output=True, text=True)
    assert run.returncode != 0 and words in run.stderr
