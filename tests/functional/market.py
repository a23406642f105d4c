"""What the market's tests share: terms to publish, money counted to the unit, an endpoint of the chain that misbehaves."""
import functools
import json
import os
import random
import sqlite3
import subprocess
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import world as w

DEDICATED = "0x" + b"dedicated".ljust(32, b"\0").hex()
SHARED = "0x" + b"shared".ljust(32, b"\0").hex()
X = 1 << 32  # an X amount is token-wei times this

# The exit codes of src/base/error.h.
FAILED, USAGE, NOT_FOUND, REFUSED, DENIED, UNAVAILABLE, TIMEOUT, FUNDS, EXPIRED, CONFLICT, PROTOCOL = range(1, 12)


def terms(world, **changes):
    """Terms of an order for one small machine; rates are chosen so that seconds leave fractions of a wei."""
    return {"pool": SHARED, "class": "shared", "overcommitPct": 400,
            "units": {"vcpuMilli": 1000, "ramMib": 256, "diskGib": 1, "gpu": 0, "ipv4": 0},
            "rateX": str(1000 * X + 12345), "pausedRateX": str(100 * X + 777), "retentionRateX": str(10 * X + 99),
            "minTerm": 0, "maxTerm": 0, "notice": 60, "retention": 40, "holdback": 5, "acceptWithin": 1800,
            "provisionWithin": 3600, "probeWindow": 600, "lockPeriod": 30, "volume": 1000,
            "expiry": str(world.chain.now() + 30 * 86400), **changes}


def wrong_clock(off_s):
    """Environment of a party whose clock is wrong (Debian's faketime)."""
    library, = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    return {"LD_PRELOAD": str(library), "FAKETIME": f"{off_s:+}s", "DONT_FAKE_MONOTONIC": "1"}


def publish(provider, offer):
    return provider.call("offer.publish", terms=offer)["id"]


def preseed(world, **answers):
    path = world.dir / f"preseed-{random.getrandbits(32):x}"
    path.write_text("".join(f"{k}={v}\n" for k, v in answers.items()))
    return path


def become_provider(world, provider, stake=1000, **answers):
    """Register, stake, set capacity: what the wizard does."""
    given = {"class": "shared", "overcommit_pct": 400, "cores": 1, "ram": "4G", "disk": "16G",
             "sizes": "one:1:256M:1G", "terms": "dev", "stake": stake, **answers}
    provider.run("setup", "--auto", "--preseed", preseed(world, **given), program="moosh-vmm")


class Books:
    """Every token-wei of a world: who has it, and that none is lost."""

    def __init__(self, world, *parties):
        self.chain, self.parties = world.chain, parties
        self.total = sum(self.everybody().values())

    def everybody(self):
        held = {p.name: self.chain.token_balance(p.address) for p in self.parties}
        for vault in ("escrowVault", "stakeVault"):
            held[vault] = self.chain.token_balance(self.chain.contract(vault))
        return held

    def of(self, party):
        return self.chain.token_balance(party.address)

    def check(self):
        """Nothing came from nowhere or went there; returns what everybody has."""
        held = self.everybody()
        assert sum(held.values()) == self.total, held
        return held


def deployment(party, name):
    return party.call("agreement.show", deployment=name)


def wait_state(party, name, *states, timeout=60):
    def look():
        d = deployment(party, name)
        if d["state"] not in states and d["over"]:
            raise AssertionError(f"{name} is over: {d['state']}, {d.get('close_reason')}, {d['error']}")
        return d if d["state"] in states else None
    return w.wait_until(look, timeout, f"{name}: {' or '.join(states)}")


def wait_over(party, name, timeout=60):
    return w.wait_until(lambda: (d := deployment(party, name))["over"] and d, timeout, f"the end of {name}")


def start_cli(party, *args):
    """A command in the background; communicate() gives its output."""
    return subprocess.Popen([w.PROGRAMS["moosh"], "--state", party.dir, *map(str, args)], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **party.env})


def agreements_of(world, party):
    """How many Taken events name this client: what really happened, whatever a node believes."""
    topic = "0x" + party.address[2:].lower().rjust(64, "0")
    logs = world.chain.rpc("eth_getLogs", {"fromBlock": "0x0", "address": world.chain.contract("agreements"),
                                           "topics": [taken_topic()]})
    return sum(topic in log["topics"] for log in logs)


@functools.cache
def taken_topic():
    return subprocess.run([w.NODE_BIN / "cast", "keccak", TAKEN], capture_output=True, text=True, check=True).stdout.strip()


UNITS = "(uint32,uint32,uint32,uint32,uint32)"
OFFER = (f"(address,uint8,uint8,bytes32,{UNITS},uint8,uint16,address,uint96,uint96,uint96,uint32,uint32,uint32,uint32,"
         "uint32,uint32,uint32,uint32,uint128,uint32,address,bytes32,bytes32,address,uint32,bytes32,uint64,uint64,uint64)")
TAKEN = f"Taken(uint64,address,address,address,bytes32,bytes32,uint32,uint128,uint128,{OFFER})"


def transactions(world, party):
    return int(world.chain.rpc("eth_getTransactionCount", party.address, "latest"), 16)


def store(party, statement, *values):
    """Look into, or tamper with, the store of a node that does not run."""
    assert not party.mooshd.running()
    with sqlite3.connect(party.dir / "mooshd.db") as db:
        return db.execute(statement, values).fetchall()


def paid(rate_x, seconds, units=1):
    """Whole token-wei of `seconds` at a rate; the fraction stays with the payer."""
    return rate_x * units * seconds // X


class Endpoint:
    """An RPC endpoint between a node and the chain. `rule(call)` decides about each request:

    None        pass it on
    "drop"      hang up without an answer; the chain never hears of it
    "deaf"      pass it on, then hang up: the chain has it, the caller does not know
    a function  pass it on and answer with what the function makes of the reply (a dict)
    """

    def __init__(self, chain):
        self.chain, self.rule, self.seen = chain, None, []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                endpoint.serve(self)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *args: None  # nodes are killed in the middle of a request here
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def serve(self, http):
        body = http.rfile.read(int(http.headers["Content-Length"]))
        call = json.loads(body)
        self.seen.append(call["method"])
        verdict = self.rule(call) if self.rule else None
        if verdict == "drop":
            http.close_connection = True
            return
        try:
            request = urllib.request.Request(self.chain.url, body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=20) as reply:
                answer = reply.read()
        except OSError:
            verdict = "deaf"
        if verdict == "deaf":
            http.close_connection = True
            return
        if callable(verdict):
            answer = json.dumps(verdict(json.loads(answer))).encode()
        try:
            http.send_response(200)
            http.send_header("Content-Type", "application/json")
            http.send_header("Content-Length", str(len(answer)))
            http.end_headers()
            http.wfile.write(answer)
        except OSError:
            http.close_connection = True

    def down(self):
        self.rule = lambda call: "drop"

    def up(self):
        self.rule = None

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Hold:
    """A rule that stops one request on its way: `reached` is set, and it goes no further until let go."""

    def __init__(self, method, verdict=None, match=lambda call: True):
        self.method, self.verdict, self.match = method, verdict, match
        self.reached, self.go = threading.Event(), threading.Event()

    def __call__(self, call):
        if call["method"] != self.method or self.go.is_set() or not self.match(call):
            return None
        self.reached.set()
        self.go.wait(120)
        return self.verdict

    def wait(self, timeout=60):
        assert self.reached.wait(timeout), f"{self.method} was not called within {timeout} s"

    def let_go(self, verdict=None):
        self.verdict = verdict
        self.go.set()


def use_endpoints(party, *urls):
    """Let a node that does not run yet talk to these endpoints."""
    party._tune("mooshd.conf", "chain", "rpc", ";".join(urls) + ";")
