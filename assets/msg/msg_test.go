package msg

import (
	"encoding/json"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"

	yaml "go.yaml.in/yaml/v3"

	"github.com/novatui/novatui/assets"
)

func TestPrinterSpeaksBothLanguages(t *testing.T) {
	m := M("common.nodes", "n", 3)
	for lang, want := range map[string]string{"en": "3 nodes", "ru": "3 узла", "de": "3 nodes"} {
		if got := New(lang).S(m); got != want {
			t.Errorf("%s: got %q, want %q", lang, got, want)
		}
	}
	if got := New("ru").T("common.nodes", "n", 5); got != "5 узлов" {
		t.Errorf("got %q", got)
	}
}

func TestMessageSurvivesJSON(t *testing.T) {
	before := M("common.nodes", "n", 2, "state", M("common.yes"))
	b, err := json.Marshal(before)
	if err != nil {
		t.Fatal(err)
	}
	var after Msg
	if err := json.Unmarshal(b, &after); err != nil {
		t.Fatal(err)
	}
	if nested, ok := after.Args["state"].(Msg); !ok || nested.ID != "common.yes" {
		t.Errorf("nested message came back as %#v", after.Args["state"])
	}
	if got := New("en").S(after); got != "2 nodes" {
		t.Errorf("got %q", got)
	}
}

func TestFromEnvironment(t *testing.T) {
	for _, c := range []struct {
		env  []string
		want string
	}{
		{[]string{"LANG=ru_RU.UTF-8"}, "ru"},
		{[]string{"LANG=ru_RU.UTF-8", "LC_ALL=C"}, "en"},
		{[]string{"LANG=en_US.UTF-8", "LC_MESSAGES=ru"}, "ru"},
		{nil, "en"},
	} {
		if got := FromEnvironment(c.env); got != c.want {
			t.Errorf("%v: got %q, want %q", c.env, got, c.want)
		}
	}
}

var slot = regexp.MustCompile(`{{[^}]*\.(\w+)[^}]*}}`)

// TestLanguagesSayTheSame: every id exists in every language, uses the same
// arguments, and no id stands in two files.
func TestLanguagesSayTheSame(t *testing.T) {
	args := map[string]map[string]string{} // language → id → its arguments
	for _, lang := range Languages {
		args[lang] = map[string]string{}
		files, err := fs.Glob(assets.Locales, "locales/"+lang+"/*.yaml")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			b, err := assets.Locales.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var messages map[string]any
			if err := yaml.Unmarshal(b, &messages); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			for id, text := range messages {
				if _, twice := args[lang][id]; twice {
					t.Errorf("%s: %s stands in another file too", file, id)
				}
				args[lang][id] = arguments(text)
			}
		}
	}
	first := args[Languages[0]]
	for _, lang := range Languages[1:] {
		for id, want := range first {
			got, ok := args[lang][id]
			if !ok {
				t.Errorf("%s: %s is missing", lang, id)
			} else if got != want {
				t.Errorf("%s: %s has the arguments [%s], %s has [%s]", lang, id, got, Languages[0], want)
			}
		}
		for id := range args[lang] {
			if _, ok := first[id]; !ok {
				t.Errorf("%s: %s is not in %s", lang, id, Languages[0])
			}
		}
	}
}

func arguments(text any) string {
	var all []string
	switch text := text.(type) {
	case string:
		for _, m := range slot.FindAllStringSubmatch(text, -1) {
			all = append(all, m[1])
		}
	case map[string]any:
		// Plural forms: the form "other" speaks for all.
		return arguments(text["other"])
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), " ")
}
