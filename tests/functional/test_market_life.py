"""Four machines that really run, and every way money runs while they do and out when they end, to the unit.

One boot serves all tests here: they go on from one another in this order. All along the provider's clock is ten minutes
slow and the client's ten minutes fast: what is due when is for the chain to say."""
import socket
import types

import pytest

import market as m
import world as w

pytestmark = pytest.mark.skipif(not w.PROGRAMS["vmmd"].exists(), reason="moosh-vmmd is not built")
RATE, PAUSED, KEPT = 1000 * m.X + 12345, 100 * m.X + 777, 10 * m.X + 99  # of m.terms
RETENTION, LOCK, MIN_TERM, MAX_TERM, NOTICE = 40, 30, 7200, 20000, 600


class Account:
    """docs/market.md's arithmetic, once more: token-wei·2^32."""

    def __init__(self, d):
        self.fixed = KEPT * RETENTION
        self.bal, self.earned, self.t, self.rate = int(d["deposit_wei"]) * m.X, 0, d["provisioned_s"], RATE

    def grace_until(self):
        return self.t + (self.bal - self.fixed) // self.rate

    def touch(self, now):
        if now > self.t:
            until = min(now, self.grace_until())
            self.pay(self.rate * (until - self.t))
            self.t = until

    def pay(self, x):
        x = min(x, self.bal)
        self.bal, self.earned = self.bal - x, self.earned + x

    def change(self, now, rate):
        self.touch(now)
        self.rate = rate

    def top_up(self, now, wei):
        self.touch(now)
        self.t = max(self.t, now)
        self.bal += wei * m.X

    def close(self, now):
        """(to the payer, to the provider) in wei: the fraction is the provider's."""
        self.touch(now)
        self.pay(KEPT * min(max(now - self.grace_until(), 0), RETENTION))
        refund = self.bal // m.X
        return refund, (self.earned + self.bal) // m.X - refund


@pytest.fixture(scope="module")
def market():
    with w.World() as world:
        provider = world.party("provider", provider=True, tokens=5000, env=m.wrong_clock(-600)).start()
        m.become_provider(world, provider)
        offers = {name: m.publish(provider, m.terms(world, retention=RETENTION, lockPeriod=LOCK, **more)) for name, more in {
            "long": {}, "min": {"minTerm": MIN_TERM}, "max": {"maxTerm": MAX_TERM}, "notice": {"notice": NOTICE}}.items()}
        client = world.party("client", env=m.wrong_clock(600)).start()
        client.run("contact", "add", provider.contact, "seller")
        market = types.SimpleNamespace(world=world, chain=world.chain, provider=provider, client=client,
                                       books=m.Books(world, provider, client), paid=0)
        market.begin = market.books.check()
        url = w.blueprint_repository(world.dir / "blueprint")
        for name, lasts in (("long", "1h"), ("min", "4h"), ("max", "12h"), ("notice", "12h")):
            client.run("--yes", "take", offers[name], "--blueprint", url, "--no-wait", "--name", name, "--for", lasts)
        for name in offers:
            m.wait_state(client, name, "active", timeout=400)
        yield market


def show(market, name):
    return m.deployment(market.client, name)


def guest(market, name):
    return market.provider.call("machine.status", daemon="vmmd", agreement=str(show(market, name)["agreement"]))["state"]


def wait_guest(market, name, state, timeout=60):
    w.wait_until(lambda: guest(market, name) == state, timeout, f"guest {name} {state}")


def when(market, name, action):
    """Block time of the newest transaction of that action."""
    tx = [t for t in show(market, name)["transactions"] if t["purpose"].startswith(action)][-1]
    block = market.chain.rpc("eth_getTransactionReceipt", tx["hash"])["blockNumber"]
    return int(market.chain.rpc("eth_getBlockByNumber", block, False)["timestamp"], 16)


def until(market, moment):
    """Let the chain's time pass up to `moment`."""
    left = moment - market.chain.now()
    if left > 0:
        market.chain.pass_time(left)


def speaks(market, name, patience):
    """Does the guest's SSH server greet? A stopped processor does not."""
    endpoint = show(market, name)["endpoint"]
    try:
        with socket.create_connection((endpoint["host"], endpoint["port"]), timeout=patience) as s:
            return s.recv(4) == b"SSH-"
    except OSError:
        return False


def settled(market, name, reason, refund, paid, penalty=0):
    """How it ended, and that books and chain say the same."""
    d = m.wait_over(market.client, name)
    assert d["close_reason"] == reason, d
    assert (int(d["refund_wei"]), int(d["penalty_wei"])) == (refund, penalty), d
    assert int(d["spent_wei"]) == paid, d
    market.paid += paid
    market.books.check()
    return d


def test_1_a_minimum_term_is_paid_to_its_end(market):
    d = show(market, "min")
    assert int(d["early_fee_wei"]) > RATE * (MIN_TERM - 600) // m.X  # and the person is told before
    done = market.client.run("--yes", "close", "min")
    paid = -(-RATE * MIN_TERM // m.X)  # seconds used and seconds left make the term; a fraction is the provider's
    assert "is closed" in done.stderr
    settled(market, "min", "Buyer", int(d["deposit_wei"]) - paid, paid)
    wait_guest(market, "min", "retained")


def test_2_pause_and_resume(market):
    """The guest stops, the rate falls; it goes on where it was."""
    d = show(market, "long")
    market.account = Account(d)
    assert market.client.run("ssh", "long", "--", "echo", "marked", ">", "/tmp/mark").returncode == 0
    assert speaks(market, "long", 30)
    market.client.run("pause", "long")
    market.account.change(when(market, "long", "pause"), PAUSED)
    wait_guest(market, "long", "paused")
    assert show(market, "long")["state"] == "paused" and not speaks(market, "long", 2)
    assert show(market, "long")["rate_x"] == str(PAUSED)
    again = market.client.run("pause", "long", check=False)
    assert again.returncode == m.CONFLICT and "long is paused: only what is active can be paused" in again.stderr
    market.chain.pass_time(1000)
    assert guest(market, "long") == "paused"
    market.client.run("resume", "long")
    market.account.change(when(market, "long", "resume"), RATE)
    wait_guest(market, "long", "running")
    assert market.client.run("ssh", "long", "--", "cat", "/tmp/mark").stdout.strip() == "marked"
    assert show(market, "long")["runs_out_at_s"] == market.account.grace_until()


def test_3_top_up(market):
    before = market.books.check()
    done = market.client.run("top-up", "long", "0.5", check=False)
    assert done.returncode == m.USAGE and "--yes" in done.stderr
    done = market.client.run("--yes", "top-up", "long", "5000", check=False)
    assert done.returncode == m.FUNDS, done.stderr
    assert market.books.check() == before
    market.client.run("--yes", "top-up", "long", "0.5")
    market.account.top_up(when(market, "long", "topup"), 500000)
    after = market.books.check()
    assert after["client"] == before["client"] - 500000 and after["escrowVault"] == before["escrowVault"] + 500000
    assert show(market, "long")["runs_out_at_s"] == market.account.grace_until()


def test_4_notice(market):
    """A provider that wants its machine back says so, is paid until the notice is over, and then takes it."""
    number = str(show(market, "notice")["agreement"])
    for args, code, says in ((["reclaim", "999"], m.NOT_FOUND, "no machine of agreement 999"),
                             (["reclaim", "x"], m.USAGE, "not an agreement's number")):
        done = market.provider.run("--yes", *args, program="moosh-vmm", check=False)
        assert done.returncode == code and says in done.stderr, done.stderr
    account = Account(show(market, "notice"))
    done = market.provider.run("--yes", "reclaim", number, program="moosh-vmm")
    assert "Notice is given" in done.stderr
    d = m.wait_state(market.client, "notice", "reclaiming")
    again = market.provider.run("--yes", "reclaim", number, program="moosh-vmm", check=False)
    assert again.returncode == m.CONFLICT and "reclaiming" in again.stderr, again.stderr
    assert guest(market, "notice") == "running"
    # leaving before that would cost the rest of the notice
    quote = market.provider.call("provider.end", agreement=int(number), quote=True)
    assert quote["reason"] == "EarlyExit" and 0 < int(quote["penalty_wei"]) <= RATE * NOTICE // m.X
    market.chain.pass_time(NOTICE + 1)
    d = m.wait_over(market.client, "notice")
    refund, paid = account.close(d["closed_s"])
    settled(market, "notice", "Reclaim", refund, paid)
    wait_guest(market, "notice", "retained")


def test_5_out_of_money_and_back(market):
    """DRAINING: the guest is off, its disk is kept, nothing is billed; a top-up brings it back."""
    until(market, market.account.grace_until() - LOCK - 10)
    assert show(market, "long")["state"] == "active"
    until(market, market.account.grace_until() - LOCK + 1)
    m.wait_state(market.client, "long", "grace")
    assert guest(market, "long") == "running"
    done = market.client.run("pause", "long", check=False)
    assert done.returncode == m.CONFLICT and "long is grace" in done.stderr
    until(market, market.account.grace_until() + 1)
    d = m.wait_state(market.client, "long", "draining")
    wait_guest(market, "long", "stopped", 120)
    market.client.run("--yes", "top-up", "long", "1")
    market.account.top_up(when(market, "long", "topup"), 1000000)
    d = m.wait_state(market.client, "long", "active")
    assert d["runs_out_at_s"] == market.account.grace_until()
    wait_guest(market, "long", "running", 300)
    w.wait_until(lambda: market.client.run("ssh", "long", "--", "true", check=False).returncode == 0, 120, "a login")


def test_6_out_of_money_for_good(market):
    until(market, market.account.grace_until() - LOCK + 1)
    m.wait_state(market.client, "long", "grace")
    until(market, market.account.grace_until() + 1)
    m.wait_state(market.client, "long", "draining")
    until(market, market.account.grace_until() + RETENTION + 1)
    d = m.wait_over(market.client, "long")
    refund, paid = market.account.close(d["closed_s"])
    deposits = int(d["deposit_wei"]) + 1500000
    assert refund + paid == deposits
    settled(market, "long", "Funds", refund, paid)
    wait_guest(market, "long", "destroyed")


def test_7_the_longest_term(market):
    d = show(market, "max")
    account = Account(d)
    until(market, d["provisioned_s"] + MAX_TERM - 60)
    assert show(market, "max")["state"] == "active"
    until(market, d["provisioned_s"] + MAX_TERM)
    d = m.wait_over(market.client, "max")
    assert d["closed_s"] >= d["provisioned_s"] + MAX_TERM
    refund, paid = account.close(d["closed_s"])
    settled(market, "max", "Expired", refund, paid)
    wait_guest(market, "max", "retained")


def test_8_the_books_at_the_end(market):
    """What the client paid is what the provider has; the vaults hold what they held."""
    market.chain.pass_time(10)  # the hold-back
    w.wait_until(lambda: market.books.of(market.provider) == market.begin["provider"] + market.paid, 60,
                 "the provider's last collect")
    end = market.books.check()
    assert end["client"] == market.begin["client"] - market.paid
    assert end["escrowVault"] == market.begin["escrowVault"] and end["stakeVault"] == market.begin["stakeVault"]
    stake = market.provider.call("wallet.show")["stake"]
    assert int(stake["reserved_wei"]) == 0
    pool, = market.provider.call("inventory.get", daemon="vmmd")["pools"]
    assert pool["reserved"]["vcpu_milli"] == 0
