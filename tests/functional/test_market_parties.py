"""Parties who do not do what they should: a provider that never accepts, requests that are not what was agreed, hosts
that are not who they should be, clocks that are wrong."""
import json
import time
import types

import pytest

import market as m
import world as w

pytestmark = pytest.mark.skipif(not w.PROGRAMS["mooshd"].exists(), reason="mooshd is not built")


@pytest.fixture(scope="module")
def market():
    with w.World() as world:
        provider = world.party("provider", provider=True, tokens=5000).start()
        m.become_provider(world, provider)
        offers = {"slow": m.publish(provider, m.terms(world, acceptWithin=3600)),
                  "quick": m.publish(provider, m.terms(world, acceptWithin=90))}
        client = world.party("client")
        client.start().run("contact", "add", provider.contact, "seller")
        stranger = world.party("stranger").start()
        url = w.blueprint_repository(world.dir / "blueprint")
        yield types.SimpleNamespace(world=world, chain=world.chain, provider=provider, client=client, stranger=stranger,
                                    offers=offers, books=m.Books(world, provider, client, stranger), blueprint=url,
                                    no_blueprint=url[:-40] + "0" * 40)


@pytest.fixture
def provider_off(market):
    market.provider.mooshd.stop()
    yield
    market.provider.start()


def take(market, name, offer="slow", blueprint=None):
    market.client.run("--yes", "take", market.offers[offer], "--blueprint", blueprint or market.no_blueprint, "--no-wait",
                      "--name", name)
    return m.wait_state(market.client, name, "taken", "accepted", "closed")


def close(market, name, money):
    """Leave before anybody accepted: all money is back."""
    market.client.run("--yes", "close", name)
    d = m.wait_over(market.client, name)
    assert d["close_reason"] == "BuyerCancel" and d["refund_wei"] == d["deposit_wei"], d
    assert market.books.of(market.client) == money
    market.books.check()


def test_a_provider_that_never_accepts(market, provider_off):
    """The client's node gets deposit and penalty by itself once the deadline has passed."""
    before = market.books.check()
    d = take(market, "ignored")
    deposit = int(d["deposit_wei"])
    assert market.books.of(market.client) == before["client"] - deposit
    market.chain.pass_time(3600 - 60)
    assert m.deployment(market.client, "ignored")["state"] == "taken"  # not yet
    market.chain.pass_time(61)
    d = m.wait_over(market.client, "ignored")
    penalty = (1000 * m.X + 12345) * 60 // m.X  # rate times notice
    assert d["close_reason"] == "ProviderTimeout" and int(d["penalty_wei"]) == penalty and int(d["refund_wei"]) == deposit, d
    after = market.books.check()
    assert after["client"] == before["client"] + penalty
    assert after["stakeVault"] == before["stakeVault"] - penalty
    assert after["escrowVault"] == before["escrowVault"] and after["provider"] == before["provider"]
    shown = market.client.run("show", "ignored").stdout
    assert "penalty" in shown and "0.06 tUSD" in shown, shown


def test_a_provider_that_leaves_at_once(market, provider_off):
    """It is told what that costs; the client gets the deposit back and the notice's rent from the bond."""
    before = market.books.check()
    d = take(market, "left")
    number = str(d["agreement"])
    market.client.mooshd.stop()
    market.provider.start()
    done = market.provider.run("end", number, program="moosh-vmm", check=False)
    assert done.returncode == m.USAGE and "Penalty       0.06 tUSD, from your stake" in done.stderr, done.stderr
    done = market.provider.run("end", number, "--yes", program="moosh-vmm")
    assert "over (EarlyExit); penalty: 0.06 tUSD" in done.stderr, done.stderr
    again = market.provider.run("end", number, "--yes", program="moosh-vmm", check=False)
    assert again.returncode == m.CONFLICT and "is over" in again.stderr, again.stderr
    market.client.start()
    d = m.wait_over(market.client, "left")
    penalty = (1000 * m.X + 12345) * 60 // m.X
    assert d["close_reason"] == "EarlyExit" and int(d["penalty_wei"]) == penalty and d["refund_wei"] == d["deposit_wei"], d
    after = market.books.check()
    assert after["client"] == before["client"] + penalty and after["stakeVault"] == before["stakeVault"] - penalty
    assert after["escrowVault"] == before["escrowVault"]


def refusal(market, name):
    """What the provider's node said about the request."""
    return w.wait_until(lambda: "not the request" in ((d := m.deployment(market.client, name))["error"] or "") and d, 60,
                        "the provider's refusal")


def test_a_request_that_was_tampered_with(market, provider_off):
    """Other bytes than those whose hash is on the chain: the provider does not touch them, and says why."""
    money = market.books.of(market.client)
    number = take(market, "tampered")["agreement"]
    market.client.mooshd.stop()
    (request,), = m.store(market.client, "SELECT request FROM deployments WHERE name = 'tampered'")
    changed = request[:-1] + bytes([request[-1] ^ 1])
    m.store(market.client, "UPDATE deployments SET request = ? WHERE name = 'tampered'", changed)
    market.provider.start()
    market.client.start()
    d = refusal(market, "tampered")
    assert d["state"] == "taken" and f"agreement {number}: this is not the request whose hash was agreed" in d["error"], d
    assert market.provider.call("machine.list", daemon="vmmd", all=True)["machines"] == []
    assert "not the request" in market.client.run("show", "tampered").stdout
    close(market, "tampered", money)


def test_a_request_that_is_replayed(market, provider_off):
    """The request of another agreement, closed or not, is no request for this one."""
    money = market.books.of(market.client)
    take(market, "earlier")
    close(market, "earlier", money)
    take(market, "replayed")
    market.client.mooshd.stop()
    m.store(market.client, "UPDATE deployments SET request = (SELECT request FROM deployments WHERE name = 'earlier')"
            " WHERE name = 'replayed'")
    market.provider.start()
    market.client.start()
    assert refusal(market, "replayed")["state"] == "taken"
    assert market.provider.call("machine.list", daemon="vmmd", all=True)["machines"] == []
    close(market, "replayed", money)


def test_nobody_else_reaches_an_agreement(market):
    """A stranger who names somebody's agreement learns nothing about it."""
    done = market.stranger.run("show", "1", check=False)
    assert done.returncode == m.NOT_FOUND and 'there is no deployment "1"' in done.stderr


def test_a_contact_with_a_wrong_key(market):
    right = market.provider.contact
    wrong = market.stranger.contact.split("@")[0] + "@" + right.split("@")[1]
    done = market.client.run("contact", "add", wrong, "liar", check=False)
    assert done.returncode == m.REFUSED, done.stderr
    assert "not added" in done.stderr and "it holds another node key" in done.stderr, done.stderr
    assert [c["name"] for c in market.client.call("contact.list")["contacts"]] == ["seller"]
    for bad in ("nonsense", "@127.0.0.1:1", right.replace("@", "00@"), "f" * 66 + "@127.0.0.1:1", right.rsplit(":", 1)[0]):
        done = market.client.run("contact", "add", bad, check=False)
        assert done.returncode == m.USAGE, (bad, done.returncode, done.stderr)
    done = market.client.run("contact", "add", market.client.contact, check=False)
    assert done.returncode == m.USAGE and "our own address" in done.stderr
    # nobody at home is another matter: it may come back
    nobody = market.stranger.contact.split("@")[0] + f"@127.0.0.1:{w.free_port()}"
    done = market.client.run("contact", "add", nobody, "away")
    assert "does not answer now" in done.stderr, done.stderr
    market.client.run("contact", "remove", "away")


def test_a_host_that_answers_with_another_key(market):
    """Where a contact was, somebody else listens now: no offers are taken from it, no request is handed to it."""
    offers = sorted(o["id"] for o in market.client.call("offers.list")["offers"])
    money = market.books.of(market.client)
    market.provider.mooshd.stop()
    market.stranger.mooshd.stop()
    market.stranger._tune("mooshd.conf", "node", "listen", market.provider.listen)
    market.stranger.start()
    try:
        refreshed = market.client.run("offers", "--refresh", "--json", check=False)
        assert "another node key" in refreshed.stderr, refreshed.stderr
        assert sorted(o["id"] for o in json.loads(refreshed.stdout)["offers"]) == offers
        take(market, "waylaid")
        d = w.wait_until(lambda: "another node key" in ((d := m.deployment(market.client, "waylaid"))["error"] or "") and d, 30,
                         "a word about the key")
        assert d["state"] == "taken" and "provider seller" in d["error"], d
        close(market, "waylaid", money)
    finally:
        market.stranger.mooshd.stop()
        market.stranger._tune("mooshd.conf", "node", "listen", market.stranger.listen)
        market.provider.start()
    market.client.run("offers", "--refresh")


def test_an_old_block_is_no_clock(market):
    """Blocks made while the node was off do not make its clock look fast."""
    market.client.mooshd.stop()
    market.chain.rpc("anvil_mine", "0x3", "0x1")
    ahead = round(market.chain.now() - time.time()) + 600  # ten minutes later, nothing has happened on the chain
    market.client.mooshd.env = {**w.os.environ, **m.wrong_clock(ahead)}
    market.client.start()
    w.wait_until(lambda: (c := market.client.call("node.status")["chain"])["synced_block"] == c["head"], 30, "the last block")
    assert market.client.call("node.status")["clock_skew_s"] is None
    assert "not compared yet" in market.client.run("doctor", check=False).stdout
    market.client.mooshd.stop()
    market.client.mooshd.env = dict(w.os.environ)
    market.client.start()


@pytest.mark.parametrize("off", [600, -600])
def test_clocks_ten_minutes_off(market, off):
    """Deadlines are the chain's: with 90 s to accept, wrong clocks neither miss nor forestall one. The doctor says so."""
    def restart(party, off):
        party.stop()
        party.env.clear()
        if off:
            ahead = round(market.chain.now() - time.time()) + off  # the tests before have let the chain's time pass
            party.env.update(m.wrong_clock(ahead))
        for process in (party.keyd, party.vmmd, party.mooshd):
            process.env = {**w.os.environ, **party.env}
        party.start()
    before = market.books.check()
    restart(market.client, off)
    restart(market.provider, -off)
    try:
        market.client.run("offers", "--refresh")
        name = "fast" if off > 0 else "slow"
        d = take(market, name, "quick")
        # the provider accepts in time, finds no such commit, and the client leaves: nobody lost a deadline
        d = m.wait_over(market.client, name)
        assert d["close_reason"] in ("Buyer", "BuyerCancel") and d["refund_wei"] == d["deposit_wei"], d
        assert int(d["penalty_wei"]) == 0
        for party, ahead in ((market.client, off), (market.provider, -off)):
            assert abs(party.call("node.status")["clock_skew_s"] - ahead) < 30
            doctor = party.run("doctor", check=False)
            assert doctor.returncode == 1, doctor.stdout
            assert f"s {'ahead of' if ahead > 0 else 'behind'} the chain's" in doctor.stdout, doctor.stdout
        # and it is never the client's clock that lets a provider miss its deadline
        market.provider.mooshd.stop()
        d = take(market, name + "2", "quick")
        market.chain.pass_time(60)
        assert m.deployment(market.client, name + "2")["state"] == "taken"
        market.chain.pass_time(31)
        d = m.wait_over(market.client, name + "2")
        assert d["close_reason"] == "ProviderTimeout" and d["refund_wei"] == d["deposit_wei"], d
    finally:
        restart(market.client, None)
        restart(market.provider, None)
    penalty = (1000 * m.X + 12345) * 60 // m.X
    after = market.books.check()
    assert after["client"] == before["client"] + penalty and after["escrowVault"] == before["escrowVault"]
