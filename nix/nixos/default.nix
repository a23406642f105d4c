# A NixOS guest: the same directory {kernel, initrd, cmdline, store} as nix/micro makes, from any NixOS configuration.
#
#   import <moosh/nixos> {
#     nixpkgs = <nixpkgs>;                    # or a nixpkgs tree inside the blueprint's repository
#     configuration = ./configuration.nix;    # a module, or a list of modules
#   }
#
# The root file system is in memory, as in every guest: what is to stay goes to /data (docs/guests.md).
{ nixpkgs
, configuration
, name ? "nixos"
, system ? "x86_64-linux"
}:
let
  evaluated = import (nixpkgs + "/nixos/lib/eval-config.nix") {
    inherit system;
    modules = [ ./guest.nix ] ++ (if builtins.isList configuration then configuration else [ configuration ]);
  };
  inherit (evaluated) config pkgs;
  toplevel = config.system.build.toplevel;
  closure = pkgs.closureInfo { rootPaths = [ toplevel ]; };
in
pkgs.runCommand "moosh-${name}"
  {
    nativeBuildInputs = [ pkgs.squashfsTools ];
    kernel = "${config.boot.kernelPackages.kernel}/${config.system.boot.loader.kernelFile}";
    initrd = "${config.system.build.initialRamdisk}/${config.system.boot.loader.initrdFile}";
    cmdline = "init=${toplevel}/init ${toString config.boot.kernelParams}";
    passthru = { inherit config toplevel; };
  } ''
  mkdir $out
  cp "$kernel" $out/kernel
  cp "$initrd" $out/initrd
  printf '%s\n' "$cmdline" >$out/cmdline
  # cmdline names the system, so the result's closure is all that the image holds: what a provider's policy looks at.
  mksquashfs $(cat ${closure}/store-paths) $out/store -no-hardlinks -keep-as-directory -all-root -b 1M \
    -comp zstd -Xcompression-level 6 -processors "''${NIX_BUILD_CORES:-1}" -quiet -no-progress
''
