package h2

import "encoding/binary"

// frameType is a type of RFC 9113 §6 or RFC 9218 §7.1.
type frameType uint8

const (
	frameData           frameType = 0x0
	frameHeaders        frameType = 0x1
	framePriority       frameType = 0x2
	frameReset          frameType = 0x3
	frameSettings       frameType = 0x4
	framePushPromise    frameType = 0x5
	framePing           frameType = 0x6
	frameGoAway         frameType = 0x7
	frameWindowUpdate   frameType = 0x8
	frameContinuation   frameType = 0x9
	framePriorityUpdate frameType = 0x10
)

const (
	flagAck        = 0x1 // of SETTINGS and PING
	flagEndStream  = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

const (
	headerLen = 9       // bytes of a frame's header
	maxFrame  = 1 << 14 // largest payload in bytes, in both directions: the default of SETTINGS_MAX_FRAME_SIZE
)

// frame is a frame's header (RFC 9113 §4.1).
type frame struct {
	length int
	kind   frameType
	flags  uint8
	stream uint32
}

func (f frame) has(flag uint8) bool { return f.flags&flag != 0 }

// parseFrame reads a frame's header from p, which has at least headerLen bytes.
func parseFrame(p []byte) frame {
	return frame{
		length: int(p[0])<<16 | int(p[1])<<8 | int(p[2]),
		kind:   frameType(p[3]),
		flags:  p[4],
		stream: binary.BigEndian.Uint32(p[5:]) & (1<<31 - 1),
	}
}

func appendFrame(dst []byte, f frame) []byte {
	dst = append(dst, byte(f.length>>16), byte(f.length>>8), byte(f.length), byte(f.kind), f.flags)
	return binary.BigEndian.AppendUint32(dst, f.stream)
}

func appendReset(dst []byte, stream uint32, code Code) []byte {
	dst = appendFrame(dst, frame{4, frameReset, 0, stream})
	return binary.BigEndian.AppendUint32(dst, uint32(code))
}

func appendWindowUpdate(dst []byte, stream uint32, n int) []byte {
	dst = appendFrame(dst, frame{4, frameWindowUpdate, 0, stream})
	return binary.BigEndian.AppendUint32(dst, uint32(n))
}

func appendGoAway(dst []byte, last uint32, code Code) []byte {
	dst = appendFrame(dst, frame{8, frameGoAway, 0, 0})
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(dst, last), uint32(code))
}

func appendPing(dst []byte, flags uint8, data []byte) []byte {
	return append(appendFrame(dst, frame{8, framePing, flags, 0}), data...)
}

// unpad returns the payload without its padding (RFC 9113 §6.1); false if there is more
// padding than payload.
func unpad(f frame, p []byte) ([]byte, bool) {
	if !f.has(flagPadded) {
		return p, true
	}
	if len(p) == 0 || int(p[0]) >= len(p) {
		return nil, false
	}
	return p[1 : len(p)-int(p[0])], true
}
