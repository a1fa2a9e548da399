package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/novatui/novatui/e2e/chaos"
)

// Between these lines of the page is the campaign's part.
const (
	chaosBegin = "<!-- chaos: make chaos, make chaos-e2e -->"
	chaosEnd   = "<!-- end of chaos -->"
)

// runChaos fills the campaign's part of the page.
func runChaos(page string, files []string) error {
	var results []chaos.Result
	for _, file := range files {
		more, err := readChaos(file)
		if err != nil {
			return err
		}
		results = append(results, more...)
	}
	if len(results) == 0 {
		return errors.New("no results: name the files that the campaigns wrote")
	}
	return fill(page, chaosBegin, chaosEnd, chaosTables(results))
}

func readChaos(file string) ([]chaos.Result, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("reading results: %w", err)
	}
	defer func() { _ = f.Close() }()
	var results []chaos.Result
	s := bufio.NewScanner(f)
	s.Buffer(nil, 4<<20) // a broken promise can say much
	for s.Scan() {
		var r chaos.Result
		if err := json.Unmarshal(s.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		results = append(results, r)
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return results, nil
}

// chaosTables writes the runs by world and procedure, and the faults that
// struck by kind and world; a dash: not meant there.
func chaosTables(results []chaos.Result) string {
	var b strings.Builder
	b.WriteString("| world | procedure | runs | broken promises | novatui begun, at most | recovered: median | worst |\n|---|---|---|---|---|---|---|\n")
	byWorld := map[string][]chaos.Result{}
	struck := map[chaos.Kind]map[string]int{}
	for _, r := range results {
		world := r.World + " " + r.Version
		byWorld[world] = append(byWorld[world], r)
		for _, f := range r.Faults {
			if struck[f.Kind] == nil {
				struck[f.Kind] = map[string]int{}
			}
			count := struck[f.Kind][world]
			if f.Struck {
				count++
			}
			struck[f.Kind][world] = count // 0: meant, and its moment never came
		}
	}
	worlds := slices.SortedFunc(maps.Keys(byWorld), newestFirst)
	for _, world := range worlds {
		byProcedure := map[string][]chaos.Result{}
		for _, r := range byWorld[world] {
			byProcedure[r.Procedure] = append(byProcedure[r.Procedure], r)
		}
		b.WriteString(chaosRow(world, "**all**", byWorld[world]))
		for _, procedure := range slices.Sorted(maps.Keys(byProcedure)) {
			b.WriteString(chaosRow(world, procedure, byProcedure[procedure]))
		}
	}
	fmt.Fprintf(&b, "\n| fault that struck | %s |\n|---|%s\n", strings.Join(worlds, " | "), strings.Repeat("---|", len(worlds)))
	for _, kind := range slices.Sorted(maps.Keys(struck)) {
		fmt.Fprintf(&b, "| %s |", kind)
		for _, world := range worlds {
			if count, meant := struck[kind][world]; meant {
				fmt.Fprintf(&b, " %d |", count)
			} else {
				b.WriteString(" – |")
			}
		}
		b.WriteString("\n")
	}
	b.WriteString(brokenSeeds(results))
	return b.String()
}

func chaosRow(world, procedure string, results []chaos.Result) string {
	broken, tries := 0, 0
	var seconds []float64
	for _, r := range results {
		if len(r.Broken) > 0 {
			broken++
		}
		if r.Outcome != "" {
			seconds = append(seconds, r.Seconds)
		}
		tries = max(tries, r.Tries)
	}
	count := "none"
	if broken > 0 {
		count = fmt.Sprintf("**%d**", broken)
	}
	median, worst := "–", "–"
	if slices.Sort(seconds); len(seconds) > 0 {
		median, worst = wholeSeconds(seconds[len(seconds)/2]), wholeSeconds(seconds[len(seconds)-1])
	}
	return fmt.Sprintf("| %s | %s | %d | %s | %d | %s | %s |\n", world, procedure, len(results), count, tries, median, worst)
}

func wholeSeconds(s float64) string { return fmt.Sprintf("%.0f s", math.Max(s, 1)) }

// brokenSeeds names the runs that broke a promise.
func brokenSeeds(results []chaos.Result) string {
	var b strings.Builder
	for _, r := range results {
		if len(r.Broken) > 0 {
			fmt.Fprintf(&b, "- %s, seed %d (%s): %s\n", r.World, r.Seed, r.Damage, strings.ReplaceAll(r.Broken[0], "\n", " "))
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "\nBroken promises, the first of each run:\n\n" + b.String()
}
