package text

import (
	"strconv"
	"strings"
	"time"
)

// Int groups the digits of n by threes with a space: "376 222".
func Int(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return sign + s
}

// Bytes is a size in decimal units with at most three digits, as etcdctl
// prints it: "151 MB".
func (p *Printer) Bytes(n int64) string {
	value, unit := float64(n), 0
	for value >= 999.5 && unit < len(byteUnits)-1 {
		value /= 1000
		unit++
	}
	digits := 0
	if unit > 0 && value < 9.95 {
		digits = 1
	}
	return p.T(byteUnits[unit], "v", p.float(value, digits))
}

var byteUnits = []string{"ui.unit.b", "ui.unit.kb", "ui.unit.mb", "ui.unit.gb", "ui.unit.tb"}

// Duration is a duration in at most two units: "8 s", "1 min 51 s", "3 d 4 h".
func (p *Printer) Duration(d time.Duration) string {
	if d < 0 {
		d = -d
	}
	s := int64(d / time.Second)
	two := func(big string, b int64, small string, v int64) string {
		if v == 0 {
			return p.T(big, "v", b)
		}
		return p.T(big, "v", b) + " " + p.T(small, "v", v)
	}
	switch {
	case s < 60:
		return p.T("ui.unit.s", "v", s)
	case s < 3600:
		return two("ui.unit.min", s/60, "ui.unit.s", s%60)
	case s < 86400:
		return two("ui.unit.h", s/3600, "ui.unit.min", s%3600/60)
	case s < 10*86400:
		return two("ui.unit.d", s/86400, "ui.unit.h", s%86400/3600)
	}
	return p.T("ui.unit.d", "v", s/86400)
}

// Short is a duration in tenths of a second below ten seconds, so that a
// living pane is seen to live: "0.3 s", "12 s", "2 min".
func (p *Printer) Short(d time.Duration) string {
	switch {
	case d < 0:
		d = 0
		fallthrough
	case d < 10*time.Second:
		return p.T("ui.unit.s", "v", p.float(d.Seconds(), 1))
	case d < time.Minute:
		return p.T("ui.unit.s", "v", int64(d/time.Second))
	}
	return p.Duration(d.Truncate(time.Minute))
}

// float writes a number with the language's decimal sign.
func (p *Printer) float(v float64, digits int) string {
	return strings.Replace(strconv.FormatFloat(v, 'f', digits, 64), ".", p.T("ui.decimal"), 1)
}

// Ago says how long before now a moment was.
func (p *Printer) Ago(d time.Duration) string {
	if d >= time.Minute {
		d = d.Truncate(time.Minute)
	}
	return p.T("ui.ago", "d", p.Duration(d))
}

// Clock is an elapsed time for the header: "00:41", "1:02:03".
func Clock(d time.Duration) string {
	s := max(0, int64(d/time.Second))
	two := func(n int64) string {
		if n < 10 {
			return "0" + strconv.FormatInt(n, 10)
		}
		return strconv.FormatInt(n, 10)
	}
	if s >= 3600 {
		return strconv.FormatInt(s/3600, 10) + ":" + two(s%3600/60) + ":" + two(s%60)
	}
	return two(s/60) + ":" + two(s%60)
}
