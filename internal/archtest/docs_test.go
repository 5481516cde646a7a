package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every test that a document names exists.
func TestNamedTestsExist(t *testing.T) {
	root := filepath.Join("..", "..")
	defined := map[string]bool{}
	declaration := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	for _, pattern := range []string{"internal/*/*_test.go", "internal/*/*/*_test.go", "cmd/*/*_test.go", "e2e/*/*_test.go", "dist/*_test.go"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range declaration.FindAllSubmatch(source, -1) {
				defined[string(m[1])] = true
			}
		}
	}
	documents, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(documents) == 0 {
		t.Fatalf("no documents: %v", err)
	}
	named := 0
	mention := regexp.MustCompile("`((?:Test|Fuzz|Benchmark)\\w+)`")
	for _, document := range documents {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range mention.FindAllSubmatch(text, -1) {
			named++
			if !defined[string(m[1])] {
				t.Errorf("%s names %s, which does not exist", filepath.Base(document), m[1])
			}
		}
	}
	if named == 0 {
		t.Error("no document names a test")
	}
}

// Every file that a document links to exists, and the heading in it.
func TestLinksLead(t *testing.T) {
	root := filepath.Join("..", "..")
	documents, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`(?:\]\(|src="|srcset=")([^)"#: ]*)(?:#([^)" ]*))?[)"]`)
	for _, document := range append(documents, filepath.Join(root, "README.md"), filepath.Join(root, "CONTRIBUTING.md"), filepath.Join(root, "CHANGELOG.md")) {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllSubmatch(text, -1) {
			target := document // of a link to a heading of the same page
			if path := string(m[1]); path != "" {
				target = filepath.Join(filepath.Dir(document), path)
			}
			page, err := os.ReadFile(target)
			if err != nil {
				t.Errorf("%s: %v", filepath.Base(document), err)
			} else if anchor := string(m[2]); anchor != "" && !slices.Contains(anchors(page), anchor) {
				t.Errorf("%s: %s has no heading #%s", filepath.Base(document), filepath.Base(target), anchor)
			}
		}
	}
}

// anchors returns the anchors of a page's headings, as GitHub makes them.
func anchors(page []byte) []string {
	var all []string
	left := regexp.MustCompile(`[^\w\- ]`)
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllSubmatch(page, -1) {
		anchor := left.ReplaceAllString(strings.ToLower(string(m[1])), "")
		all = append(all, strings.ReplaceAll(anchor, " ", "-"))
	}
	return all
}

// Every page is in the index of the pages.
func TestIndexIsComplete(t *testing.T) {
	docs := filepath.Join("..", "..", "docs")
	index, err := os.ReadFile(filepath.Join(docs, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(filepath.Join(docs, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		if name := filepath.Base(page); name != "README.md" && !strings.Contains(string(index), "]("+name+")") {
			t.Errorf("docs/README.md does not name %s", name)
		}
	}
}

// Every folder of end-to-end tests is run by a target of the Makefile.
func TestFoldersAreRun(t *testing.T) {
	root := filepath.Join("..", "..")
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile(`(?m)^E2E .*addprefix \./e2e/,(.*)\)$`).FindSubmatch(makefile)
	if list == nil {
		t.Fatal("the Makefile has no list E2E")
	}
	run := strings.Fields(string(list[1]))
	files, err := filepath.Glob(filepath.Join(root, "e2e", "*", "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no end-to-end tests: %v", err)
	}
	for _, file := range files {
		folder := filepath.Base(filepath.Dir(file))
		if !slices.Contains(run, folder) && !strings.Contains(string(makefile), " ./e2e/"+folder+"\n") {
			t.Errorf("no target runs e2e/%s", folder)
		}
	}
}
