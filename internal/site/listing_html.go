package site

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"phalanx/internal/human"
	"phalanx/internal/proto"
	"phalanx/internal/theme"
)

// htmlFormat writes a page that needs no script: breadcrumbs, and a table
// whose headings are links that sort it.
type htmlFormat struct{}

func (htmlFormat) contentType() string { return "text/html; charset=utf-8" }

func (htmlFormat) begin(dst []byte, l *listed) []byte {
	dst = append(dst, theme.Head...)
	dst = appendText(dst, l.path, "[", "]")
	dst = append(dst, "</title>\n<style>"+theme.ListingStyle+"</style>\n"...)
	dst = appendCrumbs(dst, l.path)
	dst = append(dst, "<main>\n"...)
	if l.archive {
		dst = append(dst, "<p class=\"bar\"><span>Download all as <a href=\"?archive=zip\">zip</a> <a href=\"?archive=tar.gz\">tar.gz</a> <a href=\"?archive=tar\">tar</a></span></p>\n"...)
	}
	if len(l.entries) == 0 {
		return append(dst, "<p>This directory is empty.</p>\n"...)
	}
	dst = append(dst, "<table>\n<caption>"...)
	dst = append(dst, summary(l.entries)...)
	dst = append(dst, "</caption>\n<thead><tr>"...)
	for _, column := range []struct{ by, title string }{{"name", "Name"}, {"size", "Size"}, {"time", "Changed (UTC)"}} {
		dst = appendHeading(dst, l.order, column.by, column.title)
	}
	dst = append(dst, "</tr></thead>\n<tbody>\n"...)
	if l.path != "/" {
		dst = append(dst, "<tr class=\"d\"><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n"...)
	}
	return dst
}

// appendCrumbs appends a heading with a link for each directory from the root to path. The
// links are relative, because a proxy may have put a prefix in front of the path.
func appendCrumbs(dst []byte, path string) []byte {
	dst = append(dst, "<nav aria-label=\"Path\"><h1>"...)
	names := append([]string{"root"}, strings.FieldsFunc(path, func(c rune) bool { return c == '/' })...)
	for i, name := range names {
		up := len(names) - 1 - i
		if up == 0 {
			dst = append(dst, "<span aria-current=\"page\">"...)
			dst = append(appendName(dst, name), "</span>"...)
			break
		}
		dst = append(dst, "<a href=\""...)
		dst = append(append(dst, strings.Repeat("../", up)...), "\">"...)
		dst = append(appendName(dst, name), "</a> / "...)
	}
	return append(dst, "</h1></nav>\n"...)
}

// appendHeading appends a column's heading: a link that sorts by the column, or reverses the
// order if the listing is sorted by it.
func appendHeading(dst []byte, o order, by, title string) []byte {
	direction, sorted := "asc", ""
	if o.by == by {
		sorted = ` aria-sort="ascending"`
		direction = "desc"
		if o.desc {
			sorted, direction = ` aria-sort="descending"`, "asc"
		}
	}
	return fmt.Appendf(dst, `<th scope="col"%s><a href="?sort=%s&amp;order=%s">%s</a></th>`, sorted, by, direction, title)
}

func (htmlFormat) row(dst []byte, l *listed, i int) []byte {
	e := &l.entries[i]
	slash := ""
	if e.dir {
		slash = "/"
	}
	// "./" keeps a name with a colon from being taken for a scheme.
	dst = append(append(append(dst, "<tr"...), iconOf(e)...), "><td><a href=\"./"...)
	dst = append(proto.AppendEscaped(dst, e.name, proto.IsUnreserved), slash...) // unreserved characters need no escaping in HTML either
	dst = append(dst, "\">"...)
	dst = append(appendName(dst, e.name), slash...)
	dst = append(dst, "</a></td><td"...)
	if e.dir {
		dst = append(dst, ">"...)
	} else {
		dst = append(strconv.AppendInt(append(dst, " title=\""...), e.size, 10), " bytes\">"...)
		dst = append(dst, human.Bytes(e.size)...)
	}
	dst = append(dst, "</td><td>"...)
	// The style sheet hides the time of day on a narrow screen.
	dst = proto.Time{Sec: e.modified}.AppendFormat(dst, `<time datetime="2006-01-02T15:04:05Z" title="2006-01-02 15:04:05">2006-01-02<span> 15:04</span></time>`)
	return append(dst, "</td></tr>\n"...)
}

func (htmlFormat) end(dst []byte, l *listed) []byte {
	if len(l.entries) > 0 {
		dst = append(dst, "</tbody>\n</table>\n<script>"+theme.ListingScript+"</script>\n"...)
	}
	dst = appendReadme(dst, l)
	return append(dst, "</main>\n"...)
}

// appendName appends a name, isolated from the text around it: a name written from right to
// left would otherwise move the slash and the size after it (HTML, "the bdi element").
func appendName(dst []byte, name string) []byte {
	dst = append(dst, "<bdi>"...)
	dst = appendText(dst, name, "<i>", "</i>")
	return append(dst, "</bdi>"...)
}

// appendText appends s as text. A byte that is not UTF-8 becomes U+FFFD, and an invisible
// character its number, between before and after.
func appendText(dst []byte, s, before, after string) []byte {
	for s != "" {
		i := strings.IndexFunc(s, isInvisible)
		if i < 0 {
			i = len(s)
		}
		dst = append(dst, html.EscapeString(string([]rune(s[:i])))...)
		if s = s[i:]; s == "" {
			break
		}
		r, size := utf8.DecodeRuneInString(s)
		dst = fmt.Appendf(dst, "%s%U%s", before, r, after)
		s = s[size:]
	}
	return dst
}

// isInvisible reports whether a character is invisible but affects how other text is shown: a
// control character, a line or paragraph separator, or one that sets the direction (UAX #9
// §2), with which "invoice\u202efdp.exe" looks like "invoiceexe.pdf".
func isInvisible(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
}

func summary(entries []entry) string {
	dirs, files := 0, 0
	var bytes int64
	for i := range entries {
		if entries[i].dir {
			dirs++
			continue
		}
		files++
		bytes += min(entries[i].size, math.MaxInt64-bytes) // all together may be more than a file can be
	}
	return fmt.Sprintf("%s, %s, %s in files", human.Plural(dirs, "directory", "directories"), human.Plural(files, "file", "files"), human.Bytes(bytes))
}
