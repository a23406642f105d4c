"""What moosh-vmmd does with bad input, bad luck and kill -9; each case has machines of its own."""
import os
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from vmmd import Refused, Vmmd, blueprint, qemu_of
from world import Failed, wait_until

# A blueprint whose build takes some seconds: long enough to be killed in.
SLOW = """{ default =
  let plain = import <moosh/micro> { name = "slow"; };
  in derivation {
    name = "slow"; system = "x86_64-linux"; salt = "%s"; inherit plain;
    builder = "/bin/sh"; args = [ "-c" "sleep 5; mkdir $out; cp $plain/* $out/" ];
  }; }
"""


@pytest.fixture(scope="module")
def place():
    with tempfile.TemporaryDirectory(prefix="moosh-vmmd-") as directory:
        os.chmod(directory, 0o755)
        yield Path(directory)


@pytest.fixture(scope="module")
def plain(place):
    return blueprint(place / "plain")


@pytest.fixture(scope="module")
def vmmd(place):
    v = Vmmd(place / "state").start()
    v.pool()
    yield v
    try:
        v.stop()
    finally:
        v.kill()


def refused(kind, call, *args, **more):
    with pytest.raises(Refused) as error:
        call(*args, **more)
    assert error.value.kind == kind, error.value
    return str(error.value)


# ---- inventory


def test_inventory_is_checked(vmmd):
    other = "cd" * 32
    host = vmmd.call("host.measure")
    assert "whole cores" in refused("usage", vmmd.pool, other, 0, vcpu_milli=500)
    assert "overcommit" in refused("usage", vmmd.pool, other, 1, 99)
    refused("usage", vmmd.pool, other, 0, 200)
    refused("usage", vmmd.pool, other, 2)
    refused("usage", vmmd.pool, "abcd")
    refused("usage", vmmd.call, "inventory.set", pool=other, **{"class": 1}, overcommit_pct=100, capacity={"cpu": 1})
    refused("usage", vmmd.call, "inventory.set", pool=other, **{"class": 1}, overcommit_pct=100, capacity={"ram_mib": -1})
    assert "this host has" in refused("limit", vmmd.pool, other, 1, vcpu_milli=1000 * host["cores"])  # one is taken
    assert "memory" in refused("limit", vmmd.pool, other, 1, vcpu_milli=0, ram_mib=host["ram_mib"])
    refused("refused", vmmd.pool, other, 1, vcpu_milli=0, gpu=1)
    assert len(vmmd.call("inventory.get")["pools"]) == 1


def test_sold_out_at_the_limit_and_one_past_it(vmmd):
    digest = "00" * 32
    vmmd.reserve("limit-1", digest, vcpu_milli=1500, ram_mib=2048, disk_gib=10)
    assert "sold out" in refused("conflict", vmmd.reserve, "limit-2", digest, vcpu_milli=501)
    assert "memory" in refused("conflict", vmmd.reserve, "limit-2", digest, vcpu_milli=500, ram_mib=2049)
    assert "disk" in refused("conflict", vmmd.reserve, "limit-2", digest, vcpu_milli=500, ram_mib=2048, disk_gib=11)
    vmmd.reserve("limit-2", digest, vcpu_milli=500, ram_mib=2048, disk_gib=10)
    assert set(vmmd.call("inventory.get")["pools"][0]["free"].values()) == {0}
    vmmd.kill()  # what was promised is remembered
    vmmd.start()
    refused("conflict", vmmd.reserve, "limit-3", digest, vcpu_milli=1, ram_mib=1)
    for name in ("limit-1", "limit-2"):
        vmmd.call("machine.release", agreement=name)
        vmmd.wait(name, "released")
    assert vmmd.call("inventory.get")["pools"][0]["reserved"]["vcpu_milli"] == 0


def test_many_takers_at_once(vmmd):
    """Twenty ask for the last two cores in the same moment: two get one each."""
    got, lost = [], []

    def take(n):
        try:
            vmmd.reserve(f"race-{n}", "00" * 32, vcpu_milli=1000, ram_mib=64)
            got.append(n)
        except Refused as error:
            lost.append(error.kind)
    threads = [threading.Thread(target=take, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 2 and lost == ["conflict"] * 18
    for n in got:
        vmmd.call("machine.release", agreement=f"race-{n}")
        vmmd.wait(f"race-{n}", "released")


def test_reserve_is_idempotent(vmmd):
    first = vmmd.reserve("twice", "11" * 32)
    assert vmmd.reserve("twice", "11" * 32) == first
    assert "other terms" in refused("conflict", vmmd.reserve, "twice", "22" * 32)
    refused("conflict", vmmd.reserve, "twice", "11" * 32, ram_mib=257)
    assert vmmd.call("inventory.get")["pools"][0]["reserved"]["vcpu_milli"] == 1000
    vmmd.call("machine.release", agreement="twice")
    vmmd.wait("twice", "released")
    assert vmmd.call("machine.release", agreement="twice")["state"] == "released"
    vmmd.reserve("twice", "22" * 32)  # a lost transaction may be tried again
    vmmd.call("machine.release", agreement="twice")
    vmmd.wait("twice", "released")


def test_bad_names(vmmd):
    for name in ("", ".", "../x", "a/b", "-x", "x" * 81, "a b"):
        refused("usage", vmmd.reserve, name, "11" * 32)
    refused("not_found", vmmd.status, "nobody")
    refused("not_found", vmmd.reserve, "nobody", "11" * 32, pool="ef" * 32)
    refused("usage", vmmd.reserve, "nobody", "11" * 31)


# ---- requests


def test_request_must_be_the_agreed_one(vmmd, plain):
    raw, digest = vmmd.request(plain)
    vmmd.reserve("tampered", digest)
    tampered = raw[:-2] + ("00" if raw[-2:] != "00" else "01")
    assert "hash differs" in refused("refused", vmmd.call, "machine.provision", agreement="tampered", request=tampered)
    refused("usage", vmmd.call, "machine.provision", agreement="tampered", request="zz")
    refused("not_found", vmmd.call, "machine.provision", agreement="nobody", request=raw)
    refused("conflict", vmmd.call, "machine.pause", agreement="tampered")
    assert vmmd.status("tampered")["state"] == "reserved"
    vmmd.call("machine.release", agreement="tampered")
    vmmd.wait("tampered", "released")
    refused("conflict", vmmd.call, "machine.provision", agreement="tampered", request=raw)


def test_garbage_with_the_right_hash(vmmd):
    import hashlib
    for raw in (b"", b"\x00", b"\xa0", b"\xff" * 100, b"\xa1\x00\x01"):
        vmmd.reserve("garbage", hashlib.sha256(raw).hexdigest())
        with pytest.raises(Refused) as error:
            vmmd.call("machine.provision", agreement="garbage", request=raw.hex())
        assert error.value.kind in ("usage", "protocol")
        vmmd.call("machine.release", agreement="garbage")
        vmmd.wait("garbage", "released")


def test_more_disk_than_rented(vmmd, plain):
    raw, digest = vmmd.request(plain, volumes=[("a", 1), ("b", 1)])
    vmmd.reserve("greedy", digest, disk_gib=1)
    assert "volumes take 2 GiB" in refused("refused", vmmd.call, "machine.provision", agreement="greedy", request=raw)
    vmmd.call("machine.release", agreement="greedy")
    vmmd.wait("greedy", "released")


def test_blueprints_that_do_not_build(vmmd, place, plain):
    base, commit = plain.split("?rev=")
    broken = blueprint(place / "broken", "{ default = abort \"no such luck\"; }\n")
    for name, url, attribute, words in (("no-commit", f"{base}?rev={'0' * 40}", "default", "commit"),
                                        ("no-repo", f"git+file:///nowhere?rev={commit}", "default", ""),
                                        ("no-attribute", plain, "nonsense", "nonsense"),
                                        ("broken", broken, "default", "no such luck")):
        vmmd.order(name, url, attribute=attribute)
        wait_until(lambda: vmmd.status(name)["state"] == "failed", 60, "the failure")
        status = vmmd.status(name)
        assert status["error"] and words in status["error"] + vmmd.call("machine.log", agreement=name)["text"], status
        assert status["endpoint"] is None and status["log_digest"]
        vmmd.call("machine.destroy", agreement=name, retain_until_s=0)
        vmmd.wait(name, "destroyed")
    assert vmmd.guests() == []


def test_file_urls_are_the_providers_choice(place, plain):
    v = Vmmd(place / "strict", **{"build.allow_file_urls": "false"}).start()
    try:
        v.pool()
        raw, digest = v.request(plain)
        v.reserve("file", digest)
        refused("denied", v.call, "machine.provision", agreement="file", request=raw)
    finally:
        v.stop()


def test_forbidden_by_policy(vmmd, plain):
    raw, digest = vmmd.request(plain)
    vmmd.reserve("policy", digest)
    vmmd.call("machine.provision", agreement="policy", request=raw, policy="git https://example.org/allowed\n")
    wait_until(lambda: vmmd.status("policy")["state"] == "failed", 60, "the refusal")
    assert "policy" in vmmd.status("policy")["error"]
    vmmd.call("machine.destroy", agreement="policy", retain_until_s=0)
    vmmd.wait("policy", "destroyed")


# ---- guests that do not do well


def test_guest_that_never_answers(place):
    """It boots, but nobody listens: failed in time, with the reason, and nothing left running."""
    v = Vmmd(place / "deaf", **{"guest.boot_s": 8}).start()
    deaf = blueprint(place / "deaf-blueprint", """{ default =
      let plain = import <moosh/micro> { name = "deaf"; cmdline = "rdinit=/bin/sleep -- 1000"; };
      in plain; }\n""")
    try:
        v.pool()
        v.order("deaf", deaf)
        wait_until(lambda: v.status("deaf")["state"] == "failed", 60, "the failure")
        assert "did not answer on SSH" in v.status("deaf")["error"]
        assert v.guests() == []
        v.kill()
        v.start()
        assert v.status("deaf")["state"] == "failed" and v.guests() == []
        v.call("machine.reboot", agreement="deaf")  # once more, from what is there
        wait_until(lambda: v.status("deaf")["state"] == "booting", 10, "the second try")
        wait_until(lambda: v.status("deaf")["state"] == "failed" and v.guests() == [], 60, "its failure")
    finally:
        v.stop()


def test_guest_that_turns_itself_off_at_once(vmmd, place):
    """Seen when it happens, not when the time to boot is over."""
    off = blueprint(place / "off", """{ default = import <moosh/micro> { name = "off"; services.off = "sleep 0.1; poweroff -f"; }; }\n""")
    vmmd.order("off", off)
    vmmd.wait("off", "stopped", timeout=60)
    assert vmmd.guests() == []
    vmmd.call("machine.destroy", agreement="off", retain_until_s=0)
    vmmd.wait("off", "destroyed")


def test_guest_whose_process_keeps_dying(vmmd, plain):
    """Started again three times in a row, then given up; and it stays down."""
    vmmd.order("dying", plain)
    vmmd.wait("dying", "running")
    for n in range(4):
        [pid] = vmmd.guests()
        os.kill(pid, 9)
        wait_until(lambda: pid not in vmmd.guests(), 10, "the guest's end")
        if n < 3:
            wait_until(lambda: vmmd.status("dying")["restarts"] == n + 1 and len(vmmd.guests()) == 1, 30, "the next one")
    wait_until(lambda: vmmd.status("dying")["state"] == "failed", 30, "the end")
    assert "4 times in a row" in vmmd.status("dying")["error"] and vmmd.guests() == []
    vmmd.call("machine.destroy", agreement="dying", retain_until_s=0)
    vmmd.wait("dying", "destroyed")


def test_volumes_ports_and_a_taken_port(place, plain):
    """Two volumes; and a forwarded port that somebody else on the host has is passed over."""
    first = 43000 + os.getpid() % 1000 * 10
    v = Vmmd(place / "ports", **{"network.port_first": first, "network.port_count": 10}).start()
    try:
        v.pool()
        with socket.create_server(("127.0.0.1", first)):
            v.order("ports", plain, units={"disk_gib": 3}, volumes=[("a", 1), ("b", 2)], ports=[80])
            v.wait("ports", "running")
        status = v.status("ports")
        assert status["endpoint"]["port"] > first
        assert v.ssh("ports", "cat /sys/block/vd?/size").split()[1:] == [str(1 << 21), str(2 << 21)]
    finally:
        v.stop()


# ---- kill -9 at the three places


@pytest.fixture(scope="module")
def slow(place):
    return blueprint(place / "slow", SLOW % os.urandom(8).hex())


def test_kill_9_during_the_build(vmmd, slow):
    vmmd.order("killed-building", slow)
    wait_until(lambda: "build" in (vmmd.status("killed-building")["step"] or ""), 60, "the build's begin")
    vmmd.kill()
    vmmd.start()
    assert vmmd.status("killed-building")["state"] in ("building", "booting")
    vmmd.wait("killed-building", "running", timeout=180)
    assert vmmd.ssh("killed-building", "echo well") == "well\n"


def test_kill_9_during_the_boot(vmmd, plain):
    vmmd.order("killed-booting", plain)
    vmmd.wait("killed-booting", "booting")
    wait_until(lambda: vmmd.status("killed-booting")["step"] == "boot", 20, "the guest's start")
    before = vmmd.guests()
    vmmd.kill()
    assert vmmd.guests() == before
    vmmd.start()
    vmmd.wait("killed-booting", "running")
    assert vmmd.guests() == before and vmmd.status("killed-booting")["restarts"] == 0
    assert vmmd.ssh("killed-booting", "echo well") == "well\n"


def test_sigterm_leaves_guests_and_ends_soon(vmmd):
    before = vmmd.guests()
    started = time.monotonic()
    vmmd.process.stop()
    assert time.monotonic() - started < 10 and vmmd.guests() == before
    vmmd.start()
    assert vmmd.status("killed-booting")["state"] == "running"
    for name in ("killed-building", "killed-booting"):
        vmmd.call("machine.destroy", agreement=name, retain_until_s=0)
        vmmd.wait(name, "destroyed")
    assert vmmd.guests() == []


def test_kill_9_at_random_moments(vmmd, plain):
    """Whenever it is killed on the way, the next start goes on, with one guest and one set of units."""
    for n, moment in enumerate((0.02, 0.1, 0.2, 0.4)):
        name = f"moment-{n}"
        vmmd.order(name, plain, units={"vcpu_milli": 500})
        deadline = time.monotonic() + moment
        while time.monotonic() < deadline:
            pass
        vmmd.kill()
        vmmd.start()
    for n in range(4):
        vmmd.wait(f"moment-{n}", "running", timeout=180)
    assert len(vmmd.guests()) == 4
    for n in range(4):
        vmmd.call("machine.destroy", agreement=f"moment-{n}", retain_until_s=0)
        vmmd.wait(f"moment-{n}", "destroyed")


def test_destroy_during_build_and_boot(vmmd, plain, slow, place):
    slower = blueprint(place / "slower", SLOW % os.urandom(8).hex())
    vmmd.order("short-1", slower)
    wait_until(lambda: "build" in (vmmd.status("short-1")["step"] or ""), 60, "the build's begin")
    vmmd.call("machine.destroy", agreement="short-1", retain_until_s=0)
    vmmd.wait("short-1", "destroyed", timeout=10)
    vmmd.order("short-2", plain)
    vmmd.wait("short-2", "booting")
    vmmd.call("machine.release", agreement="short-2")
    vmmd.wait("short-2", "released", timeout=10)
    assert vmmd.guests() == []


# ---- two managers, one host


def test_two_managers_share_no_users(vmmd, place):
    second = Vmmd(place / "second").start()
    try:
        assert not set(second.uids) & set(vmmd.uids)
        refused_settings = Vmmd(place / "third", **{"guest.uid_first": vmmd.uids[0]})
        with pytest.raises(Failed) as error:
            refused_settings.start()
        assert "uid_first" in str(error.value)
        again = Vmmd(place / "second")
        with pytest.raises(Failed) as error:
            again.start()
        assert "another vmmd runs" in str(error.value)
    finally:
        second.stop()


# ---- full disk


@pytest.fixture
def small(place):
    """A file system of 96 MiB."""
    directory = place / "small"
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m,mode=755", "none", directory], check=True)
    yield directory
    subprocess.run(["umount", "-l", directory], check=True)


def test_full_disk(small, plain):
    v = Vmmd(small / "state", **{"host.disk_gib": 100}).start()
    ballast = small / "ballast"
    try:
        v.pool()
        wait_until(lambda: (v.dir / "vm/spare").exists(), 60, "the spare disk")
        # full before the order: a failure that says so, and nothing is lost
        v.order("late", plain)
        v.wait("late", "running")
        # a guest that fills the host's disk stands still; when there is room again it goes on
        v.ssh("late", "cp /bin/busybox /data/a; sync")
        done = subprocess.run(["dd", "if=/dev/zero", f"of={ballast}", "bs=1M", "count=200"], capture_output=True)
        assert done.returncode != 0 and "No space left" in done.stderr.decode()
        writer = threading.Thread(target=lambda: v.ssh(
            "late", "dd if=/dev/urandom of=/data/b bs=1M count=16 conv=fsync", check=False, timeout=180))
        writer.start()
        wait_until(lambda: "disk is full" in (v.status("late")["step"] or ""), 60, "the standstill")
        assert v.status("late")["state"] == "running"
        # an order now is refused with the reason, or fails with it
        raw, digest = v.request(plain)
        try:
            v.reserve("full", digest)
            v.call("machine.provision", agreement="full", request=raw)
            wait_until(lambda: v.status("full")["state"] == "failed", 60, "the failure")
            assert "full" in v.status("full")["error"] or "No space" in v.status("full")["error"]
        except Refused as error:
            assert error.kind == "limit" and "full" in str(error)
        ballast.unlink()
        writer.join(120)
        assert not writer.is_alive()
        wait_until(lambda: v.status("late")["step"] is None, 60, "the standstill's end")
        assert v.ssh("late", "wc -c </data/b") == f"{16 << 20}\n"
    finally:
        ballast.unlink(missing_ok=True)
        v.stop()


def test_a_stopped_manager_leaves_nothing_on_the_host(place):
    """No firewall table, no claim on users, no process, no control group; the next start has the same users again."""
    v = Vmmd(place / "clean").start()
    uids = v.uids
    table = ["nft", "list", "table", "inet", f"mooshnet_{uids[0]}"]
    claim = Path(f"/run/mooshnet/guests-{uids[0]}")
    assert subprocess.run(table, capture_output=True).returncode == 0 and claim.read_text() == str(v.dir)
    v.process.stop()
    assert subprocess.run(table, capture_output=True).returncode != 0 and not claim.exists()
    v.start()
    assert v.call("host.measure")["uid_first"] == uids[0]
    v.stop()
    assert qemu_of(uids) == []
    groups = [g for root in ("cpu/mooshnet", "mooshnet") for g in Path("/sys/fs/cgroup", root).glob(f"{uids[0]}-*")]
    assert groups == []
