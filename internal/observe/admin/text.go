package admin

import (
	"strconv"
	"strings"
)

// wantsHTML reports whether a client prefers the page to JSON: it lists text/html,
// as browsers do and scripts do not, and no JSON with a higher weight, or an equal
// one before it (RFC 9110, section 12.5.1).
func wantsHTML(accept []string) bool {
	page, data := 0.0, 0.0
	for element := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		name, weight := weighted(element)
		switch {
		case name == "text/html" && weight > page && weight > data:
			page = weight
		case name == "application/json" && weight > data && weight > page:
			data = weight
		}
	}
	return page > data
}

// acceptsGzip reports whether a client lists the coding (RFC 9110, section 12.5.3).
func acceptsGzip(codings []string) bool {
	for element := range strings.SplitSeq(strings.Join(codings, ","), ",") {
		if name, weight := weighted(element); name == "gzip" && weight > 0 {
			return true
		}
	}
	return false
}

// weighted returns the name and the weight of an element of Accept or
// Accept-Encoding; a malformed weight is 0.
func weighted(element string) (name string, weight float64) {
	name, parameters, _ := strings.Cut(element, ";")
	weight = 1
	for parameter := range strings.SplitSeq(parameters, ";") {
		key, value, _ := strings.Cut(parameter, "=")
		if strings.EqualFold(strings.TrimSpace(key), "q") {
			w, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil || !(w >= 0 && w <= 1) {
				w = 0
			}
			weight = w
		}
	}
	return strings.ToLower(strings.TrimSpace(name)), weight
}
