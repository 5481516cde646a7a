package record

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

const (
	headName  = "run.json"
	cellsName = "cells.jsonl"
	toolDir   = "tool"
	mostTool  = 16 << 10 // bytes kept of one tool's output
)

// Store is an open run that results are appended to.
type Store struct {
	Run Run
	dir string
	out *os.File
}

// Open resumes the newest run of the same kind under raw if it has the same
// settings, commit and binaries and still has cells to measure. Otherwise it
// starts a new run. The second result reports whether it resumes one.
func Open(raw string, head Head) (*Store, bool, error) {
	dir, err := newest(raw, head.Settings.Kind)
	if err != nil {
		return nil, false, err
	}
	if dir != "" {
		run, err := Load(dir)
		if err != nil {
			return nil, false, err
		}
		if sameRun(run.Head, head) && len(run.Todo()) > 0 {
			s, err := appendTo(dir, run)
			return s, true, err
		}
	}
	s, err := begin(raw, head)
	return s, false, err
}

func sameRun(a, b Head) bool {
	return a.Commit == b.Commit && a.Clean == b.Clean && a.Binary == b.Binary &&
		reflect.DeepEqual(a.Settings, b.Settings)
}

func begin(raw string, head Head) (*Store, error) {
	name := fmt.Sprintf("%s-%s", head.Settings.Kind, head.Date.UTC().Format("20060102-150405"))
	dir := filepath.Join(raw, name)
	if err := os.MkdirAll(filepath.Join(dir, toolDir), 0o755); err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(head, "", "  ")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, headName), append(text, '\n'), 0o644); err != nil {
		return nil, err
	}
	return appendTo(dir, Run{Head: head})
}

func appendTo(dir string, run Run) (*Store, error) {
	if err := trim(filepath.Join(dir, cellsName)); err != nil {
		return nil, err
	}
	out, err := os.OpenFile(filepath.Join(dir, cellsName), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	return &Store{Run: run, dir: dir, out: out}, nil
}

// trim removes an incomplete last line, which a crash has left.
func trim(path string) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if whole := bytes.LastIndexByte(text, '\n') + 1; whole < len(text) {
		return os.Truncate(path, int64(whole))
	}
	return nil
}

// Append stores a result and the first 16 KiB of the tool's output.
func (s *Store) Append(r Result, tool []byte) error {
	if len(tool) > 0 {
		name := fmt.Sprintf("%s-%s-%d-%d.txt", r.Experiment, strings.ReplaceAll(r.Server, "/", "-"), r.Level, r.Round)
		if err := os.WriteFile(filepath.Join(s.dir, toolDir, name), tool[:min(len(tool), mostTool)], 0o644); err != nil {
			return err
		}
	}
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if _, err := s.out.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("append to %s: %w", cellsName, err)
	}
	s.Run.put(r)
	return nil
}

// put adds a result and removes an earlier void result of the same cell.
func (r *Run) put(result Result) {
	r.Results = slices.DeleteFunc(r.Results, func(old Result) bool { return old.Cell == result.Cell && old.Void != "" })
	r.Results = append(r.Results, result)
}

// Close closes the run.
func (s *Store) Close() error { return s.out.Close() }

// Load reads a run. It ignores an incomplete last line.
func Load(dir string) (Run, error) {
	var run Run
	text, err := os.ReadFile(filepath.Join(dir, headName))
	if err != nil {
		return run, err
	}
	if err := json.Unmarshal(text, &run.Head); err != nil {
		return run, fmt.Errorf("%s: %w", headName, err)
	}
	cells, err := os.Open(filepath.Join(dir, cellsName))
	if errors.Is(err, fs.ErrNotExist) {
		return run, nil
	}
	if err != nil {
		return run, err
	}
	defer cells.Close()
	for r := bufio.NewReader(cells); ; {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return run, nil
		}
		var result Result
		if err := json.Unmarshal(line, &result); err != nil {
			return run, fmt.Errorf("%s: line %d: %w", cellsName, len(run.Results)+1, err)
		}
		run.put(result)
	}
}

// Newest loads the newest run of a kind; ok is false when there is none.
func Newest(raw string, kind Kind) (run Run, ok bool, err error) {
	dir, err := newest(raw, kind)
	if err != nil || dir == "" {
		return Run{}, false, err
	}
	run, err = Load(dir)
	return run, err == nil, err
}

func newest(raw string, kind Kind) (string, error) {
	entries, err := os.ReadDir(raw)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	for _, e := range slices.Backward(entries) { // sorted by name, so by date
		if e.IsDir() && strings.HasPrefix(e.Name(), string(kind)+"-") {
			return filepath.Join(raw, e.Name()), nil
		}
	}
	return "", nil
}

// Left lists the cells that have no result yet, in their order.
func (r Run) Left() []Cell { return r.without(func(Result) bool { return true }) }

// Todo lists the cells that have no result or a void one, in their order.
func (r Run) Todo() []Cell { return r.without(func(result Result) bool { return result.Void == "" }) }

// without lists the cells without a result for which counts holds.
func (r Run) without(counts func(Result) bool) []Cell {
	done := make(map[Cell]bool, len(r.Results))
	for _, result := range r.Results {
		done[result.Cell] = counts(result)
	}
	var left []Cell
	for _, c := range r.Head.Settings.Cells {
		if !done[c] {
			left = append(left, c)
		}
	}
	return left
}

// Of returns the results of one experiment and server at one level, in the
// order of their rounds.
func (r Run) Of(e Experiment, server string, level int) []Result {
	var found []Result
	for _, result := range r.Results {
		if result.Experiment == e && result.Server == server && result.Level == level {
			found = append(found, result)
		}
	}
	return found
}

// LevelsOf lists an experiment's levels in ascending order.
func (r Run) LevelsOf(e Experiment) []int {
	var levels []int
	for _, c := range r.Head.Settings.Cells {
		if c.Experiment == e && !slices.Contains(levels, c.Level) {
			levels = append(levels, c.Level)
		}
	}
	slices.Sort(levels)
	return levels
}
