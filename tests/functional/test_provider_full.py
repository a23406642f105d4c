"""Full disks, at the client and at the provider: refused with a sentence, nothing lost, and it goes on when there is space.

Each state directory is a small file system of its own. The cases share one guest and build on each other.
"""
import errno
import os
import subprocess

import pytest

import market as m
import rental as r
import vmmd as v
import world as w

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
LIMIT = 13  # exit code


class Volume:
    """A file system in a file, to be filled and emptied."""

    def __init__(self, path, mib):
        self.image, self.dir = path.with_suffix(".img"), path
        path.mkdir()
        with open(self.image, "wb") as f:
            f.truncate(mib << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", self.image], check=True)
        subprocess.run(["mount", "-o", "loop", self.image, path], check=True)
        self.filler = path / "filler"

    def fill(self):
        """Not a byte is left."""
        with open(self.filler, "ab", buffering=0) as f:
            size = 1 << 30
            while size:
                try:
                    os.posix_fallocate(f.fileno(), os.fstat(f.fileno()).st_size, size)
                except OSError as e:
                    assert e.errno == errno.ENOSPC
                    size //= 2

    def empty(self):
        self.filler.unlink(missing_ok=True)

    def close(self):
        self.empty()
        subprocess.run(["umount", "--lazy", self.dir], check=True)


@pytest.fixture(scope="module")
def world():
    with w.World() as world:
        yield world


@pytest.fixture(scope="module")
def volumes(world):
    """One for each state directory; unmounted when the daemons have ended."""
    made = {"provider": Volume(world.dir / "provider", 24 << 10), "client": Volume(world.dir / "client", 64)}
    yield made
    for volume in made.values():
        volume.empty()
    world.close()
    for volume in made.values():
        volume.close()


@pytest.fixture(scope="module")
def rental(world, volumes):
    rental = r.Rental(world)
    for party in (rental.provider, rental.client):
        for process in (party.mooshd, party.keyd, party.vmmd):
            process.log = world.dir / f"{party.name}-{process.log.name}"  # where there is room
        party.mooshd.stop()
        party.start()
    return rental


@pytest.fixture(scope="module")
def offer(rental):
    return rental.offer()


@pytest.fixture(scope="module")
def before(rental, offer):
    return rental.books.everybody()


@pytest.fixture(scope="module")
def blueprint(rental):
    return v.blueprint(rental.world.dir / "plain")


def restart(party, *processes):
    for process in processes:
        process.kill()
    for process in processes:
        process.start()


def test_client_full(rental, volumes, offer, before, blueprint):
    sent = m.transactions(rental.world, rental.client)
    volumes["client"].fill()
    name, done = rental.take(offer, blueprint, "--no-wait")
    assert done.returncode == LIMIT and "the disk is full" in done.stderr, done.stderr
    done = rental.client.run("doctor", check=False)
    assert done.returncode == 1 and "disk" in done.stdout
    # killed and started again without space
    restart(rental.client, rental.client.keyd, rental.client.mooshd)
    assert rental.client.run("ps").returncode == 0
    name, done = rental.take(offer, blueprint, "--no-wait")
    assert done.returncode == LIMIT and "the disk is full" in done.stderr, done.stderr
    volumes["client"].empty()
    assert m.transactions(rental.world, rental.client) == sent
    assert rental.client.call("agreement.list", all=True)["deployments"] == []
    assert rental.books.check() == before


@pytest.fixture(scope="module")
def taken(rental, volumes, offer, before, blueprint):
    volumes["provider"].fill()
    name, _ = rental.take(offer, blueprint, wait=False, check=True)
    return name


def test_provider_full_when_taken(rental, volumes, taken):
    w.wait_until(lambda: "the disk is full" in rental.provider.mooshd.log.read_text(), 60, "the provider's complaint")
    assert m.wait_state(rental.client, taken, "taken")["spent_wei"] == "0"
    done = rental.provider.run("doctor", program="moosh-vmm", check=False)
    assert done.returncode == 1 and "disk" in done.stdout
    restart(rental.provider, rental.provider.vmmd, rental.provider.mooshd)
    volumes["provider"].empty()
    m.wait_state(rental.client, taken, "active", timeout=180)
    assert rental.ssh(taken, "uname").strip() == "Linux"
    rental.books.check()


def test_provider_full_while_serving(rental, volumes, taken):
    """The guest stops where it wanted to write, and goes on from there."""
    volumes["provider"].fill()
    writer = subprocess.Popen([w.PROGRAMS["moosh"], "--state", rental.client.dir, "ssh", taken, "--",
                               "dd if=/dev/urandom of=/data/big bs=1M count=40 && sync && echo written"],
                              stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
    try:
        w.wait_until(lambda: "full" in (rental.machine(taken)["step"] or ""), 120, "the guest's halt")
        assert rental.show(taken)["state"] == "active"
        volumes["provider"].empty()
        assert "written" in writer.communicate(timeout=120)[0]
    finally:
        writer.kill()
    assert rental.machine(taken)["restarts"] == 0
    w.wait_until(lambda: not rental.machine(taken)["step"], 60, "the end of the halt")


def test_client_full_while_serving(rental, volumes, taken, before):
    """What moves money needs a journal; looking and logging in do not."""
    sent = m.transactions(rental.world, rental.client)
    volumes["client"].fill()
    assert rental.client.json("show", taken)["state"] == "active"
    assert rental.ssh(taken, "uname").strip() == "Linux"
    done = rental.client.run("--yes", "close", taken, check=False)
    assert done.returncode == LIMIT and "the disk is full" in done.stderr, done.stderr
    assert m.transactions(rental.world, rental.client) == sent
    volumes["client"].empty()
    d = rental.close(taken)
    rental.quiet()
    held = rental.books.check()
    assert before["client"] - held["client"] == int(d["spent_wei"]) == held["provider"] - before["provider"]
    assert held["escrowVault"] == before["escrowVault"]
