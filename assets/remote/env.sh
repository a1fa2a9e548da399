# An env file as systemd reads it (src/basic/env-file.c, as of v254: quotes,
# continuation lines, comments with # and ;); included by "#include env.sh".
#
# env_file get FILE: every variable with its effective value, sorted, one
#   KEY=VALUE a line, with newline, carriage return and backslash of a value
#   written \n, \r and \\.
# env_file want FILE KEY=VALUE…: the same after the assignments.
# env_file edit FILE KEY=VALUE…: the text of the file with the assignments made
#   in place; what is not there yet is appended. Status 3: the file ends inside
#   a quotation, or a comment line before an assignment ends in a backslash,
#   which systemd reads differently before and after v254.
env_file() {
	env_mode=$1 env_path=$2
	shift 2
	{
		printf '%s\n%s\n' "$env_mode" "$#"
		[ "$#" = 0 ] || printf '%s\n' "$@"
		cat -- "$env_path"
	} | awk '
		function is_nl(c) { return c == "\n" || c == "\r" }
		function is_ws(c) { return c == " " || c == "\t" || is_nl(c) }
		function coded(s,   i, c, out) {
			out = ""
			for (i = 1; i <= length(s); i++) {
				c = substr(s, i, 1)
				if (c == "\\") c = "\\\\"
				else if (c == "\n") c = "\\n"
				else if (c == "\r") c = "\\r"
				out = out c
			}
			return out
		}
		function quoted(s,   i, c, out) {
			if (s ~ /^[A-Za-z0-9_.\/:,=@%+-]*$/) return s
			out = "\""
			for (i = 1; i <= length(s); i++) {
				c = substr(s, i, 1)
				if (c == "\"" || c == "\\" || c == "`" || c == "$") out = out "\\"
				out = out c
			}
			return out "\""
		}
		function push(end,   k) {
			k = key
			sub(/[ \t]+$/, "", k)
			value[k] = val
			if (k in want) {
				if (after_escape) ambiguous = 1
				out = out substr(text, done + 1, start - done - 1) k "=" quoted(want[k])
				done = end
				seen[k] = 1
			}
			key = ""; val = ""; last_ws = 0; state = "prekey"
		}
		NR == 1 { mode = $0; next }
		NR == 2 { n = $0 + 0; next }
		NR <= n + 2 {
			i = index($0, "=")
			name[NR - 2] = substr($0, 1, i - 1)
			want[substr($0, 1, i - 1)] = substr($0, i + 1)
			next
		}
		{ text = text $0 "\n" }
		END {
			state = "prekey"; key = ""; val = ""; out = ""; done = 0
			len = length(text)
			for (i = 1; i <= len; i++) {
				c = substr(text, i, 1)
				if (state == "prekey") {
					if (c == "#" || c == ";") { state = "comment"; after_escape = 0 }
					else if (!is_ws(c)) { state = "key"; key = c; start = i }
				} else if (state == "key") {
					if (is_nl(c)) { state = "prekey"; key = ""; after_escape = 0 }
					else if (c == "=") { state = "prevalue"; last_ws = 0 }
					else key = key c
				} else if (state == "prevalue") {
					if (is_nl(c)) { push(i - 1); after_escape = 0 }
					else if (c == "\047") state = "single"
					else if (c == "\"") state = "double"
					else if (c == "\\") state = "escape"
					else if (!is_ws(c)) { state = "value"; val = val c }
				} else if (state == "value") {
					if (is_nl(c)) {
						if (last_ws) val = substr(val, 1, last_ws - 1)
						push(i - 1); after_escape = 0
					} else if (c == "\\") { state = "escape"; last_ws = 0 }
					else {
						val = val c
						if (!is_ws(c)) last_ws = 0
						else if (!last_ws) last_ws = length(val)
					}
				} else if (state == "escape") {
					state = "value"
					if (!is_nl(c)) val = val c
				} else if (state == "single") {
					if (c == "\047") state = "prevalue"
					else val = val c
				} else if (state == "double") {
					if (c == "\"") state = "prevalue"
					else if (c == "\\") state = "doubleescape"
					else val = val c
				} else if (state == "doubleescape") {
					state = "double"
					if (c == "\"" || c == "\\" || c == "`" || c == "$") val = val c
					else if (c != "\n") val = val "\\" c
				} else if (state == "comment") {
					if (c == "\\") state = "commentescape"
					else if (is_nl(c)) state = "prekey"
				} else if (state == "commentescape") {
					if (is_nl(c)) { state = "prekey"; after_escape = 1 }
					else state = "comment"
				}
			}
			open = (state == "single" || state == "double" || state == "doubleescape")
			if (state != "prekey" && state != "key" && state != "comment" && state != "commentescape") {
				push(len)
			}
			if (mode == "edit") {
				if (open || ambiguous) exit 3
				out = out substr(text, done + 1)
				first = 1
				for (i = 1; i <= n; i++) {
					k = name[i]
					if (k in seen) continue
					seen[k] = 1
					# An escaped newline would swallow the line after it.
					if (first && out ~ /\\[\n\r]*$/) out = out "\n"
					first = 0
					out = out k "=" quoted(want[k]) "\n"
				}
				printf "%s", out
				exit 0
			}
			if (mode == "want") for (k in want) value[k] = want[k]
			for (k in value) print k "=" coded(value[k])
		}'
}

# env_list MODE FILE …: env_file get or want, sorted.
env_list() { env_file "$@" | sort; }
