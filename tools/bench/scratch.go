package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"

	"phalanx/tools/internal/measure"
	"phalanx/tools/internal/record"
	"phalanx/tools/internal/tool"
)

// scratch holds the temporary directories of a run. Every user may read them,
// since some servers drop privileges.
type scratch struct {
	dirs   []string
	config string // configuration files, and the output of tools
	page   string // document root with one page
	sparse string // document root with a huge sparse file, on tmpfs if possible
	large  string // document root with a large file in the page cache
	rules  string
	script string

	openssl, certificate, key string
}

// prepare creates the directories, copies the page to them and writes the
// configuration files of the tools.
func prepare(base string) (*scratch, error) {
	s := &scratch{}
	ok := false
	defer func() {
		if !ok {
			s.remove()
		}
	}()
	for _, dir := range []*string{&s.config, &s.page, &s.large} {
		if err := s.add(dir, ""); err != nil {
			return nil, err
		}
	}
	if s.add(&s.sparse, "/dev/shm") != nil {
		s.sparse = s.large
	}
	page, err := os.ReadFile(filepath.Join(base, "index.html"))
	if err != nil {
		return nil, fmt.Errorf("page to request: %w", err)
	}
	s.rules, s.script = filepath.Join(s.config, "siegerc"), filepath.Join(s.config, "wrk.lua")
	s.openssl = filepath.Join(s.config, "openssl.cnf")
	if err := s.certify(); err != nil {
		return nil, err
	}
	for path, text := range map[string][]byte{
		s.rules: []byte(tool.SiegeRules), s.script: []byte(tool.WrkScript), s.openssl: []byte(tool.OpenSSLConf), filepath.Join(s.page, "index.html"): page,
	} {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return nil, err
		}
	}
	// A server is ready when it serves index.html.
	for _, dir := range []string{s.sparse, s.large} {
		if err := os.WriteFile(filepath.Join(dir, "index.html"), page, 0o644); err != nil {
			return nil, err
		}
	}
	ok = true
	return s, nil
}

func (s *scratch) add(dir *string, parent string) (err error) {
	if *dir, err = os.MkdirTemp(parent, "phalanx-bench-"); err != nil {
		return err
	}
	s.dirs = append(s.dirs, *dir)
	return os.Chmod(*dir, 0o755)
}

func (s *scratch) remove() {
	for _, dir := range s.dirs {
		os.RemoveAll(dir)
	}
}

// huge creates the files that the cells download. The large file is sparse: it
// is read once to fill the page cache with a page for each of its blocks.
func (s *scratch) huge(ctx context.Context, cells []record.Cell) error {
	large := false
	for _, c := range cells {
		if c.Experiment.Sized() {
			if err := s.sized(c.Level); err != nil {
				return err
			}
		}
		large = large || c.Experiment == record.Download || c.Experiment == record.TLSDownload
	}
	if err := hole(filepath.Join(s.sparse, measure.HugeFile), measure.HugeSize); err != nil || !large {
		return err
	}
	path := filepath.Join(s.large, measure.LargeFile)
	if err := hole(path, measure.LargeSize); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for buf := make([]byte, 1<<20); ctx.Err() == nil; {
		if _, err := f.Read(buf); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("read the large file: %w", err)
		}
	}
	return ctx.Err()
}

// sized creates the file of the given size in KiB unless it exists. Its content
// is random, so that no server can send it compressed.
func (s *scratch) sized(kib int) error {
	path := filepath.Join(s.large, measure.SizedFile(kib))
	if info, err := os.Stat(path); err == nil && info.Size() == int64(kib)<<10 {
		return nil
	}
	content := make([]byte, kib<<10)
	rand.NewChaCha8([32]byte{}).Read(content) // never fails
	return os.WriteFile(path, content, 0o644)
}

// hole creates a sparse file of size bytes.
func hole(path string, size int64) error {
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		return err
	}
	if err := os.Truncate(path, size); err != nil {
		return fmt.Errorf("create a sparse file of %d GB: %w", size/1e9, err)
	}
	return nil
}
