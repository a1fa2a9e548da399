package msg

import (
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	yaml "go.yaml.in/yaml/v3"
	"golang.org/x/text/language"

	"github.com/novatui/novatui/assets"
)

// Languages are the languages of the catalogue; the first is the fallback.
var Languages = []string{"en", "ru"}

// Printer turns messages into the text of one language. It may be used from
// several goroutines.
type Printer struct {
	lang      string
	localizer *i18n.Localizer
}

// New makes a Printer for a language of Languages; any other value gets the
// first. A language's catalogue is read once, when first needed.
func New(lang string) *Printer {
	chosen := Languages[0]
	for _, l := range Languages {
		if l == lang {
			chosen = l
		}
	}
	return &Printer{lang: chosen, localizer: i18n.NewLocalizer(catalogue(chosen), chosen, Languages[0])}
}

// Lang is the language that the Printer prints.
func (p *Printer) Lang() string { return p.lang }

// FromEnvironment chooses the language as POSIX programs do: LC_ALL before
// LC_MESSAGES before LANG, of the environment given as NAME=value pairs.
func FromEnvironment(env []string) string {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		for _, e := range env {
			value, ok := strings.CutPrefix(e, name+"=")
			if !ok || value == "" {
				continue
			}
			for _, l := range Languages {
				if value == l || strings.HasPrefix(value, l+"_") || strings.HasPrefix(value, l+".") {
					return l
				}
			}
			return Languages[0]
		}
	}
	return Languages[0]
}

// S is the text of a message. An id that is not in the catalogue comes out as
// the id with its arguments, visibly: a test makes sure that none does.
func (p *Printer) S(m Msg) string {
	switch m.ID {
	case "":
		return ""
	case "raw":
		return fmt.Sprint(m.Args["text"])
	}
	data := make(map[string]any, len(m.Args))
	for name, value := range m.Args {
		data[name] = p.value(value)
	}
	text, err := p.localizer.Localize(&i18n.LocalizeConfig{
		MessageID: m.ID, TemplateData: data, PluralCount: count(m.Args["n"]),
	})
	if err != nil {
		return fmt.Sprintf("%s %v", m.ID, data)
	}
	return strings.TrimSpace(text)
}

// T is S for a message made on the spot.
func (p *Printer) T(id string, pairs ...any) string { return p.S(M(id, pairs...)) }

func (p *Printer) value(v any) any {
	switch v := v.(type) {
	case Msg:
		return p.S(v)
	case []Msg:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = p.S(v[i])
		}
		return strings.Join(parts, ", ")
	case []string:
		return strings.Join(v, ", ")
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = fmt.Sprint(p.value(v[i]))
		}
		return strings.Join(parts, ", ")
	case float64: // a number that came through JSON
		if v == float64(int64(v)) {
			return int64(v)
		}
	}
	return v
}

// count is what go-i18n accepts as a plural count, or nil.
func count(n any) any {
	switch n := n.(type) {
	case int, int64, uint64:
		return fmt.Sprint(n)
	case float64:
		return fmt.Sprint(int64(n))
	}
	return nil
}

// bundles holds the catalogues that were read, by language.
var bundles = struct {
	sync.Mutex
	read map[string]*i18n.Bundle
}{read: map[string]*i18n.Bundle{}}

// catalogue is a language's messages, with those of the first language to fall
// back on. A file that does not parse is a defect of the build that the tests
// of this package find, hence the panic.
func catalogue(lang string) *i18n.Bundle {
	bundles.Lock()
	defer bundles.Unlock()
	if b, ok := bundles.read[lang]; ok {
		return b
	}
	b := i18n.NewBundle(language.English)
	b.RegisterUnmarshalFunc("yaml", yaml.Unmarshal)
	folders := []string{Languages[0]}
	if lang != Languages[0] {
		folders = append(folders, lang)
	}
	for _, folder := range folders {
		if err := readFolder(b, folder); err != nil {
			panic("reading the catalogue: " + err.Error())
		}
	}
	bundles.read[lang] = b
	return b
}

func readFolder(b *i18n.Bundle, lang string) error {
	files, err := fs.Glob(assets.Locales, "locales/"+lang+"/*.yaml")
	if err != nil {
		return fmt.Errorf("listing %s: %w", lang, err)
	}
	for _, file := range files {
		text, err := assets.Locales.ReadFile(file)
		if err != nil {
			return fmt.Errorf("reading %s: %w", file, err)
		}
		// go-i18n takes the language from the file's name.
		if _, err := b.ParseMessageFileBytes(text, lang+".yaml"); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}
