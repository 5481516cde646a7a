package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// The limits on lines, for the product and for tests.
const (
	mostInFunction = 60
	mostInFile     = 400
)

func TestSizes(t *testing.T) {
	root := filepath.Join("..", "..")
	seen := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "bin" || strings.HasPrefix(d.Name(), ".") && path != root):
			return filepath.SkipDir
		case !d.IsDir() && strings.HasSuffix(path, ".go"):
			seen++
			checkSizes(t, path)
		}
		return nil
	})
	if err != nil || seen == 0 {
		t.Errorf("%d files: %v", seen, err)
	}
}

func checkSizes(t *testing.T, path string) {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Error(err)
		return
	}
	if n := files.File(file.Pos()).LineCount(); n > mostInFile {
		t.Errorf("%s has %d lines, want at most %d", path, n, mostInFile)
	}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if n := files.Position(f.End()).Line - files.Position(f.Pos()).Line + 1; n > mostInFunction {
			t.Errorf("%s: %s has %d lines, want at most %d", path, f.Name.Name, n, mostInFunction)
		}
	}
}
