package main

import (
	"context"
)

// completions are the shell scripts for TAB, which call the program itself.
var completions = map[string]string{
	"bash": `# bash completion of platypus: source <(platypus completion bash)
_platypus() {
	local cur=${COMP_WORDS[COMP_CWORD]} words=("${COMP_WORDS[@]:1:COMP_CWORD-1}")
	if [[ $cur == -* ]]; then words+=("$cur"); fi
	local IFS=$'\n'
	COMPREPLY=($(compgen -W "$(platypus "${words[@]}" --generate-bash-completion 2>/dev/null)" -- "$cur"))
}
complete -o default -F _platypus platypus`,
	"zsh": `#compdef platypus
# zsh completion of platypus: source <(platypus completion zsh)
_platypus() {
	local -a said words_before
	words_before=("${(@)words[2,CURRENT-1]}")
	[[ ${words[CURRENT]} == -* ]] && words_before+=("${words[CURRENT]}")
	said=("${(@f)$(platypus "${words_before[@]}" --generate-bash-completion 2>/dev/null)}")
	compadd -a said || _files
}
compdef _platypus platypus`,
	"fish": `# fish completion of platypus: platypus completion fish | source
function __platypus_say
	set -l words (commandline -opc) (string match -- '-*' (commandline -ct))
	platypus $words[2..-1] --generate-bash-completion 2>/dev/null
end
complete -c platypus -a '(__platypus_say)'`,
}

func completionVerb() verb {
	return verb{
		name: "completion", usage: "print what makes TAB work in a shell", args: "bash|zsh|fish", minArgs: 1, maxArgs: 1,
		text: `Prints the script for one shell. Verbs and flags come from the program itself, and the names of apps, versions, nodes,
vms, seeds, tags and keys from the store, so they never go stale.`,
		examples: []string{"source <(platypus completion bash)", "platypus completion fish > ~/.config/fish/completions/platypus.fish"},
		run: func(_ context.Context, cmd *command) error {
			script, known := completions[cmd.args[0]]
			if !known {
				return usage("no completion for %q: bash, zsh and fish are known", cmd.args[0])
			}
			cmd.printf("%s", script)
			return nil
		},
	}
}
