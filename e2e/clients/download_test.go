package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestWget resumes a download, requests a file only if it has changed, and copies a website of listings.
func TestWget(t *testing.T) {
	t.Parallel()
	data := harness.Noise("wget", 2<<20+7)
	files := map[string]string{
		"data.bin": string(data), "a b/c & d.txt": "odd", "gr\u00fc\u00dfe/\u65e5\u672c.txt": "far", "100%.txt": "percent", "deep/er/x.txt": "deep",
	}
	base := harness.Tree(t, files)
	for name := range files {
		harness.Aged(t, filepath.Join(base, name))
	}
	harness.Each(t, harness.Models(), func(t *testing.T, model string) {
		s := harness.Serve(t, base, "--model", model, "--list")
		wget := newProgram(t, "wget")
		harness.Write(t, wget.at("data.bin"), data[:1<<20])
		wget.run("-c", s.URL("/data.bin"))
		wget.holds("data.bin", data)
		if got := statuses(s, "/data.bin", 1); !slices.Equal(got, []int{206}) {
			t.Errorf("statuses of wget -c: %v, want 206", got)
		}
		wget.run("-c", s.URL("/data.bin"))
		wget.holds("data.bin", data)
		wget.run("-N", s.URL("/data.bin"))
		if got := statuses(s, "/data.bin", 3); !slices.Equal(got, []int{206, 304, 416}) {
			t.Errorf("statuses of wget -c, wget -c and wget -N: %v, want 206, 304 and 416", got)
		}
		wget.run("-r", "-np", "-nH", "-e", "robots=off", "-R", "index.html*", "--restrict-file-names=unix,nocontrol", "-P", "copy", s.URL("/"))
		for name, content := range files {
			wget.holds("copy/"+name, []byte(content))
		}
	})
}

// TestAria2 downloads over eight connections at once, completes a partial download, and requests a file only
// if it has changed.
func TestAria2(t *testing.T) {
	t.Parallel()
	const pieces = 8
	data := harness.Noise("aria2", pieces<<20)
	base := harness.Tree(t, map[string]string{"data.bin": string(data)})
	harness.Aged(t, filepath.Join(base, "data.bin"))
	harness.Each(t, harness.ParallelModels(), func(t *testing.T, model string) {
		s := harness.Serve(t, base, "--model", model)
		aria := newProgram(t, "aria2c")
		options := []string{
			"--no-conf", "-q", "-x", strconv.Itoa(pieces), "-s", strconv.Itoa(pieces), "-k", "1M", "--stream-piece-selector=geom",
			"--file-allocation=none", "--auto-file-renaming=false", "-o", "data.bin", s.URL("/data.bin"),
		}
		aria.run(options...)
		aria.holds("data.bin", data)
		clients := map[string]bool{}
		for _, e := range s.AwaitRequests(pieces) {
			clients[e.Text("client")] = true
			// The first request is for the whole file, and is aborted once the others have begun.
			if status := e.Number("status"); status != 206 && status != 200 {
				t.Errorf("status of a piece: %d, want 206 or 200", status)
			}
		}
		if len(clients) < pieces/2 {
			t.Errorf("the pieces were sent over %d connections, want about %d", len(clients), pieces)
		}
		harness.Write(t, aria.at("data.bin"), data[:3<<20])
		aria.run(append([]string{"-c"}, options...)...)
		aria.holds("data.bin", data)
		aria.run(append([]string{"--allow-overwrite=true", "--conditional-get=true"}, options...)...)
		aria.holds("data.bin", data)
		s.Log.Await(t, 10*time.Second, "304 for the complete file", s.Exited, func(all []harness.Event) bool {
			return slices.ContainsFunc(all, func(e harness.Event) bool { return e.Number("status") == 304 })
		})
	})
}

// TestGit clones over git's dumb HTTP protocol, which needs only files.
func TestGit(t *testing.T) {
	t.Parallel()
	git := newProgram(t, "git")
	git.env = append(git.env, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@phalanx.test", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@phalanx.test")
	git.run("init", "-q", "-b", "main", "work")
	for i := range 20 {
		harness.Write(t, git.at(fmt.Sprintf("work/file%d.txt", i%7)), harness.Noise(fmt.Sprint("git", i), 3000))
		git.run("-C", "work", "add", ".")
		git.run("-C", "work", "commit", "-q", "-m", fmt.Sprint("commit ", i))
		if i == 12 {
			git.run("-C", "work", "tag", "v1")
			git.run("-C", "work", "repack", "-q", "-a", "-d") // a pack; the later objects are loose
		}
	}
	base := harness.MemoryDir(t)
	git.run("clone", "-q", "--bare", "--no-local", "work", filepath.Join(base, "loose.git"))
	copied := os.CopyFS(filepath.Join(base, "packed.git"), os.DirFS(git.at("work/.git")))
	if copied != nil {
		t.Fatal(copied)
	}
	for _, name := range []string{"loose.git", "packed.git"} {
		git.run("-C", filepath.Join(base, name), "update-server-info")
	}
	head := git.run("-C", "work", "rev-parse", "HEAD")
	harness.Each(t, harness.Models(), func(t *testing.T, model string) {
		s := harness.Serve(t, base, "--model", model)
		own := *git
		own.t = t
		for _, name := range []string{"loose.git", "packed.git"} {
			clone := model + name
			own.run("clone", "-q", s.URL("/"+name), clone)
			own.run("-C", clone, "fsck", "--strict")
			if got := own.run("-C", clone, "rev-parse", "HEAD"); got != head {
				t.Errorf("the clone of %s is at %s, want %s", name, got, head)
			}
			if got := own.run("-C", clone, "tag"); strings.TrimSpace(got) != "v1" {
				t.Errorf("the clone of %s has the tags %q, want v1", name, got)
			}
		}
	})
}
