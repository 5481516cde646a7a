package accesslog

import (
	"strconv"
	"time"
)

// Format is the format of the lines.
type Format string

// The formats.
const (
	// Common is the Common Log Format of NCSA httpd.
	Common Format = "common"
	// Combined is Common with Referer and User-Agent, as Apache and nginx
	// write it.
	Combined Format = "combined"
	// VhostCombined is Combined after the site and the port, as Apache's
	// vhost_combined.
	VhostCombined Format = "vhost_combined"
	// JSON is an object of the same fields in each line (RFC 8259).
	JSON Format = "json"
)

// Entry is a request and its response. Empty or zero fields were absent.
type Entry struct {
	Client  []byte        // address, without a port
	Time    int64         // milliseconds since 1970
	Method  []byte        // empty: the request could not be parsed
	Target  []byte        // as sent
	Version string        // such as "HTTP/1.1"
	Status  int           // of the response, 100 to 599
	Bytes   int64         // of the response body
	Took    time.Duration // json only, to the microsecond
	Referer []byte        // not in common
	Agent   []byte        // not in common
	ID      []byte        // of the request; json only
	TLS     *TLS          // json only; nil: not over TLS
	Site    string        // vhost_combined and json; empty: one site for all hosts
	Port    int           // of the server; vhost_combined only; 0: unknown, or a unix socket
	User    []byte        // with valid credentials; empty: none were required
}

// TLS describes the TLS connection of an entry.
type TLS struct {
	Version string // such as "TLS 1.3"
	Cipher  string // IANA name
	Name    string // requested by the client (SNI); empty: none
	Resumed bool   // session resumed
}

// Formatter formats lines, and caches the last timestamp to the second. It is not
// safe for concurrent use.
type Formatter struct {
	Format Format // Combined unless one of the constants

	second int64 // since 1970, of stamp
	stamp  [len(clfTime)]byte
	known  bool
}

const (
	clfTime  = "02/Jan/2006:15:04:05 -0700"
	jsonTime = "2006-01-02T15:04:05"

	// maxTime is the last millisecond of the year 9999, the latest time that the
	// formats can represent.
	maxTime = 253402300799_999
)

// Append appends the line of an entry, including the newline. It allocates only
// when dst has to grow. Whatever bytes the entry has, the result is a single line
// of printable ASCII.
func (f *Formatter) Append(dst []byte, e *Entry) []byte {
	if f.Format == JSON {
		return f.json(dst, e)
	}
	if f.Format == VhostCombined {
		dst = appendVhost(dst, e)
	}
	dst = f.common(dst, e)
	if f.Format != Common {
		dst = append(dst, ` "`...)
		dst = appendOrDash(dst, e.Referer)
		dst = append(dst, `" "`...)
		dst = appendOrDash(dst, e.Agent)
		dst = append(dst, '"')
	}
	return append(dst, '\n')
}

// appendVhost appends the site, "*" if it is the one of all hosts, and the port.
func appendVhost(dst []byte, e *Entry) []byte {
	site := e.Site
	if site == "" {
		site = "*"
	}
	dst = append(append(dst, site...), ':')
	return append(strconv.AppendInt(dst, int64(e.Port), 10), ' ')
}

func (f *Formatter) common(dst []byte, e *Entry) []byte {
	dst = appendWord(dst, e.Client)
	dst = append(dst, " - "...)
	dst = appendWord(dst, e.User)
	dst = append(dst, " ["...)
	dst, _ = f.time(dst, clfTime, e.Time)
	dst = append(dst, `] "`...)
	if len(e.Method) == 0 {
		dst = append(dst, '-')
	} else {
		dst = appendEscaped(dst, e.Method)
		dst = append(dst, ' ')
		dst = appendEscaped(dst, e.Target)
		dst = append(dst, ' ')
		dst = append(dst, e.Version...)
	}
	dst = append(dst, `" `...)
	dst = strconv.AppendInt(dst, int64(e.Status), 10)
	if e.Bytes <= 0 {
		return append(dst, " -"...)
	}
	dst = append(dst, ' ')
	return strconv.AppendInt(dst, e.Bytes, 10)
}

// time appends a time to the second and returns its milliseconds. Each call must have the
// same layout.
func (f *Formatter) time(dst []byte, layout string, ms int64) ([]byte, int64) {
	ms = min(max(ms, 0), maxTime)
	if second := ms / 1000; !f.known || second != f.second {
		time.Unix(second, 0).UTC().AppendFormat(f.stamp[:0], layout)
		f.second, f.known = second, true
	}
	return append(dst, f.stamp[:len(layout)]...), ms % 1000
}

func (f *Formatter) json(dst []byte, e *Entry) []byte {
	dst = append(dst, `{"time":"`...)
	dst, ms := f.time(dst, jsonTime, e.Time)
	dst = append(dst, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
	dst = append(dst, 'Z', '"')
	dst = appendMember(dst, "client", e.Client)
	dst = appendMember(dst, "method", e.Method)
	dst = appendMember(dst, "target", e.Target)
	version := e.Version
	if len(e.Method) == 0 {
		version = ""
	}
	dst = appendMember(dst, "protocol", version)
	dst = append(dst, `,"status":`...)
	dst = strconv.AppendInt(dst, int64(e.Status), 10)
	dst = append(dst, `,"bytes":`...)
	dst = strconv.AppendInt(dst, max(e.Bytes, 0), 10)
	dst = append(dst, `,"seconds":`...)
	dst = appendSeconds(dst, e.Took)
	dst = appendMember(dst, "referer", e.Referer)
	dst = appendMember(dst, "user_agent", e.Agent)
	dst = appendMember(dst, "request_id", e.ID)
	if e.Site != "" {
		dst = appendMember(dst, "site", e.Site)
	}
	if t := e.TLS; t != nil {
		dst = appendMember(dst, "tls_version", t.Version)
		dst = appendMember(dst, "tls_cipher", t.Cipher)
		dst = appendMember(dst, "tls_sni", t.Name)
		dst = append(dst, `,"tls_resumed":`...)
		dst = strconv.AppendBool(dst, t.Resumed)
	}
	if len(e.User) > 0 {
		dst = appendMember(dst, "user", e.User)
	}
	return append(dst, "}\n"...)
}

// appendSeconds appends a duration as seconds with six decimals.
func appendSeconds(dst []byte, d time.Duration) []byte {
	us := max(d, 0).Microseconds()
	dst = strconv.AppendInt(dst, us/1e6, 10)
	dst = append(dst, '.')
	for unit := int64(1e5); unit > 0; unit /= 10 {
		dst = append(dst, byte('0'+us/unit%10))
	}
	return dst
}
