"""Machines that are not what was agreed: the client's node finds out, rejects, and pays nothing."""
import hashlib

import pytest

import market as m
import rental as r
import vmmd as v
import world as w


@pytest.fixture(scope="module")
def rental():
    with w.World() as world:
        yield r.Rental(world, tokens=2000)


@pytest.fixture(scope="module")
def offer(rental):
    return rental.offer()


@pytest.fixture(autouse=True)
def nothing_paid(rental):
    before = rental.books.everybody()
    yield
    assert rental.books.check() == before
    assert rental.reserved() == (0, 0, 0) and rental.guests() == []


def micro(rental, name, text):
    return v.blueprint(rental.world.dir / name, "{ default = import <moosh/micro> { name = \"" + name + "\"; " + text + " }; }\n")


def rejected(rental, name):
    d = m.wait_over(rental.client, name)
    assert d["close_reason"] == "Rejected" and d["refund_wei"] == d["deposit_wei"] and d["spent_wei"] == "0"
    assert d["report"] and hashlib.sha256(d["report"].encode()).hexdigest() == rental.evidence(name)
    w.wait_until(lambda: rental.machine(name)["state"] == "destroyed", 60, "the machine's end")
    shown = rental.client.run("show", name).stdout
    assert "did not pass" in shown
    return d


def test_probe_that_lies(rental, offer):
    """It runs another request: found out at the first login."""
    blueprint = micro(rental, "liar", 'files."/usr/bin/moosh-probe" = "#!/bin/sh\\necho \'{\\"request_hash\\":\\"'
                      + "11" * 32 + '\\",\\"cpus\\":64,\\"ram_mib\\":65536,\\"disk_gib\\":999}\'\\n";')
    name, done = rental.take(offer, blueprint)
    assert done.returncode == 4 and "another request" in done.stderr.splitlines()[-1], done.stderr
    d = rejected(rental, name)
    assert "11" * 32 in d["report"]


def test_login_refused(rental, offer):
    """SSH answers and lets nobody in; the node tries until the window is nearly over."""
    blueprint = micro(rental, "closed", 'files."/etc/passwd" = "root::0:0:root:/root:/bin/none\\n";')
    name, _ = rental.take(offer, blueprint, wait=False, check=True)
    w.wait_until(lambda: "cannot log in" in (rental.show(name)["error"] or ""), 180, "the failed login")
    assert rental.show(name)["state"] == "provisioned"
    rental.chain.pass_time(560)  # of 600
    d = rejected(rental, name)
    assert "cannot log in" in d["error"]


def test_guest_that_turns_itself_off(rental, offer):
    blueprint = micro(rental, "off", 'files."/init" = "#!/bin/sh\\nexec poweroff -f\\n";')
    name, done = rental.take(offer, blueprint)
    assert done.returncode == 4, done.stderr
    d = m.wait_over(rental.client, name)
    assert d["refund_wei"] == d["deposit_wei"] and "turned itself off" in d["error"]
    log = rental.log(name)
    assert "powered off" in log and r.is_prefix_digest(log, rental.evidence(name))
    w.wait_until(lambda: rental.machine(name)["state"] == "destroyed", 60, "the machine's end")
