#!/usr/bin/python3
"""Turn the contracts' build artifacts into C tables: functions, events and errors (see contract.h).

    bindings.py --contracts DIR --header FILE --source FILE [--depfile FILE]

Reads DIR/out/<file>.sol/<Contract>.json as forge writes them; runs DIR/build first when DIR/out is not there.
Functions and events come from our own contracts (compiled from DIR/src, interfaces left out); errors from every
artifact, because a call may revert in a library's name.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys

MASK = (1 << 64) - 1
NODES_MAX = 160  # MOOSH_ABI_NODES_MAX


def keccak_f(lanes):
    """The permutation keccak-f[1600] on 5x5 lanes, lanes[x][y]; round constants from its shift register."""
    rol = lambda v, n: ((v << n) | (v >> (64 - n))) & MASK if n else v
    register = 1
    for _ in range(24):
        parity = [lanes[x][0] ^ lanes[x][1] ^ lanes[x][2] ^ lanes[x][3] ^ lanes[x][4] for x in range(5)]
        mix = [parity[(x + 4) % 5] ^ rol(parity[(x + 1) % 5], 1) for x in range(5)]
        lanes = [[lanes[x][y] ^ mix[x] for y in range(5)] for x in range(5)]
        x, y, current = 1, 0, lanes[1][0]
        for step in range(24):
            x, y = y, (2 * x + 3 * y) % 5
            current, lanes[x][y] = lanes[x][y], rol(current, (step + 1) * (step + 2) // 2 % 64)
        for y in range(5):
            row = [lanes[x][y] for x in range(5)]
            for x in range(5):
                lanes[x][y] = row[x] ^ (~row[(x + 1) % 5] & MASK & row[(x + 2) % 5])
        for bit in range(7):
            register = ((register << 1) ^ ((register >> 7) * 0x71)) % 256
            if register & 2:
                lanes[0][0] ^= 1 << ((1 << bit) - 1)
    return lanes


def keccak256(message):
    rate = 136
    padded = bytearray(message) + bytearray(rate - len(message) % rate)
    padded[len(message)] ^= 0x01
    padded[-1] ^= 0x80
    lanes = [[0] * 5 for _ in range(5)]
    for start in range(0, len(padded), rate):
        for i in range(rate // 8):
            lanes[i % 5][i // 5] ^= int.from_bytes(padded[start + 8 * i:start + 8 * i + 8], "little")
        lanes = keccak_f(lanes)
    return b"".join(lanes[i % 5][i // 5].to_bytes(8, "little") for i in range(4))


def type_of(parameter):
    """The canonical type: tuples spelled out."""
    if not parameter["type"].startswith("tuple"):
        return parameter["type"]
    return types_of(parameter["components"]) + parameter["type"][len("tuple"):]


def types_of(parameters):
    return "(" + ",".join(type_of(p) for p in parameters) + ")"


def names_of(parameters):
    """Names in the same shape; a member without a name is called by its number."""
    members = []
    for index, parameter in enumerate(parameters):
        name = parameter.get("name") or str(index)
        nested = names_of(parameter["components"]) if parameter["type"].startswith("tuple") else ""
        members.append(name + nested)
    return "(" + ",".join(members) + ")"


def constant(name):
    """topUp -> TOP_UP, TestUSD -> TEST_USD, EIP712DomainChanged -> EIP712_DOMAIN_CHANGED."""
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name).upper()


def c_bytes(data):
    return "{ " + ", ".join(f"0x{byte:02x}" for byte in data) + " }"


def c_string(text):
    assert re.fullmatch(r"[A-Za-z0-9_$(),\[\].]*", text), text
    return f'"{text}"'


class Table:
    """One generated array and the constants that point into it."""

    def __init__(self, prefix, c_type, array):
        self.prefix, self.c_type, self.array = prefix, c_type, array
        self.rows, self.names = [], []

    def add(self, contract, name, row):
        base = f"{self.prefix}_{constant(contract)}_{constant(name)}"
        count = sum(1 for n in self.names if re.fullmatch(re.escape(base) + r"(_\d+)?", n))
        self.names.append(base if count == 0 else f"{base}_{count + 1}")
        self.rows.append(row)

    def header(self):
        lines = [f"extern const {self.c_type} {self.array}[];", f"extern const unsigned {self.array}_count;"]
        lines += [f"#define {name} (&{self.array}[{i}])" for i, name in enumerate(self.names)]
        return "\n".join(lines)

    def source(self):
        rows = self.rows or ["{ 0 }"]
        body = "".join(f"  {row},\n" for row in rows)
        return (f"const {self.c_type} {self.array}[] = {{\n{body}}};\n"
                f"const unsigned {self.array}_count = {len(self.rows)};\n")


def check_size(types, where):
    if len(re.findall(r"[a-z]+\d*|\[|\(", types)) > NODES_MAX:
        sys.exit(f"bindings: {where}: {types} has more than {NODES_MAX} types (MOOSH_ABI_NODES_MAX)")


def add_function(table, contract, entry):
    inputs = types_of(entry["inputs"])
    check_size(inputs, f"{contract}.{entry['name']}")
    selector = keccak256((entry["name"] + inputs).encode())[:4]
    fields = [contract, entry["name"], inputs, names_of(entry["inputs"]),
              types_of(entry["outputs"]), names_of(entry["outputs"])]
    table.add(contract, entry["name"], "{ " + ", ".join(map(c_string, fields)) + f", {c_bytes(selector)} }}")


def add_event(table, contract, entry):
    inputs = types_of(entry["inputs"])
    check_size(inputs, f"{contract}.{entry['name']}")
    signature = entry["name"] + inputs
    indexed = sum(1 << i for i, p in enumerate(entry["inputs"]) if p["indexed"])
    fields = [contract, entry["name"], inputs, names_of(entry["inputs"]), signature]
    table.add(contract, entry["name"],
              "{ " + ", ".join(map(c_string, fields)) + f", {indexed}, {c_bytes(keccak256(signature.encode()))} }}")


def add_error(table, contract, entry):
    inputs = types_of(entry["inputs"])
    selector = keccak256((entry["name"] + inputs).encode())[:4]
    fields = [contract, entry["name"], inputs, names_of(entry["inputs"])]
    table.add(contract, entry["name"], "{ " + ", ".join(map(c_string, fields)) + f", {c_bytes(selector)} }}")


def load_artifacts(out):
    """(contract name, is ours, abi, path), ours first, in a stable order."""
    artifacts = []
    for path in sorted(out.glob("*.sol/*.json")):
        if "." in path.stem:  # Tokens.tests.json: the same contract as another compiler profile sees it
            continue
        artifact = json.loads(path.read_text())
        target = next(iter((artifact.get("metadata") or {}).get("settings", {}).get("compilationTarget", {"": ""})))
        ours = target.startswith("src/") and not target.startswith("src/interfaces/")
        if target.startswith(("test/", "script/")):
            continue
        artifacts.append((path.stem, ours, artifact["abi"], path))
    return sorted(artifacts, key=lambda a: (not a[1], a[0]))


def generate(artifacts):
    functions = Table("MOOSH_FN", "MooshAbiFunction", "moosh_abi_functions")
    events = Table("MOOSH_EV", "MooshAbiEvent", "moosh_abi_events")
    errors = Table("MOOSH_ERR", "MooshAbiError", "moosh_abi_errors")
    seen = set()
    for contract, ours, abi, _ in artifacts:
        for entry in abi:
            if entry["type"] == "function" and ours:
                add_function(functions, contract, entry)
            elif entry["type"] == "event" and ours:
                add_event(events, contract, entry)
            elif entry["type"] == "error":
                identity = (constant(contract), entry["name"], types_of(entry["inputs"]))
                if identity not in seen:
                    add_error(errors, contract, entry)
                seen.add(identity)
    return functions, events, errors


def write_if_changed(path, text):
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def main():
    parser = argparse.ArgumentParser()
    for option in ("--contracts", "--header", "--source", "--depfile"):
        parser.add_argument(option, type=pathlib.Path, required=option != "--depfile")
    args = parser.parse_args()
    out = args.contracts / "out"
    if not any(out.glob("*.sol/*.json")):
        subprocess.run([args.contracts / "build"], check=True, stdout=sys.stderr)
    artifacts = load_artifacts(out)
    if not any(ours for _, ours, _, _ in artifacts):
        sys.exit(f"bindings: {out} holds no artifact of our contracts; run contracts/build")

    tables = generate(artifacts)
    note = "/* Generated by src/chain/bindings.py from the contracts' artifacts. */\n"
    write_if_changed(args.header, note + '#pragma once\n#include "chain/contract.h"\n\n'
                     + "\n\n".join(table.header() for table in tables) + "\n")
    write_if_changed(args.source, note + '#include "chain/bindings.h"\n\n'
                     + "\n".join(table.source() for table in tables))
    if args.depfile:
        sources = " ".join(os.fspath(path).replace(" ", "\\ ") for *_, path in artifacts)
        args.depfile.write_text(f"{args.header}: {sources}\n")


if __name__ == "__main__":
    main()
