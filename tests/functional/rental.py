"""What the tests of a provider's troubles share: a market with one provider, rentals that are counted to the unit."""
import hashlib
import subprocess

import market as m
import vmmd as v
import world as w

POOL = m.SHARED


class Rental:
    """A world with a provider and a client, an order of chosen terms, and everybody's money."""

    def __init__(self, world, settings=(), tokens=1000, **pool):
        self.world, self.chain = world, world.chain
        self.provider = world.party("provider", provider=True, tokens=5000)
        for group, key, value in settings:
            self.provider._tune("vmmd.conf", group, key, str(value))
        self.provider.start()
        m.become_provider(world, self.provider, sizes="one:1:256M:1G", **pool)
        for offer in self.provider.call("offer.own")["offers"]:
            self.provider.run("--yes", "cancel", offer["id"], program="moosh-vmm")
        self.client = world.party("client", tokens=tokens).start()
        self.client.run("contact", "add", self.provider.contact, "stranger")
        self.books = m.Books(world, self.provider, self.client)
        self.count = 0

    def offer(self, policy=None, **changes):
        """Put an order on offer and let the client hear of it; its id."""
        terms = m.terms(self.world, pool=POOL, **{"class": "shared", "overcommitPct": 400, **changes})
        params = {} if policy is None else {"policy": policy}
        offer = self.provider.call("offer.publish", terms=terms, **params)["id"]
        self.client.run("offers", "--refresh")
        return offer

    def take(self, offer, blueprint, *args, wait=True, check=False, name=None):
        """moosh take; returns the name and what the command said."""
        self.count += 1
        name = name or f"m{self.count}"
        done = self.client.run("--yes", "take", offer, "--blueprint", blueprint, "--name", name, *args,
                               *([] if wait else ["--no-wait"]), check=check)
        return name, done

    def show(self, name):
        return m.deployment(self.client, name)

    def machine(self, name):
        return self.provider.call("machine.status", daemon="vmmd", agreement=str(self.show(name)["agreement"]))

    def log(self, name):
        return self.client.run("logs", name).stdout

    def evidence(self, name):
        """What the Closed event on the chain says."""
        topic = subprocess.run([w.NODE_BIN / "cast", "keccak", "Closed(uint64,uint8,uint128,uint128,uint128,bytes32)"],
                               capture_output=True, text=True, check=True).stdout.strip()
        agreement = "0x" + format(self.show(name)["agreement"], "064x")
        log, = self.chain.rpc("eth_getLogs", {"fromBlock": "0x0", "address": self.chain.contract("agreements"),
                                              "topics": [topic, agreement]})
        assert "0x" + log["data"][-64:] == self.show(name)["evidence"]
        return log["data"][-64:]

    def quiet(self):
        """The hold-back of what is closed is over, and everybody has pulled what is theirs."""
        def done():
            status = self.provider.call("provider.status")
            credit = int(self.provider.call("wallet.show")["credit_wei"]) + int(self.client.call("wallet.show")["credit_wei"])
            return credit == 0 and all(x["state"] != "closed" or int(x["earned_wei"]) == 0 for x in status["machines"])
        w.wait_until(done, 60, "the last payment")

    def reserved(self):
        """Units the provider's host holds: (vCPU milli, RAM MiB, disk GiB)."""
        pool, = self.provider.call("inventory.get", daemon="vmmd")["pools"]
        return tuple(pool["reserved"][k] for k in ("vcpu_milli", "ram_mib", "disk_gib"))

    def guests(self):
        """pids of this world's QEMU processes."""
        host = self.provider.call("host.measure", daemon="vmmd")
        return v.qemu_of(range(host["uid_first"], host["uid_first"] + host["uid_count"]))

    def ssh(self, name, *command, check=True):
        return self.client.run("ssh", name, "--", *command, check=check).stdout

    def close(self, name):
        self.client.run("--yes", "close", name)
        return m.wait_over(self.client, name)


def is_prefix_digest(text, digest):
    """Is it the SHA-256 of the text up to one of its lines' ends? A log grows after it was cited."""
    hashed = hashlib.sha256()
    for line in text.encode().splitlines(keepends=True):
        hashed.update(line)
        if hashed.hexdigest() == digest:
            return True
    return False


def commit(directory):
    """Make a git repository of a directory; its URL with the commit."""
    git = ["git", "-C", str(directory), "-c", "user.name=Tester", "-c", "user.email=tester@localhost"]
    for args in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "A blueprint"]):
        subprocess.run([*git, *args], check=True, capture_output=True)
    rev = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    return f"git+file://{directory}?rev={rev}"
