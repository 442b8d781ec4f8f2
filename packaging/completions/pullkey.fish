# SPDX-License-Identifier: Apache-2.0
# fish completion for pullkey, which knows best itself what may follow.

function __pullkey_complete
    set -l words (commandline -opc)
    pullkey --complete $words[2..-1] 2>/dev/null
end

complete -c pullkey -f -a '(__pullkey_complete)'
complete -c pullkey -n 'contains -- (commandline -opc)[-1] --from --ca-file' -F
