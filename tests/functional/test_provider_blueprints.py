"""Blueprints that come to nothing: the client learns why, pays nothing, and the provider's log is on the chain by its hash."""
import shutil

import pytest

import market as m
import rental as r
import vmmd as v
import world as w

ROOT = w.ROOT


@pytest.fixture(scope="module")
def rental():
    with w.World() as world:
        yield r.Rental(world, [("build", "eval_s", 3), ("build", "disk_mib", 64), ("build", "seconds", 60),
                               ("build", "fetch_mib", 1)])


@pytest.fixture(scope="module")
def offer(rental):
    return rental.offer()


@pytest.fixture(scope="module")
def bad(rental):
    directory = rental.world.dir / "bad"
    shutil.copytree(ROOT / "tests/functional/blueprints/bad", directory, symlinks=True)
    return r.commit(directory)


@pytest.fixture(scope="module")
def good(rental):
    return v.blueprint(rental.world.dir / "good")


@pytest.fixture(autouse=True)
def nothing_lost(rental):
    """Whatever the case: the client has all its money back, the provider its capacity and bond."""
    before = rental.books.everybody()
    free = rental.provider.call("provider.status")["stake"]["free_wei"]
    yield
    assert rental.books.check() == before
    assert rental.reserved() == (0, 0, 0)
    assert rental.provider.call("provider.status")["stake"]["free_wei"] == free


def refused(rental, name, done, *words):
    """take ended with 4 and a sentence that holds the words; returns the deployment when all is settled."""
    assert done.returncode == 4, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    for word in (name, *words):
        assert word in last, done.stderr
    d = m.wait_over(rental.client, name)
    assert d["close_reason"] in ("BuyerCancel", "Buyer") and d["refund_wei"] == d["deposit_wei"] and d["spent_wei"] == "0"
    return d


# ---- refused before money moves


@pytest.mark.parametrize("blueprint,code,words", [
    ("git+ftp://example.org/x", 5, "only https:// and ssh://"),
    ("git+https://example.org/x?rev=abc", 2, "rev"),
    ("git+https://example.org/x#a b;c", 2, "attribute"),
    ("./no-such-directory", 2, "is no blueprint"),
    ("git+file:///no/such/repository", 3, "/no/such/repository"),
    ("git+https://127.0.0.1:9/x", 6, "127.0.0.1:9"),
])
def test_bad_url_is_refused_before_money_moves(rental, offer, blueprint, code, words):
    sent = m.transactions(rental.world, rental.client)
    name, done = rental.take(offer, blueprint)
    assert done.returncode == code, done.stderr
    assert words in done.stderr.splitlines()[-1]
    assert m.transactions(rental.world, rental.client) == sent
    assert rental.client.run("show", name, check=False).returncode == 3  # nothing is left of it


# ---- refused by what the provider finds


def test_commit_that_vanished(rental, offer, good):
    gone = good.split("?")[0] + "?rev=" + "12" * 20
    name, done = rental.take(offer, gone)
    refused(rental, name, done, "12" * 20)
    log = rental.log(name)
    assert "fetch" in log and "12" * 20 in log
    assert r.is_prefix_digest(log, rental.evidence(name))


@pytest.mark.parametrize("attribute,word,in_log", [
    ("throws", "the author gave up", "the author gave up"),
    ("fails", "exit", "about to fail"),
    ("endless", "3 s", "evaluate"),
    ("fat", "64 MiB", "build"),
    ("no-such-attribute", "no-such-attribute", "evaluate"),
])
def test_blueprint_that_does_not_build(rental, offer, bad, attribute, word, in_log):
    name, done = rental.take(offer, f"{bad}#{attribute}")
    refused(rental, name, done, word)
    log = rental.log(name)
    assert in_log in log and "failed: build: " in log
    assert r.is_prefix_digest(log, rental.evidence(name))
    shown = rental.client.run("show", name).stdout
    assert word in shown  # and it stays to be read


def test_repository_larger_than_the_provider_fetches(rental, offer):
    directory = rental.world.dir / "large"
    directory.mkdir()
    (directory / "default.nix").write_text("{ }")
    with open("/dev/urandom", "rb") as random:
        (directory / "blob").write_bytes(random.read(3 << 20))
    name, done = rental.take(offer, r.commit(directory))
    refused(rental, name, done, "larger than this provider fetches")


# ---- refused by rules


def test_software_policy(rental, good):
    offer = rental.offer(policy="# only what we know\ngit https://example.org/blueprints web\n")
    listed, = [o for o in rental.client.call("offers.list")["offers"] if o["id"] == offer]
    assert listed["terms"]["policyHash"].strip("0x") != ""
    name, done = rental.take(offer, good)
    refused(rental, name, done, "software policy allows neither")
    log = rental.log(name)
    assert "software policy allows neither" in log
    assert r.is_prefix_digest(log, rental.evidence(name))


def test_policy_that_is_none(rental):
    with pytest.raises(w.Failed, match="line 1"):
        rental.provider.call("offer.publish", terms=m.terms(rental.world, pool=r.POOL), policy="allow everything")
    with pytest.raises(w.Failed, match="not known here"):
        rental.provider.call("offer.publish", terms=m.terms(rental.world, pool=r.POOL, policyHash="0x" + "11" * 32))


def test_file_urls_only_by_the_providers_choice(rental, offer, good):
    rental.provider.vmmd.stop()
    rental.provider._tune("vmmd.conf", "build", "allow_file_urls", "false")
    rental.provider.vmmd.start()
    try:
        name, done = rental.take(offer, good)
        refused(rental, name, done, "file://")
        log = rental.log(name)
        assert "refused: " in log and "file://" in log
        assert r.is_prefix_digest(log, rental.evidence(name))
    finally:
        rental.provider.vmmd.stop()
        rental.provider._tune("vmmd.conf", "build", "allow_file_urls", "true")
        rental.provider.vmmd.start()
