// Package theme is the design of the pages that Phalanx makes itself, error pages,
// directory listings and the status page: light and dark as the reader's system is, without
// scripts, and with a policy that lets a browser load and run nothing.
package theme

// Head begins every page; the title follows.
const Head = "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n" +
	"<meta name=\"viewport\" content=\"width=device-width\">\n" +
	"<link rel=\"icon\" href=\"data:,\">\n<title>" // or browsers ask for /favicon.ico

// Base is what all pages have in common. A browser that does not know light-dark()
// has its own colours.
const Base = ":root{color-scheme:light dark;background:light-dark(#f4f5f7,#0e1116);color:light-dark(#181c22,#e7eaef);" +
	"--dim:light-dark(#586070,#9ca6b5);font:1rem/1.5 system-ui,sans-serif}"

// ErrorStyle is the style sheet of an error page.
const ErrorStyle = Base + "main{max-width:34rem;margin:18vh auto;padding:0 1.25rem}" +
	"h1{font-size:1.5rem;margin:0}p{color:var(--dim);margin:.5rem 0}"

// ErrorPolicy is a Content-Security-Policy field: of all that a browser can load
// there is the style, by its hash, and the empty icon.
const (
	ErrorPolicy = policy + errorHash + "'\r\n"

	policy = "Content-Security-Policy: default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; style-src 'sha256-"
)

// The hash, which the test of this package works out.
const (
	errorHash = "fShcexJq4SGC2xbZg8NYhz7aLW9daid/SARLsbGjtl4="
)
