package differential

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"phalanx/e2e/harness"
)

// response is the part of a response that is compared.
type response struct {
	status  int
	fields  map[string]string // see compared
	persist bool              // whether the connection stays open
	failure string            // why there is no response
}

// compared returns the aspects of two responses with the same status, in the order in which they are
// compared.
func compared() []string {
	return []string{
		"body", "Content-Length", "Content-Range", "Content-Type", "Content-Encoding",
		"Last-Modified", "Accept-Ranges", "ETag", "Location", "Vary",
	}
}

// ask sends a request and reads the response. If a persistent connection turns out to be closed, it tries
// once more on a new one. A connection that persists after a body has to serve the next request.
func ask(a *harness.Asker, q *request, text string) *response {
	kept := a.Conn != nil
	got, err := try(a, text)
	if err != nil && kept && (errors.Is(err, io.EOF) || isReset(err)) {
		got, err = try(a, text)
	}
	if err == nil && got.persist && q.body != "" {
		probe, after := try(a, "HEAD /one.txt HTTP/1.1\r\nHost: phalanx.test\r\n\r\n")
		if after != nil || probe.status != 200 || probe.fields["Content-Length"] != "1" {
			err = errors.New("the next request is misparsed")
		}
	}
	if err != nil {
		a.Close()
		return &response{failure: failureOf(err)}
	}
	if location := q.destination(got.fields["Location"]); location != "" {
		got.fields["Location"] = location
	}
	if !got.persist {
		a.Close()
	}
	return got
}

func try(a *harness.Asker, text string) (*response, error) {
	if a.Conn == nil {
		conn, err := harness.Connect(a.Port)
		if err != nil {
			return nil, err
		}
		a.Conn = conn
	}
	if err := a.Conn.SetDeadline(time.Now().Add(harness.InTime(2 * time.Second))); err != nil {
		return nil, err
	}
	// A server that refuses a request may close while it is being sent, so only the response
	// matters, not whether all of it could be sent.
	_ = a.Conn.Send(text)
	got, err := readResponse(a.Conn, strings.HasPrefix(text, "HEAD "))
	if err != nil {
		a.Close()
	}
	return got, err
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func failureOf(err error) string {
	var late interface{ Timeout() bool }
	switch {
	case errors.As(err, &late) && late.Timeout():
		return "timed out"
	case errors.Is(err, io.EOF), isReset(err):
		return "closed"
	}
	return err.Error()
}

// readResponse reads a response, however its body is delimited.
func readResponse(c *harness.Client, bare bool) (*response, error) {
	for {
		text := textproto.NewReader(c.In)
		line, err := text.ReadLine()
		if err != nil {
			return nil, err
		}
		minor, status, ok := cutStatusLine(line)
		if !ok {
			return nil, fmt.Errorf("malformed status line %.40q", line)
		}
		fields, err := text.ReadMIMEHeader()
		if err != nil {
			return nil, err
		}
		if status/100 == 1 {
			continue
		}
		body, delimited, err := bodyOf(c, http.Header(fields), bare || status == 204 || status == 304)
		if err != nil {
			return nil, err
		}
		h := http.Header(fields)
		got := &response{status: status, persist: delimited && stays(h, minor), fields: fieldsOf(h, body)}
		if got.persist && c.In.Buffered() > 0 {
			return nil, errors.New("extra bytes after the response")
		}
		return got, nil
	}
}

// cutStatusLine parses a status line such as "HTTP/1.1 200 OK" (RFC 9112 §4).
func cutStatusLine(line string) (minor byte, status int, ok bool) {
	if len(line) < 12 || line[:7] != "HTTP/1." || line[8] != ' ' {
		return 0, 0, false
	}
	status, err := strconv.Atoi(line[9:12])
	return line[7], status, err == nil
}

// bodyOf reads a body by its framing (RFC 9112 §6.3), and reports whether the connection can be used
// after it.
func bodyOf(c *harness.Client, h http.Header, bare bool) (body []byte, delimited bool, err error) {
	length := h.Get("Content-Length")
	switch {
	case bare:
		return nil, true, nil
	case h.Get("Transfer-Encoding") == "chunked":
		if body, err = io.ReadAll(httputil.NewChunkedReader(c.In)); err != nil {
			return nil, false, err
		}
		// The reader stops before the trailers.
		_, err = textproto.NewReader(c.In).ReadMIMEHeader()
		return body, true, err
	case length != "":
		n, err := strconv.Atoi(length)
		if err != nil {
			return nil, false, err
		}
		body = make([]byte, n)
		_, err = io.ReadFull(c.In, body)
		return body, true, err
	}
	body, err = io.ReadAll(c.In)
	return body, false, err
}

// stays reports whether a connection persists, by RFC 9112 §9.3.
func stays(h http.Header, minor byte) bool {
	for _, value := range h.Values("Connection") {
		switch {
		case strings.EqualFold(value, "close"):
			return false
		case strings.EqualFold(value, "keep-alive"):
			return true
		}
	}
	return minor != '0'
}

// fieldsOf returns the aspects of a response that are compared.
func fieldsOf(h http.Header, body []byte) map[string]string {
	f := map[string]string{}
	for _, name := range compared() {
		if value := strings.Join(h.Values(name), ", "); value != "" {
			f[name] = value
		}
	}
	if f["ETag"] != "" {
		f["ETag"] = "present"
	}
	kind, parameters, err := mime.ParseMediaType(f["Content-Type"])
	if err == nil {
		f["Content-Type"] = kind
	}
	f["body"] = digest(body)
	if kind == "multipart/byteranges" {
		// The boundary is the server's own, and it affects the length.
		f["body"] = digest([]byte(partsOf(body, parameters["boundary"])))
		delete(f, "Content-Length")
	}
	return f
}

func digest(body []byte) string {
	sum := fnv.New64a()
	sum.Write(body)
	return fmt.Sprintf("%d bytes, %x", len(body), sum.Sum64())
}

// partsOf returns the parts of a multipart body, without each server's own boundary and fields.
func partsOf(body []byte, boundary string) string {
	var b strings.Builder
	for parts := multipart.NewReader(bytes.NewReader(body), boundary); ; {
		part, err := parts.NextRawPart()
		if err == io.EOF {
			return b.String()
		}
		if err != nil {
			return "malformed: " + err.Error()
		}
		content, err := io.ReadAll(part)
		if err != nil {
			return "malformed: " + err.Error()
		}
		fmt.Fprintf(&b, "%s %q\n", part.Header.Get("Content-Range"), content)
	}
}

// destination returns the decoded path and the query that a Location leads to from its request's target, or
// all of it if it leads to another host.
func (q *request) destination(location string) string {
	if location == "" {
		return ""
	}
	to, err := url.Parse(location)
	if err != nil {
		return "malformed: " + location
	}
	from, err := url.Parse("http://" + q.host + q.target)
	if err != nil || !strings.HasPrefix(q.target, "/") {
		from, err = url.Parse(q.target)
	}
	if err != nil {
		return "unresolvable: " + location
	}
	to = from.ResolveReference(to)
	if to.Hostname() != from.Hostname() {
		return "away: " + location
	}
	if to.RawQuery != "" {
		return to.Path + "?" + to.RawQuery
	}
	return to.Path
}
