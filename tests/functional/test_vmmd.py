"""moosh-vmmd with a real QEMU, real Nix and real guests, which the cases share where they can."""
import hashlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from vmmd import Refused, Vmmd, blueprint
from world import Failed, wait_until

FAR = "198.51.100.2"  # a public address (TEST-NET-2) that lives in a network namespace of the test


@pytest.fixture(scope="module")
def place():
    with tempfile.TemporaryDirectory(prefix="moosh-vmmd-") as directory:
        os.chmod(directory, 0o755)
        yield Path(directory)


@pytest.fixture(scope="module")
def web(place):
    """A blueprint whose guest serves a page on port 8080."""
    return blueprint(place / "web", '{ default = import <moosh/micro> { name = "web"; files."/www/index.html" = "hello\\n";'
                                    ' services.web = "exec httpd -f -p 8080 -h /www"; }; }\n')


@pytest.fixture(scope="module")
def vmmd(place):
    v = Vmmd(place / "state", **{"network.internet": "true"}).start()
    v.pool()
    yield v
    try:
        v.stop()
    finally:
        v.kill()


@pytest.fixture(scope="module")
def guests(vmmd, web):
    """Two running machines: one with Internet access, ports and secrets, one with nothing."""
    vmmd.order("open", web, internet=True, ports=[8080], secrets=[("token", b"s3cret\n")])
    vmmd.order("shut", web)
    vmmd.wait("open", "running")
    vmmd.wait("shut", "running")
    return {name: qemu_pid(vmmd, name) for name in ("open", "shut")}


def qemu_pid(vmmd, agreement):
    for pid in vmmd.guests():
        if f"moosh-{agreement}" in Path(f"/proc/{pid}/cmdline").read_text().split("\0"):
            return pid
    raise Failed(f"{agreement} has no guest process")


def proc(pid, name):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        key, value = line.split(":", 1)
        if key == name:
            return value.split()
    return []


# ---- what the client gets


def test_the_guest_is_what_was_ordered(vmmd, guests):
    status = vmmd.status("open")
    assert status["state"] == "running" and status["error"] is None and status["restarts"] == 0
    assert status["accel"] in ("kvm", "tcg") and status["build_s"] > 0 and status["boot_s"] > 0
    probe = json.loads(vmmd.ssh("open", "moosh-probe"))  # the announced host key is checked
    assert probe["request_hash"].removeprefix("0x") == status["request_hash"].removeprefix("0x")
    assert (probe["cpus"], probe["ram_mib"], probe["disk_gib"]) == (1, 256, 1)


def test_host_keys_differ_between_machines(vmmd, guests):
    assert vmmd.status("open")["ssh_host_key"] != vmmd.status("shut")["ssh_host_key"]


def test_secrets_reach_the_guest_only(vmmd, guests):
    assert vmmd.ssh("open", "cat /run/seed/moosh/secrets/token") == "s3cret\n"
    assert vmmd.ssh("shut", "ls /run/seed/moosh/secrets", check=False).stdout == ""


def test_forwarded_port(vmmd, guests):
    [port] = vmmd.status("open")["ports"]
    assert port["guest"] == 8080 and vmmd.status("shut")["ports"] == []

    def page():
        with socket.create_connection(("127.0.0.1", port["host"]), timeout=5) as s:
            s.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return s.makefile().read()
    assert wait_until(lambda: "hello" in page(), 20, "the guest's page")


def test_log_and_console(vmmd, guests):
    log = vmmd.call("machine.log", agreement="open")
    assert "running: SSH on port" in log["text"] and log["next"] == log["end"]
    digest = vmmd.status("open")["log_digest"]
    assert digest == "0x" + hashlib.sha256(log["text"].encode()).hexdigest()
    console = vmmd.call("machine.console", agreement="open")
    assert "moosh: ready" in console["text"]
    piece = vmmd.call("machine.console", agreement="open", offset=5, max=7)
    assert piece["offset"] == 5 and piece["next"] == 12
    for bad in (0, 131073, -1):
        with pytest.raises(Refused) as refused:
            vmmd.call("machine.console", agreement="open", max=bad)
        assert refused.value.kind == "usage"


def test_console_flood_is_bounded(vmmd, guests):
    """A guest that prints without end costs 256 KiB of disk."""
    vmmd.ssh("shut", "yes 0123456789abcdef >/dev/ttyS0 & sleep 3; kill $!", timeout=120)
    ring = vmmd.vm("shut", "console")
    assert ring.stat().st_size <= 256 * 1024 + 16
    assert "0123456789abcdef" in vmmd.call("machine.console", agreement="shut", offset=-1000)["text"]


# ---- isolation


def test_process_privileges(vmmd, guests):
    uids = set()
    for pid in guests.values():
        uid = set(map(int, proc(pid, "Uid")))
        assert len(uid) == 1 and uid <= set(vmmd.uids)
        uids |= uid
        assert proc(pid, "Groups") == [] and proc(pid, "NoNewPrivs") == ["1"] and proc(pid, "Seccomp") == ["2"]
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(proc(pid, name)[0], 16) == 0, name
        # the disk's key is in no argument, and in no open file that others could read
        key = vmmd.vm("open" if pid == guests["open"] else "shut", "disk/key").read_text()
        assert len(key) == 64 and key not in Path(f"/proc/{pid}/cmdline").read_text()
    assert len(uids) == 2


def test_limits_are_set(vmmd, guests):
    kind = vmmd.call("host.measure")["limits"]
    pid = guests["open"]
    groups = dict(line.split(":", 2)[1:] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines())
    if kind == "cgroup1":
        read = lambda c, f: int(Path(f"/sys/fs/cgroup/{c}{groups[c]}/{f}").read_text())
        assert read("memory", "memory.limit_in_bytes") == (256 + 384) << 20
        assert read("pids", "pids.max") == 128
        assert read("cpu", "cpu.cfs_quota_us") == 120000
    elif kind == "cgroup2":
        group = Path("/sys/fs/cgroup" + groups[""])
        assert int((group / "memory.max").read_text()) == (256 + 384) << 20
        assert (group / "cpu.max").read_text().split() == ["120000", "100000"]
    else:
        assert "Max processes             128" in Path(f"/proc/{pid}/limits").read_text()


def test_disk_is_ciphertext(vmmd, guests):
    vmmd.ssh("open", "echo plain-text-marker-of-the-tenant >/data/file; sync")
    image = vmmd.vm("open", "disk/0.qcow2").read_bytes()
    assert b"plain-text-marker-of-the-tenant" not in image and b"LUKS" in image[:4 << 20]


class Listener:
    """A web server on an address of the host that remembers what it was asked for."""

    def __init__(self, host):
        self.socket = socket.create_server((host, 0))
        self.port = self.socket.getsockname()[1]
        self.asked = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
                with connection:
                    connection.settimeout(5)
                    self.asked.append(connection.makefile().readline().split(" ")[1])
                    connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nreached\n")
            except (IndexError, TimeoutError, ConnectionError):
                pass
            except OSError:
                return


def host_addresses():
    shown = json.loads(subprocess.run(["ip", "-j", "-4", "addr", "show"], capture_output=True, check=True).stdout)
    return [a["local"] for link in shown for a in link["addr_info"] if a["scope"] == "global"]


def fetch(vmmd, agreement, host, port):
    """wget from inside the guest: what it printed."""
    return vmmd.ssh(agreement, f"timeout 8 wget -q -O - http://{host}:{port}/guest 2>&1", check=False, timeout=60).stdout


@pytest.fixture(scope="module")
def far():
    """A machine elsewhere: a network namespace with a public and a private address and a web server on each."""
    name = "moosh-far"
    run = lambda *args: subprocess.run(args, check=True, capture_output=True)
    subprocess.run(["ip", "netns", "del", name], capture_output=True)
    run("ip", "netns", "add", name)
    try:
        run("ip", "link", "add", "mooshfar0", "type", "veth", "peer", "name", "mooshfar1", "netns", name)
        run("ip", "addr", "add", "198.51.100.1/24", "dev", "mooshfar0")
        run("ip", "addr", "add", "10.213.0.1/24", "dev", "mooshfar0")
        run("ip", "link", "set", "mooshfar0", "up")
        for address in (f"{FAR}/24", "10.213.0.2/24"):
            run("ip", "-n", name, "addr", "add", address, "dev", "mooshfar1")
        run("ip", "-n", name, "link", "set", "mooshfar1", "up")
        server = subprocess.Popen(["ip", "netns", "exec", name, "/usr/bin/python3", "-c",
                                   "import socket\n"
                                   "s = socket.create_server(('', 8000))\n"
                                   "while True:\n"
                                   "    c = s.accept()[0]\n"
                                   "    c.sendall(b'HTTP/1.0 200 OK\\r\\n\\r\\nfar away\\n')\n"
                                   "    c.close()\n"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: socket.create_connection((FAR, 8000), timeout=1), 20, "the far server")
            yield FAR
        finally:
            server.kill()
            server.wait()
    finally:
        subprocess.run(["ip", "netns", "del", name], capture_output=True)
        subprocess.run(["ip", "link", "del", "mooshfar0"], capture_output=True)


@pytest.mark.parametrize("agreement", ["open", "shut"])
def test_guest_cannot_reach_the_host(vmmd, guests, agreement):
    """Not its loopback through the gateway's address, not any address it has; with and without Internet access."""
    for host in ["127.0.0.1", *host_addresses()]:
        listener = Listener(host)
        with socket.create_connection((host, listener.port), timeout=5) as s:  # it answers the host itself
            s.sendall(b"GET /host HTTP/1.0\r\n\r\n")
            assert "reached" in s.makefile().read()
        target = "10.0.2.2" if host == "127.0.0.1" else host
        assert "reached" not in fetch(vmmd, agreement, target, listener.port)
        assert "/host" in listener.asked and "/guest" not in listener.asked
        listener.socket.close()


def test_internet_is_a_term_of_the_agreement(vmmd, guests, far):
    assert "far away" in fetch(vmmd, "open", far, 8000)
    assert "far away" not in fetch(vmmd, "shut", far, 8000)
    assert "far away" not in fetch(vmmd, "open", "10.213.0.2", 8000)  # a private range, though a route leads there
    assert (vmmd.status("open")["internet"], vmmd.status("shut")["internet"]) == (True, False)


def test_rules_of_the_firewall(vmmd, guests, far):
    """Every kind of address, as the guests' own users: what the kernel lets their sockets do."""
    code = ("import socket, sys, errno\n"
            "for spec in sys.argv[1:]:\n"
            "    kind, host, port = spec.split(',')\n"
            "    s = socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET,"
            " socket.SOCK_DGRAM if kind == 'udp' else socket.SOCK_STREAM)\n"
            "    s.settimeout(3)\n"
            "    try:\n"
            "        s.connect((host, int(port)))\n"
            "        kind == 'udp' and s.send(b'x')\n"
            "        print('through')\n"
            "    except OSError as e:\n"
            "        print(errno.errorcode.get(e.errno, str(e)))\n")

    def ask(uid, *specs):
        done = subprocess.run(["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "/usr/bin/python3", "-c",
                               code, *specs], capture_output=True, text=True, timeout=60)
        return done.stdout.split()

    online, offline = int(proc(guests["open"], "Uid")[0]), int(proc(guests["shut"], "Uid")[0])
    listener = Listener("0.0.0.0")
    servers = [line.split()[1] for line in Path("/etc/resolv.conf").read_text().splitlines()
               if line.startswith("nameserver")]
    names = [f"udp,{server},53" for server in servers if server not in host_addresses()]
    refused = [f"tcp,{host},{listener.port}" for host in ["127.0.0.1", "127.9.9.9", *host_addresses()]]
    refused += ["tcp,10.213.0.2,8000", "udp,10.213.0.2,53", "udp,10.213.0.2,8000", "udp,224.0.0.1,5000"]
    refused += [name.replace(",53", ",54") for name in names]
    assert ask(os.getuid(), refused[0], f"tcp,{far},8000") == ["through", "through"]
    assert "through" not in ask(online, *refused)
    assert ask(online, f"tcp,{far},8000", f"udp,{far},53", *names) == ["through"] * (2 + len(names))
    assert "through" not in ask(offline, f"tcp,{far},8000", f"udp,{far},53", *names, *refused)
    # a user of the range with no machine at all: closed, not open
    assert "through" not in ask(vmmd.uids[-1], f"tcp,{far},8000", *refused)
    listener.socket.close()


def test_firewall_comes_back_after_a_flush(vmmd, guests, far):
    table = f"mooshnet_{vmmd.uids[0]}"
    subprocess.run(["nft", "delete", "table", "inet", table], check=True)
    assert vmmd.call("host.measure")["isolation"] == "nftables"
    subprocess.run(["nft", "list", "table", "inet", table], check=True, capture_output=True)
    assert "far away" in fetch(vmmd, "open", far, 8000) and "far away" not in fetch(vmmd, "shut", far, 8000)


# ---- life


def test_pause_and_resume(vmmd, guests):
    assert vmmd.call("machine.pause", agreement="shut")["state"] in ("running", "paused")
    vmmd.wait("shut", "paused")
    port = vmmd.status("shut")["endpoint"]["port"]
    with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
        s.settimeout(2)
        with pytest.raises(TimeoutError):
            s.recv(4)
    vmmd.call("machine.pause", agreement="shut")  # again: nothing happens
    vmmd.call("machine.resume", agreement="shut")
    vmmd.wait("shut", "running")
    assert vmmd.ssh("shut", "echo on") == "on\n"
    assert qemu_pid(vmmd, "shut") == guests["shut"]


def test_reboot_keeps_disk_key_and_port(vmmd, guests):
    before = vmmd.status("shut")
    vmmd.ssh("shut", "echo kept >/data/file; sync; echo lost >/root/file")
    vmmd.call("machine.reboot", agreement="shut")
    wait_until(lambda: vmmd.status("shut")["restarts"] == before["restarts"] + 1, 20, "the reset")
    vmmd.wait("shut", "running")
    assert vmmd.ssh("shut", "cat /data/file /root/file 2>/dev/null", check=False).stdout == "kept\n"
    after = vmmd.status("shut")
    assert all(after[k] == before[k] for k in ("ssh_host_key", "endpoint", "request_hash"))


def test_poweroff_from_outside_and_from_inside(vmmd, guests):
    vmmd.call("machine.poweroff", agreement="shut")
    vmmd.wait("shut", "stopped")
    assert "powered off" in vmmd.call("machine.log", agreement="shut", offset=-200)["text"]  # the button, not the plug
    with pytest.raises(Failed):
        qemu_pid(vmmd, "shut")
    with pytest.raises(Refused) as refused:
        vmmd.call("machine.pause", agreement="shut")
    assert refused.value.kind == "conflict"
    vmmd.call("machine.resume", agreement="shut")
    vmmd.wait("shut", "running")
    assert vmmd.ssh("shut", "cat /data/file") == "kept\n"
    vmmd.ssh("shut", "while poweroff; do sleep 1; done", check=False)  # init may not listen yet
    vmmd.wait("shut", "stopped")
    vmmd.call("machine.reboot", agreement="shut")
    vmmd.wait("shut", "running")


def test_kill_9_of_the_manager_leaves_guests_alone(vmmd, guests):
    before = vmmd.ssh("open", "cat /proc/sys/kernel/random/boot_id")
    vmmd.kill()
    assert guests["open"] in vmmd.guests()
    vmmd.start()
    status = vmmd.wait("open", "running")
    assert status["restarts"] == 0 and qemu_pid(vmmd, "open") == guests["open"]
    assert vmmd.ssh("open", "cat /proc/sys/kernel/random/boot_id") == before
    vmmd.ssh("open", "echo after-the-crash >/dev/ttyS0")  # the console is read again, and so is the monitor
    wait_until(lambda: "after-the-crash" in vmmd.call("machine.console", agreement="open", offset=-500)["text"], 10,
               "console output")
    vmmd.call("machine.pause", agreement="open")
    vmmd.wait("open", "paused")
    vmmd.kill()
    vmmd.start()
    assert vmmd.wait("open", "paused")["state"] == "paused"
    vmmd.call("machine.resume", agreement="open")
    vmmd.wait("open", "running")


def test_guest_process_that_dies_is_started_again(vmmd, guests):
    pid = qemu_pid(vmmd, "open")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: vmmd.status("open")["restarts"] == 1, 20, "the restart")
    vmmd.wait("open", "running")
    assert vmmd.ssh("open", "cat /data/file") == "plain-text-marker-of-the-tenant\n"
    # and when the manager was away when it died
    pid = qemu_pid(vmmd, "open")
    vmmd.kill()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: pid not in vmmd.guests(), 10, "the guest's end")
    vmmd.start()
    wait_until(lambda: vmmd.status("open")["restarts"] == 2, 20, "the second restart")
    vmmd.wait("open", "running")
    assert vmmd.ssh("open", "cat /data/file") == "plain-text-marker-of-the-tenant\n"


def test_power_off_while_the_manager_is_away(vmmd, guests):
    pid = qemu_pid(vmmd, "shut")
    vmmd.ssh("shut", "(while sleep 1; do poweroff; done) >/dev/null 2>&1 &")
    vmmd.kill()
    wait_until(lambda: state_of_monitor(vmmd, pid) == "shutdown", 30, "the guest's power-off")
    vmmd.start()
    assert vmmd.wait("shut", "stopped")["restarts"] >= 1


def state_of_monitor(vmmd, pid):
    """What QEMU says of itself, asked by the test while no manager holds its monitor."""
    number = next(d for d in (vmmd.dir / "vm").iterdir() if (d / "qmp").exists()
                  and f"{d.name}" == uid_number(vmmd, pid))
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        s.connect(str(number / "qmp"))
        lines = s.makefile("r")
        lines.readline()
        for command in ("qmp_capabilities", "query-status"):
            s.sendall(json.dumps({"execute": command, "id": command}).encode() + b"\n")
            while True:
                answer = json.loads(lines.readline())
                if answer.get("id") == command:
                    break
        return answer["return"]["status"]


def uid_number(vmmd, pid):
    argv = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    mac = next(a for a in argv if "mac=" in a).split("mac=")[1].split(":")
    return str(int("".join(mac[3:]), 16))


def test_idle_memory(vmmd, guests):
    rss = int(proc(vmmd.process.popen.pid, "VmRSS")[0])
    assert rss <= 25 * 1024, f"{rss} KiB"


def test_end_with_retention(vmmd, guests):
    key, disk, seed = (vmmd.vm("open", n) for n in ("disk/key", "disk/0.qcow2", "seed.iso"))
    pid = qemu_pid(vmmd, "open")
    until = int(time.time()) + 8
    vmmd.call("machine.destroy", agreement="open", retain_until_s=until)
    status = vmmd.wait("open", "retained")
    assert status["retain_until_s"] == until and status["endpoint"] is None
    assert pid not in vmmd.guests() and not seed.exists()
    assert key.exists() and disk.exists()
    reserved = vmmd.call("inventory.get")["pools"][0]["reserved"]
    assert (reserved["vcpu_milli"], reserved["disk_gib"]) == (1000, 2)  # the other's, and both disks
    vmmd.kill()  # retention is a promise that outlives us
    vmmd.start()
    assert key.exists() or time.time() >= until
    vmmd.wait("open", "destroyed", timeout=30)
    assert time.time() >= until and not key.exists() and not disk.exists()
    assert vmmd.call("machine.log", agreement="open")["end"] > 0  # evidence stays
    assert vmmd.call("machine.destroy", agreement="open", retain_until_s=0)["state"] == "destroyed"


def test_end_without_retention(vmmd, guests):
    vmmd.call("machine.destroy", agreement="shut", retain_until_s=0)
    vmmd.wait("shut", "destroyed")
    assert vmmd.guests() == []
    reserved = vmmd.call("inventory.get")["pools"][0]["reserved"]
    assert set(reserved.values()) == {0}
    with sqlite3.connect(vmmd.dir / "vmmd.db") as db:  # requests carry secrets: they go with the machine
        assert db.execute("SELECT count(*), count(request) FROM machine").fetchone() == (2, 0)
    with pytest.raises(Refused) as refused:
        vmmd.reserve("shut", "11" * 32)  # an agreement is served once
    assert refused.value.kind == "conflict"
