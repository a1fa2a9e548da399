//go:build !faultpoints

package main

import "github.com/novatui/novatui/workflows/engine"

// onEvent is called by the engine after each event is durable; see
// faultpoints.go.
var onEvent func(engine.Event)
