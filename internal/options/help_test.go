package options

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// Every topic has a text, and so has every name that completion offers.
func TestTopics(t *testing.T) {
	for _, c := range topic("").Complete("") {
		if _, err := topicHelp("phalanx", c.Item); err != nil {
			t.Errorf("help %s: %v", c.Item, err)
		}
	}
	for name, want := range map[string]string{
		"": "Usage: phalanx [flags] [DIR]", "all": "$PHALANX_BASE", "port": "default: 8080", "p": "--port N", "spa": "single-page",
		"network": "--bind ADDR", "status": "Usage: phalanx status", "help": "Usage: phalanx help",
		"config": "every flag except", "compress": "--cache-dir",
	} {
		for _, args := range [][]string{{"help", name}, {"--help", name}} {
			_, err := parseCommand("phalanx", args, noEnv)
			if err == nil {
				_, err = parseMaster(args, noEnv, named("phalanx"))
			}
			if info, ok := errors.AsType[*Info](err); !ok || !strings.Contains(info.Text, want) {
				t.Errorf("%q: %v, want %q", args, err, want)
			}
		}
	}
}

// The help names all flags whose variable has one value per line.
func TestRepeatedFlagsAreNamed(t *testing.T) {
	_, info := parseMaster([]string{"--help", "all"}, noEnv, named("phalanx"))
	_, text, _ := strings.Cut(info.Error(), "may be repeated")
	text, _, _ = strings.Cut(text, "Examples:")
	for field := range reflect.TypeFor[Options]().Fields() {
		named := slices.Contains(strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \n,.", r) }), "--"+field.Tag.Get("long"))
		if want := field.Type.Kind() == reflect.Slice; named != want {
			t.Errorf("--%s is named: %v, want %v", field.Tag.Get("long"), named, want)
		}
	}
	if !strings.Contains(text, "--site") {
		t.Errorf("text %q", text)
	}
}

// The first help fits on two screens of 24 lines.
func TestFirstHelp(t *testing.T) {
	_, err := parseMaster([]string{"--help"}, noEnv, named("phalanx"))
	text := err.Error()
	for _, want := range []string{"[DIR]", "-p, --port N", "-v, --verbose", "--base DIR", "--version", "--help all", "explain"} {
		if !strings.Contains(text, want) {
			t.Errorf("help has no %q", want)
		}
	}
	if n := strings.Count(text, "\n"); n > 46 {
		t.Errorf("%d lines", n)
	}
	for line := range strings.Lines(text) {
		if len(line) > 81 {
			t.Errorf("help is wider than a terminal: %q", line)
		}
	}
}

func TestHelp(t *testing.T) {
	_, err := parseMaster([]string{"--help", "all"}, noEnv)
	text := err.Error()
	for _, want := range []string{
		"--base DIR", "$PHALANX_BASE", "--port N", "default: 8080", "--bind ADDR", "--model MODEL",
		"process", "goroutine", "serial", "--workers N", "--recv BYTES", "65536", "--keepalive DURATION", "30s",
		"--expires DURATION", "12h", "-v, --verbose", "$PHALANX_LOG_FORMAT", "--version", "--worker PATH", "Examples:",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("help has no %q", want)
		}
	}
	for line := range strings.Lines(text) {
		if len(line) > 81 {
			t.Errorf("help is wider than a terminal: %q", line)
		}
	}
}

// Texts and hints have the name under which the program was started.
func TestNamed(t *testing.T) {
	for _, args := range []string{"--help", "--nonsense", "--port", "left"} {
		_, err := parseMaster([]string{args}, noEnv, named("phalanx"))
		if text := err.Error(); !strings.Contains(text, "phalanx") || strings.Contains(text, "master --") {
			t.Errorf("%s of phalanx: %s", args, text)
		}
	}
}
