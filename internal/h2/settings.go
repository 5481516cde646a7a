package h2

import "encoding/binary"

// The limits that the server announces (RFC 9113 §6.5.2).
const (
	// MaxStreams is the largest number of open requests of a connection.
	MaxStreams = 128
	// MaxHeaderList is the largest header list of a request in bytes, plus 32 for each field
	// (RFC 9113 §6.5.2). A larger one gets 431. A list within the limit must fit into
	// proto.MaxHead as an HTTP/1.1 head.
	MaxHeaderList = 20 << 10
	// receiveWindow is the window in bytes for requests' content, the protocol's default.
	receiveWindow = 1<<16 - 1
)

type setting uint16

const (
	settingTableSize     setting = 0x1
	settingPush          setting = 0x2
	settingMaxStreams    setting = 0x3
	settingWindow        setting = 0x4
	settingMaxFrame      setting = 0x5
	settingMaxHeaderList setting = 0x6
	settingNoPriorities  setting = 0x9 // RFC 9218 §2.1
)

const maxWindow = 1<<31 - 1

// appendSettings appends the server's preface (RFC 9113 §3.4).
func appendSettings(dst []byte) []byte {
	settings := [...]struct {
		id    setting
		value uint32
	}{{settingMaxStreams, MaxStreams}, {settingMaxHeaderList, MaxHeaderList}, {settingNoPriorities, 1}}
	dst = appendFrame(dst, frame{6 * len(settings), frameSettings, 0, 0})
	for _, s := range settings {
		dst = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(dst, uint16(s.id)), s.value)
	}
	return dst
}

// settings processes a SETTINGS frame. If it sets the initial window several times, the last
// value counts, so that the streams' windows are resized once.
func (c *Conn) settings(out []byte, f frame, p []byte) ([]byte, Code) {
	switch {
	case f.stream != 0:
		return out, ProtocolError
	case f.has(flagAck) && f.length != 0 || f.length%6 != 0:
		return out, FrameSizeError
	}
	c.spend(1+f.length/48, ReasonSettings)
	if f.has(flagAck) {
		c.acked = true
		return out, NoError
	}
	window := c.initial
	for ; len(p) > 0; p = p[6:] {
		value := binary.BigEndian.Uint32(p[2:])
		switch setting(binary.BigEndian.Uint16(p)) {
		case settingTableSize:
			c.encoder.Limit(value)
		case settingPush:
			if value > 1 {
				return out, ProtocolError
			}
		case settingWindow:
			if value > maxWindow {
				return out, FlowControlError
			}
			window = int64(value)
		case settingMaxFrame:
			if value < maxFrame || value > 1<<24-1 {
				return out, ProtocolError
			}
		case settingNoPriorities:
			if value > 1 {
				return out, ProtocolError
			}
			c.prioritized = c.prioritized || value == 1
		}
	}
	if code := c.resizeWindows(window); code != NoError {
		return out, code
	}
	return appendFrame(out, frame{0, frameSettings, flagAck, 0}), NoError
}

// resizeWindows adjusts the windows of all streams to a new initial window (RFC 9113 §6.9.2).
func (c *Conn) resizeWindows(initial int64) Code {
	delta := initial - c.initial
	c.initial = initial
	if delta == 0 {
		return NoError
	}
	for _, s := range c.streams {
		if s.window += delta; s.window > maxWindow {
			return FlowControlError
		}
		c.schedule(s)
	}
	return NoError
}
