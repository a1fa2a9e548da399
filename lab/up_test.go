package lab

import (
	"context"
	"testing"
	"time"
)

func TestFirst(t *testing.T) {
	at := time.Now()
	l, err := Up(context.Background(), Options{OwnedByCaller: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("up after %v in %s", time.Since(at), l.Dir())
	st, err := l.Status(context.Background())
	t.Logf("%+v %v", st, err)
	if err := l.Down(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Logf("down after %v", time.Since(at))
}
