//go:build !race

package chaos_test

// underRace: the tests run under the race detector.
const underRace = false
