// Package readme turns the Markdown of a README into HTML that is safe to show
// beneath a directory listing. A separate process of the master's program does that for a
// worker: a parser of untrusted text must not block or crash a worker, and costs nothing
// where it is not used.
package readme

import (
	"bytes"
	"fmt"
	"regexp"

	"github.com/microcosm-cc/bluemonday"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// Max is how many bytes of a README are shown, and how many its HTML may have.
const (
	Max     = 64 << 10
	MaxHTML = 512 << 10
)

// HTML converts Markdown, with the tables, links and struck text that GitHub knows.
// Headings are one level lower, because the page has its own. The HTML has no script,
// no style, and no image from elsewhere, which would tell others who reads it.
func HTML(markdown []byte) (_ []byte, err error) {
	table := extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignAttribute))
	convert := goldmark.New(
		goldmark.WithExtensions(table, extension.Strikethrough, extension.Linkify),
		goldmark.WithParserOptions(parser.WithAutoHeadingID(), parser.WithASTTransformers(util.Prioritized(lower{}, 100))),
		goldmark.WithRendererOptions(html.WithUnsafe()), // made safe below
	)
	var out bounded
	defer func() {
		if e := recover(); e == errTooLong {
			err = fmt.Errorf("convert README: %w", errTooLong)
		} else if e != nil {
			panic(e)
		}
	}()
	if err := convert.Convert(bytes.ToValidUTF8(markdown, []byte("\ufffd")), &out); err != nil {
		return nil, fmt.Errorf("convert README: %w", err)
	}
	safe := policy().SanitizeBytes(out)
	if len(safe) > MaxHTML {
		return nil, fmt.Errorf("convert README: %d bytes of HTML, want at most %d", len(safe), MaxHTML)
	}
	return safe, nil
}

// bounded is HTML that is not safe yet: some of it may still be taken away, but a short
// text can become more than there is memory.
type bounded []byte

// maxUnsafe is how many bytes it may have.
const maxUnsafe = 4 * MaxHTML

var errTooLong = fmt.Errorf("more than %d bytes of HTML", maxUnsafe)

// Write implements [io.Writer]. It panics with errTooLong, because goldmark continues to the
// end when a write fails.
func (b *bounded) Write(p []byte) (int, error) {
	if len(*b)+len(p) > maxUnsafe {
		panic(errTooLong)
	}
	*b = append(*b, p...)
	return len(p), nil
}

// policy says what of HTML is let through.
func policy() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowStandardURLs()
	p.RequireNoFollowOnLinks(true)
	p.RequireNoReferrerOnLinks(true)
	p.AllowAttrs("href", "title").OnElements("a")
	p.AllowAttrs("id").Matching(regexp.MustCompile(`^[\w-]+$`)).OnElements("h2", "h3", "h4", "h5", "h6")
	p.AllowElements("p", "br", "hr", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "code", "kbd", "samp", "var",
		"em", "strong", "b", "i", "s", "del", "ins", "sub", "sup", "small", "mark", "details", "summary", "dl", "dt", "dd", "div", "span")
	p.AllowLists()
	p.AllowElements("table", "thead", "tbody", "tfoot", "tr", "th", "td")
	p.AllowAttrs("align").Matching(regexp.MustCompile(`^(left|center|right)$`)).OnElements("p", "div", "th", "td", "img")
	// Beside the README. White space at the start is refused, because it is trimmed later.
	p.AllowAttrs("src").Matching(regexp.MustCompile(`^[^:/?#\\\pZ\pC][^:\\]*$`)).OnElements("img")
	p.AllowAttrs("alt", "title").OnElements("img")
	p.AllowAttrs("width", "height").Matching(bluemonday.NumberOrPercent).OnElements("img")
	return p
}

// lower lowers headings by one level.
type lower struct{}

// Transform implements [parser.ASTTransformer].
func (lower) Transform(doc *ast.Document, _ text.Reader, _ parser.Context) {
	_ = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // no error is returned
		if h, ok := n.(*ast.Heading); ok && entering {
			h.Level = min(h.Level+1, 6)
		}
		return ast.WalkContinue, nil
	})
}
