# SPDX-License-Identifier: Apache-2.0
# bash completion for pullkey, which knows best itself what may follow.

_pullkey() {
    local line=${COMP_LINE:0:COMP_POINT} at runs='' found=() candidate
    local word=${line##*[[:blank:]]} words=()

    # Behind "run --" stands a command with arguments of its own.
    for ((at = 1; at < COMP_CWORD; at++)); do
        if [[ ${COMP_WORDS[at]} == run ]]; then
            runs=yes
        elif [[ $runs && ${COMP_WORDS[at]} == -- ]]; then
            if declare -F _command_offset >/dev/null; then
                _command_offset $((at + 1))
            elif ((COMP_CWORD == at + 1)); then
                mapfile -t COMPREPLY < <(compgen -c -- "$word")
            else
                mapfile -t COMPREPLY < <(compgen -f -- "$word")
            fi
            return
        fi
    done
    # COMP_WORDS is cut at colons, which registries have.
    read -ra words <<<"${line%"$word"}"
    mapfile -t found < <("${COMP_WORDS[0]}" --complete "${words[@]:1}" 2>/dev/null | cut -f1)
    COMPREPLY=()
    for candidate in "${found[@]}"; do
        if [[ $candidate == @files ]]; then
            compopt -o filenames 2>/dev/null
            mapfile -t found < <(compgen -f -- "$word")
            COMPREPLY+=("${found[@]}")
        elif [[ $candidate == "$word"* ]]; then
            COMPREPLY+=("${candidate#"${word%"${word##*:}"}"}")
        fi
    done
}

complete -F _pullkey pullkey
