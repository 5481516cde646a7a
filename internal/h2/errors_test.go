package h2

import (
	"testing"

	"golang.org/x/net/http2"

	"phalanx/internal/conn"
)

// raw writes any frame.
func raw(kind http2.FrameType, flags http2.Flags, id uint32, payload string) func(*client) {
	return func(c *client) { c.framer.WriteRawFrame(kind, flags, id, []byte(payload)) }
}

// begin writes the head of a request with content.
func begin(id uint32) func(*client) {
	return func(c *client) { c.headers(id, false, getFields("/")...) }
}

func set(id http2.SettingID, value uint32) func(*client) {
	return func(c *client) { c.framer.WriteSettings(http2.Setting{ID: id, Val: value}) }
}

func ended(c *client) {
	c.get(1, "/")
	c.flush()
}

// violation is an error for which the connection has to end.
type violation struct {
	name string
	code Code
	do   []func(*client)
}

// Violations that end the connection, by section of RFC 9113.
func TestConnectionErrors(t *testing.T) {
	for _, r := range append(violationsOfStreams(), violationsOfConnections()...) {
		t.Run(r.name, func(t *testing.T) {
			c := connect(t)
			for _, do := range r.do {
				do(c)
			}
			c.flush()
			c.failed(r.code)
			if c.conn.Reason() != ReasonProtocol {
				t.Errorf("reason %q", c.conn.Reason())
			}
		})
	}
}

func violationsOfStreams() []violation {
	return []violation{
		{"§4.2 a frame over 16 KiB", FrameSizeError, []func(*client){raw(0xbb, 0, 0, string(make([]byte, maxFrame+1)))}},
		{"§4.3 a block that is not HPACK", CompressionError, []func(*client){raw(http2.FrameHeaders, 5, 1, "\x80")}},
		{"§4.3 trailers that are not HPACK", CompressionError, []func(*client){begin(1), raw(http2.FrameHeaders, 5, 1, "\x80")}},
		{"§5.1 DATA on an idle stream", ProtocolError, []func(*client){raw(http2.FrameData, 0, 1, "x")}},
		{"§5.1 RST_STREAM on an idle stream", ProtocolError, []func(*client){raw(http2.FrameRSTStream, 0, 1, "\x00\x00\x00\x00")}},
		{"§5.1 WINDOW_UPDATE on an idle stream", ProtocolError, []func(*client){raw(http2.FrameWindowUpdate, 0, 1, "\x00\x00\x00\x01")}},
		{"§5.1.1 RST_STREAM on an even stream", ProtocolError, []func(*client){begin(3), raw(http2.FrameRSTStream, 0, 2, "\x00\x00\x00\x00")}},
		{"§5.1.1 WINDOW_UPDATE on an even stream", ProtocolError, []func(*client){begin(3), raw(http2.FrameWindowUpdate, 0, 2, "\x00\x00\x00\x01")}},
		{"§5.1 DATA on a closed stream", StreamClosed, []func(*client){ended, raw(http2.FrameData, 0, 1, "x")}},
		{"§5.1 HEADERS on a closed stream", StreamClosed, []func(*client){ended, begin(1)}},
		{"§5.1 CONTINUATION on a closed stream", ProtocolError, []func(*client){ended, raw(http2.FrameContinuation, 4, 1, "")}},
		{"§5.1.1 an even stream", ProtocolError, []func(*client){begin(2)}},
		{"§5.1.1 a lower stream", ProtocolError, []func(*client){begin(5), begin(3)}},
		{"§6.1 DATA without a stream", ProtocolError, []func(*client){raw(http2.FrameData, 0, 0, "x")}},
		{"§6.1 padding longer than DATA", ProtocolError, []func(*client){begin(1), raw(http2.FrameData, 8, 1, "\x05xxxx")}},
		{"§6.1 padding without its length", FrameSizeError, []func(*client){begin(1), raw(http2.FrameData, 8, 1, "")}},
		{"§6.2 HEADERS without a stream", ProtocolError, []func(*client){raw(http2.FrameHeaders, 5, 0, "\x82")}},
		{"§6.2 padding longer than HEADERS", ProtocolError, []func(*client){raw(http2.FrameHeaders, 0xd, 1, "\x01")}},
		{"§6.2 HEADERS inside a block", ProtocolError, []func(*client){raw(http2.FrameHeaders, 1, 1, "\x82"), begin(3)}},
		{"§6.2 another frame inside a block", ProtocolError, []func(*client){raw(http2.FrameHeaders, 1, 1, "\x82"), raw(0xbb, 0, 0, "")}},
		{"§6.2 a priority that is cut", FrameSizeError, []func(*client){raw(http2.FrameHeaders, 0x25, 1, "\x00\x00")}},
		{"§6.2 a stream that depends on itself", ProtocolError, []func(*client){raw(http2.FrameHeaders, 0x25, 1, "\x00\x00\x00\x01\x00\x82")}},
		{"§6.3 PRIORITY without a stream", ProtocolError, []func(*client){raw(http2.FramePriority, 0, 0, "\x00\x00\x00\x01\x00")}},
		{"§6.3 a short PRIORITY", FrameSizeError, []func(*client){raw(http2.FramePriority, 0, 1, "\x00")}},
		{"§6.4 RST_STREAM without a stream", ProtocolError, []func(*client){raw(http2.FrameRSTStream, 0, 0, "\x00\x00\x00\x00")}},
		{"§6.4 a short RST_STREAM", FrameSizeError, []func(*client){begin(1), raw(http2.FrameRSTStream, 0, 1, "\x00")}},
	}
}

func violationsOfConnections() []violation {
	return []violation{
		{"§6.5 SETTINGS on a stream", ProtocolError, []func(*client){raw(http2.FrameSettings, 0, 1, "")}},
		{"§6.5 SETTINGS of a wrong length", FrameSizeError, []func(*client){raw(http2.FrameSettings, 0, 0, "xxx")}},
		{"§6.5 an answer with settings", FrameSizeError, []func(*client){raw(http2.FrameSettings, 1, 0, "xxxxxx")}},
		{"§6.5.2 ENABLE_PUSH of 2", ProtocolError, []func(*client){set(http2.SettingEnablePush, 2)}},
		{"§6.5.2 a window over the limit", FlowControlError, []func(*client){set(http2.SettingInitialWindowSize, 1<<31)}},
		{"§6.5.2 frames under the limit", ProtocolError, []func(*client){set(http2.SettingMaxFrameSize, maxFrame-1)}},
		{"§6.5.2 frames over the limit", ProtocolError, []func(*client){set(http2.SettingMaxFrameSize, 1<<24)}},
		{"RFC 9218 §2.1 no number", ProtocolError, []func(*client){set(9, 2)}},
		{"§6.6 PUSH_PROMISE", ProtocolError, []func(*client){raw(http2.FramePushPromise, 4, 1, "\x00\x00\x00\x02\x82")}},
		{"§6.7 PING on a stream", ProtocolError, []func(*client){raw(http2.FramePing, 0, 1, "12345678")}},
		{"§6.7 a short PING", FrameSizeError, []func(*client){raw(http2.FramePing, 0, 0, "1")}},
		{"§6.8 GOAWAY on a stream", ProtocolError, []func(*client){raw(http2.FrameGoAway, 0, 1, "12345678")}},
		{"§6.8 a short GOAWAY", FrameSizeError, []func(*client){raw(http2.FrameGoAway, 0, 0, "1234")}},
		{"§6.9 a short WINDOW_UPDATE", FrameSizeError, []func(*client){raw(http2.FrameWindowUpdate, 0, 0, "\x00\x00\x01")}},
		{"§6.9 WINDOW_UPDATE of zero", ProtocolError, []func(*client){raw(http2.FrameWindowUpdate, 0, 0, "\x00\x00\x00\x00")}},
		{"§6.9.1 a window over the limit", FlowControlError, []func(*client){raw(http2.FrameWindowUpdate, 0, 0, "\x7f\xff\xff\xff")}},
		{"§6.9.1 more content than the window", FlowControlError, []func(*client){begin(1), func(c *client) {
			c.conn.credit = 10
			c.framer.WriteData(1, false, make([]byte, 11))
		}}},
		{"§6.9.2 windows over the limit by SETTINGS", FlowControlError, []func(*client){begin(1), raw(http2.FrameWindowUpdate, 0, 1, "\x7f\xff\x00\x00"), set(http2.SettingInitialWindowSize, maxWindow)}},
		{"§6.10 CONTINUATION without HEADERS", ProtocolError, []func(*client){raw(http2.FrameContinuation, 4, 1, "\x82")}},
		{"§6.10 CONTINUATION behind a whole block", ProtocolError, []func(*client){begin(1), raw(http2.FrameContinuation, 4, 1, "\x82")}},
		{"§6.10 CONTINUATION of another stream", ProtocolError, []func(*client){raw(http2.FrameHeaders, 1, 1, "\x82"), raw(http2.FrameContinuation, 4, 3, "\x82")}},
		{"RFC 9218 §7.1 PRIORITY_UPDATE on a stream", ProtocolError, []func(*client){raw(0x10, 0, 1, "\x00\x00\x00\x01u=1")}},
		{"RFC 9218 §7.1 a short PRIORITY_UPDATE", FrameSizeError, []func(*client){raw(0x10, 0, 0, "\x00")}},
		{"RFC 9218 §7.1 PRIORITY_UPDATE of no stream", ProtocolError, []func(*client){raw(0x10, 0, 0, "\x00\x00\x00\x00u=1")}},
		{"RFC 9218 §7.1 PRIORITY_UPDATE of an even stream", ProtocolError, []func(*client){begin(3), raw(0x10, 0, 0, "\x00\x00\x00\x02u=1")}},
	}
}

// A client that does not speak HTTP/2 gets an error (§3.4).
func TestPreface(t *testing.T) {
	for name, p := range map[string]string{
		"HTTP/1.1":       "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"another end":    conn.Preface[:20] + "xxxx",
		"no SETTINGS":    conn.Preface + "\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678",
		"only an answer": conn.Preface + "\x00\x00\x00\x04\x01\x00\x00\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, newConfig(), nil)
			c.send.WriteString(p)
			c.flush()
			c.failed(ProtocolError)
		})
	}
}

// Violations that reset a stream and do not affect the others.
func TestStreamErrors(t *testing.T) {
	for _, r := range []struct {
		name string
		code Code
		do   func(*client)
	}{
		{"§5.1 DATA behind END_STREAM", StreamClosed, func(c *client) {
			c.get(1, "/huge")
			c.framer.WriteData(1, false, make([]byte, 100))
		}},
		{"§5.1 HEADERS behind END_STREAM", StreamClosed, func(c *client) {
			c.get(1, "/huge")
			c.headers(1, true, "x", "y")
		}},
		{"§8.1 malformed trailers behind the response", ProtocolError, func(c *client) {
			c.headers(1, false, ":method", "POST", ":scheme", "http", ":path", "/", ":authority", "x", "expect", "100-continue")
			c.flush()
			c.headers(1, true, ":path", "/")
		}},
		{"§6.3 a short PRIORITY", FrameSizeError, func(c *client) {
			c.get(1, "/huge")
			c.framer.WriteRawFrame(http2.FramePriority, 0, 1, []byte("xxxx"))
		}},
		{"§6.9 WINDOW_UPDATE of zero", ProtocolError, func(c *client) {
			c.get(1, "/huge")
			c.framer.WriteWindowUpdate(1, 0)
		}},
		{"§6.9.1 a window over the limit", FlowControlError, func(c *client) {
			c.get(1, "/huge")
			c.framer.WriteWindowUpdate(1, maxWindow)
		}},
		{"§6.9.1 more content than the window", FlowControlError, func(c *client) {
			c.headers(1, false, getFields("/")...)
			c.flush()
			c.conn.find(1).credit = 10
			c.framer.WriteData(1, false, make([]byte, 100))
		}},
	} {
		t.Run(r.name, func(t *testing.T) {
			c := connect(t)
			c.framer.WriteWindowUpdate(0, 1<<20)
			c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 100})
			r.do(c)
			c.flush()
			if code, ok := c.resets[1]; !ok || code != r.code || len(c.goaway) > 0 {
				t.Errorf("resets %v, GOAWAY %v", c.resets, c.goaway)
			}
			c.get(3, "/")
			c.flush()
			c.answered(3, "200", 4)
			if c.open() != 0 {
				t.Errorf("%d files open", c.open())
			}
		})
	}
}
