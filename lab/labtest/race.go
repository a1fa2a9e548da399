//go:build race

package labtest

// RaceDetector says whether this program was built under the race detector, which
// makes it several times slower.
const RaceDetector = true
