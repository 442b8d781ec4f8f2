# SPDX-License-Identifier: Apache-2.0
# fish completion for pullkey, which knows best itself what may follow.

function __pullkey_complete
    set -l words (commandline -opc)
    for line in (pullkey --complete $words[2..-1] 2>/dev/null)
        if test "$line" = @files
            __fish_complete_path (commandline -ct)
        else
            echo $line
        end
    end
end

# Behind "run --" stands a command with arguments of its own.
function __pullkey_runs
    set -l words (commandline -opc)
    set -l at (contains -i -- -- $words); and contains -- run $words[1..$at]
end

function __pullkey_complete_command
    set -l words (commandline -opc) (commandline -ct)
    set -l at (contains -i -- -- $words)
    complete -C (string join ' ' -- (string escape -- $words[(math $at + 1)..-2]) $words[-1])
end

complete -c pullkey -n __pullkey_runs -f -a '(__pullkey_complete_command)'
complete -c pullkey -n 'not __pullkey_runs' -f -a '(__pullkey_complete)'
