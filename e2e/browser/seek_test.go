package browser

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"phalanx/e2e/harness"
)

// seek seeks to two positions of a recording, plays a little at each, and returns them.
const seek = `(async () => {
	const media = document.querySelector('#player');
	const until = name => new Promise((done, fail) => {
		media.addEventListener(name, done, {once: true});
		media.addEventListener('error', () => fail(media.error.message), {once: true});
		setTimeout(() => fail(name + ' timed out'), 60000);
	});
	if (media.readyState < 1) await until('loadedmetadata');
	const places = [];
	for (const part of [0.9, 0.3]) {
		const arrived = until('seeked');
		media.currentTime = media.duration * part;
		await arrived;
		await media.play();
		await until('timeupdate');
		media.pause();
		places.push(media.currentTime / media.duration);
	}
	return [media.duration, ...places];
})()`

// TestSeekInBrowser seeks in a recording of an hour in Chromium: it plays at each position, and
// only a part of the file is sent.
func TestSeekInBrowser(t *testing.T) {
	const seconds = 3600 // so that it may play on for half a minute on a slow machine
	base := harness.Tree(t, map[string]string{"audio.html": playerPage("audio"), "video.html": playerPage("video")})
	size := recording(t, filepath.Join(base, "long.wav"), seconds)
	for _, model := range harness.Models() {
		t.Run(model, func(t *testing.T) {
			s := harness.Serve(t, base, "--model", model, "-v")
			w := open(t)
			pages := []string{"audio", "video"}
			if model != "process" {
				pages = pages[:1]
			}
			for _, page := range pages {
				w.navigate(s.URL("/" + page + ".html"))
				got := evaluate[[]float64](w, seek, chromedp.EvalAwaitPromise)
				if len(got) != 3 || got[0] != seconds || got[1] < 0.9 || got[1] > 0.91 || got[2] < 0.3 || got[2] > 0.31 {
					t.Errorf("%s: duration and positions are %v, want %d, 0.9 and 0.3", page, got, seconds)
				}
			}
			w.close()
			s.Stop(5 * time.Second)
			checkSeeks(t, s, size, len(pages))
		})
	}
}

func playerPage(element string) string {
	return fmt.Sprintf("<!DOCTYPE html><html lang=en><title>player</title><link rel=icon href=data:,>"+
		"<%s id=player preload=metadata src=long.wav></%s>", element, element)
}

// recording writes a WAV file of silence: 16-bit PCM, one channel, 44,100 Hz.
func recording(t *testing.T, path string, seconds int) (size int64) {
	t.Helper()
	const rate = 44_100
	length := uint32(2 * rate * seconds)
	head := append([]byte("RIFF"), binary.LittleEndian.AppendUint32(nil, 36+length)...)
	head = append(head, "WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00"...)
	head = binary.LittleEndian.AppendUint32(head, rate)
	head = binary.LittleEndian.AppendUint32(head, 2*rate)
	head = append(head, "\x02\x00\x10\x00data"...)
	head = binary.LittleEndian.AppendUint32(head, length)
	harness.Write(t, path, head)
	size = int64(len(head)) + int64(length)
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	harness.Aged(t, path)
	return size
}

// checkSeeks checks the log for range requests, and that less than the whole file was sent.
func checkSeeks(t *testing.T, s *harness.Server, size int64, pages int) {
	t.Helper()
	events, _ := s.Log.All()
	asked := regexp.MustCompile(`(?s)GET /long\.wav .*Range: bytes=(\d+)-`)
	far := 0
	for _, e := range harness.WithMessage(events, "head") {
		if m := asked.FindStringSubmatch(e.Text("head")); m != nil {
			if from, err := strconv.ParseInt(m[1], 10, 64); err == nil && from > size/4 {
				far++
			}
		}
	}
	if far < pages {
		t.Errorf("%d range requests beyond the first quarter, want at least %d", far, pages)
	}
	sent := int64(0)
	for _, e := range harness.WithMessage(events, "request") {
		if e.Text("path") != "/long.wav" {
			continue
		}
		if status := e.Number("status"); status != 206 {
			t.Errorf("status of the recording: %d, want 206", status)
		}
		sent += int64(e.Number("bytes"))
	}
	if sent == 0 || sent >= size*int64(pages) {
		t.Errorf("%d bytes of the recording were sent, want more than 0 and fewer than its %d for each page", sent, size)
	}
	t.Logf("%d seeks, %d of %d bytes sent", far, sent, size)
}
