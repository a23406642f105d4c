"""Taking an offer: what is refused, with which sentence and exit code, and that a refusal costs nothing."""
import os
import pty
import re
import select
import types

import pytest

import market as m
import world as w

pytestmark = pytest.mark.skipif(not w.PROGRAMS["mooshd"].exists(), reason="mooshd is not built")


@pytest.fixture(scope="module")
def market():
    """A provider with orders on offer whose node then stops, and two clients who know its orders."""
    with w.World() as world:
        provider = world.party("provider", provider=True, tokens=5000).start()
        m.become_provider(world, provider)
        offers = {name: m.publish(provider, m.terms(world, **more)) for name, more in {
            "plain": {}, "last": {"volume": 1}, "dear": {"rateX": str(2000 * m.X)}, "brief": {"expiry": str(world.chain.now() + 6 * 3600)},
            "ours": {"allowedTaker": provider.address}}.items()}
        clients = []
        for name in ("client", "rival"):
            party = world.party(name)
            party.endpoint = m.Endpoint(world.chain)
            m.use_endpoints(party, party.endpoint.url)
            done = party.start().run("contact", "add", provider.contact, "seller")
            assert f"has {len(offers)} on offer" in done.stderr, done.stderr
            clients.append(party)
        books = m.Books(world, provider, *clients)
        url = w.blueprint_repository(world.dir / "blueprint")
        yield types.SimpleNamespace(world=world, chain=world.chain, provider=provider, client=clients[0], rival=clients[1],
                                    offers=offers, books=books, blueprint=url)
        for party in clients:
            party.endpoint.close()


def take(market, what, *more, party=None, check=False):
    party = party or market.client
    return party.run("--yes", "take", market.offers.get(what, what), "--blueprint", market.blueprint, "--no-wait", *more,
                     check=check)


class Untouched:
    """Nothing is spent in here: no token, no transaction, no deployment left behind."""

    def __init__(self, market, party=None):
        self.market, self.party = market, party or market.client

    def look(self):
        return (self.market.books.check(), m.transactions(self.market.world, self.party),
                [d["deployment"] for d in self.party.call("agreement.list", all=True)["deployments"]])

    def __enter__(self):
        self.before = self.look()

    def __exit__(self, kind, value, trace):
        if kind is None:
            assert self.look() == self.before


def refused(done, code, *says):
    assert done.returncode == code, f"{done.returncode}: {done.stderr}"
    for text in says:
        assert text in done.stderr, done.stderr
    # one sentence for a person, no inside of a library
    assert done.stderr.strip().splitlines()[-1].startswith("moosh: "), done.stderr


def test_offers_that_are_not_there(market):
    with Untouched(market):
        refused(take(market, "0x" + "ab" * 32), m.NOT_FOUND, "not in the order book")
        refused(take(market, "0xffff"), m.NOT_FOUND, "order book")
        refused(take(market, "64 vCPU, under 0.0001/h"), m.NOT_FOUND, "no known offer meets this")
        refused(take(market, "many good machines"), m.USAGE)
        refused(take(market, "ours"), m.NOT_FOUND, "not in the order book")  # for another taker: not served to us


def listed(market):
    return [o["id"] for o in market.client.call("offers.list", all=True)["offers"]]


def test_words_that_make_no_sense(market):
    with Untouched(market):
        refused(take(market, "plain", "--units", "0"), m.USAGE, "not a number of units")
        refused(take(market, "plain", "--units", "5"), m.CONFLICT, "only 4 units are left")
        refused(take(market, "plain", "--name", "7 of 9"), m.USAGE, "a deployment's name")
        refused(take(market, "plain", "--deposit", "much"), m.USAGE, "is not an amount of tUSD")
        refused(take(market, "plain", "--for", "200y"), m.USAGE)
        done = market.client.run("--yes", "take", market.offers["plain"], "--no-wait", check=False)
        refused(done, m.USAGE, "say what to run")
        done = market.client.run("--yes", "take", market.offers["plain"], "--blueprint", "ftp://x/y", check=False)
        refused(done, m.USAGE, "is no blueprint")


def test_without_an_answer_nothing_is_taken(market):
    with Untouched(market):
        done = market.client.run("take", market.offers["plain"], "--blueprint", market.blueprint, check=False)
        refused(done, m.USAGE, "--yes")


def test_too_little_money(market):
    with Untouched(market):
        refused(take(market, "plain", "--deposit", "1000.000001"), m.FUNDS, "too little money", "1000 tUSD")
        refused(take(market, "plain", "--deposit", "0.000001"), m.FUNDS, "the deposit is too small")


def test_no_gas_money(market):
    has = market.chain.rpc("eth_getBalance", market.client.address, "latest")
    market.chain.rpc("anvil_setBalance", market.client.address, "0x0")
    try:
        with Untouched(market):
            refused(take(market, "plain"), m.FUNDS, "chain's own coin")
        doctor = market.client.run("doctor", check=False)
        assert doctor.returncode == 1 and "no transaction can be sent" in doctor.stdout
    finally:
        market.chain.rpc("anvil_setBalance", market.client.address, has)


def close(market, party, name, reason="BuyerCancel"):
    """Leave an agreement nobody accepted: everything comes back, to the unit."""
    deposit = int(m.deployment(party, name)["deposit_wei"])
    before = market.books.of(party)
    party.run("--yes", "close", name)
    d = m.wait_over(party, name)
    assert d["close_reason"] == reason and int(d["refund_wei"]) == deposit, d
    assert market.books.of(party) == before + deposit
    market.books.check()


def on_terminal(party, args, question, meanwhile):
    """Run a command on a terminal; when it asks, let something happen, then say yes."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(w.PROGRAMS["moosh"], ["moosh", "--state", str(party.dir), *map(str, args)], {**os.environ, **party.env})
    shown = ""
    while select.select([fd], [], [], 120)[0]:
        try:
            piece = os.read(fd, 65536).decode(errors="replace")
        except OSError:
            break
        if not piece:
            break
        shown += piece
        if question in shown and meanwhile:
            meanwhile()
            meanwhile = None
            os.write(fd, b"yes\n")
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown


def test_the_price_changed_since_it_was_shown(market):
    def dearer():
        market.provider.run("cancel", market.offers["dear"], "--yes", program="moosh-vmm")
        market.offers["dear"] = m.publish(market.provider, m.terms(market.world, rateX=str(4000 * m.X)))
    with Untouched(market):
        code, shown = on_terminal(market.client, ["take", market.offers["dear"], "--blueprint", market.blueprint], "Take it?",
                                  dearer)
        assert code == m.CONFLICT and "cannot be taken" in shown and "cancelled" in shown, shown
        with pytest.raises(w.Failed, match="the price has changed since it was shown"):
            market.client.call("agreement.take", offer=market.offers["plain"], rate_x=str(999 * m.X), deposit_wei="100000",
                               blueprint=market.blueprint)
        # and what was cancelled is not known any more once the list is fetched again
        market.client.run("offers", "--refresh")
        assert market.offers["dear"] in listed(market)


def test_the_provider_stops(market):
    """From here on nobody accepts: what is taken stays taken until the client leaves."""
    market.provider.mooshd.stop()


def test_the_name_is_taken(market):
    take(market, "plain", "--name", "first", check=True)
    m.wait_state(market.client, "first", "taken")
    with Untouched(market):
        refused(take(market, "plain", "--name", "first"), m.CONFLICT, 'there is a deployment "first" already')
    close(market, market.client, "first")


def test_two_want_the_last_unit(market):
    """Both have seen it free, both have signed; the chain decides, and the loser keeps its money."""
    both = (market.client, market.rival)
    before = {p.name: market.books.of(p) for p in both}
    holds, runs = [], []
    for party in both:
        party.endpoint.rule = m.Hold("eth_sendRawTransaction")
        holds.append(party.endpoint.rule)
        runs.append(m.start_cli(party, "--yes", "take", market.offers["last"], "--blueprint", market.blueprint, "--no-wait",
                                "--name", "race"))
    for hold in holds:
        hold.wait()
    for hold in holds:
        hold.let_go()
    ends = [run.communicate(timeout=120)[1] for run in runs]
    codes = [run.returncode for run in runs]
    assert sorted(codes) == [0, m.CONFLICT], (codes, ends)
    winner, loser = both[codes.index(0)], both[codes.index(m.CONFLICT)]
    assert re.search(r"too late, .*all its units are sold", ends[codes.index(m.CONFLICT)]), ends
    assert market.books.of(loser) == before[loser.name]
    d = m.wait_state(winner, "race", "taken")
    assert market.books.of(winner) == before[winner.name] - int(d["deposit_wei"])
    lost = m.wait_over(loser, "race")
    assert lost["state"] == "failed" and lost["agreement"] == 0, lost
    assert m.agreements_of(market.world, loser) == (1 if loser is market.client else 0)
    # whoever comes later is told before anything is signed
    with Untouched(market, loser):
        refused(take(market, "last", party=loser), m.CONFLICT, "all its units are sold")
    close(market, winner, "race")


def test_an_expired_offer(market):
    market.chain.pass_time(6 * 3600)
    with Untouched(market):
        refused(take(market, "brief"), m.EXPIRED, "expired")
    assert market.offers["brief"] not in [o["id"] for o in market.client.call("offers.list")["offers"]]


def test_another_chain(market):
    """What answers at the endpoint is another chain now: nothing is signed for it, and the doctor says so."""
    other = w.Chain(market.world.dir / "other")
    other.process.argv += ["--chain-id", "99"]
    other.start(deploy=False)
    mine = market.client.endpoint.chain
    try:
        before = market.books.check()
        market.client.endpoint.chain = other
        done = take(market, "plain")
        refused(done, m.CONFLICT, "it is on chain 99, not 31337")
        doctor = market.client.run("doctor", check=False)
        assert doctor.returncode == 1 and "it is on chain 99, not 31337" in doctor.stdout, doctor.stdout
        # a node that starts there says the same
        market.client.mooshd.stop()
        market.client.start()
        refused(take(market, "plain"), m.CONFLICT, "it is on chain 99, not 31337")
        market.client.endpoint.chain = mine
        w.wait_until(lambda: "endpoint answers" in market.client.run("doctor", check=False).stdout, 30, "the chain's return")
        assert market.books.check() == before
        take(market, "plain", "--name", "back", check=True)
        m.wait_state(market.client, "back", "taken")
        close(market, market.client, "back")
    finally:
        market.client.endpoint.chain = mine
        other.stop()
