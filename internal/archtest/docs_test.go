package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// glob returns the files of the repository that match a pattern.
func glob(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	return files
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Every test that a document names exists.
func TestNamedTestsExist(t *testing.T) {
	defined := map[string]bool{}
	declaration := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	for _, pattern := range []string{"internal/*/*_test.go", "internal/*/*/*_test.go", "cmd/*/*_test.go", "e2e/*/*_test.go", "dist/*_test.go"} {
		for _, file := range glob(t, pattern) {
			for _, m := range declaration.FindAllSubmatch(read(t, file), -1) {
				defined[string(m[1])] = true
			}
		}
	}
	named := 0
	mention := regexp.MustCompile("`((?:Test|Fuzz|Benchmark)\\w+)`")
	for _, document := range glob(t, "docs/*.md") {
		for _, m := range mention.FindAllSubmatch(read(t, document), -1) {
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

// Every file that a document links to exists, and so does the heading.
func TestLinkTargetsExist(t *testing.T) {
	link := regexp.MustCompile(`(?:\]\(|src="|srcset=")([^)"#: ]*)(?:#([^)" ]*))?[)"]`)
	for _, document := range slices.Concat(glob(t, "docs/*.md"), glob(t, "README.md"), glob(t, "CONTRIBUTING.md"), glob(t, "CHANGELOG.md")) {
		for _, m := range link.FindAllSubmatch(read(t, document), -1) {
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
	index := read(t, "../../docs/README.md")
	for _, page := range glob(t, "docs/*.md") {
		if name := filepath.Base(page); name != "README.md" && !strings.Contains(string(index), "]("+name+")") {
			t.Errorf("docs/README.md does not name %s", name)
		}
	}
}

// Every folder of end-to-end tests is run by a target of the Makefile.
func TestFoldersAreRun(t *testing.T) {
	makefile := read(t, "../../Makefile")
	list := regexp.MustCompile(`(?m)^E2E .*addprefix \./e2e/,(.*)\)$`).FindSubmatch(makefile)
	if list == nil {
		t.Fatal("the Makefile has no list E2E")
	}
	run := strings.Fields(string(list[1]))
	for _, file := range glob(t, "e2e/*/*_test.go") {
		folder := filepath.Base(filepath.Dir(file))
		if !slices.Contains(run, folder) && !strings.Contains(string(makefile), " ./e2e/"+folder+"\n") {
			t.Errorf("no target runs e2e/%s", folder)
		}
	}
}
