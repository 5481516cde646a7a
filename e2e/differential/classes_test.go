package differential

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"phalanx/e2e/harness"
)

// class is a kind of difference between Phalanx and a peer. Its name and the reason for it are in
// docs/differences.md.
type class struct {
	name string
	fits func(q *request, d difference) bool
}

// classes returns all kinds of differences; the first one that fits applies.
func classes() []class {
	return slices.Concat(messageClasses(), pathClasses(), conditionClasses(), rangeClasses(), codingClasses(), fieldClasses())
}

// is reports whether the statuses differ in this way: one of ours here, one of theirs there. "2xx" stands
// for a range of statuses, "any" for everything.
func (d difference) is(ours, theirs string) bool {
	return d.aspect == "status" && among(d.ours, ours) && among(d.theirs, theirs)
}

func among(status, list string) bool {
	return slices.ContainsFunc(strings.Fields(list), func(one string) bool {
		return one == status || one == "any" || strings.HasSuffix(one, "xx") && len(status) == 3 && one[0] == status[0]
	})
}

// isDate reports whether a value is one of the dates of RFC 9110 §5.6.7.
func isDate(value string) bool {
	_, err := http.ParseTime(value)
	return err == nil
}

func conditionClasses() []class {
	ignored := "200 206 304 416"
	return []class{
		{"an asterisk in a list of entity tags", func(q *request, d difference) bool {
			return strings.HasPrefix(q.value("If-Match"), "*,") && d.is("412", ignored) ||
				strings.HasPrefix(q.value("If-None-Match"), "*,") && d.is("200 206 416", "304")
		}},
		{"an entity tag followed by other characters", func(q *request, d difference) bool {
			return strings.HasSuffix(q.value("If-Match"), "junk") && d.is(ignored, "412") ||
				strings.HasSuffix(q.value("If-None-Match"), "junk") && d.is("304", "200 206 416")
		}},
		{"a date with +0000 instead of GMT", func(q *request, d difference) bool {
			return strings.HasSuffix(q.value("If-Modified-Since"), "+0000") && d.is("200 206 416", "304") ||
				strings.HasSuffix(q.value("If-Unmodified-Since"), "+0000") && d.is(ignored, "412") ||
				strings.HasSuffix(q.value("If-Range"), "+0000") && d.is("200", "206 416")
		}},
		{"an invalid date in If-Unmodified-Since", func(q *request, d difference) bool {
			return q.has("If-Unmodified-Since") && !isDate(q.value("If-Unmodified-Since")) && d.is(ignored, "412")
		}},
		{"If-Unmodified-Since with If-Match", func(q *request, d difference) bool {
			return q.has("If-Unmodified-Since") && q.has("If-Match") && d.is(ignored, "412")
		}},
		{"an empty list of entity tags", func(q *request, d difference) bool {
			return q.has("If-Match") && q.value("If-Match") == "" && d.is("412", ignored) ||
				q.has("If-None-Match") && q.value("If-None-Match") == "" && d.is("200 206 416", "304")
		}},
		{"If-Modified-Since with If-None-Match", func(q *request, d difference) bool {
			return q.has("If-Modified-Since") && q.has("If-None-Match") && d.is("304", "200 206 416")
		}},
		{"If-Modified-Since later than the file", func(q *request, d difference) bool {
			at, err := http.ParseTime(q.value("If-Modified-Since"))
			return d.peer == "nginx" && err == nil && at.After(harness.Modified()) && d.is("304", "200 206 416")
		}},
		{"If-Modified-Since in the future", func(q *request, d difference) bool {
			at, err := http.ParseTime(q.value("If-Modified-Since"))
			return err == nil && at.After(time.Now()) && d.is("304", "200 206 416")
		}},
		{"a 304 after a precondition that is true", func(q *request, d difference) bool {
			return (q.has("If-Match") || q.has("If-Unmodified-Since")) && d.is("304", "200 206 416")
		}},
		{"a weak entity tag with Range", func(q *request, d difference) bool {
			return strings.Contains(q.value("If-None-Match"), "W/") && q.has("Range") && d.is("304", "200 206 416")
		}},
	}
}

func rangeClasses() []class {
	several := func(q *request) bool { return strings.Contains(q.value("Range"), ",") }
	return []class{
		{"Range with HEAD", func(q *request, d difference) bool {
			return q.method == "HEAD" && q.has("Range") && d.is("200", "206 416")
		}},
		{"an unknown range unit", func(q *request, d difference) bool {
			unit, _, _ := strings.Cut(q.value("Range"), "=")
			return q.has("Range") && !strings.EqualFold(unit, "bytes") && d.is("200", "206 416")
		}},
		{"a malformed Range", func(q *request, d difference) bool {
			return q.has("Range") && !validRange(q.value("Range")) && d.is("200", "206 416")
		}},
		{"an invalid If-Range", func(q *request, d difference) bool {
			value := q.value("If-Range")
			return q.has("If-Range") && (value == "" || strings.Contains(value, "{tag}, ")) && d.is("200", "206 416")
		}},
		{"Range on an empty file", func(q *request, d difference) bool {
			return q.file == "empty.txt" && d.is("200", "206 416")
		}},
		{"the range unit in upper case", func(q *request, d difference) bool {
			return strings.HasPrefix(strings.ToLower(q.value("Range")), "bytes=") && !strings.HasPrefix(q.value("Range"), "bytes=") && d.is("206", "416")
		}},
		{"a position beyond 2^63", func(q *request, d difference) bool {
			return strings.Contains(q.value("Range"), "99999999999999999999") && d.is("200 206 416", "200 206 416")
		}},
		{"an empty element in a list of ranges", func(q *request, d difference) bool {
			return slices.Contains(elements(q.value("Range")), "") && d.is("206", "200 416")
		}},
		{"ranges that add up to the file", func(q *request, d difference) bool {
			return several(q) && sumOfRanges(q.value("Range"), q.size) >= q.size && d.is("206", "200")
		}},
		{"a suffix range of zero bytes", func(q *request, d difference) bool {
			return slices.Contains(elements(q.value("Range")), "-0") && q.file != "empty.txt" && d.is("206 416", "200 206")
		}},
		{"white space between ranges", func(q *request, d difference) bool {
			return strings.Contains(q.value("Range"), " ") && validRange(q.value("Range")) && d.is("206 416", "200")
		}},
		{"more than 64 ranges", func(q *request, d difference) bool {
			return strings.Count(q.value("Range"), ",") > 64 && d.is("200", "206 416")
		}},
		{"ranges that overlap or touch", func(q *request, d difference) bool {
			return several(q) && d.status == 206 &&
				slices.Contains([]string{"body", "Content-Length", "Content-Range", "Content-Type"}, d.aspect)
		}},
	}
}

// elements returns the elements of the list in a Range field, without white space.
func elements(value string) []string {
	_, list, _ := strings.Cut(value, "=")
	all := strings.Split(list, ",")
	for i := range all {
		all[i] = strings.Trim(all[i], " \t")
	}
	return all
}

// sumOfRanges returns the total length of the ranges in a Range field, overlaps included.
func sumOfRanges(value string, size int) int {
	sum := 0
	for _, element := range elements(value) {
		first, last, _ := strings.Cut(element, "-")
		end := uint64(size)
		switch {
		case element == "":
			continue
		case first == "":
			sum += int(min(number(last), end))
			continue
		case last != "":
			end = min(number(last)+1, end)
		}
		sum += int(end - min(number(first), end))
	}
	return sum
}

// validRange reports whether a value follows the grammar of RFC 9110 §14.1.1
// and §14.1.2, in bytes.
func validRange(value string) bool {
	unit, _, ok := strings.Cut(value, "=")
	if !ok || !strings.EqualFold(unit, "bytes") {
		return false
	}
	specs := 0
	for _, element := range elements(value) {
		first, last, dash := strings.Cut(element, "-")
		switch {
		case element == "":
			continue
		case !dash, first == "" && last == "", strings.Trim(first+last, "0123456789") != "":
			return false
		case first != "" && last != "" && number(last) < number(first):
			return false
		}
		specs++
	}
	return specs > 0
}

// number returns the value of decimal digits, or a value larger than any file.
func number(digits string) uint64 {
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return 1 << 63
	}
	return n
}

func codingClasses() []class {
	coded := func(q *request, d difference) bool {
		switch d.aspect {
		case "status":
			return d.is("200", "304") || d.is("304", "200")
		case "Content-Encoding":
			return (d.ours == "gzip") == wantsGzip(q.value("Accept-Encoding"))
		}
		return slices.Contains([]string{"body", "Content-Length", "Content-Range"}, d.aspect)
	}
	return []class{
		{"a range of a gzip response", func(q *request, d difference) bool {
			return q.file == "app.js" && q.has("Range") && d.is("206", "200")
		}},
		{"a file with a gzip sidecar", func(q *request, d difference) bool {
			return q.file == "app.js" && d.peer != "nginx" && coded(q, d)
		}},
		{"weights in Accept-Encoding", func(q *request, d difference) bool {
			return q.file == "app.js" && d.peer == "nginx" && coded(q, d)
		}},
	}
}

// wantsGzip reports whether gzip is acceptable and not less preferred than identity, by Accept-Encoding
// (RFC 9110 §12.5.3). A malformed weight is 0, and other parameters are ignored.
func wantsGzip(accept string) bool {
	weights := map[string]float64{}
	for element := range strings.SplitSeq(strings.ToLower(accept), ",") {
		name, parameter, _ := strings.Cut(element, ";")
		weight := 1.0
		if value, weighted := strings.CutPrefix(strings.TrimSpace(parameter), "q="); weighted {
			q, err := strconv.ParseFloat(value, 64)
			if weight = q; err != nil || q > 1 {
				weight = 0
			}
		}
		weights[strings.TrimPrefix(strings.TrimSpace(name), "x-")] = weight
	}
	gzip, named := weights["gzip"]
	if !named {
		gzip = weights["*"]
	}
	return gzip > 0 && gzip >= weights["identity"]
}

// fieldClasses are about header fields of responses with the same status.
func fieldClasses() []class {
	return []class{
		{"Vary of a compressible file", func(_ *request, d difference) bool {
			return d.aspect == "Vary" && d.ours == "Accept-Encoding" && d.theirs == ""
		}},
		{"Accept-Ranges", func(_ *request, d difference) bool {
			return d.aspect == "Accept-Ranges"
		}},
		{"Location of a path with duplicate slashes", func(q *request, d difference) bool {
			return d.aspect == "Location" && strings.Contains(q.target, "//")
		}},
		{"Last-Modified of a 304", func(_ *request, d difference) bool {
			return d.aspect == "Last-Modified" && d.status == 304 && d.theirs == ""
		}},
		{"Last-Modified of a redirect", func(_ *request, d difference) bool {
			return d.aspect == "Last-Modified" && d.status == 301 && d.theirs == ""
		}},
		{"Content-Type of app.js.gz", func(q *request, d difference) bool {
			return d.aspect == "Content-Type" && q.file == "app.js.gz" && d.ours == "application/gzip"
		}},
		{"Content-Type of an unknown extension", func(_ *request, d difference) bool {
			return d.aspect == "Content-Type" && d.ours == "application/octet-stream" && d.theirs == ""
		}},
		{"Content-Range of a 416", func(_ *request, d difference) bool {
			return d.aspect == "Content-Range" && d.status == 416 && d.theirs == ""
		}},
		{"Content-Length of an empty file", func(q *request, d difference) bool {
			return d.aspect == "Content-Length" && q.method == "HEAD" && d.ours == "0" && d.theirs == ""
		}},
	}
}
