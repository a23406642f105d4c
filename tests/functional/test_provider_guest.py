"""A rented machine's life among crashes: provider and keyd killed and locked, strangers, neighbours, retention.

The cases share a world and two guests and build on each other, in the order of the file.
"""
import os
import socket
import sqlite3
import subprocess
import threading

import pytest

import market as m
import rental as r
import vmmd as v
import world as w

RETENTION_S = 15
RATE_X = 1000 * m.X + 12345
SLOW = """{ default = import <moosh/micro> {
  name = "slow";
  # a build that takes long enough to be killed in
  files."/slow" = "${derivation { name = "slow"; system = "x86_64-linux"; builder = "/bin/sh";
                                  args = [ "-c" "i=0; while [ $i -lt 10 ]; do echo step $i; sleep 1; i=$((i + 1)); done; echo SALT >$out" ]; }}";
}; }
"""


@pytest.fixture(scope="module")
def rental():
    with w.World() as world:
        yield r.Rental(world, [("network", "internet", "true")], ram="512M")


@pytest.fixture(scope="module")
def offer(rental):
    return rental.offer(retention=RETENTION_S, rateX=str(RATE_X))


@pytest.fixture(scope="module")
def before(rental):
    return rental.books.everybody()


def slow(rental, name):
    return v.blueprint(rental.world.dir / name, SLOW.replace("SALT", os.urandom(8).hex()))


@pytest.fixture(scope="module")
def first(rental, offer, before):
    """Taken, not waited for: its provider will be killed."""
    name, _ = rental.take(offer, slow(rental, "first"), wait=False, check=True)
    return name


def test_killed_during_build(rental, first):
    w.wait_until(lambda: "step 1" in rental.log(first), 120, "the build")  # a build's log comes as it is written
    rental.provider.vmmd.kill()
    rental.provider.mooshd.kill()
    rental.provider.start()
    w.wait_until(lambda: rental.machine(first)["state"] == "booting", 180, "the boot after the build")


def test_killed_during_boot(rental, first, before):
    machine = rental.machine(first)
    assert machine["state"] in ("booting", "running")
    rental.provider.mooshd.kill()
    rental.provider.vmmd.kill()
    rental.provider.start()
    d = m.wait_state(rental.client, first, "active", timeout=180)
    assert d["probe"]["cpus"] == 1
    assert len(rental.guests()) == 1
    # the money is where it was, but for the deposit
    held = rental.books.check()
    assert before["client"] - held["client"] == int(d["deposit_wei"]) == held["escrowVault"] - before["escrowVault"]
    assert rental.ssh(first, "uname").strip() == "Linux"


def test_killed_while_serving(rental, first):
    boot_id = rental.ssh(first, "cat", "/proc/sys/kernel/random/boot_id")
    rental.provider.vmmd.kill()
    rental.provider.mooshd.kill()
    assert rental.ssh(first, "cat", "/proc/sys/kernel/random/boot_id") == boot_id  # nobody else is needed to serve
    rental.provider.start()
    w.wait_until(lambda: rental.machine(first)["state"] == "running", 30, "the machine manager's return")
    assert rental.ssh(first, "cat", "/proc/sys/kernel/random/boot_id") == boot_id
    assert rental.machine(first)["restarts"] == 0 and rental.show(first)["state"] == "active"


def test_guest_killed_comes_back(rental, first):
    """And when its process is killed while everybody is away, it is started again with its disk."""
    rental.ssh(first, "echo kept >/data/file; sync")
    pid, = rental.guests()
    rental.provider.vmmd.kill()
    os.kill(pid, 9)
    rental.provider.vmmd.start()
    w.wait_until(lambda: rental.machine(first)["state"] == "running" and rental.machine(first)["restarts"] == 1, 120,
                 "the guest's return")
    assert rental.ssh(first, "cat", "/data/file").strip() == "kept"


def test_keyd_killed(rental, first):
    rental.client.keyd.kill()
    done = rental.client.run("--yes", "top-up", first, "1", check=False)
    assert done.returncode == 6 and "keyd" in done.stderr, done.stderr
    assert rental.client.run("ps").stdout.count(first) == 1  # what needs no key goes on
    deposit = int(rental.show(first)["deposit_wei"])
    rental.client.keyd.start()
    rental.client.run("--yes", "top-up", first, "1")
    d = rental.show(first)
    assert int(d["balance_wei"]) + int(d["spent_wei"]) == deposit + 1_000_000
    rental.books.check()


def test_keyd_locked(rental, first, tmp_path):
    client = rental.client
    sent = m.transactions(rental.world, client)
    client.run("node", "lock")
    done = client.run("--yes", "top-up", first, "1", check=False)
    assert done.returncode == 5 and "locked" in done.stderr and "moosh node unlock" in done.stderr, done.stderr
    done = client.run("doctor", check=False)
    assert done.returncode == 1 and "locked" in done.stdout
    assert m.transactions(rental.world, client) == sent
    unlock(client)
    client.run("--yes", "top-up", first, "1")
    assert m.transactions(rental.world, client) == sent + 1
    rental.books.check()


@pytest.fixture(scope="module")
def second(rental, offer, first):
    """Taken while the provider's keys are locked."""
    rental.provider.run("node", "lock")
    name, _ = rental.take(offer, slow(rental, "second"), "--no-internet", wait=False, check=True)
    return name


def unlock(party):
    party.call("unlock", daemon="keyd", passphrase=party.PASSPHRASE)


def test_provider_locked_when_taken(rental, second):
    """Nobody can talk to it; it goes on when its keys are back, and nobody has lost anything."""
    w.wait_until(lambda: "handshake" in (rental.show(second)["error"] or ""), 60, "the client's word about its provider")
    assert rental.show(second)["state"] == "taken"
    assert "locked" in rental.provider.run("doctor", check=False).stdout
    unlock(rental.provider)
    m.wait_state(rental.client, second, "accepted", timeout=60)


def test_provider_locked_during_build(rental, second):
    """The machine is made, but the chain cannot be told."""
    w.wait_until(lambda: "step 1" in rental.log(second), 120, "the build")
    rental.provider.run("node", "lock")
    w.wait_until(lambda: "provisioned: the wallet is locked" in rental.provider.mooshd.log.read_text(), 120,
                 "the provider's word about its keys")
    assert rental.machine(second)["state"] == "running" and rental.show(second)["state"] == "accepted"
    unlock(rental.provider)
    m.wait_state(rental.client, second, "active", timeout=60)
    rental.books.check()


def test_exhausted_inventory_is_not_on_offer(rental, offer, first, second):
    """Both machines of 256 MiB are let: the client knows by the chain's event, and the provider says why."""
    w.wait_until(lambda: rental.client.call("offers.list")["offers"] == [], 20, "the offer's end")
    listed, = rental.client.json("offers", "--all")["offers"]
    assert listed["id"] == offer and listed["available"] == 0 and listed["why_not"]
    sent = m.transactions(rental.world, rental.client)
    _, done = rental.take(offer, v.blueprint(rental.world.dir / "third"))
    assert done.returncode == 10 and listed["why_not"] in done.stderr, done.stderr
    assert m.transactions(rental.world, rental.client) == sent
    shown = rental.provider.run("status", program="moosh-vmm").stdout
    assert listed["why_not"] in shown
    rental.client.run("offers", "--refresh")
    assert rental.client.call("offers.list", all=True)["offers"] == []  # and it is not even served


class Listener:
    """Counts who comes to a port on all of the host's addresses."""

    def __init__(self):
        self.socket = socket.create_server(("0.0.0.0", 0))
        self.port, self.came = self.socket.getsockname()[1], 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.came += 1
            connection.close()


def host_addresses():
    shown = subprocess.run(["ip", "-4", "-o", "addr", "show", "scope", "global"], capture_output=True, text=True, check=True)
    return [line.split()[3].split("/")[0] for line in shown.stdout.splitlines()]


def test_guest_reaches_neither_host_nor_neighbour(rental, first, second):
    listener = Listener()
    neighbour = rental.machine(first)["endpoint"]["port"]
    try:
        for address in ["10.0.2.2", *host_addresses()]:
            for port in (listener.port, neighbour):
                for name in (first, second):
                    done = rental.client.run("ssh", name, "--", f"nc -w 2 {address} {port} </dev/null", check=False)
                    assert done.returncode != 0 and "SSH-" not in done.stdout, (name, address, port)
        assert listener.came == 0
    finally:
        listener.socket.close()


def test_internet_is_a_choice(rental, first, second):
    assert rental.machine(first)["internet"] is True and rental.machine(second)["internet"] is False


def test_logs_and_console(rental, first):
    assert "moosh: ready" in rental.client.run("console", first).stdout
    log = rental.log(first)
    assert "running: SSH" in log and "starting again" in log
    assert rental.client.run("logs", "nobody", check=False).returncode == 3


def test_reboot(rental, second):
    boot_id = rental.ssh(second, "cat", "/proc/sys/kernel/random/boot_id")
    rental.ssh(second, "echo kept >/data/file; sync")
    rental.client.run("--yes", "reboot", second)
    w.wait_until(lambda: rental.machine(second)["restarts"] == 1 and rental.machine(second)["state"] == "running", 120,
                 "the reboot")
    assert rental.ssh(second, "cat", "/proc/sys/kernel/random/boot_id") != boot_id
    assert rental.ssh(second, "cat", "/data/file").strip() == "kept"
    assert rental.show(second)["state"] == "active"


def test_somebody_elses_machine(rental, first):
    """A node that claims the agreement as its own gets nothing: the provider knows who asks."""
    nosy = rental.world.party("nosy").start()
    nosy.run("contact", "add", rental.provider.contact, "stranger")
    nosy.mooshd.stop()
    rental.client.mooshd.stop()
    with sqlite3.connect(nosy.dir / "mooshd.db") as db:
        db.execute("ATTACH ? AS other", (str(rental.client.dir / "mooshd.db"),))
        for table, key in (("deployments", "name"), ("agreements", "id")):
            value = first if key == "name" else db.execute("SELECT agreement FROM other.deployments WHERE name = ?",
                                                           (first,)).fetchone()[0]
            db.execute(f"INSERT INTO {table} SELECT * FROM other.{table} WHERE {key} = ?", (value,))
        db.execute("UPDATE deployments SET host_key = NULL, probed_s = 0")
    rental.client.start()
    nosy.start()
    restarts = rental.machine(first)["restarts"]
    for command in (["logs", first], ["console", first], ["--yes", "reboot", first]):
        done = nosy.run(*command, check=False)
        assert done.returncode == 3 and "no such agreement between us" in done.stderr, done.stderr
        assert done.stdout == ""
    # machine.get, which the node asks by itself as it has no endpoint
    w.wait_until(lambda: "no such agreement between us" in (m.deployment(nosy, first)["error"] or ""), 30,
                 "the refused machine.get")
    assert nosy.run("ssh", first, "--", "true", check=False).returncode != 0
    assert rental.machine(first)["restarts"] == restarts and rental.show(first)["state"] == "active"


def test_close_keeps_the_disk_and_then_destroys_its_key(rental, offer, first, before):
    key = rental.provider.dir / "vm/1/disk/key"
    assert key.exists()
    d = rental.close(first)
    assert d["close_reason"] == "Buyer"
    assert w.wait_until(lambda: rental.machine(first)["state"] == "retained" and rental.machine(first), 30, "the retention")
    assert key.exists()
    # its memory is free for others at once
    w.wait_until(lambda: rental.client.run("offers", "--refresh") and rental.client.call("offers.list")["offers"], 30,
                 "the offer's return")
    assert len(rental.guests()) == 1
    w.wait_until(lambda: rental.machine(first)["state"] == "destroyed", RETENTION_S + 30, "the end of the retention")
    assert not key.exists()
    rental.quiet()
    rental.books.check()


def test_manager_down(rental, offer, second):
    """What nobody can serve is not on offer; what runs goes on."""
    rental.provider.vmmd.stop()
    rental.client.run("offers", "--refresh")
    assert rental.client.call("offers.list")["offers"] == []
    shown = rental.provider.run("status", program="moosh-vmm").stdout
    assert "moosh-vmmd" in shown and "does not answer" in shown
    assert rental.ssh(second, "uname").strip() == "Linux"
    done = rental.client.run("logs", second, check=False)
    assert done.returncode == 6, done.stderr
    rental.provider.vmmd.start()
    rental.client.run("offers", "--refresh")
    assert [o["id"] for o in rental.client.call("offers.list")["offers"]] == [offer]


def test_the_ledger_to_the_unit(rental, first, second, before):
    rental.close(second)
    rental.quiet()
    held = rental.books.check()
    paid = 0
    for name in (first, second):
        d = rental.show(name)
        seconds = d["closed_s"] - d["provisioned_s"]
        assert int(d["spent_wei"]) == -(-RATE_X * seconds // m.X)  # a payer gets whole units back, the rest is earned
        paid += int(d["spent_wei"])
    assert before["client"] - held["client"] == paid == held["provider"] - before["provider"]
    assert held["escrowVault"] == before["escrowVault"]
    w.wait_until(lambda: rental.machine(second)["state"] == "destroyed", RETENTION_S + 30, "the end of the retention")
    assert rental.reserved() == (0, 0, 0) and rental.guests() == []
