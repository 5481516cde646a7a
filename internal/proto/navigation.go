package proto

// Navigates reports whether a request is for a page that somebody goes to, not
// for a part of one or for data. Browsers say so: the mode is "navigate" or the
// destination a document (Fetch Metadata, §2.1 and §2.2). Of a client that does
// not, it is one if it names HTML in Accept, or takes anything alike.
func Navigates(r *Request, head []byte) bool {
	if r.Has(FieldSecFetchMode) || r.Has(FieldSecFetchDest) {
		return EqualFold(r.Value(head, FieldSecFetchMode), "navigate") || EqualFold(r.Value(head, FieldSecFetchDest), "document")
	}
	if !r.Has(FieldAccept) {
		return true
	}
	alike := true
	for value := range r.Values(head, FieldAccept) {
		for value != nil {
			var element []byte
			element, value = cut(value)
			name, weight := cutWeight(element)
			if weight > 0 && (EqualFold(name, "text/html") || EqualFold(name, "application/xhtml+xml")) {
				return true
			}
			alike = alike && (len(name) == 0 || weight > 0 && string(name) == "*/*")
		}
	}
	return alike
}
