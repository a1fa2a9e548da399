package etcdops

import "fmt"

// secret is a private key in memory. Nothing prints, formats or marshals it;
// it leaves this package only inside a tls.Config.
type secret []byte

func (secret) String() string               { return Masked }
func (secret) GoString() string             { return Masked }
func (secret) Format(s fmt.State, _ rune)   { _, _ = s.Write([]byte(Masked)) }
func (secret) MarshalJSON() ([]byte, error) { return []byte(`"` + Masked + `"`), nil }
func (secret) MarshalText() ([]byte, error) { return []byte(Masked), nil }
