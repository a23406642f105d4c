"""The provider's wizard with real daemons and a real chain: what it puts on offer, and that it can be run again."""
import json
import os
import pty
import select

import pytest

import world as w

pytestmark = pytest.mark.skipif(not w.PROGRAMS["vmmd"].exists(), reason="moosh-vmmd is not built")

DEDICATED = "0x" + b"dedicated".ljust(32, b"\0").hex()
SHARED = "0x" + b"shared".ljust(32, b"\0").hex()
UNITS = "((uint32,uint32,uint32,uint32,uint32))"


@pytest.fixture(scope="module")
def market():
    with w.World() as world:
        yield world


@pytest.fixture(scope="module")
def provider(market):
    return market.party("provider", provider=True).start()


def wizard(provider, *args, **more):
    return provider.run("setup", *args, program="moosh-vmm", **more)


def remaining(market, provider, pool):
    """The pool's capacity on the chain: (vCPU milli, RAM MiB, disk GiB)."""
    text = market.chain.call(market.chain.contract("offerBook"), f"remaining(address,bytes32){UNITS}", provider.address, pool)
    return tuple(int(v.split()[0]) for v in text.strip("()").split(",")[:3])


def transactions(market, provider):
    return int(market.chain.rpc("eth_getTransactionCount", provider.address, "latest"), 16)


def live(provider):
    return [o for o in provider.call("offer.own")["offers"] if o["on_offer"]]


def preseed(tmp_path, **answers):
    path = tmp_path / f"preseed-{len(list(tmp_path.iterdir()))}"
    path.write_text("".join(f"{k}={v}\n" for k, v in answers.items()))
    return path


def on_terminal(provider, says, *args):
    """Run the wizard on a pseudo-terminal, answering by the question's beginning, else with Enter."""
    asked = []
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(w.PROGRAMS["moosh-vmm"], ["moosh-vmm", "--state", str(provider.dir), "setup", *args])
    shown = ""
    while select.select([fd], [], [], 180)[0]:
        try:
            piece = os.read(fd, 65536).decode(errors="replace")
        except OSError:
            break
        if not piece:
            break
        shown += piece
        last = shown.replace("\r", "").rsplit("\n", 1)[-1]
        if last.endswith(": ") and ("[" in last or "yes or no" in last or "HOST:PORT" in last):
            asked.append(last)
            answer = next((a.pop(0) for q, a in says.items() if last.startswith(q) and a), "")
            os.write(fd, (answer + "\n").encode())
            shown += "\n"
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown, asked


def test_1_refusals_change_nothing(market, provider, tmp_path):
    for args, code, says in (
            ([], 2, "--auto"),
            (["--auto", "--preset", "funny"], 2, "neither standard nor dev"),
            (["--auto", "--preseed", tmp_path / "gone"], 3, "--preseed"),
            (["--auto", "--preseed", preseed(tmp_path, frobs=1)], 2, "line 1: there is no question"),
            (["--auto", "--preseed", preseed(tmp_path, cores=4000)], 2, "the host has"),
            (["--auto", "--preseed", preseed(tmp_path, stake="1000.000001")], 8, "the stake is 1000.000001 tUSD")):
        done = wizard(provider, *args, check=False)
        assert done.returncode == code and says in done.stderr, done.stderr
    assert transactions(market, provider) == 0 and live(provider) == []
    assert provider.call("inventory.get", daemon="vmmd")["pools"] == []


def test_2_no_changes_nothing(market, provider):
    code, shown, asked = on_terminal(provider, {"Do this?": ["no"]})
    assert code == 14 and "nothing was done" in shown
    assert len(asked) >= 12 and transactions(market, provider) == 0


def test_3_auto_puts_machines_on_offer(market, provider):
    done = wizard(provider, "--auto", "--preset", "dev")
    assert "On offer: small at 0.015 tUSD/h" in done.stderr
    pool, = provider.call("inventory.get", daemon="vmmd")["pools"]
    capacity = pool["capacity"]
    assert "0x" + pool["pool"].removeprefix("0x") == DEDICATED and pool["class"] == 0
    assert remaining(market, provider, DEDICATED) == (capacity["vcpu_milli"], capacity["ram_mib"], capacity["disk_gib"])
    offer = live(provider)[0]
    assert offer["terms"]["notice"] == 10 and offer["terms"]["units"]["vcpuMilli"] == 1000
    assert offer["price_per_hour"] == "0.015"
    stake = provider.call("wallet.show")["stake"]
    assert int(stake["free_wei"]) >= int(stake["floor_wei"]) * (capacity["vcpu_milli"] // 1000)


def test_4_again_changes_nothing(market, provider, tmp_path):
    before = transactions(market, provider), [o["id"] for o in live(provider)]
    for args in (["--auto", "--preset", "dev"], ["--auto", "--preseed", preseed(tmp_path, terms="dev")]):
        assert "nothing was changed" in wizard(provider, *args).stderr
    dump = tmp_path / "dump"
    dump.write_text(wizard(provider, "--auto", "--preset", "dev", "--dump").stdout)
    assert "sizes=small:1:1024M:10G" in dump.read_text()
    assert "nothing was changed" in wizard(provider, "--preseed", dump).stderr
    assert json.loads(wizard(provider, "--preseed", dump, "--auto", "--json").stdout)["changes"] == 0
    assert (transactions(market, provider), [o["id"] for o in live(provider)]) == before


def test_5_status_and_doctor(provider):
    shown = provider.run("status", program="moosh-vmm").stdout
    assert "registered     yes" in shown and "0.015 tUSD/h" in shown and "dedicated" in shown
    assert "No machine is rented" in shown
    done = provider.run("doctor", program="moosh-vmm", check=False)
    assert done.returncode == 0 and "1 of 1 on offer" in done.stdout, done.stdout
    provider.vmmd.stop()
    try:
        done = provider.run("doctor", check=False)
        assert done.returncode == 1 and "vmmd" in done.stdout and "node start" in done.stdout
        done = wizard(provider, "--auto", check=False)
        assert done.returncode == 6 and "moosh-vmmd is not running" in done.stderr
    finally:
        provider.start()


def test_6_another_price_replaces_the_order(market, provider):
    before = [o["id"] for o in live(provider)]
    code, shown, asked = on_terminal(
        provider, {"Price of one vCPU": ["cheap", "0.02"], "Terms": ["dev"], "Do this?": ["yes"]})
    assert code == 0, shown
    assert '"cheap" is not a price' in shown
    now = live(provider)
    assert [o["price_per_hour"] for o in now] == ["0.025"] and now[0]["id"] not in before
    old, = [o for o in provider.call("offer.own")["offers"] if o["id"] == before[0]]
    assert not old["on_offer"] and "cancelled" in old["why_not"]
    assert "cancelled" in provider.run("offers", program="moosh-vmm").stdout


def test_7_the_other_class_takes_the_capacity_over(market, provider, tmp_path):
    answers = preseed(tmp_path, **{"class": "shared", "overcommit_pct": 300, "cores": 1, "ram": "2G", "disk": "8G",
                                   "sizes": "half:0.5:256M:1G,one:1:512M:2G", "terms": "dev"})
    done = wizard(provider, "--auto", "--preseed", answers)
    assert "the dedicated pool is closed" in done.stderr
    assert remaining(market, provider, DEDICATED) == (0, 0, 0)
    assert remaining(market, provider, SHARED) == (3000, 2048, 8)
    assert sorted(o["terms"]["units"]["vcpuMilli"] for o in live(provider)) == [500, 1000]
    assert all(o["overcommit_pct"] == 300 and o["class"] == "shared" for o in live(provider))
    before = transactions(market, provider)
    assert "nothing was changed" in wizard(provider, "--auto", "--preseed", answers).stderr
    assert transactions(market, provider) == before


def test_8_a_cancelled_order_is_made_again(provider, tmp_path):
    ids = [o["id"] for o in live(provider)]
    assert provider.run("cancel", ids[0], program="moosh-vmm", check=False).returncode == 2
    provider.run("cancel", ids[0], "--yes", program="moosh-vmm")
    assert [o["id"] for o in live(provider)] == ids[1:]
    answers = preseed(tmp_path, **{"class": "shared", "overcommit_pct": 300, "cores": 1, "ram": "2G", "disk": "8G",
                                   "sizes": "half:0.5:256M:1G,one:1:512M:2G", "terms": "dev"})
    wizard(provider, "--auto", "--preseed", answers)
    assert len(live(provider)) == 2 and ids[1] in [o["id"] for o in live(provider)]


def test_9_from_nothing_to_a_running_node_and_back(market, tmp_path):
    """`moosh init`, `moosh node start`, `moosh doctor`, `moosh node stop`, and the wallet's words bring it back."""
    import subprocess

    def moosh(state, *args, **more):
        return subprocess.run([w.PROGRAMS["moosh"], "--state", state, *args], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=120, **more)
    secret = tmp_path / "secret"
    secret.write_text("correct horse\n")
    first, second = tmp_path / "first", tmp_path / "second"
    common = ["--rpc", market.chain.url, "--deployment", market.chain.deployment, "--passphrase-file", secret]
    made = moosh(first, "init", *common)
    assert made.returncode == 0 and len(made.stdout.split()) == 12, made.stderr
    try:
        done = moosh(first, "node", "start", "--passphrase-file", secret)
        assert done.returncode == 0, done.stderr
        status = json.loads(moosh(first, "status", "--json").stdout)
        market.chain.fund(status["identity"])
        assert status["keyd"] == {"reachable": True, "locked": False}
        doctor = json.loads(moosh(first, "doctor", "--json").stdout)
        assert doctor["broken"] == 0, doctor
        assert moosh(first, "node", "lock").returncode == 0
        done = moosh(first, "doctor")
        assert done.returncode == 1 and "node unlock" in done.stdout
        assert moosh(first, "node", "unlock", "--passphrase-file", secret).returncode == 0
        assert "1000 tUSD" in moosh(first, "wallet").stdout
    finally:
        assert moosh(first, "node", "stop").returncode == 0
    assert moosh(first, "status").returncode == 6
    words = tmp_path / "words"
    words.write_text(made.stdout)
    assert moosh(second, "init", *common, "--mnemonic-file", words).returncode == 0
    try:
        assert moosh(second, "node", "start", "--passphrase-file", secret).returncode == 0
        assert json.loads(moosh(second, "status", "--json").stdout)["identity"] == status["identity"]
    finally:
        moosh(second, "node", "stop")
