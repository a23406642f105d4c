# A micro guest: a kernel and an initrd that boot to SSH in seconds, built offline from what the provider's host has.
#
#   import <moosh/micro> {
#     name = "hello";
#     files."/www/index.html" = ./index.html;                 # a path, or a string with the file's text
#     services.web = "exec httpd -f -p 80 -h /www";           # shell; restarted when it ends
#   }
#
# Gives a derivation whose directory holds kernel, initrd and cmdline. What the guest does at boot: docs/guests.md.
{ name ? "micro"
  # Path in the guest -> path of a file or directory, or the text of a file. Scripts keep their executable bit.
, files ? { }
  # Name -> shell script run as root once the network is up, and again whenever it ends.
, services ? { }
  # Further kernel modules loaded before the services start. Those there are: ls <guest>/lib/modules/*/*.ko
, modules ? [ ]
  # Further kernel command line.
, cmdline ? ""
  # The kernel, modules and programs (scripts/guest-kernel makes the directory).
, guest ?
    # <guest>/path names a store path that the provider has added. Giving the name its context makes it an input of the
    # build without reading or copying it.
    let path = builtins.readFile <guest/path>;
    in builtins.appendContext path { ${path} = { path = true; }; }
, system ? "x86_64-linux"
}:
let
  text = label: value: builtins.toFile label value;
  # A string that begins with the store's directory is a file's path, any other is the file itself.
  source = path: value:
    if builtins.isPath value || builtins.isAttrs value then "${value}"
    else if builtins.substring 0 (builtins.stringLength builtins.storeDir) value == builtins.storeDir then value
    else text "file" value;

  paths = builtins.attrNames files;
  absolute = path: if builtins.substring 0 1 path == "/" then path
    else throw "micro guest ${name}: files.\"${path}\": the name must be an absolute path";
  word = kind: value: if builtins.match "[A-Za-z0-9_.-]+" value != null then value
    else throw "micro guest ${name}: ${kind} \"${value}\": use letters, digits, _ . and -";

  line = a: b: "${a}\t${b}\n";
  table = builtins.concatStringsSep "" (
    map (path: line (source path files.${path}) (absolute path)) paths
    ++ map (service: line (builtins.toFile (word "service" service) "#!/bin/sh\n${services.${service}}\n")
                          "/etc/moosh/services/${service}") (builtins.attrNames services));
in
derivation {
  name = "moosh-${word "name" name}";
  inherit system guest cmdline table;
  passAsFile = [ "table" ];
  builder = "${guest}/bin/busybox";
  args = [ "sh" ./build.sh ];
  skeleton = ./root;
  modules = builtins.concatStringsSep " " (map (word "module") modules);
}
