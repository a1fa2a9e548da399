package msg

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	yaml "go.yaml.in/yaml/v3"

	"github.com/novatui/novatui/assets"
)

// TestEveryIDIsInTheCatalogue reads the module's own source: each message id
// that stands in it as a literal must have a text, and each id put together
// from a literal and something else must at least begin like one that has.
func TestEveryIDIsInTheCatalogue(t *testing.T) {
	known := map[string]bool{}
	files, err := fs.Glob(assets.Locales, "locales/"+Languages[0]+"/*.yaml")
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
		for id := range messages {
			known[id] = true
		}
	}
	used := 0
	err = filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2 || d.Name() == "testdata" || d.Name() == "bin") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return nil // the compiler has a better word for it
		}
		ast.Inspect(file, func(n ast.Node) bool {
			id, whole, ok := messageID(n)
			if !ok {
				return true
			}
			used++
			if !fits(known, id, whole) {
				t.Errorf("%s: %q is not in the catalogue", set.Position(n.Pos()), id)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if used < 100 {
		t.Errorf("only %d ids were found: the search is broken", used)
	}
}

// messageID finds msg.M("id", …) and x.T("id", …); whole is false when only the
// beginning of the id is a literal.
func messageID(n ast.Node) (id string, whole, ok bool) {
	call, isCall := n.(*ast.CallExpr)
	if !isCall || len(call.Args) == 0 {
		return "", false, false
	}
	fun, isSelector := call.Fun.(*ast.SelectorExpr)
	if !isSelector {
		return "", false, false
	}
	owner, _ := fun.X.(*ast.Ident)
	if !(fun.Sel.Name == "M" && owner != nil && owner.Name == "msg" || fun.Sel.Name == "T") {
		return "", false, false
	}
	arg, whole := call.Args[0], true
	for {
		sum, isSum := arg.(*ast.BinaryExpr)
		if !isSum {
			break
		}
		arg, whole = sum.X, false
	}
	lit, isLit := arg.(*ast.BasicLit)
	if !isLit || lit.Kind != token.STRING {
		return "", false, false
	}
	id, err := strconv.Unquote(lit.Value)
	return id, whole, err == nil && strings.Contains(id, ".")
}

func fits(known map[string]bool, id string, whole bool) bool {
	if whole {
		return known[id]
	}
	for k := range known {
		if strings.HasPrefix(k, id) {
			return true
		}
	}
	return false
}
