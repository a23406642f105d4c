"""From `moosh take` to an SSH banner through the whole system, beside QEMU started by hand on the same image.

An order's time begins when the command is started and ends when the client's node has told where the machine is and an SSH
server there has spoken. The bare boot is the same kernel, initrd, command line, seed, memory and processors, with a fresh
disk of the same size: no user of its own, no sandbox, no limits, no encryption, no chain. The two take turns, so what else
runs on the machine slows both; the figure is the median of the differences of the pairs.
"""
import json
import os
import select
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path
from statistics import median

import world as w

WAIT_S = 300
LOOK_S = 0.02


class Rpc:
    """A daemon's socket, held open: looking often must not cost a connection each time."""

    def __init__(self, party, daemon):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(party.dir / f"{daemon}.sock"))
        self.lines = self.socket.makefile("r")

    def call(self, method, **params):
        self.socket.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode() + b"\n")
        answer = json.loads(self.lines.readline())
        if "error" in answer:
            raise w.Failed(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def close(self):
        self.lines.close()
        self.socket.close()


def banner(host, port, deadline):
    """Wait for an SSH server to speak; returns when it did.

    A connection through QEMU's user network to a guest that is not up yet may hang for a second: a new one is tried every
    LOOK_S, and whichever hears the server first counts. The system's own wait (src/machine/ready.c) does the same.
    """
    tries = []
    try:
        while (now := time.monotonic()) < deadline:
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex((host, port))
            tries.append((now, s))
            until = now + LOOK_S
            while (left := until - time.monotonic()) > 0:
                for heard in select.select([s for _, s in tries], [], [], left)[0]:
                    try:
                        if heard.recv(4) == b"SSH-":
                            return time.monotonic()
                    except OSError:
                        pass
                    tries = [(t, s) for t, s in tries if s is not heard]
                    heard.close()
            for t, s in [(t, s) for t, s in tries if now - t > 1]:
                tries.remove((t, s))
                s.close()
    finally:
        for _, s in tries:
            s.close()
    raise w.Failed(f"no SSH server answered on {host}:{port}")


# ---- the whole system

class Watch(threading.Thread):
    """Writes down when what look() says changes."""

    def __init__(self, look):
        super().__init__(daemon=True)
        self.look, self.seen, self.stopping = look, [], False

    def run(self):
        while not self.stopping:
            try:
                now = self.look()
            except w.Failed:
                now = None  # not there yet
            if now is not None and (not self.seen or self.seen[-1][1] != now):
                self.seen.append((time.monotonic(), now))
            time.sleep(LOOK_S)

    def stop(self):
        self.stopping = True
        self.join()
        return self.seen


def order(provider, client, blueprint, name):
    """One order; returns (seconds to SSH, seconds until the client's node has acknowledged, the moments between)."""
    offer = client.call("offers.list")["offers"][0]["id"]
    agreement = max((d["agreement"] for d in client.call("agreement.list", all=True)["deployments"]), default=0) + 1
    machines, deployments = Rpc(provider, "vmmd"), Rpc(client, "mooshd")

    def machine():
        m = machines.call("machine.status", agreement=str(agreement))
        return f"machine {m['state']}" + (f" ({m['step']})" if m.get("step") else "")

    def deployment():
        d = deployments.call("agreement.show", deployment=name)
        return f"agreement {d['state']}" + (", endpoint known" if d.get("endpoint") else "")
    watches = [Watch(machine), Watch(deployment), Watch(lambda: f"block {int(client.chain.rpc('eth_blockNumber'), 16)}")]
    begun = time.monotonic()
    deadline = begun + WAIT_S
    for watch in watches:
        watch.start()
    rpc = Rpc(client, "mooshd")
    try:
        client.run("--yes", "take", offer, "--blueprint", blueprint, "--name", name, "--for", "2h", "--no-wait")
        taken = time.monotonic()
        while not (d := rpc.call("agreement.show", deployment=name)).get("endpoint"):
            if d["over"] or time.monotonic() > deadline:
                raise w.Failed(f"order {name}: {d['state']}: {d.get('error')}")
            time.sleep(LOOK_S)
        ready = banner(d["endpoint"]["host"], d["endpoint"]["port"], deadline)
        while (d := rpc.call("agreement.show", deployment=name))["state"] != "active":
            if d["over"] or time.monotonic() > deadline:
                raise w.Failed(f"order {name}: {d['state']}: {d.get('error')}")
            time.sleep(LOOK_S)
        active = time.monotonic()
    finally:
        rpc.close()
        moments = [moment for watch in watches for moment in watch.stop()]
        machines.close()
        deployments.close()
    moments = sorted([*moments, (taken, "take returned"), (ready, "client reads the SSH banner")])
    return ready - begun, active - begun, [(round(t - begun, 3), what) for t, what in moments], d


def close(provider, client, name):
    """End an order and wait until the host is as it was: capacity back, guest gone, a spare disk ready, nothing running."""
    client.run("--yes", "close", name)
    spare = provider.dir / "vm/spare"

    def idle():
        machines = provider.call("machine.list", daemon="vmmd")["machines"]
        return all(m["state"] in ("retained", "destroyed", "released") for m in machines)
    w.wait_until(idle, 120, "the end of the machine")
    w.wait_until(spare.exists, 120, "a new spare disk")
    w.wait_until(lambda: client.call("offers.refresh") and client.call("offers.list")["offers"], 120, "the capacity's return")


# ---- QEMU by hand

def guest_of(port):
    """The QEMU process that forwards this port, and its arguments."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            argv = (entry / "cmdline").read_text().split("\0")
        except OSError:
            continue  # gone
        if "qemu-system" in argv[0] and any(f":{port}-:22" in a for a in argv):
            return entry.name, argv
    raise w.Failed(f"no guest forwards port {port}")


def take_image(port, vm, directory):
    """What a running guest of ours was started with, for a boot by hand. `vm` is its directory: seed.iso, disk/."""
    pid, argv = guest_of(port)
    option = {a: argv[i + 1] for i, a in enumerate(argv[:-1]) if a.startswith("-")}
    disk = json.loads(subprocess.run(["qemu-img", "info", "-U", "--output=json", next((vm / "disk").glob("*.qcow2"))],
                                     check=True, capture_output=True, text=True).stdout)
    image = {"option": option, "disk_bytes": disk["virtual-size"]}
    for name, source in (("seed", vm / "seed.iso"), ("kernel", f"/proc/{pid}/fd/{option['-kernel'].rsplit('/', 1)[1]}"),
                         ("initrd", f"/proc/{pid}/fd/{option['-initrd'].rsplit('/', 1)[1]}")):
        image[name] = directory / name
        shutil.copyfile(source, image[name])
    return image


def bare(image, directory):
    """Boot the image with plain QEMU; returns seconds from its start to the SSH banner."""
    port, disk, o = w.free_port(), directory / "disk.qcow2", image["option"]
    disk.unlink(missing_ok=True)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", disk, str(image["disk_bytes"])], check=True)
    argv = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-M", o["-M"], "-accel", o["-accel"],
            "-cpu", o["-cpu"], "-m", o["-m"], "-smp", o["-smp"], "-kernel", image["kernel"], "-initrd", image["initrd"],
            "-append", o["-append"], "-serial", f"file:{directory}/console",
            "-netdev", f"user,id=net,ipv6=off,hostfwd=tcp:127.0.0.1:{port}-:22",
            "-device", "virtio-net-pci,netdev=net,romfile=", "-object", "rng-builtin,id=rng", "-device", "virtio-rng-pci,rng=rng",
            "-blockdev", f"node-name=seed,driver=raw,read-only=on,file.driver=file,file.filename={image['seed']}",
            "-device", "virtio-blk-pci,drive=seed,serial=seed",
            "-blockdev", f"node-name=data,driver=qcow2,discard=unmap,file.driver=file,file.filename={disk}",
            "-device", "virtio-blk-pci,drive=data,serial=data0"]
    begun = time.monotonic()
    qemu = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        return banner("127.0.0.1", port, begun + WAIT_S) - begun
    finally:
        qemu.kill()
        qemu.wait()


# ---- both in turns

def measure(provider, client, blueprint, directory, rounds, say):
    """Returns the pairs [(order, bare, acknowledged)], in seconds."""
    _, _, _, d = order(provider, client, blueprint, "warm-up")  # builds the image
    image = take_image(d["endpoint"]["port"], provider.dir / "vm/1", directory)
    close(provider, client, "warm-up")
    pairs = []
    for n in range(rounds):
        by_hand = bare(image, directory)
        to_ssh, to_active, moments, d = order(provider, client, blueprint, f"bench-{n}")
        pairs.append((to_ssh, by_hand, to_active))
        say(f"order {to_ssh:.2f} s, bare QEMU {by_hand:.2f} s, difference {to_ssh - by_hand:.2f} s; load {os.getloadavg()[0]:.1f}")
        for at, what in moments:
            say(f"    {at:7.3f}  {what}")
        close(provider, client, f"bench-{n}")
    return pairs


def lines(pairs):
    overhead = median(a - b for a, b, _ in pairs)
    return [f"BENCH order_to_ssh_overhead_s {overhead:.2f} s peer=bare_qemu_boot_s {median(b for _, b, _ in pairs):.2f}",
            f"BENCH order_to_ssh_s {median(a for a, _, _ in pairs):.2f} s",
            f"BENCH order_to_acknowledged_s {median(c for _, _, c in pairs):.2f} s"]
