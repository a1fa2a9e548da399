package etcdops

import (
	"strconv"
	"strings"
	"time"

	"github.com/novatui/novatui/remote"
)

// ParseUnit reads systemctl show. monotonic is the node's clock since boot in
// seconds, by which the age of the state is told; below zero: unknown.
func ParseUnit(out []byte, monotonic float64) UnitFacts {
	v := keyValues(out)
	u := UnitFacts{
		Name: remote.Clean(v["Id"]), Load: v["LoadState"], Active: v["ActiveState"], Sub: v["SubState"],
		Result: v["Result"], UnitFile: v["UnitFileState"], ExitCode: exitCode(v["ExecMainCode"]),
		Restart: v["Restart"], User: remote.Clean(v["User"]), SinceSeconds: -1,
		Held: strings.Contains(v["DropInPaths"], "90-novatui-hold.conf"),
	}
	u.ExitStatus, _ = strconv.Atoi(v["ExecMainStatus"])
	u.Restarts, _ = strconv.Atoi(v["NRestarts"])
	u.MainPID, _ = strconv.Atoi(v["MainPID"])
	if d, ok := parseSystemdSpan(v["RestartUSec"]); ok {
		u.RestartMillis = d.Milliseconds()
	}
	us, err := strconv.ParseFloat(v["StateChangeTimestampMonotonic"], 64)
	if err == nil && us > 0 && monotonic >= 0 && monotonic >= us/1e6 {
		u.SinceSeconds = int64(monotonic - us/1e6)
	}
	for line := range strings.Lines(string(out)) {
		// The property stands once for each file.
		if file, ok := strings.CutPrefix(strings.TrimSpace(line), "EnvironmentFiles="); ok {
			file, _, _ = strings.Cut(file, " (ignore_errors=")
			if file != "" {
				u.EnvironmentFiles = append(u.EnvironmentFiles, remote.Clean(file))
			}
		}
	}
	return u
}

// exitCode puts the number of ExecMainCode (CLD_EXITED, …) into words.
func exitCode(s string) string {
	switch s {
	case "1":
		return "exited"
	case "2":
		return "killed"
	case "3":
		return "dumped"
	case "0", "":
		return ""
	}
	return remote.Clean(s)
}

// parseSystemdSpan reads a time span as systemd prints it: "1min 30s", "100ms".
func parseSystemdSpan(s string) (time.Duration, bool) {
	units := map[string]time.Duration{
		"us": time.Microsecond, "ms": time.Millisecond, "s": time.Second, "min": time.Minute, "h": time.Hour,
		"d": 24 * time.Hour, "w": 7 * 24 * time.Hour,
	}
	var total time.Duration
	parts := strings.Fields(s)
	for _, p := range parts {
		i := strings.IndexFunc(p, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if i <= 0 {
			return 0, false
		}
		n, err := strconv.ParseFloat(p[:i], 64)
		unit, ok := units[p[i:]]
		if err != nil || !ok || n > 1e6 {
			return 0, false
		}
		total += time.Duration(n * float64(unit))
	}
	return total, len(parts) > 0
}
