package main

import (
	"fmt"
	"io"
	"strings"

	"charm.land/lipgloss/v2"

	"github.com/novatui/novatui/remote"
)

// textTable prints like etcdctl's `-w table`: plain ASCII borders, so that it
// survives any terminal, ticket and chat. Columns whose header begins with ">"
// are aligned right.
type textTable struct {
	header []string
	rows   [][]string
}

func (t *textTable) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *textTable) write(w io.Writer) error {
	right := make([]bool, len(t.header))
	widths := make([]int, len(t.header))
	header := make([]string, len(t.header))
	for i, h := range t.header {
		header[i], right[i] = strings.CutPrefix(h, ">")
		widths[i] = lipgloss.Width(header[i])
	}
	for _, row := range t.rows {
		for i := range row {
			row[i] = oneLine(row[i])
			widths[i] = max(widths[i], lipgloss.Width(row[i]))
		}
	}
	var rule strings.Builder
	for _, n := range widths {
		rule.WriteString("+" + strings.Repeat("-", n+2))
	}
	rule.WriteString("+\n")

	var out strings.Builder
	line := func(cells []string) {
		for i, cell := range cells {
			gap := strings.Repeat(" ", widths[i]-lipgloss.Width(cell))
			if right[i] {
				out.WriteString("| " + gap + cell + " ")
			} else {
				out.WriteString("| " + cell + gap + " ")
			}
		}
		out.WriteString("|\n")
	}
	out.WriteString(rule.String())
	line(header)
	out.WriteString(rule.String())
	for _, row := range t.rows {
		line(row)
	}
	out.WriteString(rule.String())
	if _, err := io.WriteString(w, out.String()); err != nil {
		return fmt.Errorf("writing a table: %w", err)
	}
	return nil
}

// oneLine makes a value safe for one cell of a table.
func oneLine(s string) string {
	return strings.Join(strings.Fields(remote.Clean(s)), " ")
}

// wrap breaks text at spaces so that lines stay within width columns, and puts
// prefix before each. A word longer than that keeps its own line.
func wrap(text, prefix string, width int) string {
	return wrapItem(text, prefix, prefix, width)
}

// bullet is wrap for an item of a list: its mark stands before the first line
// only.
func bullet(text, mark string, width int) string {
	return wrapItem(text, mark, strings.Repeat(" ", lipgloss.Width(mark)), width)
}

func wrapItem(text, prefix, next string, width int) string {
	width = max(width-lipgloss.Width(prefix), 20)
	var lines []string
	for _, paragraph := range strings.Split(remote.Clean(text), "\n") {
		line := ""
		for _, word := range strings.Fields(paragraph) {
			if line != "" && lipgloss.Width(line)+1+lipgloss.Width(word) > width {
				lines = append(lines, prefix+line)
				line, prefix = "", next
			}
			if line != "" {
				line += " "
			}
			line += word
		}
		lines = append(lines, prefix+line)
		prefix = next
	}
	return strings.Join(lines, "\n")
}

// bytesText writes a number of bytes as people read it ("151 MB", powers of
// ten as etcdctl does).
func bytesText(n int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	value, unit := float64(n), 0
	for value >= 1000 && unit < len(units)-1 {
		value /= 1000
		unit++
	}
	if unit == 0 || value >= 100 {
		return fmt.Sprintf("%.0f %s", value, units[unit])
	}
	return fmt.Sprintf("%.1f %s", value, units[unit])
}
