{ this is = no nix
