// Command faulttable fills the tables of docs/faults.md from what the tests
// recorded (NOVATUI_RESULTS), so that a cell is a test that ran: make faults.
// With -chaos it fills the part of the fault campaign (NOVATUI_CHAOS_RESULTS).
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/novatui/novatui/e2e/suite"
)

// Between these lines of the page everything is written anew.
const (
	begin = "<!-- results: make faults -->"
	end   = "<!-- end of results -->"
)

func main() {
	page := flag.String("page", "docs/faults.md", "the page to fill")
	campaign := flag.Bool("chaos", false, "the files are of the fault campaign")
	flag.Parse()
	work := run
	if *campaign {
		work = runChaos
	}
	if err := work(*page, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "faulttable:", err)
		os.Exit(1)
	}
}

func run(page string, files []string) error {
	var results []suite.Result
	for _, f := range files {
		more, err := read(f)
		if err != nil {
			return err
		}
		results = append(results, more...)
	}
	if len(results) == 0 {
		return errors.New("no results: name the files that the tests wrote")
	}
	return fill(page, begin, end, tables(results))
}

// fill writes what is between two lines of the page anew.
func fill(page, begin, end, content string) error {
	text, err := os.ReadFile(page)
	if err != nil {
		return fmt.Errorf("reading the page: %w", err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no lines %q and %q", page, begin, end)
	}
	filled := before + begin + "\n\n" + strings.TrimRight(content, "\n") + "\n\n" + end + after
	if err := os.WriteFile(page, []byte(filled), 0o644); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}

func read(file string) ([]suite.Result, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("reading results: %w", err)
	}
	defer func() { _ = f.Close() }()
	var results []suite.Result
	for s := bufio.NewScanner(f); s.Scan(); {
		var r suite.Result
		if err := json.Unmarshal(s.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		results = append(results, r)
	}
	return results, nil
}

// family is the tests that share a table, and how it is headed.
type family struct{ test, title string }

var families = []family{
	{"TestFaults", "Faults of a cluster of three"},
	{"TestFiveNodes", "Five members"},
	{"TestMixedPatchVersions", "Two patch versions in one cluster"},
	{"TestDebianEtcd", "Debian's etcd 3.4 (passed means: repaired, or clearly refused with nothing changed)"},
	{"TestSystems", "Machines set up in other ways"},
	{"TestReboot", "A node goes down while a procedure runs"},
	{"", "Other tests"},
}

// tables writes one table a family: a row for each fault and procedure, a
// column for each world and version.
func tables(results []suite.Result) string {
	byFamily := map[string][]suite.Result{}
	for _, r := range results {
		name, _, _ := strings.Cut(r.Test, "/")
		if !slices.ContainsFunc(families, func(f family) bool { return f.test == name }) {
			name = ""
		}
		byFamily[name] = append(byFamily[name], r)
	}
	var b strings.Builder
	for _, f := range families {
		if len(byFamily[f.test]) > 0 {
			fmt.Fprintf(&b, "### %s\n\n%s\n", f.title, table(f.test, byFamily[f.test]))
		}
	}
	return b.String()
}

type row struct{ where, fault, procedure string }

type cell struct {
	ok      bool
	seconds float64
}

func table(test string, results []suite.Result) string {
	rows, columns, cells := []row{}, map[string]bool{}, map[row]map[string]cell{}
	for _, r := range results {
		at := row{fault: r.Fault, procedure: r.Procedure}
		if parts := strings.Split(r.Test, "/"); test == "TestSystems" && len(parts) > 1 {
			at.where = strings.ReplaceAll(parts[1], "_", " ")
		} else if test == "" {
			at.where = parts[0]
		}
		column := r.World + " " + r.Version
		columns[column] = true
		if cells[at] == nil {
			rows, cells[at] = append(rows, at), map[string]cell{}
		}
		c, there := cells[at][column]
		cells[at][column] = cell{ok: r.OK && (!there || c.ok), seconds: max(c.seconds, r.Seconds)}
	}
	names := slices.SortedFunc(maps.Keys(columns), newestFirst)
	var b strings.Builder
	fmt.Fprintf(&b, "| fault | procedure | %s |\n|---|---|%s\n", strings.Join(names, " | "), strings.Repeat("---|", len(names)))
	for _, at := range rows {
		what := at.fault
		if at.where != "" {
			what = at.where + ": " + what
		}
		fmt.Fprintf(&b, "| %s | %s |", what, at.procedure)
		for _, name := range names {
			fmt.Fprintf(&b, " %s |", show(cells[at], name))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func show(cells map[string]cell, column string) string {
	switch c, there := cells[column]; {
	case !there:
		return "not covered"
	case !c.ok:
		return "**failed**"
	default:
		return fmt.Sprintf("passed, %.0f s", math.Max(c.seconds, 1))
	}
}

// newestFirst puts the lab before the hosts, and newer versions before older.
func newestFirst(a, b string) int {
	worldA, versionA, _ := strings.Cut(a, " ")
	worldB, versionB, _ := strings.Cut(b, " ")
	if worldA != worldB {
		return -cmp.Compare(worldA, worldB)
	}
	return -cmp.Compare(versionA, versionB)
}
