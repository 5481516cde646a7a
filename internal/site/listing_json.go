package site

import (
	"encoding/json"
	"strconv"
	"time"

	"phalanx/internal/proto"
)

// jsonFormat writes {"path": …, "entries": [{"name": …, "type": "file" or
// "directory", "size": bytes, "modified": RFC 3339}, …]}. A byte of a name that is not UTF-8
// becomes U+FFFD, because JSON cannot represent it, and a time whose year does not have four
// digits becomes null, because RFC 3339 cannot.
type jsonFormat struct{}

func (jsonFormat) contentType() string { return "application/json" }

func (jsonFormat) begin(dst []byte, l *listed) []byte {
	dst = append(dst, `{"path":`...)
	dst = appendJSON(dst, l.path)
	return append(dst, `,"entries":[`...)
}

func (jsonFormat) row(dst []byte, l *listed, i int) []byte {
	e := &l.entries[i]
	if i > 0 {
		dst = append(dst, ',')
	}
	dst = append(dst, "\n{\"name\":"...)
	dst = appendJSON(dst, e.name)
	if e.dir {
		dst = append(dst, `,"type":"directory"`...)
	} else {
		dst = append(dst, `,"type":"file","size":`...)
		dst = strconv.AppendInt(dst, e.size, 10)
	}
	mark := len(dst)
	dst = append(dst, `,"modified":"`...)
	from := len(dst)
	if dst = (proto.Time{Sec: e.modified}).AppendFormat(dst, time.RFC3339); len(dst) == from {
		return append(dst[:mark], `,"modified":null}`...)
	}
	return append(dst, `"}`...)
}

func (jsonFormat) end(dst []byte, _ *listed) []byte { return append(dst, "\n]}\n"...) }

// appendJSON appends s as a JSON string (RFC 8259 §7).
func appendJSON(dst []byte, s string) []byte {
	text, _ := json.Marshal(s) // never fails for a string
	return append(dst, text...)
}
