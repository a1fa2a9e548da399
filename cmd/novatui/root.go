package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/novatui/novatui/assets/msg"
)

const (
	groupRepair  = "repair"
	groupRuns    = "runs"
	groupLearn   = "learn"
	groupProgram = "program"
)

// newRoot is the whole command tree. Building it must stay cheap: it happens
// before the first screen and before `novatui version`.
func newRoot(p *program) *cobra.Command {
	root := &cobra.Command{
		Use:   "novatui",
		Short: "Repair a broken etcd under Kubernetes, step by step",
		Long: `novatui repairs a broken etcd under Kubernetes.

Without a command it opens the wizard: it connects to the nodes over SSH, says
what is wrong and what that rests on, recommends a procedure, shows every
command before it runs, runs it, and proves the result. Nothing is changed
before you have seen the plan and said yes.

The cluster is described by a file (--cluster FILE, else ./novatui.yaml, else
the only file in the configuration folder's novatui/clusters) or named on the
command line with --nodes. No agent and no root login is needed: SSH, and sudo
without a password on the nodes.`,
		Example: `  novatui                                   the wizard, on the cluster file found
  novatui --cluster prod.yaml               the wizard, on this cluster
  novatui --nodes ops@m1,m2,m3              the wizard, without a cluster file
  novatui drill                             the wizard, on a lab with a broken member
  novatui diagnose -o json                  what is wrong, for a machine
  novatui plan rejoin --node m2 --out p.json && novatui apply p.json --confirm=prod`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          rootArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.wizard(cmd.Context())
		},
		PersistentPreRunE: func(*cobra.Command, []string) error { return p.checkGlobals() },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef(helpHint(cmd), "%w", err)
	})
	p.globalFlags(root)
	root.AddGroup(
		&cobra.Group{ID: groupRepair, Title: "Repair:"},
		&cobra.Group{ID: groupRuns, Title: "Runs:"},
		&cobra.Group{ID: groupLearn, Title: "Learn:"},
		&cobra.Group{ID: groupProgram, Title: "The program:"},
	)
	for _, c := range []*cobra.Command{
		newDiagnose(p), newExplain(p), newPlan(p), newApply(p),
		newRuns(p), newResume(p), newRollback(p), newReport(p), newUnlock(p),
		newDrill(p), newLab(p),
		newInfo(p), newVersion(p), newCompletion(p),
	} {
		root.AddCommand(c)
	}
	root.SetHelpCommand(newHelp())
	root.SetHelpCommandGroupID(groupProgram)
	return root
}

func (p *program) globalFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVar(&p.flags.cluster, "cluster", "", "cluster `FILE`")
	f.StringVar(&p.flags.nodes, "nodes", "", "nodes instead of a cluster file: `[user@]host[:port],...`")
	f.StringVar(&p.flags.lang, "lang", "", "language of what is shown: en or ru (default: the cluster file's, then the locale's)")
	f.BoolVar(&p.flags.noColor, "no-color", false, "no colour; NO_COLOR in the environment does the same")
	f.StringVarP(&p.flags.output, "output", "o", "", "output `FORMAT`; each command says which it has")
	root.Flags().SortFlags = false
	f.SortFlags = false
	_ = root.RegisterFlagCompletionFunc("lang", cobra.FixedCompletions(msg.Languages, cobra.ShellCompDirectiveNoFileComp))
	_ = root.MarkPersistentFlagFilename("cluster", "yaml", "yml")
}

// checkGlobals refuses what no command could work with.
func (p *program) checkGlobals() error {
	if p.flags.lang != "" && p.flags.lang != "auto" && !slices.Contains(msg.Languages, p.flags.lang) {
		return usagef("give --lang en or --lang ru", "unknown language %q", p.flags.lang)
	}
	if p.flags.cluster != "" && p.flags.nodes != "" {
		return usagef("leave one of them out", "--cluster and --nodes exclude each other")
	}
	return nil
}

// rootArgs turns a word that is no command into a usage error that names the
// nearest commands.
func rootArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := helpHint(cmd)
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean: " + strings.Join(near, ", ") + "?"
	}
	return usagef(hint, "unknown command %q", args[0])
}

// exactly takes n arguments, called names in the message.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usagef(helpHint(cmd), "%s needs %s", cmd.CommandPath(), strings.Join(names[len(args):], " and "))
		case len(args) > len(names):
			return tooMany(cmd, args[len(names)])
		}
		return nil
	}
}

// atMost takes up to n arguments.
func atMost(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return tooMany(cmd, args[n])
		}
		return nil
	}
}

func tooMany(cmd *cobra.Command, arg string) error {
	return usagef(helpHint(cmd), "%s does not know what to do with %q", cmd.CommandPath(), arg)
}

// needsSubcommand is the RunE of a command that only groups others.
func needsSubcommand(cmd *cobra.Command, args []string) error {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	if len(args) > 0 {
		return usagef("it has: "+strings.Join(names, ", "), "%s has no command %q", cmd.CommandPath(), args[0])
	}
	return usagef(helpHint(cmd), "%s needs one of: %s", cmd.CommandPath(), strings.Join(names, ", "))
}

func helpHint(cmd *cobra.Command) string {
	return fmt.Sprintf("%s --help shows how it is used", cmd.CommandPath())
}

// newHelp is cobra's help command, with a usage error where cobra would print
// the help of the program and succeed.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Show the help of a command",
		Long:  "Show the help of a command, the same as COMMAND --help.",
		Example: `  novatui help plan
  novatui help lab break`,
		ValidArgsFunction: completeCommands,
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usagef(helpHint(cmd.Root()), "no help for %q", strings.Join(args, " "))
			}
			return found.Help()
		},
	}
}

func completeCommands(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	found, _, err := cmd.Root().Find(args)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, c := range found.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name()+"\t"+c.Short)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
