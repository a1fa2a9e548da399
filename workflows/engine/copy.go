package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// copyNoteEvery is how often Copy says how far it is.
const copyNoteEvery = 2 * time.Second

// Copy pipes the stdout of read on one node into the stdin of write on
// another, through this machine and a fixed buffer. Both commands must be
// declared. size is how many bytes are expected, 0 if nobody knows; any other
// number is an error. The writer sees the end of its input only when read
// ended well with all of them, otherwise it is cut off: whatever it leaves
// behind is not whole, which the step must check (compare digests).
func (x *Exec) Copy(ctx context.Context, fromNode string, read remote.Command, toNode string, write remote.Command, size int64) error {
	from, err := x.admit(fromNode, read)
	if err != nil {
		return err
	}
	to, err := x.admit(toNode, write)
	if err != nil {
		return err
	}
	if to.Stdin != "" {
		return fmt.Errorf("copying to %s: %q has an input of its own", toNode, to.Short())
	}
	parent := ctx
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	pr, pw := io.Pipe()
	m := &meter{x: x, w: pw, size: size, began: time.Now(), from: fromNode, to: toNode}

	var errRead, errWrite error
	var wg sync.WaitGroup
	wg.Go(func() {
		_, errRead = protect("reading on "+fromNode, func() (remote.Result, error) {
			return x.checked(ctx, fromNode, from, remote.Streams{Stdout: m})
		})
		if errRead == nil || m.over() {
			errRead = errors.Join(m.check(), errRead)
		}
		if errRead != nil {
			// First stop the writer: a closed pipe alone could look to it
			// like the end of the file.
			cancel(errRead)
			_ = pw.CloseWithError(errRead)
			return
		}
		_ = pw.Close()
	})
	wg.Go(func() {
		_, errWrite = protect("writing on "+toNode, func() (remote.Result, error) {
			return x.checked(ctx, toNode, to, remote.Streams{Stdin: pr})
		})
		if errWrite != nil {
			cancel(errWrite)
		}
		_ = pr.CloseWithError(errors.Join(errCopyOver, errWrite))
	})
	wg.Wait()
	err = errors.Join(errRead, errWrite)
	if ctx.Err() != nil && parent.Err() == nil {
		// One side failed and the other was cut off for it: the first error
		// is the cause.
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("copying from %s to %s: %w", fromNode, toNode, err)
	}
	x.Note(msg.M("engine.copied", "from", fromNode, "to", toNode, "size", mebibytes(m.total())))
	return nil
}

// errCopyOver is what the reader's side gets when the writer ended early.
var errCopyOver = errors.New("the writing command has ended")

var errTooMuch = errors.New("more bytes than expected")

func (x *Exec) checked(ctx context.Context, node string, c remote.Command, s remote.Streams) (remote.Result, error) {
	res, err := x.send(ctx, node, c, s)
	if err == nil {
		err = res.Check(node, c)
	}
	return res, err
}

// meter counts what passes and says so now and then.
type meter struct {
	x        *Exec
	w        io.Writer
	size     int64
	began    time.Time
	from, to string

	mu    sync.Mutex
	n     int64
	noted time.Time
}

func (m *meter) Write(b []byte) (int, error) {
	n, err := m.w.Write(b)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.n += int64(n)
	if m.size > 0 && m.n > m.size {
		return n, errTooMuch
	}
	if m.noted.IsZero() {
		m.noted = m.began
	}
	if time.Since(m.noted) >= copyNoteEvery {
		m.noted = time.Now()
		m.x.Note(msg.M("engine.copying", "from", m.from, "to", m.to,
			"done", mebibytes(m.n), "total", mebibytes(max(m.size, m.n))))
	}
	return n, err
}

func (m *meter) total() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.n
}

// over reports whether more came than was expected, which the reading command
// feels as a broken pipe.
func (m *meter) over() bool { return m.size > 0 && m.total() > m.size }

func (m *meter) check() error {
	switch n := m.total(); {
	case m.over():
		return fmt.Errorf("more than the %d bytes came that were expected", m.size)
	case m.size > 0 && n != m.size:
		return fmt.Errorf("%d bytes came, %d were expected", n, m.size)
	}
	return nil
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f", float64(n)/(1<<20)) }
