# SPDX-License-Identifier: Apache-2.0
# bash completion for pullkey, which knows best itself what may follow.

_pullkey() {
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local IFS=$'\n' at runs=

    # Behind "run --" stands a command with arguments of its own.
    for ((at = 1; at < COMP_CWORD; at++)); do
        if [[ ${COMP_WORDS[at]} == run ]]; then
            runs=yes
        elif [[ $runs && ${COMP_WORDS[at]} == -- ]]; then
            if declare -F _command_offset >/dev/null; then
                IFS=$' \t\n' _command_offset $((at + 1))
            elif ((COMP_CWORD == at + 1)); then
                mapfile -t COMPREPLY < <(compgen -c -- "$word")
            else
                mapfile -t COMPREPLY < <(compgen -f -- "$word")
            fi
            return
        fi
    done
    case $previous in
    --from | --bin-dir | --ca-file | --config | --kubeconfig | --link | --root | --source | --target)
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]}" --complete \
        "${COMP_WORDS[@]:1:COMP_CWORD-1}" 2>/dev/null | cut -f1)" -- "$word")
}

complete -F _pullkey pullkey
