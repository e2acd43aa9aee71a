/// The shells' part of the completion: they ask `dormouse __complete` with the words so far.
enum CompletionScript {
    static let all = ["bash": Self.bash, "zsh": Self.zsh, "fish": Self.fish]

    // Bash breaks words at : and =, too, and replaces only what is behind the last of them.
    private static let bash = #"""
        _dormouse() {
            local line=${COMP_LINE:0:COMP_POINT} words current kept answer word
            read -ra words <<<"$line"
            [[ $line == *[[:space:]] ]] && words+=('')
            current=${words[${#words[@]}-1]}
            kept=${current%"${current##*[:=]}"}
            answer=$("${words[0]}" __complete -- "${words[@]:1}" 2>/dev/null) || return
            COMPREPLY=()
            if [[ $answer == :file ]]; then
                compopt -o filenames 2>/dev/null
                while IFS= read -r word; do
                    COMPREPLY+=("$word")
                done < <(compgen -f -- "${current#"$kept"}")
                return
            fi
            while IFS=$'\t' read -r word _; do
                [[ -n $word ]] && COMPREPLY+=("${word#"$kept"}")
            done <<<"$answer"
        }
        complete -F _dormouse dormouse
        """#

    private static let zsh = #"""
        #compdef dormouse
        _dormouse() {
            local answer line
            local -a candidates
            answer=$("${words[1]}" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null) || return 1
            if [[ $answer == :file ]]; then
                _files
                return
            fi
            for line in "${(@f)answer}"; do
                [[ -n $line ]] || continue
                candidates+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
            done
            _describe dormouse candidates
        }
        if [[ $funcstack[1] == _dormouse ]]; then
            _dormouse "$@"
        else
            compdef _dormouse dormouse
        fi
        """#

    private static let fish = #"""
        function __dormouse_complete
            set -l words (commandline -opc) (commandline -ct)
            set -l answer ($words[1] __complete -- $words[2..-1] 2>/dev/null)
            if test "$answer" = ':file'
                __fish_complete_path (commandline -ct)
            else
                printf '%s\n' $answer
            end
        end
        complete -c dormouse -f -a '(__dormouse_complete)'
        """#
}
