package conn

// Await calls wake once, from any goroutine, when [Conn.Next] has more to do after the step
// Await. It returns false if there is more to do already.
func (c *Conn) Await(wake func()) bool { return c.reply.Await(wake) }

// nextChunk appends the next bytes of a generated response, for an HTTP/1.1 client as a
// chunk (RFC 9112 §7.1), whose size is filled in once it is known.
func (c *Conn) nextChunk(out []byte, now Now) ([]byte, Step) {
	const digits = "0123456789abcdef"
	const size = "00000000\r\n"
	chunked := c.reply.x.Version == HTTP11
	mark := len(out)
	if chunked {
		out = append(out, size...)
	}
	from := len(out)
	out, step := c.reply.Next(out, now)
	n := len(out) - from
	switch {
	case chunked && n == 0:
		out = out[:mark]
	case chunked:
		for i, left := mark+7, n; left > 0; i, left = i-1, left>>4 {
			out[i] = digits[left&15]
		}
		out = append(out, "\r\n"...)
	}
	c.since = now.Mono
	switch step {
	case Await, Flush:
		return out, step
	case Close:
		if chunked {
			out = append(out, "0\r\n\r\n"...)
		}
		c.finish(now)
	default:
		// A missing last chunk, or a reset, tells the client that the response is truncated.
		c.Leave()
		c.phase = phaseReset
	}
	return out, Flush
}
