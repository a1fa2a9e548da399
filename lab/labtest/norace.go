//go:build !race

package labtest

const detector = false
