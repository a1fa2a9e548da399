package remote

import (
	"fmt"
	"runtime/debug"
	"sync"
)

// Each calls fn for every item at once and waits for all of them. It is how
// packages without goroutines of their own ask all nodes at the same time. A
// panic in fn becomes that item's error.
func Each[T any](items []T, fn func(i int, item T) error) []error {
	errs := make([]error, len(items))
	var wg sync.WaitGroup
	for i, item := range items {
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer func() {
				if p := recover(); p != nil {
					errs[i] = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
				}
			}()
			errs[i] = fn(i, item)
		}()
	}
	wg.Wait()
	return errs
}
