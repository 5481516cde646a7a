package proto

import "bytes"

// Result is the state of a [Parser] after the bytes so far.
type Result uint8

// The results of [Parser.Parse].
const (
	NeedMore Result = iota // the head is not complete
	Complete               // the head is complete; Request and Len are valid
	Refused                // the head is refused; Fault returns why
)

// Fault is why a request is refused: the status of the response and, for the operator only,
// what was wrong and by which rule.
type Fault struct {
	Status Status
	Reason string
	Rule   string // an RFC and its section, "RFC 9112 §5.1"
}

// Parser parses one request head (RFC 9112 §2–§5) incrementally, line by line. It looks at
// each byte once, and its result does not depend on how the bytes were split. The zero value
// is ready to use.
type Parser struct {
	req    Request
	fault  *Fault // nil unless refused
	line   int32  // where the first incomplete line begins
	scan   int32  // offset before which no LF of this line was found
	fields uint8
	state  state
}

type state uint8

const (
	stateStart  state = iota // before the request line; empty lines are skipped
	stateFields              // after the request line
	stateDone
	stateRefused
)

// Reset makes the parser ready for the next head.
func (p *Parser) Reset() { *p = Parser{} }

// Request returns what was parsed. It is valid after [Complete] and until
// the next Reset.
func (p *Parser) Request() *Request { return &p.req }

// Fault returns why the head was refused; the zero Fault if it was not.
func (p *Parser) Fault() Fault {
	if p.fault == nil {
		return Fault{}
	}
	return *p.fault
}

// Len returns the length of the head in bytes. It is valid after [Complete].
func (p *Parser) Len() int { return int(p.line) }

// Parse continues in buf, which must begin with the bytes of all calls since the last Reset.
func (p *Parser) Parse(buf []byte) Result {
	for p.state < stateDone {
		if p.state == stateStart && int(p.line) < len(buf) && !p.startsWell(buf[p.line]) {
			break
		}
		limit := p.limit()
		end := min(len(buf), limit)
		i := bytes.IndexByte(buf[p.scan:end], '\n')
		if i < 0 {
			p.scan = int32(end)
			if end < limit {
				return NeedMore
			}
			p.refuseLong(buf[p.line:end])
			break
		}
		lf := int(p.scan) + i
		if lf == int(p.line) || buf[lf-1] != '\r' {
			p.recognize(buf[p.line:lf])
			p.refuse(StatusBadRequest, "RFC 9112 §2.2", "a line ends with LF alone")
			break
		}
		from := int(p.line)
		p.line, p.scan = int32(lf+1), int32(lf+1)
		p.parseLine(buf, from, lf-1)
	}
	if p.state == stateDone {
		return Complete
	}
	return Refused
}

// startsWell checks the first byte of the request line, so that a client of another protocol,
// such as TLS, is refused at once.
func (p *Parser) startsWell(c byte) bool {
	if is(c, charToken) || c == '\r' || c == '\n' {
		return true
	}
	p.refuse(StatusBadRequest, "RFC 9112 §3.1", "the request does not begin with a method")
	return false
}

// limit returns the offset by which the current line must have ended.
func (p *Parser) limit() int {
	if p.state == stateStart {
		return min(int(p.line)+MaxRequestLine+len("\r\n"), MaxHead)
	}
	return MaxHead
}

func (p *Parser) refuseLong(line []byte) {
	if p.state == stateStart {
		p.recognize(line)
		p.refuse(StatusURITooLong, "RFC 9112 §3", "the request line is too long")
		return
	}
	p.refuse(StatusHeaderFieldsTooLarge, "RFC 6585 §5", "the head is too long")
}

// recognize sets the method of a request line that is refused before it is parsed: a response
// to HEAD has no content (RFC 9110 §9.3.2).
func (p *Parser) recognize(line []byte) {
	if sp := bytes.IndexByte(line, ' '); sp > 0 && p.state == stateStart {
		p.req.Method = lookupMethod(line[:sp])
	}
}

func (p *Parser) refuse(s Status, rule, reason string) {
	p.fault = &Fault{s, reason, rule}
	p.state = stateRefused
}

func (p *Parser) parseLine(buf []byte, from, to int) {
	switch {
	case p.state == stateStart && from == to:
		// RFC 9112 §2.2: ignore empty lines before the request line.
	case p.state == stateStart:
		p.parseRequestLine(buf, from, to)
	case from == to:
		p.finish()
	default:
		p.parseField(buf, from, to)
	}
}

// parseRequestLine parses "method SP request-target SP HTTP-version" (RFC 9112 §3), with
// single spaces.
func (p *Parser) parseRequestLine(buf []byte, from, to int) {
	line := buf[from:to]
	sp1 := bytes.IndexByte(line, ' ')
	sp2 := bytes.LastIndexByte(line, ' ')
	if sp1 <= 0 || sp2 == sp1 || sp2-sp1 == 1 {
		p.refuse(StatusBadRequest, "RFC 9112 §3", "the request line has no method, target and version")
		return
	}
	method, target, version := line[:sp1], line[sp1+1:sp2], line[sp2+1:]
	if !all(method, charToken) {
		p.refuse(StatusBadRequest, "RFC 9110 §9.1", "the method has an invalid character")
		return
	}
	// Set even if the rest is malformed: a refused HEAD gets no body.
	p.req.Method = lookupMethod(method)
	if !all(target, charTarget) {
		p.refuse(StatusBadRequest, "RFC 9112 §3.2", "the target has an invalid character")
		return
	}
	if !p.parseVersion(version) {
		return
	}
	p.req.MethodName = span(from, from+sp1)
	p.req.Target = span(from+sp1+1, from+sp2)
	p.state = stateFields
	p.parseTarget(buf)
}

// parseVersion parses "HTTP/" DIGIT "." DIGIT, which is case-sensitive (RFC 9112 §2.3). A
// minor version above 1 is treated as 1 (RFC 9110 §6.2).
func (p *Parser) parseVersion(v []byte) bool {
	digit := func(c byte) bool { return '0' <= c && c <= '9' }
	if len(v) != len("HTTP/1.1") || string(v[:5]) != "HTTP/" || v[6] != '.' || !digit(v[5]) || !digit(v[7]) {
		p.refuse(StatusBadRequest, "RFC 9112 §2.3", "the version is not HTTP/x.y")
		return false
	}
	if v[5] != '1' {
		p.refuse(StatusVersionNotSupported, "RFC 9110 §15.6.6", "the version is not HTTP/1.x")
		return false
	}
	p.req.Minor = min(v[7]-'0', 1)
	return true
}

// parseField parses "name: value" (RFC 9112 §5).
func (p *Parser) parseField(buf []byte, from, to int) {
	if p.fields++; p.fields > MaxFields {
		p.refuse(StatusHeaderFieldsTooLarge, "RFC 6585 §5", "the head has too many fields")
		return
	}
	line := buf[from:to]
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 || !all(line[:colon], charToken) {
		// This includes folded lines, which begin with white space, and a space before the
		// colon: ways to smuggle requests (§5.1, §5.2).
		p.refuse(StatusBadRequest, "RFC 9112 §5.1", "a field name is malformed")
		return
	}
	if !all(line[colon+1:], charValue) {
		p.refuse(StatusBadRequest, "RFC 9110 §5.5", "a field value has a control character")
		return
	}
	f := lookupField(line[:colon])
	if f == fieldOther {
		return
	}
	vf, vt := trimmed(buf, from+colon+1, to)
	if f == fieldWantReprDigest {
		p.req.WantsDigest = wantsSHA256(buf[vf:vt], p.req.WantsDigest)
		return
	}
	p.known(f, buf[vf:vt], vf)
}

// known records a field that this server uses.
func (p *Parser) known(f Field, value []byte, off int) {
	bit := uint32(1) << f
	if p.req.present&bit != 0 {
		if singletons&bit != 0 {
			p.refuse(StatusBadRequest, "RFC 9110 §5.3", "a field that must not be repeated is repeated")
			return
		}
		p.req.repeated |= bit
	} else {
		p.req.present |= bit
		p.req.fields[f] = span(off, off+len(value))
	}
	switch f {
	case FieldConnection:
		p.parseConnection(value)
	case FieldContentLength:
		p.parseLength(value)
	case FieldTransferEncoding:
		// Only the mandatory coding (RFC 9112 §7) is implemented. With any other the end of
		// the body is unknown.
		if !EqualFold(value, "chunked") {
			p.refuse(StatusBadRequest, "RFC 9112 §6.1", "the transfer coding is not chunked")
			return
		}
		p.req.Chunked = true
	case FieldExpect:
		if !EqualFold(value, "100-continue") {
			p.refuse(StatusExpectationFailed, "RFC 9110 §10.1.1", "the expectation is not 100-continue")
			return
		}
		// In HTTP/1.0 it must be ignored (RFC 9110 §10.1.1).
		p.req.Expect = p.req.Minor >= 1
	case FieldHost:
		if !validHost(value) {
			p.refuse(StatusBadRequest, "RFC 9110 §7.2", "Host is not a host and port")
		}
	}
}

// parseConnection parses the connection options (RFC 9110 §7.6.1).
func (p *Parser) parseConnection(value []byte) {
	for value != nil {
		var option []byte
		option, value = cut(value)
		switch {
		case EqualFold(option, "close"):
			p.req.close = true
		case EqualFold(option, "keep-alive"):
			p.req.keepAlive = true
		}
	}
}

// parseLength parses Content-Length: digits only (RFC 9110 §8.6).
func (p *Parser) parseLength(value []byte) {
	n, ok := parsePos(value)
	if !ok || len(value) > maxLengthDigits {
		p.refuse(StatusBadRequest, "RFC 9110 §8.6", "Content-Length is not a number of bytes")
		return
	}
	p.req.Length = n
}

// finish checks what depends on the complete head.
func (p *Parser) finish() {
	r := &p.req
	switch {
	case !r.Has(FieldHost) && r.Minor >= 1:
		p.refuse(StatusBadRequest, "RFC 9112 §3.2", "Host is missing")
	case r.Chunked && r.Has(FieldContentLength):
		// RFC 9112 §6.3: request smuggling, or a broken sender.
		p.refuse(StatusBadRequest, "RFC 9112 §6.3", "both Transfer-Encoding and Content-Length")
	case r.Chunked && r.Minor == 0:
		p.refuse(StatusBadRequest, "RFC 9112 §6.1", "Transfer-Encoding in HTTP/1.0")
	default:
		p.state = stateDone
	}
}
