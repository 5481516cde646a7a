package hpack

// static is the static table of RFC 7541 Appendix A. Its first index is 1.
var static = makeStatic([]struct{ name, value string }{
	{":authority", ""},
	{":method", "GET"},
	{":method", "POST"},
	{":path", "/"},
	{":path", "/index.html"},
	{":scheme", "http"},
	{":scheme", "https"},
	{":status", "200"},
	{":status", "204"},
	{":status", "206"},
	{":status", "304"},
	{":status", "400"},
	{":status", "404"},
	{":status", "500"},
	{"accept-charset", ""},
	{"accept-encoding", "gzip, deflate"},
	{"accept-language", ""},
	{"accept-ranges", ""},
	{"accept", ""},
	{"access-control-allow-origin", ""},
	{"age", ""},
	{"allow", ""},
	{"authorization", ""},
	{"cache-control", ""},
	{"content-disposition", ""},
	{"content-encoding", ""},
	{"content-language", ""},
	{"content-length", ""},
	{"content-location", ""},
	{"content-range", ""},
	{"content-type", ""},
	{"cookie", ""},
	{"date", ""},
	{"etag", ""},
	{"expect", ""},
	{"expires", ""},
	{"from", ""},
	{"host", ""},
	{"if-match", ""},
	{"if-modified-since", ""},
	{"if-none-match", ""},
	{"if-range", ""},
	{"if-unmodified-since", ""},
	{"last-modified", ""},
	{"link", ""},
	{"location", ""},
	{"max-forwards", ""},
	{"proxy-authenticate", ""},
	{"proxy-authorization", ""},
	{"range", ""},
	{"referer", ""},
	{"refresh", ""},
	{"retry-after", ""},
	{"server", ""},
	{"set-cookie", ""},
	{"strict-transport-security", ""},
	{"transfer-encoding", ""},
	{"user-agent", ""},
	{"vary", ""},
	{"via", ""},
	{"www-authenticate", ""},
})

// makeStatic converts the table's strings to byte slices.
func makeStatic(fields []struct{ name, value string }) []Field {
	t := make([]Field, len(fields))
	for i, f := range fields {
		t[i] = Field{Name: []byte(f.name), Value: []byte(f.value)}
	}
	return t
}

// names maps the names that the encoder knows, and statuses the values of :status to their
// indices in the static table.
var names, statuses = makeNames()

// known is the lowest index of a name in the static table, 0 if it is not there. volatile: its
// value differs in nearly every response, so it is not added to the dynamic table, where it
// would evict fields that repeat.
type known struct {
	index    uint8
	volatile bool
}

func makeNames() (m map[string]known, statuses map[string]uint8) {
	m, statuses = make(map[string]known), make(map[string]uint8)
	for i := len(static) - 1; i >= 0; i-- {
		m[string(static[i].Name)] = known{index: uint8(i + 1)}
		if string(static[i].Name) == ":status" {
			statuses[string(static[i].Value)] = uint8(i + 1)
		}
	}
	for _, name := range []string{"content-length", "etag", "last-modified", "content-range", "location", "content-disposition", "x-request-id", "age", "set-cookie"} {
		m[name] = known{m[name].index, true}
	}
	return m, statuses
}
