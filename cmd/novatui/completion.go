package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

var shells = []string{"bash", "zsh", "fish", "powershell"}

func newCompletion(p *program) *cobra.Command {
	return &cobra.Command{
		Use:     "completion bash|zsh|fish|powershell",
		GroupID: groupProgram,
		Short:   "Print the completion script of a shell",
		Long: `Print the script that teaches a shell to complete novatui's commands, flags,
procedures and runs. Nothing is installed; say where it goes yourself.`,
		Example: `  source <(novatui completion bash)
  novatui completion zsh  > "${fpath[1]}/_novatui"
  novatui completion fish > ~/.config/fish/completions/novatui.fish
  novatui completion powershell | Out-String | Invoke-Expression`,
		ValidArgs: shells,
		Args:      exactly("a shell: " + strings.Join(shells, ", ")),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			var err error
			switch args[0] {
			case "bash":
				err = root.GenBashCompletionV2(p.stdout, true)
			case "zsh":
				err = root.GenZshCompletion(p.stdout)
			case "fish":
				err = root.GenFishCompletion(p.stdout, true)
			case "powershell":
				err = root.GenPowerShellCompletionWithDesc(p.stdout)
			default:
				return usagef("it is one of: "+strings.Join(shells, ", "), "unknown shell %q", args[0])
			}
			if err != nil {
				return fmt.Errorf("writing the completion script: %w", err)
			}
			return nil
		},
	}
}
