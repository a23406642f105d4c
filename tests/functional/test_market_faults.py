"""What happens to a take when the chain, its endpoints or the client's node fail in the middle: it happens once or not
at all, and no money is lost. Nobody accepts here: the provider's node is off, so what is taken stays taken."""
import json
import subprocess
import types

import pytest

import market as m
import world as w

pytestmark = pytest.mark.skipif(not w.PROGRAMS["mooshd"].exists(), reason="mooshd is not built")


RICH = types.SimpleNamespace(name="rich", address=w.RICH_ADDRESS)


@pytest.fixture(scope="module")
def market():
    with w.World() as world:
        provider = world.party("provider", provider=True, tokens=5000).start()
        m.become_provider(world, provider)
        offer = m.publish(provider, m.terms(world))
        client = world.party("client", tokens=5000)
        client._tune("mooshd.conf", "chain", "call_ms", "3000")  # how long a question waits for an endpoint's return
        client.endpoint = m.Endpoint(world.chain)
        m.use_endpoints(client, client.endpoint.url)
        client.start().run("contact", "add", provider.contact, "seller")
        spare = world.party("spare")
        spare._tune("mooshd.conf", "chain", "call_ms", "3000")
        spare.start().run("contact", "add", provider.contact, "seller")
        spare.mooshd.stop()
        provider.mooshd.stop()
        provider.vmmd.stop()
        yield types.SimpleNamespace(world=world, chain=world.chain, provider=provider, client=client, spare=spare,
                                    offer=offer, books=m.Books(world, provider, client, spare),
                                    blueprint=w.blueprint_repository(world.dir / "blueprint"))
        client.endpoint.close()


class Take:
    """A `moosh take` under way, and what it may have done in the end."""

    def __init__(self, market, name, party=None):
        self.market, self.name, self.party = market, name, party or market.client
        self.money, self.taken = market.books.of(self.party), m.agreements_of(market.world, self.party)
        self.run = m.start_cli(self.party, "--yes", "take", market.offer, "--blueprint", market.blueprint, "--no-wait",
                               "--name", name)

    def end(self):
        out, err = self.run.communicate(timeout=200)
        return self.run.returncode, err

    def happened_once(self):
        d = m.wait_state(self.party, self.name, "taken")
        assert m.agreements_of(self.market.world, self.party) == self.taken + 1
        assert self.market.books.of(self.party) == self.money - int(d["deposit_wei"])
        self.market.books.check()
        return d

    def happened_not(self):
        assert m.agreements_of(self.market.world, self.party) == self.taken
        assert self.market.books.of(self.party) == self.money
        self.market.books.check()

    def close(self):
        """Leave; everything comes back."""
        self.party.run("--yes", "close", self.name)
        d = m.wait_over(self.party, self.name)
        assert d["close_reason"] == "BuyerCancel" and d["refund_wei"] == d["deposit_wei"], d
        self.happened_not_any_more()

    def happened_not_any_more(self):
        assert self.market.books.of(self.party) == self.money
        self.market.books.check()


def hold(market, method, verdict=None, party=None, **more):
    party = party or market.client
    party.endpoint.rule = m.Hold(method, verdict, **more)
    return party.endpoint.rule


def test_the_endpoint_dies_before_the_transaction_is_sent(market):
    held = hold(market, "eth_sendRawTransaction")
    take = Take(market, "before")
    held.wait()
    market.client.endpoint.down()
    held.let_go("drop")
    d = w.wait_until(lambda: (d := m.deployment(market.client, "before"))["error"] and d, 60, "a word about the trouble")
    assert d["state"] == "taking" and "chain 31337 does not answer" in d["error"], d
    take.happened_not()
    market.client.endpoint.up()
    code, says = take.end()
    assert code == 0, says
    take.happened_once()
    take.close()


def test_the_endpoint_dies_right_after_the_transaction_was_sent(market):
    held = hold(market, "eth_sendRawTransaction")
    take = Take(market, "after")
    held.wait()
    market.client.endpoint.rule = None
    held.let_go("deaf")  # the chain has it; the node does not know
    held = market.client.endpoint.rule = lambda call: "drop"
    w.wait_until(lambda: m.agreements_of(market.world, market.client) == take.taken + 1, 30, "the transaction on the chain")
    assert m.deployment(market.client, "after")["state"] == "taking"
    market.client.endpoint.up()
    code, says = take.end()
    assert code == 0, says
    take.happened_once()
    take.close()


def test_no_endpoint_at_all(market):
    market.client.endpoint.down()
    try:
        take = Take(market, "never")
        code, says = take.end()
        assert code == m.UNAVAILABLE and "chain 31337 does not answer" in says, says
        doctor = market.client.run("doctor", check=False)
        assert doctor.returncode == 1 and "no endpoint answers" in doctor.stdout
        done = market.client.run("show", "never", check=False)
        assert done.returncode == m.NOT_FOUND
    finally:
        market.client.endpoint.up()
    w.wait_until(lambda: market.client.run("doctor", check=False).returncode == 0, 30, "the endpoint's return")
    take.happened_not()


KILLS = {  # where the node dies: before the transaction exists, before it is sent, when it is sent, before it is seen
    "permit": ("eth_getBlockByNumber", None, False),
    "estimate": ("eth_estimateGas", None, False),
    "recorded": ("eth_sendRawTransaction", "drop", True),
    "sent": ("eth_sendRawTransaction", "deaf", True),
    "mined": ("eth_getTransactionReceipt", "drop", True),
}


@pytest.mark.parametrize("point", KILLS)
def test_the_client_is_killed_during_take(market, point):
    """kill -9; the node that starts again finishes what its journal holds, and nothing else."""
    method, verdict, happens = KILLS[point]
    if point == "permit":  # the last question before the permit is signed
        held = hold(market, "eth_call", match=lambda call: call["params"][0]["data"].startswith("0xdd62ed3e"))  # allowance
    else:
        held = hold(market, method)
    take = Take(market, point)
    held.wait()
    market.client.mooshd.kill()
    held.let_go(verdict or "drop")
    code, says = take.end()
    assert code == m.UNAVAILABLE, says
    market.client.endpoint.up()
    market.client.start()
    if happens:
        take.happened_once()
        take.close()
    else:
        d = m.wait_over(market.client, point, timeout=20)
        assert d["state"] == "failed" and "nothing was spent" in d["error"], d
        take.happened_not()
        done = market.client.run("show", point)
        assert "nothing was spent" in done.stdout


def test_the_chain_is_restarted(market):
    """With its state, once in the middle of a take and once while an agreement is open."""
    held = hold(market, "eth_sendRawTransaction")
    take = Take(market, "restart")
    held.wait()
    market.chain.restart()
    held.let_go("drop")
    code, says = take.end()
    assert code == 0, says
    take.happened_once()
    market.chain.restart()
    take.happened_once()
    take.close()


def test_somebody_takes_in_our_name_first(market):
    """Whoever sees our transaction may begin an agreement with its request's hash in our name: it is not ours to follow."""
    chain, vault = market.chain, market.chain.contract("escrowVault")
    raw = []
    held = hold(market, "eth_sendRawTransaction", match=lambda call: raw.append(call["params"][0]) or True)
    take = Take(market, "copied")
    held.wait()
    decoded = subprocess.run([w.NODE_BIN / "cast", "decode-transaction", raw[0]], capture_output=True, text=True, check=True)
    chain.send(chain.contract("testUsd"), "mint(address,uint256)", w.RICH_ADDRESS, 10**12)
    chain.send(chain.contract("testUsd"), "approve(address,uint256)", vault, 10**12)
    market.books = books = m.Books(market.world, market.provider, market.client, market.spare, RICH)
    copy = chain.rpc("eth_sendTransaction", {"from": w.RICH_ADDRESS, "to": chain.contract("agreements"), "gas": hex(10**6),
                                             "data": json.loads(json.loads(decoded.stdout))["input"]})
    assert chain.rpc("eth_getTransactionReceipt", copy)["status"] == "0x1"
    held.let_go()
    code, says = take.end()
    assert code == 0, says
    d = m.wait_state(market.client, "copied", "taken")
    assert m.agreements_of(market.world, market.client) == take.taken + 2  # the copy names us as its client, too
    assert market.books.of(market.client) == take.money - int(d["deposit_wei"])
    market.client.run("--yes", "close", "copied")
    d = m.wait_over(market.client, "copied")
    assert d["refund_wei"] == d["deposit_wei"] and market.books.of(market.client) == take.money
    assert books.check()["escrowVault"] == int(d["deposit_wei"])  # the copy's money is its payer's affair


def test_one_endpoint_of_three_lies(market):
    """It lies about every contract, hides events and denies receipts: two honest ones outvote it, to the unit."""
    def lie(call):
        def altered(reply):
            result = reply.get("result")
            if call["method"] == "eth_call" and isinstance(result, str) and len(result) > 66:
                reply["result"] = "0x" + "%064x" % (int(result[2:66], 16) ^ 1) + result[66:]
            elif call["method"] == "eth_call" and isinstance(result, str) and len(result) == 66:
                reply["result"] = "0x%064x" % (int(result, 16) + 10**9)
            elif call["method"] == "eth_getLogs":
                reply["result"] = []
            elif call["method"] == "eth_getTransactionReceipt":
                reply["result"] = None
            return reply
        return altered
    party, endpoints = market.spare, [m.Endpoint(market.chain) for _ in range(3)]
    endpoints[0].rule = lie
    m.use_endpoints(party, *(e.url for e in endpoints))
    party.start()
    try:
        assert int(party.call("wallet.show")["token_wei"]) == market.books.of(party)
        take = Take(market, "outvoted", party)
        code, says = take.end()
        assert code == 0, says
        take.happened_once()
        assert "eth_call" in endpoints[0].seen  # it was asked
        take.close()
        # with two of three down nobody knows: nothing is done, and it goes on when one comes back
        endpoints[0].rule = None
        endpoints[1].down()
        take = Take(market, "two", party)
        code, says = take.end()
        assert code == 0, says
        take.happened_once()
        endpoints[2].down()
        done = party.run("--yes", "close", "two", check=False)
        assert done.returncode == m.UNAVAILABLE, done.stderr
        doctor = party.run("doctor", check=False)
        assert doctor.returncode == 1 and "1 of 3 endpoints answer, 2 must agree" in doctor.stdout, doctor.stdout
        endpoints[1].up()
        w.wait_until(lambda: party.run("doctor", check=False).returncode == 0, 30, "the second endpoint's return")
        take.close()
    finally:
        party.mooshd.stop()
        for e in endpoints:
            e.close()


@pytest.mark.parametrize("confirmations", [2, 0])
def test_the_chain_is_reorganised(market, confirmations):
    """The block with the take goes, before it is confirmed or long after; the same bytes get into another one, and the
    agreement is there once."""
    party, endpoint, name = market.spare, m.Endpoint(market.chain), f"reorg{confirmations}"
    m.use_endpoints(party, endpoint.url)
    party._tune("mooshd.conf", "chain", "confirmations", confirmations)
    party.start()
    before = market.chain.rpc("evm_snapshot")
    take = Take(market, name, party)
    if confirmations == 0:
        assert take.end()[0] == 0
    w.wait_until(lambda: m.agreements_of(market.world, party) == take.taken + 1, 30, "the take in a block")
    d = w.wait_until(lambda: (d := m.deployment(party, name))["agreement"] and d, 30, "the node's knowledge of it")
    endpoint.down()
    assert market.chain.rpc("evm_revert", before)
    market.chain.rpc("anvil_mine", "0x2")  # another history, and longer
    take.happened_not()
    endpoint.up()
    w.wait_until(lambda: m.agreements_of(market.world, party) == take.taken + 1, 60, "the take in another block")
    market.chain.rpc("anvil_mine", "0x3")
    if confirmations:
        code, says = take.end()
        assert code == 0, says
    again = take.happened_once()
    hashes = [[t["hash"] for t in x["transactions"] if t["purpose"] == f"take:{name}"] for x in (d, again)]
    assert len(hashes[0]) == 1 and hashes[0] == hashes[1]
    party.mooshd.stop()
    endpoint.close()
