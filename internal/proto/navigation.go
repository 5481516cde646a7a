package proto

// Navigates reports whether a request is a navigation to a page, not for a subresource or
// data. Browsers send the mode "navigate" or the destination "document" (Fetch Metadata, §2.1
// and §2.2). Other clients navigate if Accept has HTML, or nothing but */*.
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
