"""moosh-keyd as a process: wallets, what it signs and refuses, and what others make of its files and signatures."""
import hashlib
import json
import os
import random
import re
import socket
import stat
import subprocess

import pytest
from world import NODE_BIN, PROGRAMS, Process

CAST = NODE_BIN / "cast"
WORDS = "test test test test test test test test test test test junk"
KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
ADDRESS = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
OTHER = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
DEPLOYMENT = {
    "chainId": 31337,
    "testUsd": "0x5FbDB2315678afecb367f032d93F642f64180aa3",
    "registry": "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512",
    "stakeVault": "0x9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0",
    "offerBook": "0xCf7Ed3AccA5a467e9e704C703E8D87F634fB0Fc9",
    "escrowVault": "0xDc64a140Aa3E981100a9becA4E685f962f0cF6C9",
    "agreements": "0x5FC8d32690cc91D4c39d9d3abcBD16989F875707",
}
CHEAP = ["--scrypt-log2n", "12"]


class Refused(Exception):
    def __init__(self, error):
        super().__init__(error["message"])
        self.kind = error["data"]["kind"]


class Client:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rw")

    def __call__(self, method, **params):
        self.file.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}) + "\n")
        self.file.flush()
        reply = json.loads(self.file.readline())
        if "error" in reply:
            raise Refused(reply["error"])
        return reply["result"]


def run(*args, secrets=(), **more):
    """moosh-keyd with texts on pipes: secrets = [(option, text), ...]."""
    argv, fds = [str(PROGRAMS["keyd"]), *map(str, args)], []
    for option, text in secrets:
        r, w = os.pipe()
        os.write(w, text.encode())
        os.close(w)
        argv += [option, str(r)]
        fds.append(r)
    done = subprocess.run(argv, pass_fds=fds, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
                          **more)
    for fd in fds:
        os.close(fd)
    return done


class Keyd:
    """A state directory with a wallet in it."""

    def __init__(self, directory, policy=True):
        self.dir = directory
        done = run("--state", self.dir, "--init", *CHEAP, secrets=[("--passphrase-fd", "pw\n"), ("--mnemonic-fd", WORDS)])
        assert done.returncode == 0, done.stderr
        if policy:
            (self.dir / "deployment.json").write_text(json.dumps(DEPLOYMENT))
            done = run("--state", self.dir, "--write-policy", "--deployment", self.dir / "deployment.json",
                       "--per-tx", "100", "--per-day", "150")
            assert done.returncode == 0, done.stderr
        self.process = None

    def start(self, passphrase="pw", env=None, options=()):
        self.process = Process("keyd", [PROGRAMS["keyd"], "--state", self.dir, *options], self.dir / "keyd.log",
                               ready=True, pass_text=passphrase, env=env)
        self.process.start()
        return self

    def client(self, name="keyd.sock"):
        return Client(self.dir / name)

    def add_policy(self, text):
        with open(self.dir / "keyd-policy.conf", "a", encoding="utf-8") as f:
            f.write(text)


@pytest.fixture
def keyd(tmp_path):
    made = Keyd(tmp_path)
    yield made
    if made.process:
        made.process.stop()


def cast(*args):
    return subprocess.run([CAST, *map(str, args)], check=True, capture_output=True, text=True, timeout=120).stdout.strip()


def mint(nonce=0, **more):
    """A transaction the default policy allows."""
    data = "0x40c10f19" + ADDRESS[2:].lower().zfill(64) + "ffff".zfill(64)
    return {"chain_id": 31337, "nonce": nonce, "to": DEPLOYMENT["testUsd"], "value": "0", "gas": 100000,
            "max_fee": "2000000000", "max_priority_fee": "1", "data": data, **more}


# ---- making a wallet

def test_init_makes_words_once(tmp_path):
    first = run("--state", tmp_path, "--init", *CHEAP, secrets=[("--passphrase-fd", "pw\n")])
    assert first.returncode == 0, first.stderr
    words = first.stdout.split()
    assert len(words) == 12 and first.stdout == " ".join(words) + "\n"
    public = json.loads((tmp_path / "keys/public.json").read_text())
    assert cast("wallet", "address", "--mnemonic", first.stdout.strip()) == public["address"]
    for name in ("wallet.json", "node.json", "public.json"):
        assert stat.S_IMODE((tmp_path / "keys" / name).stat().st_mode) == 0o600
        assert not any(w in (tmp_path / "keys" / name).read_text().split() for w in words)
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700

    before = (tmp_path / "keys/wallet.json").read_bytes()
    again = run("--state", tmp_path, "--init", *CHEAP, secrets=[("--passphrase-fd", "pw\n")])
    assert again.returncode == 10 and "already" in again.stderr and again.stdout == ""
    assert (tmp_path / "keys/wallet.json").read_bytes() == before


@pytest.mark.parametrize("given, expected", [
    (WORDS, 0), ("  TEST test\ttest test test test test test test test test Junk ", 0),
    (WORDS.replace("junk", "test"), 2), (WORDS.replace("junk", "jank"), 2), (WORDS + " test", 2), ("", 2)])
def test_init_with_words(tmp_path, given, expected):
    done = run("--state", tmp_path, "--init", *CHEAP, secrets=[("--passphrase-fd", "pw\n"), ("--mnemonic-fd", given)])
    assert done.returncode == expected, done.stderr
    assert done.stdout == ""
    if expected == 0:
        assert json.loads((tmp_path / "keys/public.json").read_text())["address"] == ADDRESS
    else:
        assert not (tmp_path / "keys/public.json").exists()


def test_init_other_account_from_a_file(tmp_path):
    (tmp_path / "words").write_text(WORDS + "\n")
    done = run("--state", tmp_path, "--init", *CHEAP, "--account", 1, "--mnemonic-file", tmp_path / "words",
               secrets=[("--passphrase-fd", "pw\n")])
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "keys/public.json").read_text())["address"] == OTHER


@pytest.mark.parametrize("options, secrets, code", [
    (["--init"], [], 2), (["--init"], [("--passphrase-fd", "")], 2), (["--init"], [("--passphrase-fd", "x" * 1025)], 2),
    (["--init", "--words", "13"], [("--passphrase-fd", "pw")], 2), (["--init", "--account", "-1"], [("--passphrase-fd", "pw")], 2),
    (["--init", "--passphrase-credential", "none"], [], 2), ([], [], 3), (["stray"], [], 2), (["--write-policy"], [], 2)])
def test_usage_errors(tmp_path, options, secrets, code):
    done = run("--state", tmp_path, *options, secrets=secrets, env={k: v for k, v in os.environ.items() if k != "CREDENTIALS_DIRECTORY"})
    assert done.returncode == code and done.stderr.strip(), done.stderr


# ---- other programs

def test_cast_reads_our_keystore(keyd):
    assert KEY in cast("wallet", "decrypt-keystore", "-k", keyd.dir / "keys", "wallet.json", "--unsafe-password", "pw")


def test_we_read_casts_keystore(keyd):
    (keyd.dir / "keys/wallet.json").unlink()
    cast("wallet", "import", "-k", keyd.dir / "keys", "wallet.json", "--private-key", KEY, "--unsafe-password", "pw")
    client = keyd.start().client()
    assert client("status") | {"node_key": 0} == {"locked": False, "address": ADDRESS, "node_key": 0, "wallets": [ADDRESS]}
    assert client("sign_transaction", **mint())["from"] == ADDRESS


def test_transaction_is_casts_byte_for_byte(keyd):
    ours = keyd.start().client()("sign_transaction", **mint(nonce=3))
    theirs = cast("mktx", "--private-key", KEY, "--nonce", 3, "--gas-limit", 100000, "--gas-price", 2000000000,
                  "--priority-gas-price", 1, "--chain", 31337, DEPLOYMENT["testUsd"], "mint(address,uint256)", ADDRESS,
                  65535, "--rpc-url", "http://127.0.0.1:1")
    assert ours["raw"] == theirs
    assert ours["hash"] == cast("keccak", theirs)


ATOMS = ["uint8", "uint32", "uint96", "uint256", "int16", "int256", "bool", "address", "bytes", "bytes1", "bytes32", "string"]


def random_value(rng, kind, types):
    if kind.endswith("]"):
        inner, count = kind[:kind.rindex("[")], kind[kind.rindex("[") + 1:-1]
        return [random_value(rng, inner, types) for _ in range(int(count) if count else rng.randrange(3))]
    if kind in types:
        return {m["name"]: random_value(rng, m["type"], types) for m in types[kind]}
    if kind.startswith("uint"):
        return str(rng.getrandbits(int(kind[4:])))
    if kind.startswith("int"):
        return str(rng.getrandbits(int(kind[3:])) - (1 << int(kind[3:]) - 1))
    if kind == "bool":
        return rng.random() < 0.5
    if kind == "string":
        return "".join(rng.choice("abc äß€😀\"\\") for _ in range(rng.randrange(40)))
    size = 20 if kind == "address" else rng.randrange(70) if kind == "bytes" else int(kind[5:])
    return "0x" + rng.randbytes(size).hex()


def random_typed(rng):
    types = {"EIP712Domain": [{"name": n, "type": t} for n, t in
                              (("name", "string"), ("version", "string"), ("chainId", "uint256"))]}
    names = ["Thing", "Zebra", "Apple", "Middle"]
    for i, name in enumerate(names):
        pool = ATOMS + names[i + 1:]  # only later structs: no recursion, which cast does not know
        types[name] = [{"name": f"m{k}", "type": rng.choice(pool) + rng.choice(["", "", "", "[]", "[2]", "[][1]"])}
                       for k in range(rng.randrange(1, 6))]
    domain = {"name": "Random", "version": "1", "chainId": 31337}
    return {"types": types, "primaryType": "Thing", "domain": domain, "message": random_value(rng, "Thing", types)}


def test_typed_data_is_casts(keyd):
    keyd.add_policy("[typed random]\ndomain=Random\nprimary_type=Thing\n")
    client, seed = keyd.start().client(), random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    for _ in range(25):
        typed = random_typed(rng)
        (keyd.dir / "typed.json").write_text(json.dumps(typed))
        theirs = cast("wallet", "sign", "--private-key", KEY, "--data", "--from-file", keyd.dir / "typed.json")
        assert client("sign_typed", typed=typed)["signature"] == theirs, json.dumps(typed)


# ---- the node key

P = 2**256 - 2**32 - 977
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = (0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
     0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8)


def add(a, b):
    if a is None or b is None:
        return a or b
    if a[0] == b[0] and (a[1] + b[1]) % P == 0:
        return None
    slope = 3 * a[0] * a[0] * pow(2 * a[1], -1, P) if a == b else (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def multiply(point, k):
    total = None
    while k:
        if k & 1:
            total = add(total, point)
        point, k = add(point, point), k >> 1
    return total


def lift(x, odd):
    y = pow(x**3 + 7, (P + 1) // 4, P)
    assert y * y % P == (x**3 + 7) % P
    return x, y if y & 1 == odd else P - y


def compressed(point):
    return bytes([2 + (point[1] & 1)]) + point[0].to_bytes(32, "big")


def tagged(tag, *parts):
    t = hashlib.sha256(tag.encode()).digest()
    return hashlib.sha256(t + t + b"".join(parts)).digest()


def schnorr_verify(x_only, message, signature):
    r, s = signature[:32], int.from_bytes(signature[32:], "big")
    e = int.from_bytes(tagged("BIP0340/challenge", r, x_only, message), "big") % N
    point = add(multiply(G, s), multiply(lift(int.from_bytes(x_only, "big"), 0), N - e))
    return point is not None and point[1] % 2 == 0 and point[0] == int.from_bytes(r, "big")


def statement(author, without=None, more=b""):
    def item(major, n):
        return bytes([major << 5 | n]) if n < 24 else bytes([major << 5 | 24, n]) if n < 256 else bytes([major << 5 | 25]) + n.to_bytes(2, "big")
    values = [item(2, 33) + author, item(0, 1), item(0, 4), item(2, 3) + b"key", item(0, 7), item(0, 1000), item(0, 2000), item(2, 4) + b"body"]
    kept = [item(0, k) + v for k, v in enumerate(values) if k != without]
    return item(5, len(kept)) + b"".join(kept) + more


def test_statements(keyd):
    client = keyd.start().client()
    author = bytes.fromhex(client("status")["node_key"][2:])
    good = statement(author)
    signature = bytes.fromhex(client("sign_statement", bytes="0x" + good.hex())["signature"][2:])
    assert schnorr_verify(author[1:], tagged("mooshnet/statement/1", good), signature)
    for bad in (b"", good[:-1], good + b"\0", statement(author, without=6), statement(compressed(G)), b"\xa0", b"hello"):
        with pytest.raises(Refused, match="^statement: ") as refused:
            client("sign_statement", bytes="0x" + bad.hex())
        assert refused.value.kind == "denied"


def test_ecdh(keyd):
    client = keyd.start().client()
    node = bytes.fromhex(client("status")["node_key"][2:])
    node = lift(int.from_bytes(node[1:], "big"), node[0] & 1)
    for secret in (1, 2, N - 1, 0x1212121212121212):
        shared = client("node_ecdh", pubkey=compressed(multiply(G, secret)).hex())["secret"]
        assert shared == "0x" + hashlib.sha256(compressed(multiply(node, secret))).hexdigest()
    for bad in ("02" + "ff" * 32, "05" + "11" * 32, "02" * 32, "", "zz"):
        with pytest.raises(Refused):
            client("node_ecdh", pubkey=bad)


def test_ecdh_is_rate_limited(keyd):
    client = keyd.start().client()
    key = compressed(G).hex()
    with pytest.raises(Refused, match="node_ecdh: more than 600 a minute") as refused:
        for _ in range(5000):
            client("node_ecdh", pubkey=key)
    assert refused.value.kind == "limit"
    assert client("status")["locked"] is False


# ---- locking

def test_lock_and_unlock(keyd):
    client = keyd.start(passphrase=None).client()
    assert client("status")["locked"] is True and client("status")["address"] == ADDRESS
    for method, params in (("sign_transaction", mint()), ("node_ecdh", {"pubkey": compressed(G).hex()})):
        with pytest.raises(Refused, match="locked"):
            client(method, **params)
    with pytest.raises(Refused, match="wrong passphrase") as refused:
        client("unlock", passphrase="pW")
    assert refused.value.kind == "denied"
    client("unlock", passphrase="pw")
    assert client("sign_transaction", **mint())["from"] == ADDRESS
    client("lock")
    with pytest.raises(Refused, match="locked"):
        client("sign_transaction", **mint())


def test_wrong_passphrase_at_the_start(keyd):
    done = run("--state", keyd.dir, secrets=[("--passphrase-fd", "nope\n")])
    assert done.returncode == 5 and "wrong passphrase" in done.stderr
    assert not (keyd.dir / "keyd.sock").exists()


def test_credential(keyd, tmp_path):
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials/wallet").write_text("pw\n")
    keyd.start(passphrase=None, env={"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")},
               options=["--passphrase-credential", "wallet"])
    assert keyd.client()("status")["locked"] is False


# ---- policy

def test_without_a_policy_nothing_that_costs_is_signed(tmp_path):
    keyd = Keyd(tmp_path, policy=False).start()
    try:
        client = keyd.client()
        for method, params in (("sign_transaction", mint()), ("sign_typed", {"typed": permit(1)})):
            with pytest.raises(Refused, match="policy: there is no .*keyd-policy.conf") as refused:
                client(method, **params)
            assert refused.value.kind == "denied"
        author = bytes.fromhex(client("status")["node_key"][2:])
        client("sign_statement", bytes=statement(author).hex())
        client("node_ecdh", pubkey=compressed(G).hex())
    finally:
        keyd.process.stop()


def permit(value, spender=DEPLOYMENT["escrowVault"], owner=ADDRESS):
    types = {"EIP712Domain": [{"name": n, "type": t} for n, t in (
        ("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address"))],
        "Permit": [{"name": n, "type": t} for n, t in (
            ("owner", "address"), ("spender", "address"), ("value", "uint256"), ("nonce", "uint256"), ("deadline", "uint256"))]}
    return {"types": types, "primaryType": "Permit",
            "domain": {"name": "Test USD", "version": "1", "chainId": 31337, "verifyingContract": DEPLOYMENT["testUsd"]},
            "message": {"owner": owner, "spender": spender, "value": str(value), "nonce": "0", "deadline": "9"}}


def word(value):
    return value[2:].lower().zfill(64) if isinstance(value, str) else f"{value:064x}"


def offer_types(name):
    """The types of Agreements.<name>, from what we compile."""
    sources = "address,uint8,uint8,bytes32,(uint32,uint32,uint32,uint32,uint32),uint8,uint16,address,uint96,uint96,uint96," \
        "uint32,uint32,uint32,uint32,uint32,uint32,uint32,uint32,uint128,uint32,address,bytes32,bytes32,address,uint32," \
        "bytes32,uint64,uint64,uint64"
    permit_types = "(uint256,uint256,uint8,bytes32,bytes32)"
    return {"take": f"take(({sources}),bytes,address,uint32,bytes32,uint128,{permit_types})",
            "topUp": f"topUp(uint64,({sources}),uint128,{permit_types})"}[name]


def take(deposit, client=ADDRESS, token=DEPLOYMENT["testUsd"]):
    """take() with an offer of zeros but for its token; words as the ABI lays them out."""
    offer = [word(0)] * 34
    offer[11] = word(token)
    words = offer + [word(44 * 32), word(client), word(1), word(0), word(deposit)] + [word(0)] * 5 + [word(0)]
    return cast("sig", offer_types("take")) + "".join(words)


def test_default_policy_counts_deposits(keyd):
    client = keyd.start().client()
    market = {"to": DEPLOYMENT["agreements"]}
    client("sign_typed", typed=permit(100))
    client("sign_transaction", **mint(0, **market, data=take(100)))
    with pytest.raises(Refused) as refused:
        client("sign_transaction", **mint(1, **market, data=take(51)))
    assert str(refused.value) == "policy: [token usd] per_day: 151 would exceed 150" and refused.value.kind == "denied"
    client("sign_transaction", **mint(0, **market, data=take(100), max_fee="3000000000"))  # a fee bump is no new deposit

    keyd.process.kill()
    client = keyd.start().client()
    with pytest.raises(Refused, match=re.escape("policy: [token usd] per_day: 151 would exceed 150")):
        client("sign_transaction", **mint(1, **market, data=take(51)))
    client("sign_transaction", **mint(1, **market, data=take(50)))


@pytest.mark.parametrize("params, refusal", [
    ({"chain_id": 1}, "[chains] allowed: chain 1 is not on the list"),
    ({"to": OTHER}, f"[contract *] address: {OTHER} is not on the list"),
    ({"value": "1"}, "[transactions] max_value: 1 would exceed 0"),
    ({"gas": 10**9}, "[transactions] max_fee: 2000000000000000000 would exceed 50000000000000000"),
    ({"data": "0x"}, "[contract *] functions: the transaction calls none"),
    ({"data": "0xa9059cbb" + word(OTHER) + word(1)}, f"[token usd] transfer_to: {OTHER} is not on the list"),
    ({"data": "0x095ea7b3" + word(OTHER) + word(1)}, f"[token usd] spenders: {OTHER} is not on the list"),
    ({"data": "0x095ea7b3" + word(DEPLOYMENT["stakeVault"]) + word(101)}, "[token usd] per_tx: 101 would exceed 100"),
    ({"to": DEPLOYMENT["agreements"], "data": take(101)}, "[token usd] per_tx: 101 would exceed 100"),
    ({"to": DEPLOYMENT["agreements"], "data": take(1, client=OTHER)},
     "[call take] self_word: argument word 35 is not this wallet's address"),
    ({"to": DEPLOYMENT["escrowVault"], "data": cast("calldata", "withdraw(address,address,uint256)", OTHER, OTHER, 1)},
     "[call withdraw] self_word: argument word 1 is not this wallet's address"),
    ({"to": DEPLOYMENT["escrowVault"], "data": cast("calldata", "withdrawMany(address[],address)", "[]", OTHER)},
     "[call withdrawMany] self_word: argument word 1 is not this wallet's address"),
    ({"to": DEPLOYMENT["registry"], "data": cast("calldata", "proposeHotKey(address)", OTHER)},
     "[contract registry] functions: 0x" + cast("sig", "proposeHotKey(address)")[2:] + " is not on the list"),
])
def test_default_policy_refuses(keyd, params, refusal):
    with pytest.raises(Refused) as refused:
        keyd.start().client()("sign_transaction", **{**mint(), **params})
    assert str(refused.value) == "policy: " + refusal


@pytest.mark.parametrize("bad", [
    {"nonce": -1}, {"gas": 20999}, {"chain_id": 0}, {"to": "0x00"}, {"value": "0x1"}, {"value": "-1"}, {"max_fee": ""},
    {"max_fee": "1" + "0" * 80}, {"max_priority_fee": "2000000001"}, {"data": "zz"}, {"data": "0x1"}, {"extra": 1}, {"value": 5},
    {"to": DEPLOYMENT["testUsd"].swapcase().replace("0X", "0x")}])
def test_bad_transactions(keyd, bad):
    with pytest.raises(Refused) as refused:
        keyd.start().client()("sign_transaction", **{**mint(), **bad})
    assert refused.value.kind == "usage"


def test_data_limit(keyd):
    client = keyd.start().client()
    data = mint()["data"]
    client("sign_transaction", **mint(data=data + "00" * (128 * 1024 - 68)))
    with pytest.raises(Refused) as refused:
        client("sign_transaction", **mint(data=data + "00" * (128 * 1024 - 67)))
    assert refused.value.kind == "limit"


def test_a_broken_policy_is_not_started_with(keyd):
    keyd.add_policy("[token typo]\nadress=0x00\n")
    done = run("--state", keyd.dir, secrets=[("--passphrase-fd", "pw\n")])
    assert done.returncode == 2 and "[token typo]" in done.stderr


def test_write_policy_replaces_only_by_force(keyd):
    again = ("--state", keyd.dir, "--write-policy", "--deployment", keyd.dir / "deployment.json")
    assert run(*again).returncode == 10
    assert run(*again, "--force").returncode == 0
    (keyd.dir / "deployment.json").write_text(json.dumps({**DEPLOYMENT, "agreements": "0x12"}))
    bad = run(*again, "--force")
    assert bad.returncode == 2 and "agreements" in bad.stderr


# ---- sockets, privileges, memory

def test_sockets(keyd):
    (keyd.dir / "keyd.conf").write_text(
        "[socket peers]\npath=peers.sock\nmode=0666\nmethods=status;node_ecdh\n"
        f"[socket else]\npath={keyd.dir}/else.sock\nmode=0660\nuid={os.getuid() + 12345}\nmethods=status\n"
        f"[socket mine]\npath=mine.sock\nuid={os.getuid()}\nmethods=status\n")
    keyd.start()
    for name, mode in (("keyd", 0o600), ("peers", 0o666), ("else", 0o660), ("mine", 0o600)):
        assert stat.S_IMODE((keyd.dir / f"{name}.sock").stat().st_mode) == mode
    assert keyd.client("mine.sock")("status")["address"] == ADDRESS
    peers = keyd.client("peers.sock")
    assert peers("status")["address"] == ADDRESS
    with pytest.raises(Refused, match='no method "sign_transaction"'):
        peers("sign_transaction", **mint())
    with pytest.raises(Refused, match="this socket is for uid") as refused:
        keyd.client("else.sock")("status")
    assert refused.value.kind == "denied"


@pytest.mark.parametrize("text", ["methods=status", "path=a.sock", "path=a.sock\nmethods=stat",
                                  "path=a.sock\nmethods=status\nmode=rw", "path=a.sock\nmethods=status\nuid=root"])
def test_bad_socket_groups(keyd, text):
    (keyd.dir / "keyd.conf").write_text(f"[socket a]\n{text}\n")
    done = run("--state", keyd.dir, secrets=[("--passphrase-fd", "pw\n")])
    assert done.returncode == 2 and "[socket a]" in done.stderr


def test_what_the_process_has_given_up(keyd):
    keyd.start()
    proc = f"/proc/{keyd.process.popen.pid}"
    with open(f"{proc}/status", encoding="utf-8") as f:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
    assert status["Seccomp"] == "2" and status["NoNewPrivs"] == "1"
    with open(f"{proc}/limits", encoding="utf-8") as f:
        core = next(line.split() for line in f if line.startswith("Max core file size"))
    assert core[4:6] == ["0", "0"]


def test_idle_memory(keyd):
    client = keyd.start().client()
    client("sign_transaction", **mint())
    client("lock")
    client("unlock", passphrase="pw")
    with open(f"/proc/{keyd.process.popen.pid}/status", encoding="utf-8") as f:
        kib = next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))
    print(f"BENCH keyd_idle_mib {kib / 1024:.1f} MiB")
    assert kib <= 10 * 1024


def test_two_cannot_share_a_wallet(keyd):
    keyd.start()
    done = run("--state", keyd.dir, secrets=[("--passphrase-fd", "pw\n")])
    assert done.returncode == 10
    assert keyd.client()("status")["locked"] is False
