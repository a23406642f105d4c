# What strangers might send. Each attribute is one of tests/functional/test_build.py's cases; `target` is written by it.
let
  sh = name: script: derivation {
    inherit name;
    system = "x86_64-linux";
    builder = "/bin/sh";
    args = [ "-c" script ];
  };
  system = "mkdir $out; echo k >$out/kernel; echo i >$out/initrd; echo console=ttyS0 >$out/cmdline";
  target = builtins.readFile ./target;

  thousand = builtins.genList (x: x) 1000;
  each = f: builtins.foldl' (sum: x: sum + f x) 0 thousand;
in
{
  good = sh "good" system;
  # prints its own log: a terminal escape, and a line
  talks = sh "talks" "printf '\\033[31mred\\033[0m\\n'; echo a line of the build; ${system}";

  # does not evaluate, or should not
  syntax = import ./syntax-error;
  throws = throw "the author gave up";
  endless = sh "endless-${toString (each (a: each (b: each (c: each (d: each (e: a + b + c + d + e))))))}" system;
  bomb = sh "bomb-${toString (builtins.length (builtins.genList (x: x) 2000000000))}" system;
  imports = import (sh "imported" "echo 1 >$out");
  passwd = sh "passwd" "echo ${builtins.readFile "/etc/passwd"}; ${system}";
  link = sh "link" "echo ${builtins.readFile ./link-to-passwd}; ${system}";
  listing = sh "listing" "echo ${toString (builtins.attrNames (builtins.readDir "/"))}; ${system}";
  url = sh "url" "echo ${builtins.readFile (builtins.fetchurl "http://${target}/")}; ${system}";
  fetches = sh "fetches" "echo ${builtins.fetchGit { url = "file:///"; }}; ${system}";
  environment = sh "environment-${builtins.getEnv "HOME"}x" system;
  number = 7;
  two = { a = sh "a" system; b = sh "b" system; };

  # builds badly
  fails = sh "fails" "echo about to fail; exit 3";
  slow = sh "slow" "while :; do echo still here; sleep 1; done";
  silent = sh "silent" "sleep 1000";
  chatty = sh "chatty" "while :; do echo 0123456789012345678901234567890123456789012345678901234567890123456789; done";
  hungry = sh "hungry" "set -e; awk 'BEGIN { s = \"xxxxxxxxxxxxxxxx\"; while (1) s = s s }' </dev/null; ${system}";
  forks = sh "forks" "while :; do sleep 1000 & done";
  fat = sh "fat" "i=0; while :; do i=$((i + 1)); head -c 4000000 /dev/zero >f$i; done";
  # tries to get out: TCP to the test's listener
  calls = sh "calls" "mkdir $out; echo k >$out/kernel; echo i >$out/initrd; if nc -w 3 ${target} </dev/null; then echo reached; else echo alone; fi >$out/cmdline";
  # a fixed-output derivation, which Nix's own sandbox lets out to the network
  calls-fixed = derivation {
    name = "calls-fixed";
    system = "x86_64-linux";
    builder = "/bin/sh";
    args = [ "-c" "if nc -w 3 ${target} </dev/null; then echo reached; else echo alone; fi >$out" ];
    outputHashMode = "flat";
    outputHashAlgo = "sha256";
    outputHash = builtins.hashString "sha256" "alone\n";
  };
  # can only come from a binary cache that already has it: nobody here has the file it is made from
  cached = sh "cached" "cat ${sh "made-elsewhere" "cat /made-elsewhere >$out"}; ${system}";
  from-nixpkgs = sh "from-${(import <nixpkgs> { }).name}" system;

  # who builds, and what of the host is in sight
  looks = sh "looks" "mkdir $out; echo k >$out/kernel; echo i >$out/initrd; echo \"ids $(id -u) root $(ls / | tr '\\n' ' ')\" >$out/cmdline";

  # builds something that is no system
  empty = sh "empty" "mkdir $out";
  file = sh "file" "echo >$out";
  linked = sh "linked" "mkdir $out; ln -s /etc/passwd $out/kernel; echo i >$out/initrd; echo c >$out/cmdline";
  multiline = sh "multiline" "${system}; echo two >>$out/cmdline";
  giant = sh "giant" "${system}; rm $out/kernel; head -c 3000000 /dev/zero >$out/kernel";
}
