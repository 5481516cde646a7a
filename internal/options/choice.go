package options

import (
	"slices"
	"strings"

	"github.com/jessevdk/go-flags"
)

// The types of flags with a fixed set of values.
type (
	Model           string // see [Options]
	Engine          string // see [Options]
	Switch          string // on or Off
	Rescue          string // when connections are rescued
	Confine         string // when workers are sandboxed
	ETag            string // the source of entity tags
	Symlinks        string // the symbolic links that are followed
	LogFormat       string
	AccessLogFormat string
	shell           string // a shell with a completion script
)

// Values that the program compares with. The methods words have all values.
const (
	Process   Model = "process"
	Goroutine Model = "goroutine"
	Serial    Model = "serial"

	Epoll   Engine = "epoll"
	Netpoll Engine = "netpoll"

	Off = "off" // of a Switch, Rescue or Confine

	ConfineRequired Confine = "required"

	ETagAuto    ETag = "auto"
	ETagTimes   ETag = "times"
	ETagContent ETag = "content"

	SymlinksBeneath Symlinks = "beneath"
	SymlinksNone    Symlinks = "none"

	LogJSON LogFormat = "json"

	AccessCombined AccessLogFormat = "combined"
)

func (Model) words() []Model         { return []Model{Process, Goroutine, Serial} }
func (Engine) words() []Engine       { return []Engine{"auto", Epoll, Netpoll} }
func (Switch) words() []Switch       { return []Switch{"on", Off} }
func (Rescue) words() []Rescue       { return []Rescue{"auto", Off} }
func (Confine) words() []Confine     { return []Confine{"auto", ConfineRequired, Off} }
func (ETag) words() []ETag           { return []ETag{ETagAuto, ETagTimes, ETagContent} }
func (Symlinks) words() []Symlinks   { return []Symlinks{"inside", SymlinksBeneath, SymlinksNone} }
func (LogFormat) words() []LogFormat { return []LogFormat{"auto", "console", LogJSON} }
func (AccessLogFormat) words() []AccessLogFormat {
	return []AccessLogFormat{"common", AccessCombined, "vhost_combined", "json"}
}
func (shell) words() []shell { return []shell{"bash", "zsh", "fish"} }

func (m *Model) UnmarshalFlag(v string) error     { return choose(m, v, m.words()) }
func (e *Engine) UnmarshalFlag(v string) error    { return choose(e, v, e.words()) }
func (r *Rescue) UnmarshalFlag(v string) error    { return choose(r, v, r.words()) }
func (c *Confine) UnmarshalFlag(v string) error   { return choose(c, v, c.words()) }
func (f *LogFormat) UnmarshalFlag(v string) error { return choose(f, v, f.words()) }
func (e *ETag) UnmarshalFlag(v string) error      { return choose(e, v, e.words()) }
func (s *Symlinks) UnmarshalFlag(v string) error  { return choose(s, v, s.words()) }
func (s *Switch) UnmarshalFlag(v string) error    { return choose(s, v, s.words()) }
func (f *AccessLogFormat) UnmarshalFlag(v string) error {
	return choose(f, v, f.words())
}
func (s *shell) UnmarshalFlag(v string) error { return choose(s, v, s.words()) }

func (m Model) Complete(match string) []flags.Completion           { return fitting(match, m.words()) }
func (e Engine) Complete(match string) []flags.Completion          { return fitting(match, e.words()) }
func (s Switch) Complete(match string) []flags.Completion          { return fitting(match, s.words()) }
func (r Rescue) Complete(match string) []flags.Completion          { return fitting(match, r.words()) }
func (c Confine) Complete(match string) []flags.Completion         { return fitting(match, c.words()) }
func (f LogFormat) Complete(match string) []flags.Completion       { return fitting(match, f.words()) }
func (f AccessLogFormat) Complete(match string) []flags.Completion { return fitting(match, f.words()) }
func (e ETag) Complete(match string) []flags.Completion            { return fitting(match, e.words()) }
func (s Symlinks) Complete(match string) []flags.Completion        { return fitting(match, s.words()) }
func (s shell) Complete(match string) []flags.Completion           { return fitting(match, s.words()) }

// choose parses one of the words.
func choose[T ~string](to *T, v string, words []T) error {
	if slices.Contains(words, T(v)) {
		*to = T(v)
		return nil
	}
	cure := "must be "
	for i, word := range words {
		switch {
		case i == len(words)-1:
			cure += " or "
		case i > 0:
			cure += ", "
		}
		cure += string(word)
	}
	return invalid(v, cure)
}

func fitting[T ~string](match string, words []T) []flags.Completion {
	var fit []flags.Completion
	for _, word := range words {
		if strings.HasPrefix(string(word), match) {
			fit = append(fit, flags.Completion{Item: string(word)})
		}
	}
	return fit
}
