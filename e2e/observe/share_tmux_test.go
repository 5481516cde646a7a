package observe

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// changing replaces the characters of a progress bar that differ each time.
var changing = strings.NewReplacer("━", "─")

// snapshot returns a screen without empty lines and without what differs each time: digits become 0, a
// run of spaces or bar characters becomes one, and the time that the small file took, if any, is removed.
func snapshot(screen string) string {
	screen = changing.Replace(screen)
	for _, part := range [][2]string{{`\d+([.,]\d+)?`, "0"}, {`─+`, "─"}, {`0 (min|h) 0 (s|min)`, "0 s"}, {`0 [kM]?B`, "0 B"}, {` +`, " "}, {`(notes\.txt 0 B) in 0 m?s`, "$1"}} {
		screen = regexp.MustCompile(part[0]).ReplaceAllString(screen, part[1])
	}
	var lines []string
	for line := range strings.Lines(screen) {
		if line = strings.Join(strings.Fields(line), " "); line != "" && !strings.HasPrefix(line, "$") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// slowly reads a little at a time until hurry is closed, and then the rest.
func slowly(body io.Reader, hurry <-chan struct{}) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if _, err := io.CopyN(io.Discard, body, 128<<10); err != nil {
				return err
			}
		case <-hurry:
			_, err := io.Copy(io.Discard, body)
			return err
		}
	}
}

// TestShareInTmux runs share on a narrow and a wide terminal: it shows the address, the clients' requests,
// the progress of a download, the drain that waits for it, and a summary.
func TestShareInTmux(t *testing.T) {
	t.Parallel()
	for width, bar := range map[int]string{80: "", 140: " ─"} {
		t.Run(strconv.Itoa(width), func(t *testing.T) {
			t.Parallel()
			base := harness.MemoryDir(t)
			harness.Write(t, base+"/notes.txt", []byte("text"))
			harness.Sparse(t, base+"/film.mkv", 1<<30)
			port := harness.FreePort(t)
			p := openPane(t, width, 40, "TERM=xterm-256color")
			p.write(fmt.Sprintf("cd %s; clear; %s share -p %d -b 127.0.0.1 --workers 2 --password=me:secret", base, harness.Binary("master"), port))
			p.awaitText("Ctrl-C stops")
			get := func(path string) *http.Response {
				t.Helper()
				r, err := http.Get(fmt.Sprintf("http://me:secret@127.0.0.1:%d%s", port, path))
				if err != nil {
					t.Fatal(err)
				}
				return r
			}
			for _, path := range []string{"/", "/notes.txt", "/nothing"} {
				r := get(path)
				io.Copy(io.Discard, r.Body)
				r.Body.Close()
				p.awaitText(map[string]string{"/": "viewed", "/notes.txt": "downloaded", "/nothing": "refused"}[path])
			}
			film := get("/film.mkv")
			defer film.Body.Close()
			hurry, read := make(chan struct{}), make(chan error, 1)
			go func() { read <- slowly(film.Body, hurry) }()
			p.await("the progress", regexp.MustCompile(`(?m)^film\.mkv .* %.*/s.*left`).MatchString)
			p.press("C-c")
			p.awaitText("Stopping when 1 download has finished")
			const head = "Sharing BASE\nhttp://HOST:0/ this machine\nuser me\npassword secret\nCtrl-C stops when the downloads under way have finished.\n" +
				"0:0:0 HOST viewed /\n0:0:0 HOST downloaded notes.txt 0 B\n0:0:0 HOST refused nothing not found\n"
			under := "film.mkv" + bar + " 0 % 0 B/s 0 s left 0 B of 0 GB"
			if width == 140 {
				under += " HOST"
			}
			expect := func(want string) {
				t.Helper()
				var screen, got string
				if !harness.Holds(10*time.Second, func() bool {
					screen = p.shows()
					got = snapshot(strings.NewReplacer(base, "BASE", "127.0.0.1", "HOST").Replace(screen))
					return got == want
				}) {
					t.Errorf("the screen is\n%s\nwant\n%s\nunedited:\n%s", got, want, screen)
				}
			}
			expect(head + under + "\nStopping when 0 download has finished; press Ctrl-C again to stop now.")
			close(hurry)
			if err := <-read; err != nil {
				t.Fatal(err)
			}
			p.awaitText("Downloaded 2 files")
			expect(head + "0:0:0 HOST downloaded film.mkv 0 GB in 0 s\nDownloaded 0 files, 0 GB, by 0 client:\n0 GB film.mkv (once, by HOST)\n0 B notes.txt (once, by HOST)")
		})
	}
}
