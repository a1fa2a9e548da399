package lab

import (
	"bufio"
	"errors"
	"io"
	"strings"
)

// lineMax is journald's default LineMax: longer lines are cut into several.
const lineMax = 48 << 10

// lineReader reads lines of bounded length.
type lineReader struct{ r *bufio.Reader }

func newLineReader(r io.Reader, limit int) lineReader {
	return lineReader{bufio.NewReaderSize(r, limit)}
}

// next returns the next line without its end. A line beyond the limit comes in
// pieces; the last one needs no line end.
func (l lineReader) next() (string, error) {
	b, err := l.r.ReadSlice('\n')
	switch {
	case err == nil, errors.Is(err, bufio.ErrBufferFull), len(b) > 0:
		return strings.TrimSuffix(string(b), "\n"), nil
	}
	return "", err
}
