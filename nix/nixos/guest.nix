# What makes a NixOS configuration a guest: docs/guests.md, promise by promise.
{ config, lib, pkgs, ... }:
let
  seed = "/run/seed/moosh";
  probe = pkgs.writeShellScriptBin "moosh-probe" (builtins.readFile ../micro/root/usr/bin/moosh-probe);
in
{
  boot = {
    loader.grub.enable = false;
    initrd.availableKernelModules = [ "virtio_pci" "virtio_blk" "virtio_net" "virtio_rng" "squashfs" "isofs" "ext4" ];
    kernelParams = [ "console=ttyS0" "panic=5" "random.trust_cpu=on" ];
    kernel.sysctl."vm.swappiness" = lib.mkDefault 0;
  };

  fileSystems = {
    "/" = { device = "none"; fsType = "tmpfs"; options = [ "mode=0755" "size=50%" ]; };
    "/nix/store" = { device = "/dev/disk/by-id/virtio-store"; fsType = "squashfs"; options = [ "ro" ]; neededForBoot = true; };
    "/run/seed" = {
      device = "/dev/disk/by-id/virtio-seed";
      fsType = "iso9660";
      options = [ "ro" "overriderockperm" "uid=0" "gid=0" "mode=0400" "dmode=0500" ];
    };
    # systemd makes a file system only of a disk without any signature.
    "/data" = {
      device = "/dev/disk/by-id/virtio-data0";
      fsType = "ext4";
      autoFormat = true;
      options = [ "noatime" "nofail" "x-systemd.device-timeout=5s" ];
    };
  };

  networking = {
    hostName = lib.mkDefault "";
    usePredictableInterfaceNames = lib.mkDefault false;
    useDHCP = lib.mkDefault true;
  };

  services.openssh = {
    enable = true;
    settings = {
      PermitRootLogin = "prohibit-password";
      PasswordAuthentication = false;
      KbdInteractiveAuthentication = false;
    };
    hostKeys = [ { type = "ed25519"; path = "/etc/ssh/ssh_host_ed25519_key"; } ];
  };
  services.getty.autologinUser = lib.mkDefault "root";
  environment.systemPackages = [ probe ];

  systemd.services.moosh-seed = {
    description = "Take keys and name from the seed disk";
    wantedBy = [ "multi-user.target" ];
    before = [ "sshd-keygen.service" "sshd.service" "network-pre.target" ];
    wants = [ "network-pre.target" ];
    unitConfig.RequiresMountsFor = "/run/seed";
    serviceConfig = { Type = "oneshot"; RemainAfterExit = true; };
    script = ''
      install -d -m 700 /root/.ssh
      install -m 600 ${seed}/authorized_keys /root/.ssh/authorized_keys
      install -d -m 755 /etc/ssh
      [ ! -e ${seed}/ssh_host_ed25519_key ] || install -m 600 ${seed}/ssh_host_ed25519_key /etc/ssh/ssh_host_ed25519_key
      [ ! -e ${seed}/hostname ] || cat ${seed}/hostname >/proc/sys/kernel/hostname
      # moosh-probe reads which disk is the tenant's from here
      [ ! -e /dev/disk/by-id/virtio-data0 ] || readlink -f /dev/disk/by-id/virtio-data0 >/run/data-disk
    '';
  };

  systemd.services.moosh-ready = {
    description = "Say on the console that SSH listens";
    wantedBy = [ "multi-user.target" ];
    after = [ "sshd.service" "network-online.target" "data.mount" ];
    wants = [ "network-online.target" ];
    serviceConfig = { Type = "oneshot"; RemainAfterExit = true; };
    script = "echo 'moosh: ready' >/dev/ttyS0";
  };

  # A guest is built elsewhere and replaced as a whole: it needs neither Nix nor manuals.
  nix.enable = lib.mkDefault false;
  documentation.enable = lib.mkDefault false;
  system.stateVersion = lib.mkDefault config.system.nixos.release;
}
