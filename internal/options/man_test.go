package options

import (
	"errors"
	"regexp"
	"strings"
	"testing"
)

func manPage(t *testing.T) string {
	t.Helper()
	_, err := parseCommand("master", []string{"man"}, noEnv)
	var info *Info
	if !errors.As(err, &info) {
		t.Fatalf("man: %v", err)
	}
	return info.Text
}

// The page has the sections of man-pages(7), in order, and each line that begins like a request
// is a known request.
func TestManStructure(t *testing.T) {
	page := manPage(t)
	var sections []string
	request := regexp.MustCompile(`^\.(\\"|TH|SH|SS|PP|TP|B|I|BR|IR|BI|RI|br|nf|fi|RS|RE)( |$)`)
	depth := map[string]int{}
	for line := range strings.Lines(page) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, ".SH "); ok {
			sections = append(sections, name)
		}
		if (line == "" || line[0] == '.' || line[0] == '\'') && !request.MatchString(line) || strings.TrimRight(line, " ") != line {
			t.Errorf("not a request of man(7): %q", line)
		}
		if strings.ContainsFunc(line, func(c rune) bool { return c < ' ' || c > '~' }) || strings.Contains(line, "@") {
			t.Errorf("unexpected line %q", line)
		}
		depth[line]++
	}
	if depth[".nf"] != depth[".fi"] || depth[".RS"] != depth[".RE"] || depth[".nf"] == 0 {
		t.Errorf("not closed: %d .nf, %d .fi, %d .RS, %d .RE", depth[".nf"], depth[".fi"], depth[".RS"], depth[".RE"])
	}
	const want = "NAME,SYNOPSIS,DESCRIPTION,OPTIONS,COMMANDS,ENVIRONMENT,FILES,SIGNALS,EXIT STATUS,EXAMPLES,SEE ALSO"
	if got := strings.Join(sections, ","); got != want {
		t.Errorf("sections %s\nwant %s", got, want)
	}
	if !strings.Contains(page, "\n.TH MASTER 1 "+Released+" \"phalanx "+Version+"\" ") {
		t.Error("the title lacks the release or the date")
	}
	for _, code := range []string{"0", "1", "64", "78", "130"} {
		if depth[".B "+code] != 1 {
			t.Errorf("exit status %s occurs %d times", code, depth[".B "+code])
		}
	}
}

// The page has every flag with its description, default and variable, in its group, and every
// command with its own flags.
func TestManHasAll(t *testing.T) {
	page := manPage(t)
	_, options, _ := strings.Cut(page, ".SH OPTIONS\n")
	options, commands, _ := strings.Cut(options, ".SH COMMANDS\n")
	commands, _, _ = strings.Cut(commands, ".SH ENVIRONMENT\n")
	for _, o := range list(newParser("phalanx", &line{})) {
		_, after, found := strings.Cut(options, "\\fB"+roff("--"+o.LongName)+"\\fR")
		entry, _, _ := strings.Cut(after, "\n.TP\n")
		if !found || !strings.Contains(entry, roff(sentence(o.Description))) || !strings.Contains(entry, roff("["+notes(o)+"]")) && notes(o) != "" {
			t.Errorf("--%s: %q", o.LongName, entry)
		}
		if strings.Count(options, roff("--"+o.LongName)+"\\fR") != 1 || !strings.Contains(options, ".SS "+o.Field().Tag.Get("group")+"\n") {
			t.Errorf("--%s does not occur exactly once, in its group", o.LongName)
		}
	}
	for d := range definitions() {
		name := d.Get("command")
		if d.Get("internal") != "" {
			if strings.Contains(commands, ".SS "+name+"\n") {
				t.Errorf("the page has the internal command %s", name)
			}
			continue
		}
		if !strings.Contains(commands, ".SS "+roff(name)+strings.ReplaceAll(roff(" "+d.Get("usage")), "\n", " ")+"\n") && d.Get("usage") != "" {
			t.Errorf("the usage of %s is not one line", name)
		}
		if _, own, ok := strings.Cut(commands, "\n.SS "+name); !ok && !strings.HasPrefix(commands, ".SS "+name) || !strings.Contains(own+commands, roff(d.Get("example"))) {
			t.Errorf("the command %s or its example is missing", name)
		}
	}
	for _, flag := range []string{"--json", "--interval", "-H"} {
		if !strings.Contains(commands, "\\fB"+roff(flag)+"\\fR") {
			t.Errorf("%s is missing", flag)
		}
	}
	if strings.Contains(commands, "fB\\-\\-base") {
		t.Error("explain repeats the flags of serving")
	}
}

func TestRoff(t *testing.T) {
	for text, want := range map[string]string{
		"--a '*.js' \\n": `\-\-a \(aq*.js\(aq \en`,
		".hidden":        `\&.hidden`,
		"'quoted'":       `\(aqquoted\(aq`,
		"One. Two.":      "One.\nTwo.",
		"~/x ^ ` $HOME":  `\(ti/x \(ha \(ga \%$HOME`,
	} {
		if got := roff(text); got != want {
			t.Errorf("roff(%q) = %q, want %q", text, got, want)
		}
	}
}
