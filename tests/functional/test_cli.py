"""The command line against daemons that say what the test wants: words, tables, exit codes, questions.

What the commands really do to a market is shown by the tests with real daemons; here the other end of the socket is a
few lines of Python, so that every answer and every refusal can be tried.
"""
import json
import os
import pty
import select
import socket
import subprocess
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("MOOSH_BUILD", ROOT / "build"))
MOOSH = BUILD / "src/cli/moosh"
VMM = BUILD / "src/cli/moosh-vmm"

TOKEN = {"address": "0x" + "11" * 20, "symbol": "tUSD", "decimals": 6}
PROVIDER = "0x" + "ab" * 20
OFFER = "0x" + "cd" * 32
RATE_X = str((15000 << 32) // 3600 + 1)  # 0.015 tUSD an hour
UNITS = {"vcpu_milli": 2000, "ram_mib": 1536, "disk_gib": 10, "gpu": 0, "ipv4": 0}


class Refusal(Exception):
    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


class Daemon:
    """Answers JSON-RPC on a unix socket from a table method → value or function(params)."""

    def __init__(self, path, answers):
        self.answers, self.calls = answers, []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen()
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, connection.makefile("rw") as stream:
            for line in stream:
                request = json.loads(line)
                self.calls.append((request["method"], request.get("params", {})))
                try:
                    answer = self._answer(request)
                except ConnectionError:
                    return
                stream.write(json.dumps({"jsonrpc": "2.0", "id": request["id"], **answer}) + "\n")
                stream.flush()

    def _answer(self, request):
        try:
            answer = self.answers[request["method"]]
            return {"result": answer(request["params"]) if callable(answer) else answer}
        except KeyError as e:
            return {"error": {"code": -32601, "message": f"no answer for {e}", "data": {"kind": "usage"}}}
        except Refusal as e:
            if e.kind == "hang up":
                raise ConnectionError from None
            return {"error": {"code": -32000, "message": str(e), "data": {"kind": e.kind}}}

    def params_of(self, method):
        return [params for name, params in self.calls if name == method]

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept(), before the descriptor is somebody else's
        self.thread.join()
        self.socket.close()


STATUS = {
    "version": "0.1.0", "identity": PROVIDER, "node_key": "02" + "ee" * 32, "address": "02" + "ee" * 32 + "@127.0.0.1:7000",
    "state_dir": "/x", "chain": {"id": 31337, "head": 70, "synced_block": 70, "lag_s": 1, "endpoints":
                                 [{"url": "http://127.0.0.1:8545", "ok": True, "error": None}], "contracts": {}},
    "clock_skew_s": 0, "keyd": {"reachable": True, "locked": False}, "peers": [], "token": TOKEN,
    "provider": {"enabled": True, "vmmd_reachable": True, "offers": 1},
}
QUOTE = {
    "offer": OFFER, "provider": PROVIDER, "provider_name": "pia", "price_per_hour": "0.015", "rate_x": RATE_X,
    "deposit_wei": "30000", "lock_wei": "360", "minimum_deposit_wei": "360", "lasts_s": 7200, "runs_out_at_s": 4102444800,
    "min_term_s": 0, "notice_s": 86400, "balance_wei": "5000000", "enough": True,
}


def deployment(state="active", **more):
    return {"deployment": "web", "agreement": 7, "provider": PROVIDER, "provider_name": "pia", "offer": OFFER,
            "state": state, "step": None, "error": None, "blueprint": "git+https://example.org/r?rev=1#vm",
            "endpoint": {"host": "127.0.0.1", "port": 2201}, "created_s": 1700000000, "active_s": 1700000060,
            "deposit_wei": "30000", "balance_wei": "28500", "spent_wei": "1500", "rate_x": RATE_X,
            "price_per_hour": "0.015", "refundable_wei": "28140", "runs_out_at_s": 4102444800, "rating": 0,
            "transactions": [], **more}


@pytest.fixture
def world(tmp_path):
    class World:
        state = tmp_path

        def __init__(self):
            self.node = Daemon(tmp_path / "mooshd.sock", {"node.status": STATUS})
            self.daemons = [self.node]

        def add(self, name, answers):
            daemon = Daemon(tmp_path / f"{name}.sock", answers)
            self.daemons.append(daemon)
            return daemon

        def run(self, *args, program=MOOSH, **more):
            return subprocess.run([program, "--state", tmp_path, *args], capture_output=True, text=True, timeout=60,
                                  stdin=subprocess.DEVNULL, env={**os.environ, "HOME": str(tmp_path), "TZ": "UTC"}, **more)

    it = World()
    yield it
    for daemon in it.daemons:
        daemon.close()


def on_terminal(argv, says, env=None, timeout=60):
    """Run on a pseudo-terminal, answering each prompt with the next of `says`; returns (exit code, what was shown)."""
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(env or {})
        os.execv(argv[0], [str(a) for a in argv])
    shown, says = b"", list(says)
    while True:
        ready = select.select([fd], [], [], timeout)[0]
        if not ready:
            os.kill(pid, 9)
            raise AssertionError(f"waits for ever after {shown.decode()!r}")
        try:
            piece = os.read(fd, 65536)
        except OSError:
            piece = b""
        if not piece:
            break
        shown += piece
        if says and shown.rstrip(b" ").endswith(b":") and shown.endswith(b": "):
            os.write(fd, (says.pop(0) + "\n").encode())
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


# ---- words

def test_every_command_has_help(world):
    listed = world.run("help").stdout
    commands = [line[2:37].split("  ")[0] for line in listed.split("All commands")[1].split("\n\n")[0].splitlines()[1:]]
    assert len(commands) >= 28
    for command in commands:
        words = [w for w in command.split() if w == w.lower() and w[0].isalpha() and "|" not in w]
        done = world.run(*words, "--help")
        assert done.returncode == 0 and done.stdout.startswith("moosh " + " ".join(words)), command
        assert "--json" in done.stdout


@pytest.mark.parametrize("program", [MOOSH, VMM])
def test_the_manual_names_every_command_and_option(program):
    manual = (ROOT / "docs/cli.md").read_text()
    listed = subprocess.run([program, "help"], capture_output=True, text=True).stdout
    for line in listed.split("All commands")[1].split("\n\n")[0].splitlines()[1:]:
        words = [w for w in line[2:37].split("  ")[0].split() if w == w.lower() and w[0].isalpha() and "|" not in w]
        assert " ".join(words) in manual, words
        for option in subprocess.run([program, *words, "--help"], capture_output=True, text=True).stdout.split():
            if option.startswith("--") and option[2:].isalpha() and program == MOOSH:
                assert option in manual, (words, option)


@pytest.mark.parametrize("args, says", [
    (["frobnicate"], 'there is no command "frobnicate"'),
    (["contact"], "say one of add, list, remove, rename"),
    (["contact", "sing"], "contact sing: say one of"),
    (["contact", "add"], "takes the arguments KEY@HOST:PORT [NAME]"),
    (["ps", "too", "many"], "takes no argument"),
    (["offers", "--frob"], "Unknown option --frob"),
    (["offers", "--ram"], "Missing argument for --ram"),
    (["offers", "--ram", "lots"], '--ram: "lots" is not an amount of memory'),
    (["offers", "--limit", "1001"], "not a number from 1 to 1000"),
    (["offers", "--price", "0.02/fortnight"], "is not a price"),
    (["rate", "web", "6"], "not a number of stars from 1 to 5"),
    (["rate", "web", "0"], "not a number of stars from 1 to 5"),
    (["top-up", "web", "much"], '"much" is not an amount of tUSD'),
    (["top-up", "web", "0.0000001"], "at most 6 places"),
    (["take", OFFER], "say what to run"),
    (["take", "--blueprint", "git+https://example.org/r"], "say which offer"),
    (["take", OFFER, "--vcpu", "1", "-b", "git+https://example.org/r"], "not both"),
])
def test_wrong_words_are_refused_with_a_sentence(world, args, says):
    done = world.run(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr


def test_without_a_node_it_says_how_to_start_one(tmp_path):
    done = subprocess.run([MOOSH, "ps", "--state", tmp_path], capture_output=True, text=True)
    assert done.returncode == 6 and "node start" in done.stderr


def test_no_words_show_the_help_and_fail(world):
    done = subprocess.run([MOOSH], capture_output=True, text=True)
    assert done.returncode == 2 and "The daily path" in done.stdout


def test_version(world):
    assert subprocess.run([MOOSH, "--version"], capture_output=True, text=True).stdout == "moosh 0.1.0\n"


EXIT_CODES = {"failed": 1, "usage": 2, "not_found": 3, "refused": 4, "denied": 5, "unavailable": 6, "timeout": 7,
              "funds": 8, "expired": 9, "conflict": 10, "protocol": 11, "corrupt": 12, "limit": 13, "cancelled": 14}


@pytest.mark.parametrize("kind, code", EXIT_CODES.items())
def test_exit_code_says_the_kind_of_trouble(world, kind, code):
    def refuse(params):
        raise Refusal(kind, "it is so")
    world.node.answers["agreement.show"] = refuse
    done = world.run("show", "web")
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "moosh: it is so\n")
    done = world.run("show", "web", "--json")
    assert done.returncode == code and json.loads(done.stderr) == {"error": {"kind": kind, "message": "it is so"}}


def test_a_daemon_that_goes_away_or_babbles(world):
    def leave(params):
        raise Refusal("hang up", "")
    world.node.answers["agreement.list"] = leave
    assert world.run("ps").returncode == 6
    world.node._answer = lambda request: {"result": "not an object"}
    assert world.run("ps").returncode == 11


# ---- looking

def test_offers_pass_the_filter_on_and_show_a_table(world):
    world.node.answers["offers.list"] = {"offers": [
        {"id": OFFER, "provider": PROVIDER, "provider_name": "pia\x1b[2J", "price_per_hour": "0.015", "rate_x": RATE_X,
         "units": UNITS, "class": "shared", "overcommit_pct": 200, "min_term_s": 3600, "available": 3}], "total": 5}
    done = world.run("offers", "--vcpu", "0.5", "--ram=1.5G", "--disk", "1T", "--price", "12/d", "--term", "90min",
                     "--provider", "pia", "--class", "shared", "--sort", "ram", "--limit", "1", "-a")
    assert done.returncode == 0, done.stderr
    assert world.node.params_of("offers.list") == [
        {"vcpu_milli": 500, "ram_mib": 1536, "disk_gib": 1024, "max_price": "0.5", "min_term_s": 5400, "provider": "pia",
         "class": "shared", "sort": "ram", "limit": 1, "all": True}]
    head, row = done.stdout.splitlines()
    assert head.split()[:3] == ["OFFER", "PROVIDER", "PRICE"]
    assert "0xcdcdcdcd…" in row and "0.015 tUSD/h" in row and "1.5 GiB" in row and "shared 200 %" in row and "1 h" in row
    assert "\x1b" not in row and "pia?[2J" in row
    assert "1 of 5 offers" in done.stderr


def test_no_offer_says_what_to_do(world):
    world.node.answers["offers.list"] = {"offers": [], "total": 0}
    done = world.run("offers")
    assert (done.returncode, done.stdout) == (0, "") and "offers --all" in done.stderr


def test_json_is_what_the_daemon_said(world):
    world.node.answers["agreement.list"] = {"deployments": [deployment()]}
    for args in (["ps", "--json"], ["--json", "ps"], ["history", "--json"]):
        assert json.loads(world.run(*args).stdout) == {"deployments": [deployment()]}


def test_ps_shows_the_money(world):
    world.node.answers["agreement.list"] = {"deployments": [deployment(), deployment("taken", deployment="db", rate_x=None,
                                                                                     price_per_hour=None)]}
    rows = world.run("ps").stdout.splitlines()
    assert rows[0].split() == ["NAME", "STATE", "RATE", "SPENT", "LEFT", "RUNS", "OUT", "PROVIDER"]
    assert "web" in rows[1] and "0.015 tUSD/h" in rows[1] and "0.0015 tUSD" in rows[1] and "0.0285 tUSD" in rows[1]
    assert " in " in rows[1] and "pia (0xabababab…)" in rows[1]
    assert world.node.params_of("agreement.list") == [{}]
    world.node.answers["agreement.list"] = {"deployments": [deployment("paused", rate_x="8947848533")]}
    assert "0.007499 tUSD/h" in world.run("ps").stdout  # the paused rate, cut


def test_show_is_a_sheet(world):
    world.node.answers["agreement.show"] = deployment()
    sheet = dict(line.split(None, 1) for line in world.run("show", "web").stdout.splitlines() if " " in line.strip())
    assert sheet["state"] == "active" and sheet["endpoint"] == "127.0.0.1:2201" and sheet["spent"] == "0.0015 tUSD"
    assert "2100-01-01 00:00:00" in world.run("show", "web").stdout
    world.node.answers["agreement.show"] = deployment("closed", closed_s=1700000100, close_text="You ended it.",
                                                      refund_wei="28000", penalty_wei="0")
    shown = world.run("show", "web").stdout
    assert "You ended it." in shown and "0.028 tUSD" in shown and "runs out" not in shown and "penalty" not in shown


def test_amounts_are_cut_never_rounded_up(world):
    world.node.answers["node.status"] = {**STATUS, "token": {**TOKEN, "decimals": 18}}
    world.node.answers["wallet.show"] = {"address": PROVIDER, "native_wei": "1999999999999999999", "token_wei": "1",
                                         "locked_wei": "1999999999999999999", "credit_wei": "0", "transactions": []}
    shown = world.run("wallet").stdout
    assert "1.999999999 of" in shown and "<0.000001 tUSD" in shown and "1.999999 tUSD" in shown and "0 tUSD" in shown


# ---- taking

def taking(world, states):
    states = iter(states)
    world.node.answers["agreement.quote"] = QUOTE
    world.node.answers["agreement.take"] = {"deployment": "web", "agreement": 7, "hash": "0x1", "state": "taken"}
    world.node.answers["agreement.show"] = lambda params: next(states)


def test_take_shows_the_cost_asks_and_follows(world, tmp_path):
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/id_ed25519.pub").write_text("ssh-ed25519 AAAA me@here\n")
    (tmp_path / ".ssh/broken.pub").write_text("not a key")
    taking(world, [deployment("taken"), deployment("accepted", step="building"), deployment("accepted", step="building"),
                   deployment("active")])
    done = world.run("take", OFFER[:10], "-b", "git+https://example.org/r?rev=1#vm", "--for", "2h", "--name", "web", "--yes")
    assert done.returncode == 0, done.stderr
    assert world.node.params_of("agreement.quote") == [{"offer": OFFER[:10], "duration_s": 7200}]
    assert world.node.params_of("agreement.take") == [
        {"offer": OFFER, "deposit_wei": "30000", "rate_x": RATE_X, "blueprint": "git+https://example.org/r?rev=1#vm",
         "ssh_keys": ["ssh-ed25519 AAAA me@here"], "internet": True, "name": "web"}]
    for part in ("0.015 tUSD/h", "0.03 tUSD (0.00036 tUSD of it locked", "2 h", "2100-01-01 00:00:00", "1 d notice"):
        assert part in done.stderr
    assert done.stderr.count("accepted: building") == 1
    assert "moosh ssh web" in done.stderr and "127.0.0.1:2201" in done.stdout


def test_take_by_requirements_with_its_own_deposit_and_key(world, tmp_path):
    (tmp_path / "k.pub").write_text("ssh-rsa AAAABBBB\n")
    taking(world, [deployment("active")])
    done = world.run("take", "--vcpu", "2", "--ram", "1G", "--price", "0.02/h", "-b", str(tmp_path), "--deposit", "1.5", "-i",
                     tmp_path / "k.pub", "--no-internet", "--units", "2", "--json", "-y")
    assert done.returncode == 0, done.stderr
    assert world.node.params_of("agreement.quote") == [
        {"vcpu_milli": 2000, "ram_mib": 1024, "max_price": "0.02", "units": 2, "deposit_wei": "1500000"}]
    taken = world.node.params_of("agreement.take")[0]
    assert taken["blueprint"] == f"git+file://{tmp_path}" and taken["ssh_keys"] == ["ssh-rsa AAAABBBB"]
    assert taken["internet"] is False and taken["units"] == 2
    assert json.loads(done.stdout) == deployment("active")


def test_needs_in_words(world):
    taking(world, [deployment("active")])
    world.node.answers["offers.list"] = {"offers": [], "total": 0}
    need = {"vcpu_milli": 2000, "ram_mib": 1024, "max_price": "0.02"}
    assert world.run("take", "2 vCPU, 1 GiB, under 0.02/h", "-b", "git+https://example.org/r", "-y").returncode == 0
    assert world.node.params_of("agreement.quote") == [{**need, "duration_s": 3600}]
    assert world.run("offers", "2 vCPU, 1 GiB, under 0.02/h").returncode == 0
    assert world.node.params_of("offers.list") == [need]
    done = world.run("take", "a big one", "-b", "git+https://example.org/r", "-y")
    assert done.returncode == 2 and '"a big one" in' in done.stderr


def test_take_without_a_terminal_needs_a_yes(world):
    taking(world, [])
    done = world.run("take", OFFER, "-b", "git+https://example.org/r")
    assert done.returncode == 2 and "--yes" in done.stderr and not world.node.params_of("agreement.take")


@pytest.mark.parametrize("answer, code", [("no", 14), ("", 14), ("yes", 0), ("Y", 0)])
def test_take_asks_on_a_terminal(world, answer, code):
    taking(world, [deployment("active")])
    ended, shown = on_terminal([MOOSH, "--state", world.state, "take", OFFER, "-b", "git+https://example.org/r"], [answer])
    assert ended == code, shown
    assert bool(world.node.params_of("agreement.take")) == (code == 0)


def test_take_with_too_little_money(world):
    taking(world, [])
    world.node.answers["agreement.quote"] = {**QUOTE, "enough": False}
    done = world.run("take", OFFER, "-b", "git+https://example.org/r", "--yes")
    assert done.returncode == 8 and "too little money" in done.stderr and not world.node.params_of("agreement.take")


@pytest.mark.parametrize("why, code", [("the offer has expired", 9), ("all its units are sold", 10)])
def test_take_of_what_cannot_be_taken_asks_nothing(world, why, code):
    taking(world, [])
    world.node.answers["agreement.quote"] = {**QUOTE, "why_not": why}
    done = world.run("take", OFFER, "-b", "git+https://example.org/r")
    assert done.returncode == code and why in done.stderr and not world.node.params_of("agreement.take")


def test_take_when_the_price_has_changed(world):
    def refuse(params):
        raise Refusal("conflict", "the price has changed since it was shown: look again")
    taking(world, [])
    world.node.answers["agreement.take"] = refuse
    done = world.run("take", OFFER, "-b", "git+https://example.org/r", "--yes")
    assert done.returncode == 10 and "price has changed" in done.stderr


@pytest.mark.parametrize("end", [
    deployment("closed", close_text="The provider did not deliver in time.", next_step="Take another offer."),
    deployment("failed", error="the transaction was refused"),
    deployment("closed", error="boot: the guest did not answer", close_text="The client closed it."),
])
def test_take_that_ends_badly_says_why(world, end):
    taking(world, [deployment("taken"), end])
    done = world.run("take", OFFER, "-b", "git+https://example.org/r", "--yes")
    assert done.returncode == 4
    for part in ("error", "close_text", "next_step"):
        assert (end.get(part) or "") in done.stderr.splitlines()[-1]


def test_take_can_be_left_alone_and_tried_dry(world):
    taking(world, [])
    done = world.run("take", OFFER, "--dry-run", "--json")
    assert done.returncode == 0 and json.loads(done.stdout) == QUOTE
    done = world.run("take", OFFER, "-b", "git+https://example.org/r", "-y", "--no-wait", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["agreement"] == 7


def test_interrupting_take_only_stops_the_watching(world):
    taking(world, [deployment("accepted", step="building")] * 1000)
    process = subprocess.Popen([MOOSH, "--state", world.state, "take", OFFER, "-b", "git+https://example.org/r", "-y"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "building" in line:
            break
    process.send_signal(2)
    assert process.wait(30) == 14
    assert "goes on without being watched" in process.stderr.read()


def test_watching_outlasts_a_restart_of_the_node(world):
    """mooshd may come and go while the machine is being built."""
    def come_and_go(params):
        if len(world.node.params_of("agreement.show")) == 2:
            raise Refusal("hang up", "")
        return deployment("active" if len(world.node.params_of("agreement.show")) > 3 else "accepted")
    taking(world, [])
    world.node.answers["agreement.show"] = come_and_go
    done = world.run("take", OFFER, "-b", "git+https://example.org/r", "-y")
    assert done.returncode == 0 and "waiting for it" in done.stderr


def test_private_keys_are_never_sent(world, tmp_path):
    taking(world, [])
    key = tmp_path / "id"
    key.write_text("-----BEGIN OPENSSH PRIVATE KEY-----")
    done = world.run("take", OFFER, "-b", "git+https://example.org/r", "-i", key, "-y")
    assert done.returncode == 2 and "not an OpenSSH public key" in done.stderr


# ---- acting

@pytest.mark.parametrize("args, method, params", [
    (["pause", "web"], "agreement.pause", {"deployment": "web"}),
    (["resume", "web"], "agreement.resume", {"deployment": "web"}),
    (["reboot", "web"], "agreement.reboot", {"deployment": "web"}),
    (["top-up", "web", "1.25", "--yes"], "agreement.topup", {"deployment": "web", "amount_wei": "1250000"}),
    (["close", "web", "-y"], "agreement.close", {"deployment": "web"}),
    (["rate", "web", "5", "fast", "and kind"], "agreement.rate", {"deployment": "web", "stars": 5, "words": "fast and kind"}),
    (["wallet", "withdraw"], "wallet.withdraw", {}),
    (["contact", "add", "02ee@h:1", "pia"], "contact.add", {"address": "02ee@h:1", "name": "pia"}),
    (["contact", "add", "02ee@h:1", "--name", "pia"], "contact.add", {"address": "02ee@h:1", "name": "pia"}),
    (["contact", "remove", "pia"], "contact.remove", {"contact": "pia"}),
    (["contact", "rename", "pia", "paul"], "contact.rename", {"contact": "pia", "name": "paul"}),
])
def test_acts(world, args, method, params):
    world.node.answers.update({"agreement.show": deployment(), method: {
        "hash": "0x1", "spent_wei": "1500", "refund_wei": "28500", "withdrawn_wei": "7", "runs_out_at_s": 4102444800,
        "name": "pia", "reachable": True, "offers": 2, "statement": "0x2"}})
    done = world.run(*args)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert done.stderr != "" and world.node.params_of(method) == [params]
    if method == "agreement.close":
        assert "0.0015 tUSD paid, 0.0285 tUSD back" in done.stderr
    assert json.loads(world.run(*args, "--json").stdout) == world.node.answers[method]


@pytest.mark.parametrize("answer, code", [("no", 14), ("yes", 0)])
def test_close_shows_the_settlement_and_asks(world, answer, code):
    world.node.answers["agreement.show"] = deployment(early_fee_wei="9000")
    world.node.answers["agreement.close"] = {"hash": "0x1", "spent_wei": "1500", "refund_wei": "19500"}
    ended, shown = on_terminal([MOOSH, "--state", world.state, "close", "web"], [answer])
    assert ended == code, shown
    assert "0.02814 tUSD, as of now" in shown and "0.009 tUSD: the minimum term is not over" in shown
    assert bool(world.node.params_of("agreement.close")) == (code == 0)


def test_an_unreachable_contact_is_kept_and_said(world):
    world.node.answers["contact.add"] = {"name": "pia", "reachable": False, "error": "connection refused", "offers": 0}
    done = world.run("contact", "add", "02ee@h:1")
    assert done.returncode == 0 and "connection refused" in done.stderr


def test_ssh_becomes_ssh(world):
    world.node.answers["agreement.ssh"] = {"argv": ["echo", "-p", "2201", "root@127.0.0.1"]}
    assert world.run("ssh", "web").stdout == "-p 2201 root@127.0.0.1\n"
    assert world.run("ssh", "web", "--", "ls", "-l", "--json").stdout == "-p 2201 root@127.0.0.1 ls -l --json\n"
    assert world.run("ssh", "web", "uname", "-a").stdout == "-p 2201 root@127.0.0.1 uname -a\n"
    assert world.run("ssh", "--json", "web").stdout.startswith("{")
    world.node.answers["agreement.ssh"] = {"argv": ["/nonexistent/ssh"]}
    assert world.run("ssh", "web").returncode == 1


@pytest.mark.parametrize("command, console", [("logs", False), ("console", True)])
def test_logs_follow_the_offset(world, command, console):
    text = "building\nbooted\n"
    world.node.answers["agreement.log"] = lambda p: {"text": text[p["offset"]:p["offset"] + 9],
                                                     "next_offset": min(p["offset"] + 9, len(text)),
                                                     "done": p["offset"] >= len(text)}
    done = world.run(command, "web", "-f")
    assert (done.returncode, done.stdout) == (0, text)
    assert {p["console"] for p in world.node.params_of("agreement.log")} == {console}


# ---- doctor

def healthy(world):
    (world.state / "mooshd.conf").write_text("[chain]\nrpc=http://127.0.0.1:8545\n")
    world.add("keyd", {"status": {"locked": False}})
    world.node.answers["wallet.show"] = {"address": PROVIDER, "native_wei": str(10**18), "token_wei": "5000000",
                                         "credit_wei": "0", "locked_wei": "0"}
    world.node.answers["contact.list"] = {"contacts": [{"name": "pia", "connected": True}]}


def test_a_healthy_node(world):
    healthy(world)
    done = world.run("doctor")
    assert done.returncode == 0, done.stdout
    assert "broken" not in done.stdout and "Everything is in order" in done.stderr


@pytest.mark.parametrize("change, check, fix", [
    (lambda w: w.daemons[1].answers.update(status={"locked": True}), "keyd", "node unlock"),
    (lambda w: w.node.answers["wallet.show"].update(native_wei="0"), "gas", PROVIDER),
    (lambda w: w.node.answers.update({"node.status": {**STATUS, "clock_skew_s": -600}}), "clock", "timedatectl"),
    (lambda w: w.node.answers.update({"node.status": {**STATUS, "chain": {**STATUS["chain"], "endpoints": [
        {"url": "http://127.0.0.1:1", "ok": False, "error": "connection refused"}]}}}), "chain", "--rpc"),
    (lambda w: w.node.answers.pop("node.status"), "mooshd", "node start"),
    (lambda w: (w.state / "mooshd.conf").unlink(), "setup", "init"),
])
def test_the_doctor_finds_what_is_broken_and_the_fix(world, change, check, fix):
    healthy(world)
    change(world)
    done = world.run("doctor", "--json")
    found = json.loads(done.stdout)
    broken = [f for f in found["findings"] if f["health"] == "broken"]
    assert done.returncode == 1 and found["broken"] == len(broken) >= 1
    assert any(f["check"] == check and fix in f["fix"] for f in broken), broken
    assert world.run("doctor").returncode == 1


def test_the_doctor_of_a_provider_looks_at_the_host(world):
    healthy(world)
    (world.state / "mooshd.conf").write_text("[chain]\nrpc=http://127.0.0.1:8545\n[provider]\nenabled=true\n")
    world.node.answers["provider.status"] = {"offers": []}
    host = {"cpu_model": "A chip", "cores": 4, "ram_mib": 8192, "disk_free_gib": 100, "accel": "tcg", "nix": "nix 2.8",
            "accel_note": "no /dev/kvm", "isolation": "nftables", "limits": "cgroup2", "ports_free": 10, "port_first": 1}
    vmmd = world.add("vmmd", {"host.measure": host})
    done = world.run("doctor")
    assert done.returncode == 0 and "no /dev/kvm" in done.stdout and "moosh-vmm setup" in done.stdout
    vmmd.answers["host.measure"] = {**host, "nix": None, "isolation": "none", "accel": "none", "ports_free": 0}
    done = world.run("doctor", program=VMM)
    assert done.returncode == 1 and done.stderr.startswith("4 broken")
    vmmd.answers["host.measure"] = {**host, "listen_host": "127.0.0.1"}
    world.node.answers["node.status"] = {**STATUS, "address": "02ee@192.0.2.1:7000"}
    assert "SSH ports listen on 127.0.0.1 only" in world.run("doctor").stdout
    world.node.answers["node.status"] = {**STATUS, "address": None}
    done = world.run("doctor")
    assert done.returncode == 1 and "listens nowhere" in done.stdout and "--listen" in done.stdout
    done = world.run("setup", "--auto", program=VMM)
    assert done.returncode == 1 and "listens nowhere" in done.stderr
    (world.state / "mooshd.conf").write_text("[chain]\nrpc=http://127.0.0.1:8545\n")
    for command in ("doctor", "setup"):
        done = world.run(command, program=VMM)
        assert done.returncode == 1 and "init --provider" in done.stdout + done.stderr


# ---- completion

def query(world, *words):
    return [line.split("\t")[0] for line in world.run("completion", "query", "--", *words).stdout.splitlines()]


def test_completion_comes_from_the_command_table(world):
    world.node.answers["agreement.list"] = {"deployments": [deployment(), deployment(deployment="db")]}
    world.node.answers["offers.list"] = {"offers": [{"id": OFFER}]}
    assert query(world, "con") == ["contact", "console"]
    assert query(world, "contact", "") == ["add", "list", "remove", "rename"]
    assert query(world, "show", "") == ["web", "db"] and query(world, "show", "w") == ["web"]
    assert query(world, "take", "0xc") == [OFFER]
    assert query(world, "take", "--ssh-key", "") == [":file"]
    assert query(world, "offers", "--sort", "") == ["price", "vcpu", "ram", "disk", "expiry"]
    assert "--blueprint" in query(world, "take", "--b") and query(world, "frob", "") == []


def test_bash_completes(world):
    script = world.run("completion", "bash").stdout
    shell = script + '\nCOMP_WORDS=("$0" contact r); COMP_CWORD=2; _moosh; echo "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", shell, str(MOOSH)], capture_output=True, text=True)
    assert done.stdout == "remove rename\n", done.stderr


@pytest.mark.parametrize("program", [MOOSH, VMM])
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_packaged_completions_are_the_generated_ones(program, shell):
    made = subprocess.run([program, "completion", shell], capture_output=True, text=True).stdout
    name = {"bash": program.name, "zsh": "_" + program.name, "fish": program.name + ".fish"}[shell]
    assert (ROOT / "packaging/completions" / shell / name).read_text() == made
