package options

import (
	"slices"
	"strings"
)

// The types of the ACME flags.
type (
	Hosts     string // comma-separated host names, in lower case
	Email     string // an email address
	Directory string // the URL of a certificate authority's directory
)

// MaxHost is the length of the longest host name in bytes, limited because a file is named
// after it.
const MaxHost = 250

func (h *Hosts) UnmarshalFlag(v string) error {
	var names []string
	for name := range strings.SplitSeq(v, ",") {
		name = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(name), "."))
		if cure := nameCure(name); cure != "" {
			return invalid(v, cure)
		}
		names = append(names, name)
	}
	*h = Hosts(strings.Join(names, ","))
	return nil
}

// nameCure returns how to correct an invalid host name, "" if it is valid.
func nameCure(name string) string {
	labels := strings.Split(name, ".")
	last := labels[len(labels)-1]
	switch {
	case strings.HasPrefix(name, "*."):
		return "a wildcard needs DNS-01, which is not supported; name each host, or use --tls-cert"
	case strings.ContainsAny(name, "/:"):
		return "must be a name without scheme, port and path, such as www.example.org"
	case strings.IndexFunc(name, func(r rune) bool { return r >= 0x80 }) >= 0:
		return "write the name in ASCII, as xn--…"
	case isNumber(last):
		return "an address has no certificate by ACME here; name the host, such as www.example.org"
	case len(name) > MaxHost, slices.ContainsFunc(labels, func(l string) bool { return !isLabel(l) }):
		return "must be the name of a host, such as www.example.org; separate several by commas"
	}
	return ""
}

// isLabel reports whether a part of a host name is valid (RFC 1123 §2.1).
func isLabel(s string) bool {
	return s != "" && len(s) <= 63 && s[0] != '-' && s[len(s)-1] != '-' && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func (e *Email) UnmarshalFlag(v string) error {
	v = strings.TrimPrefix(v, "mailto:")
	user, host, ok := strings.Cut(v, "@")
	if !ok || user == "" || nameCure(strings.ToLower(host)) != "" || strings.ContainsAny(v, " ,?\"<>\x00\n") {
		return invalid(v, "must be one address, such as admin@example.org")
	}
	*e = Email(v)
	return nil
}

func (d *Directory) UnmarshalFlag(v string) error {
	host, ok := strings.CutPrefix(v, "https://")
	host, _, _ = strings.Cut(host, "/")
	if !ok || host == "" || strings.ContainsAny(v, " \x00\n#") {
		return invalid(v, "must be an https URL, such as https://acme-staging-v02.api.letsencrypt.org/directory")
	}
	*d = Directory(v)
	return nil
}

// Hosts returns the hosts whose certificates are obtained by ACME, each once.
func (o Options) Hosts() []string {
	var all []string
	for _, hosts := range o.ACME {
		for name := range strings.SplitSeq(string(hosts), ",") {
			if !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	return all
}
