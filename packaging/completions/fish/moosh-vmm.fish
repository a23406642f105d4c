# fish completion for moosh-vmm; made by `moosh-vmm completion fish`
function __moosh_vmm_complete
  set -l words (commandline -opc) (commandline -ct)
  for line in ($words[1] completion query -- $words[2..-1] 2>/dev/null)
    switch $line
      case ':file' ':dir'
        __fish_complete_path (commandline -ct)
      case '*'
        echo $line
    end
  end
end
complete -c moosh-vmm -f -a '(__moosh_vmm_complete)'
