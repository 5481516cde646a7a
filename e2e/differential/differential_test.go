package differential

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"phalanx/e2e/harness"
)

const requestCount = 6000

// TestDifferential sends the same requests for the same files to Phalanx and its peers. Every difference
// between the responses has to belong to a class of docs/differences.md, which names the peers.
func TestDifferential(t *testing.T) {
	root := peerTree(t)
	all := newGenerator(1).requests(requestCount)
	phalanx := harness.ServeSilently(t, harness.Plan{Args: []string{"--base", root}})
	ours := askAll(phalanx.Port, all)
	known := classes()
	found := map[string][]string{} // peers by class
	for _, peer := range peers() {
		theirs := askAll(startPeer(t, peer, root), all)
		unknown := 0
		for i, q := range all {
			for _, d := range differences(peer, ours[i], theirs[i]) {
				name := classify(known, q, d)
				switch {
				case name == "" && unknown < 20:
					t.Errorf("%v belongs to no class:\n%q", d, q.text("{tag}", "{coded}"))
					fallthrough
				case name == "":
					unknown++
				case !slices.Contains(found[name], peer):
					found[name] = append(found[name], peer)
				}
			}
		}
		if unknown > 0 {
			t.Errorf("%s: %d differences belong to no class", peer, unknown)
		}
	}
	compareTable(t, found)
}

// TestModelsAgree sends the same requests to every model, and to servers that read single bytes: the
// responses are the same to the last byte.
func TestModelsAgree(t *testing.T) {
	t.Parallel()
	root := peerTree(t)
	all := newGenerator(2).requests(requestCount / 4)
	ask := func(args ...string) []*response {
		s := harness.ServeSilently(t, harness.Plan{Args: append([]string{"--base", root}, args...)})
		return askAll(s.Port, all)
	}
	first := ask()
	for _, args := range [][]string{{"--model", "goroutine"}, {"--model", "serial"}, {"--recv", "1"}, {"--model", "goroutine", "--recv", "3"}} {
		other := ask(args...)
		for i, q := range all {
			a, b := first[i], other[i]
			if !slices.Contains([]int{200, 206, 304}, a.status) {
				// The Last-Modified of a generated page is the time of the response.
				delete(a.fields, "Last-Modified")
				delete(b.fields, "Last-Modified")
			}
			if a.summary() != b.summary() || !maps.Equal(a.fields, b.fields) || a.persist != b.persist && !slices.Contains(args, "serial") {
				t.Errorf("%v: %s %v, want %s %v:\n%q", args, b.summary(), b.fields, a.summary(), a.fields, q.text("{tag}", "{coded}"))
			}
		}
	}
}

// classify returns the name of a difference's class, or "".
func classify(known []class, q *request, d difference) string {
	for _, c := range known {
		if c.fits(q, d) {
			return c.name
		}
	}
	return ""
}

// compareTable compares docs/differences.md with the differences found.
func compareTable(t *testing.T, found map[string][]string) {
	t.Helper()
	explained := tableOf(t, harness.Repository(t, "docs", "differences.md"))
	for _, c := range classes() {
		name := c.name
		peers, row := strings.Join(found[name], ", "), explained[name]
		switch {
		case row == "":
			t.Errorf("docs/differences.md does not explain %q (%s)", name, peers)
		case peers == "":
			t.Errorf("docs/differences.md explains %q, which no longer occurs", name)
		case peers != row:
			t.Errorf("docs/differences.md gives %q the peers %s, want %s", name, row, peers)
		}
		delete(explained, name)
	}
	for name := range explained {
		t.Errorf("docs/differences.md explains %q, which is not a class of this test", name)
	}
}

// tableOf returns the second cells of a Markdown table by the first.
func tableOf(t *testing.T, path string) map[string]string {
	t.Helper()
	text := harness.Read(t, path)
	rows := map[string]string{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if name, ok := strings.CutPrefix(cells[0], "| "); ok && len(cells) == 3 && name != "what" {
			rows[name] = cells[1]
		}
	}
	return rows
}

// peerTree writes the files of the comparison, all with the same modification time.
func peerTree(t *testing.T) string {
	t.Helper()
	root := harness.Tree(t, peerFiles())
	for name := range peerFiles() {
		if err := os.Chtimes(filepath.Join(root, name), harness.Modified(), harness.Modified()); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// askAll sends all requests to one server, with its own entity tags.
func askAll(port int, all []*request) []*response {
	a := &harness.Asker{Port: port}
	defer a.Close()
	tags := map[string]string{}
	tagOf := func(file string, fields ...string) string {
		key := fmt.Sprint(file, fields)
		if _, known := tags[key]; !known {
			r, err := harness.Exchange(port, harness.Request("HEAD", "/"+file, append(fields, "Connection: close")...))
			if err != nil || r.Header.Get("ETag") == "" {
				tags[key] = `"none"`
			} else {
				tags[key] = r.Header.Get("ETag")
			}
		}
		return tags[key]
	}
	responses := make([]*response, len(all))
	for i, q := range all {
		tag, coded := `"none"`, `"none"`
		if q.file != "" {
			tag, coded = tagOf(q.file), tagOf(q.file, "Accept-Encoding: gzip")
		}
		responses[i] = ask(a, q, q.text(tag, coded))
	}
	return responses
}

// difference is one aspect in which a peer's response differs.
type difference struct {
	peer, aspect, ours, theirs string
	status                     int // of both responses, if it is the same
}

func (d difference) String() string {
	if d.aspect == "status" {
		return fmt.Sprintf("%s: %s, Phalanx %s", d.peer, d.theirs, d.ours)
	}
	return fmt.Sprintf("%s: %d with %s %q, Phalanx %q", d.peer, d.status, d.aspect, d.theirs, d.ours)
}

// differences compares two responses: the status and, if it is the same, the fields that are worth
// comparing.
func differences(peer string, ours, theirs *response) []difference {
	if a, b := ours.summary(), theirs.summary(); a != b {
		return []difference{{peer: peer, aspect: "status", ours: a, theirs: b}}
	}
	var all []difference
	note := func(aspect, a, b string) {
		if a != b {
			all = append(all, difference{peer, aspect, a, b, ours.status})
		}
	}
	for _, aspect := range comparedAt(ours.status) {
		note(aspect, ours.fields[aspect], theirs.fields[aspect])
	}
	note("persistence", fmt.Sprint(ours.persist), fmt.Sprint(theirs.persist))
	return all
}

// comparedAt returns the aspects that are compared in responses with a status. The pages of errors are
// each server's own.
func comparedAt(status int) []string {
	switch {
	case status == 200 || status == 206:
		return compared()
	case status == 304:
		return []string{"ETag", "Last-Modified", "Content-Range", "Content-Encoding", "Vary", "Accept-Ranges", "body"}
	case status == 301:
		return []string{"Location", "Last-Modified"}
	case status == 416:
		return []string{"Content-Range"}
	}
	return nil
}

// summary returns the status, or why there is no response.
func (a *response) summary() string {
	if a.failure != "" {
		return a.failure
	}
	return fmt.Sprint(a.status)
}
