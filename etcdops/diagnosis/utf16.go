package diagnosis

import (
	"bufio"
	"io"
	"unicode/utf16"
)

// decoded makes UTF-8 of what Windows wrote as UTF-16.
func decoded(r io.Reader) io.Reader {
	br := bufio.NewReader(r)
	head, _ := br.Peek(2)
	if len(head) == 2 && (head[0] == 0xff && head[1] == 0xfe || head[0] == 0xfe && head[1] == 0xff) {
		_, _ = br.Discard(2)
		return &wideReader{r: br, big: head[0] == 0xfe}
	}
	return br
}

// wideReader reads UTF-16.
type wideReader struct {
	r    *bufio.Reader
	big  bool
	rest []byte
}

func (w *wideReader) Read(p []byte) (int, error) {
	for len(w.rest) == 0 {
		var units []uint16
		for len(units) < 4096 {
			a, err := w.r.ReadByte()
			if err != nil {
				break
			}
			b, err := w.r.ReadByte()
			if err != nil {
				break
			}
			if w.big {
				a, b = b, a
			}
			units = append(units, uint16(b)<<8|uint16(a))
			if b == 0 && a == '\n' {
				break
			}
		}
		if len(units) == 0 {
			return 0, io.EOF
		}
		w.rest = []byte(string(utf16.Decode(units)))
	}
	n := copy(p, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}
