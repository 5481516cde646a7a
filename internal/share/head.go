package share

import (
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"phalanx/internal/human"
)

// head returns the first lines: what is shared, its addresses, and how to stop.
func (s *Session) head(addresses []Address, fingerprint string) []string {
	what := make([]string, len(s.cfg.What))
	for i, path := range s.cfg.What {
		what[i] = human.Visible(path)
	}
	if s.cfg.Width == nil {
		return s.plainHead(what, addresses, fingerprint)
	}
	lines := []string{"Sharing " + s.style.paint(bold, strings.Join(what, ", ")), ""}
	// The code comes first, so that the addresses stay visible on a small terminal.
	lines = append(lines, s.code(addresses)...)
	wide := 0
	for _, a := range addresses {
		wide = max(wide, ansi.StringWidth(a.URL))
	}
	for _, a := range addresses {
		lines = append(lines, strings.TrimRight("  "+s.style.paint(cyan, a.URL)+strings.Repeat(" ", wide-ansi.StringWidth(a.URL))+"   "+s.style.paint(dim, a.For), " "))
	}
	lines = append(lines, "")
	if user, password, ok := strings.Cut(s.cfg.Credentials, ":"); ok {
		lines = append(lines, "  user      "+s.style.paint(bold, human.Visible(user)), "  password  "+s.style.paint(bold, human.Visible(password)), "")
	}
	if half := (len(fingerprint) + 1) / 2; half > 0 {
		lines = append(lines, "Browsers warn about the certificate. Its SHA-256 fingerprint must be",
			"  "+fingerprint[:half], "  "+fingerprint[half:], "")
	}
	return append(lines, s.advice(addresses)...)
}

// plainHead is head for programs: lines of a keyword and its value.
func (s *Session) plainHead(what []string, addresses []Address, fingerprint string) []string {
	var lines []string
	for _, path := range what {
		lines = append(lines, "sharing "+path)
	}
	for _, a := range addresses {
		lines = append(lines, "address "+a.URL)
	}
	if user, password, ok := strings.Cut(s.cfg.Credentials, ":"); ok {
		lines = append(lines, "user "+human.Visible(user), "password "+human.Visible(password))
	}
	if fingerprint != "" {
		lines = append(lines, "fingerprint "+fingerprint)
	}
	if !s.cfg.Until.IsZero() {
		lines = append(lines, "until "+s.cfg.Until.Format(time.RFC3339))
	}
	return lines
}

// code returns the QR code of the first address that other machines can reach, nil if there is
// none or the terminal is too narrow.
func (s *Session) code(addresses []Address) []string {
	i := slices.IndexFunc(addresses, func(a Address) bool { return a.LAN })
	if i < 0 {
		return nil
	}
	lines, width, err := code(addresses[i].URL, s.cfg.Coloured)
	if err != nil || width+2 > s.screen.columns() {
		return nil
	}
	for i := range lines {
		lines[i] = "  " + lines[i]
	}
	return lines
}

// advice returns lines on who can see the files and how to stop.
func (s *Session) advice(addresses []Address) []string {
	var lines []string
	open := slices.ContainsFunc(addresses, func(a Address) bool { return a.LAN }) && s.cfg.Credentials == "" && s.cfg.Prefix == ""
	if open {
		lines = append(lines, "Everyone in your network can see this; --password asks for a password.")
	}
	end := "Ctrl-C stops when the downloads under way have finished."
	if until := s.cfg.Until; !until.IsZero() {
		layout := time.TimeOnly
		if until.Format(time.DateOnly) != s.cfg.Now().Format(time.DateOnly) {
			layout = time.DateTime
		}
		end = "Stops at " + until.Format(layout) + "; Ctrl-C stops earlier. Downloads under way finish."
	}
	return append(lines, end, "")
}
