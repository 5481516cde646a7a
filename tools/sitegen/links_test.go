package main

import (
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

// references holds, by file extension, patterns of the links in a file of the
// site.
var references = map[string][]*regexp.Regexp{
	".html": {regexp.MustCompile(`(?:href|src|poster)="([^"]*)"`)},
	".svg":  {regexp.MustCompile(`href="([^"]*)"`), regexp.MustCompile(`url\(([^)]*)\)`)},
	".css":  {regexp.MustCompile(`url\("([^"]*)"\)`)},
	".js":   {regexp.MustCompile(`(?:from|fetch\() ?'([^']*)'`)},
	".webmanifest": {
		regexp.MustCompile(`"(?:src|start_url)": "([^"]*)"`),
	},
}

// siteFiles returns every file of the site with its content.
func siteFiles(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS(siteDir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[name] = string(readFile(t, path.Join(siteDir, name)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestLinksResolve(t *testing.T) {
	files := siteFiles(t)
	count := 0
	for name, content := range files {
		for _, pattern := range references[path.Ext(name)] {
			for _, m := range pattern.FindAllStringSubmatch(content, -1) {
				count++
				if err := resolve(files, name, m[1]); err != nil {
					t.Errorf("%s: %q: %v", name, m[1], err)
				}
			}
		}
	}
	if count < 100 {
		t.Errorf("only %d links were found; the patterns miss some", count)
	}
}

// resolve follows a link as a browser would. It returns an error if the link
// leads nowhere.
func resolve(files map[string]string, from, link string) error {
	u, err := url.Parse(link)
	if err != nil {
		return err
	}
	if u.Scheme != "" || u.Host != "" {
		return fmt.Errorf("leads out of the site")
	}
	to := from
	if u.Path != "" {
		to = strings.TrimPrefix(path.Join("/", path.Dir(from), u.Path), "/")
		if strings.HasPrefix(u.Path, "/") {
			to = strings.TrimPrefix(path.Clean(u.Path), "/")
		}
		if strings.HasSuffix(u.Path, "/") {
			to = path.Join(to, "index.html")
		}
	}
	content, ok := files[to]
	if !ok {
		return fmt.Errorf("there is no file %s", to)
	}
	if u.Fragment != "" && !strings.Contains(content, `id="`+u.Fragment+`"`) {
		return fmt.Errorf("%s has no id %q", to, u.Fragment)
	}
	return nil
}

// No page or picture refers to another server. The SVG namespace is a name, not
// an address.
func TestNoExternalAddress(t *testing.T) {
	external := regexp.MustCompile(`[a-z]+://|["'(]//[a-z]`)
	for name, content := range siteFiles(t) {
		switch path.Ext(name) {
		case ".html", ".css", ".js", ".svg", ".json", ".webmanifest", ".txt", ".csv":
			content = strings.ReplaceAll(content, `xmlns="http://www.w3.org/2000/svg"`, "")
			if found := external.FindString(content); found != "" {
				t.Errorf("%s: external address: %q", name, found)
			}
		}
	}
}

// Every page has what readers and assistive technology need, and no inline
// scripts or styles.
func TestPages(t *testing.T) {
	inline := regexp.MustCompile(`<script(?:>| type="module">)| on[a-z]+="| style="|<style`)
	image := regexp.MustCompile(`<img [^>]*>`)
	for name, content := range siteFiles(t) {
		if path.Ext(name) != ".html" {
			continue
		}
		for _, want := range []string{"<!DOCTYPE html>\n", `<html lang="en">`, `<meta charset="utf-8">`, `class="skip" href="#main"`,
			`<main id="main"`, `<nav aria-label=`, `name="description"`, `name="viewport"`} {
			if strings.Count(content, want) != 1 {
				t.Errorf("%s has %d of %s, want one", name, strings.Count(content, want), want)
			}
		}
		if n := strings.Count(content, "<h1>"); n != 1 {
			t.Errorf("%s has %d <h1>, want one", name, n)
		}
		if found := inline.FindString(content); found != "" {
			t.Errorf("%s: inline script or style: %q", name, found)
		}
		for _, tag := range image.FindAllString(content, -1) {
			for _, attr := range []string{" alt=", " width=", " height="} {
				if !strings.Contains(tag, attr) {
					t.Errorf("%s: %s has no%s", name, tag, attr)
				}
			}
		}
	}
}

func TestSiteIsSmall(t *testing.T) {
	total := 0
	for _, content := range siteFiles(t) {
		total += len(content)
	}
	if limit := 1500 * 1000; total > limit {
		t.Errorf("the site has %d bytes, more than %d", total, limit)
	}
}
