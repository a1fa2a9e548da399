package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	yaml "go.yaml.in/yaml/v3"

	"github.com/novatui/novatui/assets"
	"github.com/novatui/novatui/inventory"
	"github.com/novatui/novatui/lab"
)

// drill is one entry of assets/drills/drills.yaml.
type drill struct {
	Name  string   `yaml:"name" json:"name"`
	Nodes []string `yaml:"nodes" json:"nodes"`
	Level int      `yaml:"level" json:"level"`
	Title string   `yaml:"-" json:"title"`
	Goal  string   `yaml:"-" json:"goal"`
}

// labDownTime bounds how long taking a drill's lab down may last.
const labDownTime = 30 * time.Second

func newDrill(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "drill [NAME]",
		GroupID: groupLearn,
		Short:   "Practise: the wizard on a lab with a fault",
		Long: `Start a lab, break it, and open the wizard on it with a goal to reach. The lab is
real: real etcd members, real SSH, real data; nothing outside of it is touched,
and it is taken down when the wizard is left. Without NAME: one member's
database file is broken.

Runs, journals and reports of drills are kept like all others.`,
		Example: `  novatui drill
  novatui drill lose-quorum --lang ru
  novatui drill list`,
		Args: atMost(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			drills, err := loadDrills()
			if err != nil {
				return nil, cobra.ShellCompDirectiveError
			}
			var names []string
			for _, d := range drills {
				names = append(names, d.Name)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := p.outputFormat(""); err != nil {
				return err
			}
			return p.drill(cmd.Context(), args)
		},
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "list",
		Short: "List the drills",
		Long: `List the drills, in the order in which they are best played.

Output (-o): table, json (schema novatui/drills/v1).`,
		Example: `  novatui drill list
  novatui drill list -o json`,
		Args: exactly(),
		RunE: func(*cobra.Command, []string) error { return p.listDrills() },
	})
	return cmd
}

func loadDrills() ([]drill, error) {
	b, err := assets.Drills.ReadFile("drills/drills.yaml")
	if err != nil {
		return nil, fmt.Errorf("reading the drills: %w", err)
	}
	var drills []drill
	if err := yaml.Unmarshal(b, &drills); err != nil {
		return nil, fmt.Errorf("reading the drills: %w", err)
	}
	return drills, nil
}

func (p *program) listDrills() error {
	format, err := p.outputFormat("table", "json")
	if err != nil {
		return err
	}
	drills, err := loadDrills()
	if err != nil {
		return err
	}
	t := textTable{header: []string{p.t("cmd.drill.col.name"), p.t("cmd.drill.col.level"), p.t("cmd.drill.col.what")}}
	for i := range drills {
		d := &drills[i]
		d.Title, d.Goal = p.t("drill."+d.Name+".title"), p.t("drill."+d.Name+".goal")
		if d.Nodes == nil {
			d.Nodes = []string{}
		}
		t.add(d.Name, strconv.Itoa(d.Level), d.Title)
	}
	if format == "json" {
		return writeJSON(p.stdout, map[string]any{"schema": "novatui/drills/v1", "drills": drills})
	}
	return t.write(p.stdout)
}

// drillCluster names the cluster of one drill, short enough to be typed. Every
// drill has a name of its own, so that it neither waits for another one nor
// finds the unfinished run of an earlier one.
func drillCluster() string { return "drill-" + strings.ToLower(rand.Text()[:4]) }

func chooseDrill(args []string) (drill, error) {
	drills, err := loadDrills()
	if err != nil || len(args) == 0 {
		return drills[0], err
	}
	for _, d := range drills {
		if d.Name == args[0] {
			return d, nil
		}
	}
	return drill{}, usagef("novatui drill list names them", "no drill %q", args[0])
}

// drill plays one: lab up, fault in, wizard, lab down. The lab belongs to this
// process, so that it ends with it, whatever happens.
func (p *program) drill(ctx context.Context, args []string) (err error) {
	d, err := chooseDrill(args)
	if err != nil {
		return err
	}
	if err := p.needsTerminal(); err != nil {
		return err
	}
	if p.flags.cluster != "" || p.flags.nodes != "" {
		return usagef("leave --cluster and --nodes out", "a drill has a cluster of its own")
	}
	p.say("%s", p.t("cmd.drill.starting"))
	l, err := lab.Up(ctx, lab.Options{OwnedByCaller: true, Cluster: drillCluster()})
	if err != nil {
		return fmt.Errorf("starting the drill's lab: %w", err)
	}
	defer func() {
		p.say("%s", p.t("cmd.drill.stopping"))
		down, cancel := context.WithTimeout(detached(ctx), labDownTime)
		defer cancel()
		err = errors.Join(err, l.Down(down))
	}()
	if err := l.Break(ctx, d.Name, d.Nodes...); err != nil {
		return fmt.Errorf("breaking the drill's lab: %w", err)
	}
	cluster, _, err := inventory.Load(l.ClusterFile())
	if err != nil {
		return fmt.Errorf("reading the lab's cluster file: %w", err)
	}
	return p.openWizard(ctx, cluster, d.Name)
}
