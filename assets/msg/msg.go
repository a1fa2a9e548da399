// Package msg is how every layer says a sentence without knowing its language:
// a Msg is the id of a catalogue entry with its arguments, and whoever shows it
// (the wizard, a headless printer) lets a Printer turn it into text. The
// catalogue lies in assets/locales, one folder a language. The package imports
// nothing of ours, so that everybody may import it.
package msg

import (
	"encoding/json"
	"fmt"
)

// Args are the named arguments of a message: strings, numbers, or other
// messages (which are translated too). The argument "n" chooses the plural.
type Args map[string]any

// Msg is one sentence, before it is put into a language. The zero Msg is "no
// message" and prints as nothing.
type Msg struct {
	ID   string `json:"id"`
	Args Args   `json:"args,omitempty"`
}

// M makes a message from an id and pairs of argument name and value.
// It panics on an odd number of pairs: that is a programming error which every
// test of the caller finds.
func M(id string, pairs ...any) Msg {
	if len(pairs)%2 != 0 {
		panic("msg.M: " + id + ": odd number of arguments")
	}
	m := Msg{ID: id}
	for i := 0; i < len(pairs); i += 2 {
		if m.Args == nil {
			m.Args = Args{}
		}
		m.Args[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	return m
}

// Raw is a message that is not in the catalogue: text from elsewhere (a log
// line, an error of a library) that is shown as it is.
func Raw(text string) Msg { return Msg{ID: "raw", Args: Args{"text": text}} }

// Zero reports whether there is no message.
func (m Msg) Zero() bool { return m.ID == "" }

// UnmarshalJSON brings nested messages back as messages.
func (m *Msg) UnmarshalJSON(b []byte) error {
	var raw struct {
		ID   string                     `json:"id"`
		Args map[string]json.RawMessage `json:"args"`
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		return fmt.Errorf("message: %w", err)
	}
	*m = Msg{ID: raw.ID}
	for name, value := range raw.Args {
		if m.Args == nil {
			m.Args = Args{}
		}
		if len(value) > 0 && value[0] == '{' {
			var nested Msg
			if err := json.Unmarshal(value, &nested); err != nil {
				return err
			}
			m.Args[name] = nested
			continue
		}
		var plain any
		if err := json.Unmarshal(value, &plain); err != nil {
			return fmt.Errorf("message %s: argument %s: %w", raw.ID, name, err)
		}
		m.Args[name] = plain
	}
	return nil
}

// Error is a message as an error, for errors that a person will read: whoever
// shows it finds the Msg with errors.As and says it in the reader's language.
type Error struct{ Msg Msg }

// Error is the English text.
func (e Error) Error() string { return New(Languages[0]).S(e.Msg) }
