package main

import (
	"fmt"
	"html"
	"strconv"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// The picture of one cell, in SVG units, and the colours of the page.
const (
	cellWidth, cellHeight = 8.4, 18.0
	margin                = 14.0
	paper, ink            = "#16181d", "#d5d8de"
)

// pen is how the next characters are drawn.
type pen struct {
	fg, bg        string
	bold, reverse bool
	faint, under  bool
}

// svg draws a screen that tmux captured with its colours.
func svg(screen string, width, height int) string {
	w, h := float64(width)*cellWidth+2*margin, float64(height)*cellHeight+2*margin
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f">`+"\n", w, h, w, h)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" rx="8" fill="%s"/>`+"\n", paper)
	b.WriteString(`<g font-family="ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace" font-size="14" xml:space="preserve">` + "\n")
	p := pen{}
	for row, line := range strings.Split(strings.TrimRight(screen, "\n"), "\n") {
		drawLine(&b, line, row, &p)
	}
	b.WriteString("</g>\n</svg>\n")
	return b.String()
}

func drawLine(b *strings.Builder, line string, row int, p *pen) {
	column := 0
	var run strings.Builder
	start := 0
	flush := func() {
		if run.Len() > 0 {
			drawRun(b, run.String(), row, start, column, *p)
			run.Reset()
		}
		start = column
	}
	for len(line) > 0 {
		if seq, rest, ok := escape(line); ok {
			flush()
			p.apply(seq)
			line = rest
			continue
		}
		r := []rune(line)[0]
		line = line[len(string(r)):]
		run.WriteRune(r)
		column += ansi.StringWidth(string(r))
	}
	flush()
}

// escape cuts a sequence ESC [ … m off the line; any other is dropped.
func escape(line string) (params, rest string, ok bool) {
	if !strings.HasPrefix(line, "\x1b[") {
		return "", line, false
	}
	end := strings.IndexFunc(line[2:], func(r rune) bool { return r >= 0x40 && r <= 0x7e })
	if end < 0 {
		return "", "", true
	}
	if line[2+end] != 'm' {
		return "-", line[3+end:], true
	}
	return line[2 : 2+end], line[3+end:], true
}

func drawRun(b *strings.Builder, text string, row, from, to int, p pen) {
	x, y := margin+float64(from)*cellWidth, margin+float64(row)*cellHeight
	fg, bg := p.fg, p.bg
	if p.reverse {
		fg, bg = bg, fg
		if fg == "" {
			fg = paper
		}
		if bg == "" {
			bg = ink
		}
	}
	if fg == "" {
		fg = ink
	}
	if bg != "" {
		fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`+"\n", x, y, float64(to-from)*cellWidth, cellHeight, bg)
	}
	if strings.TrimSpace(text) == "" {
		return
	}
	style := ""
	if p.bold {
		style += ` font-weight="bold"`
	}
	if p.faint {
		style += ` opacity="0.6"`
	}
	if p.under {
		style += ` text-decoration="underline"`
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" textLength="%.1f" fill="%s"%s>%s</text>`+"\n",
		x, y+cellHeight*0.75, float64(to-from)*cellWidth, fg, style, html.EscapeString(text))
}

// apply reads the parameters of an SGR sequence.
func (p *pen) apply(params string) {
	if params == "-" {
		return
	}
	codes := strings.Split(strings.ReplaceAll(params, ":", ";"), ";")
	for i := 0; i < len(codes); i++ {
		n, _ := strconv.Atoi(codes[i]) // an empty one is 0
		if n == 38 || n == 48 {
			colour, used := extended(codes[i+1:])
			i += used
			if n == 38 {
				p.fg = colour
			} else {
				p.bg = colour
			}
			continue
		}
		if !p.attribute(n) {
			p.colour(n)
		}
	}
}

// attribute sets what is no colour, and reports whether n was that.
func (p *pen) attribute(n int) bool {
	switch n {
	case 0:
		*p = pen{}
	case 1:
		p.bold = true
	case 2:
		p.faint = true
	case 4:
		p.under = true
	case 7:
		p.reverse = true
	case 22:
		p.bold, p.faint = false, false
	case 24:
		p.under = false
	case 27:
		p.reverse = false
	default:
		return false
	}
	return true
}

// colour sets one of the sixteen colours, or none.
func (p *pen) colour(n int) {
	switch {
	case n >= 30 && n <= 37:
		p.fg = indexed(n - 30)
	case n >= 90 && n <= 97:
		p.fg = indexed(n - 90 + 8)
	case n >= 40 && n <= 47:
		p.bg = indexed(n - 40)
	case n >= 100 && n <= 107:
		p.bg = indexed(n - 100 + 8)
	case n == 39:
		p.fg = ""
	case n == 49:
		p.bg = ""
	}
}

// extended reads what follows 38 or 48: 5;N or 2;R;G;B.
func extended(codes []string) (colour string, used int) {
	number := func(i int) int {
		n, _ := strconv.Atoi(codes[i])
		return n
	}
	switch {
	case len(codes) >= 2 && codes[0] == "5":
		return indexed(number(1)), 2
	case len(codes) >= 4 && codes[0] == "2":
		return fmt.Sprintf("#%02x%02x%02x", number(1), number(2), number(3)), 4
	}
	return "", len(codes)
}

var sixteen = [16]string{
	"#2b2f37", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#c8ccd4",
	"#6b7280", "#ff7b86", "#b5e890", "#ffd68a", "#7cc4ff", "#dd93f2", "#6fd3df", "#ffffff",
}

// indexed is a colour of the 256-colour palette.
func indexed(n int) string {
	switch {
	case n < 16:
		return sixteen[max(n, 0)]
	case n < 232:
		n -= 16
		level := func(i int) int {
			if i == 0 {
				return 0
			}
			return 55 + 40*i
		}
		return fmt.Sprintf("#%02x%02x%02x", level(n/36), level(n/6%6), level(n%6))
	}
	grey := 8 + 10*(n-232)
	return fmt.Sprintf("#%02x%02x%02x", grey, grey, grey)
}
