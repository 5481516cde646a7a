package h2

// Code is an error code of RFC 9113 §7.
type Code uint32

// The codes.
const (
	NoError Code = iota
	ProtocolError
	InternalError
	FlowControlError
	SettingsTimeout
	StreamClosed
	FrameSizeError
	RefusedStream
	Cancel
	CompressionError
	ConnectError
	EnhanceYourCalm
	InadequateSecurity
	HTTP11Required
)

// Reason is why the server ended a connection on account of the client's behaviour, and a
// label of counters. From ReasonResets on it is what exhausted the budget.
type Reason uint8

// The reasons.
const (
	ReasonNone          Reason = iota
	ReasonProtocol             // an error of the protocol
	ReasonSlow                 // a frame or the preface was not complete in time
	ReasonStalled              // no window was opened for a response for too long
	ReasonResets               // requests were sent and reset (CVE-2023-44487)
	ReasonStreamErrors         // the server was made to reset streams (CVE-2025-8671)
	ReasonContinuations        // a header block of too many frames or bytes (CVE-2024-27316)
	ReasonHeaderLists          // header lists over the limit
	ReasonSettings             // SETTINGS frames
	ReasonPings                // PING frames
	ReasonData                 // DATA frames with little or nothing in them
	ReasonWindows              // WINDOW_UPDATE frames, and windows of a few bytes
	ReasonPriorities           // PRIORITY and PRIORITY_UPDATE frames
	ReasonFrames               // frames of unknown types, or for streams that have ended
	NumReasons
)

// String returns the reason as the value of a metric's label.
func (r Reason) String() string {
	return [NumReasons]string{"", "protocol_error", "slow", "stalled", "resets", "stream_errors", "continuations",
		"header_lists", "settings", "pings", "data", "windows", "priorities", "frames"}[r]
}
