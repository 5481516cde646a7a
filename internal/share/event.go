package share

import (
	"encoding/json"
	"strings"

	"phalanx/internal/human"
	"phalanx/internal/proto"
	"phalanx/internal/site"
)

// event is a line of the workers' or the master's log.
type event struct {
	Level   string  `json:"level"`
	Message string  `json:"message"`
	Client  string  `json:"client"` // address and port
	Method  string  `json:"method"`
	Path    string  `json:"path"` // target of the request, as it was sent
	Status  int     `json:"status"`
	Bytes   int64   `json:"bytes"`
	Millis  float64 `json:"ms"`
	Reason  string  `json:"reason"`
	Error   string  `json:"error"`
}

// kind is the outcome of a request.
type kind uint8

const (
	other       kind = iota // not shown, such as HEAD
	viewed                  // a directory listing or index page
	downloaded              // a file, a part of a file, or an archive
	interrupted             // a download that was not completed
	unchanged               // 304: the client's copy is current
	refused                 // not found, or not permitted
)

func parseEvent(line []byte) (e event, ok bool) {
	return e, json.Unmarshal(line, &e) == nil && e.Message != ""
}

// request reports whether the event is a request that has ended.
func (e *event) request() bool { return e.Message == "request" }

// warning reports whether the event is a warning or an error, which is always shown.
func (e *event) warning() bool { return e.Level == "warn" || e.Level == "error" || e.Level == "fatal" }

func (e *event) kind() kind {
	switch {
	case e.Status == 304:
		return unchanged
	case e.Status >= 400:
		return refused
	case e.Method != "GET" || e.Status != 200 && e.Status != 206:
		return other
	case page(e.Path):
		return viewed
	case e.Reason != "":
		return interrupted
	}
	return downloaded
}

// page reports whether a target is a directory, but not its archive.
func page(target string) bool {
	path, query, _ := strings.Cut(target, "?")
	return strings.HasSuffix(path, "/") && site.ArchiveFormat([]byte(query)) == ""
}

// file returns the name of a target to be shown: decoded, without the common prefix, and for
// an archive the name under which it is saved; "-" if there was no target. root is the name of
// the whole archive.
func file(target, prefix, root string) string {
	if target == "" {
		return "-"
	}
	path, query, _ := strings.Cut(target, "?")
	path = decoded(strings.TrimPrefix(path, prefix))
	if format := site.ArchiveFormat([]byte(query)); format != "" && strings.HasSuffix(path, "/") {
		path = strings.TrimSuffix(path, "/")
		if path == "" {
			path = "/" + root
		}
		path += "." + format
	}
	if path != "/" {
		path = strings.TrimPrefix(path, "/")
	}
	return human.Visible(path)
}

// decoded returns a path without its percent-encoding.
func decoded(path string) string {
	if !strings.Contains(path, "%") {
		return path
	}
	out := make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		c := path[i]
		if b, ok := proto.Unescape([]byte(path[i:])); c == '%' && ok {
			c = b
			i += 2
		}
		out = append(out, c)
	}
	return string(out)
}
