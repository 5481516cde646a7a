package explain

import (
	"encoding/binary"
	"strings"

	"phalanx/internal/conn"
	"phalanx/internal/exitcode"
	"phalanx/internal/h2"
	"phalanx/internal/h2/hpack"
)

// This file is the client's side of an HTTP/2 connection with one request.

// Types and flags of frames (RFC 9113 §6).
const (
	frameData         = 0x0
	frameHeaders      = 0x1
	frameReset        = 0x3
	frameSettings     = 0x4
	frameWindowUpdate = 0x8
	frameContinuation = 0x9

	flagEndStream  = 0x1
	flagEndHeaders = 0x4
)

const (
	frameHead  = 9       // bytes in front of a payload
	maxPayload = 1 << 14 // bytes
	maxWindow  = 1<<31 - 1
)

// http2 is the state of the client.
type http2 struct {
	woken   chan struct{}
	decoder hpack.Decoder
	scratch hpack.Scratch
	block   []byte // of the response's header block
	used    int64  // bytes of content since the last WINDOW_UPDATE
	ended   bool   // the response is complete, or the stream reset
}

const versionHTTP2 = "HTTP/2" // a [Request.Version]

// exchangeHTTP2 passes a request to an HTTP/2 connection; head is its head in HTTP/1.1.
func (s *server) exchangeHTTP2(r Request, head []byte) (conn.Step, error) {
	content := body(head)
	client := &http2{woken: make(chan struct{}, 1), decoder: hpack.NewDecoder()}
	s.http2 = client
	http1 := conn.New(s.cfg, s, s.now)
	http1.Secure()
	http1.From(&s.from)
	s.conn = h2.New(h2.NewConfig(s.cfg, h2.NewBounds(1)), &http1, client.wake, s.now)
	step := s.receive(r.frames(len(content) == 0))
	for i, piece := range content {
		for ; s.head == nil && !client.ended && len(piece) > 0; piece = piece[min(len(piece), maxPayload):] {
			flags := byte(0)
			if i == len(content)-1 && len(piece) <= maxPayload {
				flags = flagEndStream
			}
			step = s.receive(appendFrame(nil, frameData, flags, 1, piece[:min(len(piece), maxPayload)]))
		}
	}
	for step == conn.Read && !client.ended && s.source != conn.SourceArchive {
		if client.used > maxWindow/2 {
			open := binary.BigEndian.AppendUint32(nil, uint32(client.used))
			client.used = 0
			step = s.receive(appendFrame(appendFrame(nil, frameWindowUpdate, 0, 0, open), frameWindowUpdate, 0, 1, open))
			continue
		}
		<-client.woken
		step = s.proceed()
	}
	if s.head == nil {
		return step, exitcode.New(exitcode.Usage, "HTTP/2 refuses the request as malformed (RFC 9113 §8.1.1), for example because of a Connection field; add --http2 off to see the HTTP/1.1 response", nil)
	}
	return step, nil
}

// wake is called from any goroutine when the connection has more to send.
func (c *http2) wake() {
	select {
	case c.woken <- struct{}{}:
	default:
	}
}

// frames returns what the client sends: the preface, the largest possible windows, and the
// head of the request. whole means that no body follows.
func (r Request) frames(whole bool) []byte {
	window := binary.BigEndian.AppendUint32([]byte{0, 4}, maxWindow) // SETTINGS_INITIAL_WINDOW_SIZE
	out := appendFrame([]byte(conn.Preface), frameSettings, 0, 0, window)
	out = appendFrame(out, frameWindowUpdate, 0, 0, binary.BigEndian.AppendUint32(nil, maxWindow-1<<16))
	encoder := hpack.NewEncoder()
	block := encoder.Begin(nil)
	add := func(name, value string) { block = encoder.Append(block, []byte(name), []byte(value)) }
	add(":method", r.Method)
	add(":scheme", "https")
	add(":path", r.Target)
	fields := r.Fields
	if name, host, _ := strings.Cut(fields[0], ":"); strings.EqualFold(name, "host") {
		add(":authority", strings.TrimPrefix(host, " "))
		fields = fields[1:]
	}
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ":")
		add(name, strings.TrimPrefix(value, " "))
	}
	kind, flags := byte(frameHeaders), byte(0)
	if whole {
		flags = flagEndStream
	}
	for {
		n := min(len(block), maxPayload)
		if n == len(block) {
			return appendFrame(out, kind, flags|flagEndHeaders, 1, block)
		}
		out = appendFrame(out, kind, flags, 1, block[:n])
		block, kind, flags = block[n:], frameContinuation, 0
	}
}

func appendFrame(dst []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	n := len(payload)
	dst = append(dst, byte(n>>16), byte(n>>8), byte(n), kind, flags)
	return append(binary.BigEndian.AppendUint32(dst, stream), payload...)
}

// sentFrames handles the frames that an HTTP/2 connection sends. The payload of the last
// one may be missing, if it is a part of a file.
func (s *server) sentFrames(p []byte) {
	c := s.http2
	for len(p) >= frameHead {
		n := int(p[0])<<16 | int(p[1])<<8 | int(p[2])
		kind, flags, payload := p[3], p[4], p[frameHead:]
		payload = payload[:min(n, len(payload))]
		p = p[frameHead+len(payload):]
		switch kind {
		case frameData:
			s.made += int64(len(payload))
			c.used += int64(n)
		case frameHeaders, frameContinuation:
			if c.block = append(c.block, payload...); flags&flagEndHeaders != 0 {
				s.sentHead(c.block)
				c.block = nil
			}
		case frameReset:
			c.ended = true
		}
		c.ended = c.ended || flags&flagEndStream != 0 && (kind == frameData || kind == frameHeaders)
	}
}

// sentHead decodes a header block into lines as curl shows them.
func (s *server) sentHead(block []byte) {
	var head []byte
	status := ""
	s.http2.decoder.Begin()
	for {
		f, rest, ok, err := s.http2.decoder.Next(block, &s.http2.scratch)
		if !ok || err != nil {
			break
		}
		if block = rest; string(f.Name) == ":status" {
			status = string(f.Value)
			head = append(append(head, "HTTP/2 "...), status...)
		} else {
			head = append(append(append(head, f.Name...), ": "...), f.Value...)
		}
		head = append(head, "\r\n"...)
	}
	if strings.HasPrefix(status, "1") {
		s.interim = strings.TrimSpace(string(head))
		return
	}
	s.head = append(head, "\r\n"...)
}
