// Package site is the document root: it maps the path of a request to an open file with its
// size, time and type, and never to anything outside the root.
//
// A path is decoded and checked as bytes ([clean]), then opened with a single openat2(2),
// which the kernel confines to the root, and only then examined: metadata and content come
// from one descriptor, without a stat that could be out of date. Anything but a regular file
// is closed again.
package site

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
)

// Root is an open document root. It is safe for concurrent use.
type Root struct {
	beneath // its directory
	policy  Policy
	paths   []string     // of the directory; see expand
	parent  *parent      // of a base that is followed; nil: it is not
	at      string       // name of the directory relative to parent, without links
	users   atomic.Int64 // of [Releases]
	later   bool         // opened after the process entered its sandbox
	pool    sync.Pool
	tell    func(Finding) // of Trace, or nil
	shares  []share       // of OpenShares: nothing else is beneath the root

	shared shared
	making sync.WaitGroup // goroutines that make archives and READMEs, and sort listings
	*bounds

	ruleFiles ruleFiles

	// The fields below must be set before the root is used.

	// Render renders Markdown as safe HTML, and may take seconds; nil: Markdown is shown
	// as plain text.
	Render func(markdown []byte) ([]byte, error)
	// Copies are compressed copies of files without sidecars; nil: none.
	Copies *Copies
	// Digests are the digests of which entity tags are made; nil: tags are made of times
	// and sizes.
	Digests *Digests
	// Now returns the time; the default is time.Now.
	Now func() time.Time
}

// Policy is which files of a root are visible, and how. With the zero value, directories
// give 403 and dotfiles are hidden.
type Policy struct {
	Index    []string // names of index files, in order of precedence
	Dotfiles bool     // whether names that begin with a dot are visible
	List     bool     // whether a directory without an index is listed
	Archive  bool     // whether a directory can be downloaded as an archive
	Readme   bool     // whether a README is shown beneath the list of its directory
	Name     string   // of the root, for its archive; "": "files"
	Rules    bool     // whether _redirects and _headers are read, and not served
	Clean    bool     // whether a page has a path without .html, and only that one
	Symlinks Symlinks // which are followed
	Fallback string   // the fallback for navigation to unknown paths; "": none
	Cache    []Rule   // Cache-Control by path; the first match applies
	Types    []Rule   // media type by path; the first match applies, then the extension
	Areas    []Area   // parts that need credentials; the first match applies
}

// Open opens the directory as a document root.
func Open(dir string, policy Policy) (*Root, error) {
	p, err := parentOf(dir, policy.Symlinks)
	if err != nil {
		return nil, fmt.Errorf("open root %q: %w", dir, err)
	}
	if p != nil {
		defer p.release()
		r, err := p.openRoot(policy)
		if err != nil && !errors.Is(err, ErrFallback) {
			err = fmt.Errorf("open root %q: %w", dir, err)
		}
		return r, err
	}
	b, err := openBeneath(dir, policy.Symlinks)
	if err != nil {
		return nil, fmt.Errorf("open root %q: %w", dir, err)
	}
	r := newRoot(b, policy)
	r.paths = pathsOf(dir)
	return r.checked()
}

func newRoot(b beneath, policy Policy) *Root {
	r := &Root{beneath: b, policy: policy, Now: time.Now, bounds: newBounds(), shared: shared{byKind: make(map[kind][]*listed)}}
	r.pool.New = func() any { return &File{root: r} }
	return r
}

// checked returns the root, unless its fallback cannot be opened.
func (r *Root) checked() (*Root, error) {
	if err := r.checkFallback(); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// ErrFallback reports that a root was not opened because its fallback cannot be opened.
var ErrFallback = errors.New("fallback")

func (r *Root) checkFallback() error {
	if r.policy.Fallback == "" {
		return nil
	}
	f, err := r.file(append(make([]byte, 0, len(r.policy.Fallback)+1), r.policy.Fallback...), fullAccess())
	if err == unix.EXDEV { // it escapes
		err = errors.New("it leads out of the document root")
	}
	if err != nil {
		return fmt.Errorf("%w %s: %w", ErrFallback, r.policy.Fallback, err)
	}
	f.Close()
	return nil
}

// Unreadable reports whether the user of this process may not read the directory, or one of
// the shares.
func (r *Root) Unreadable() bool {
	if r.shares == nil {
		return denied(r.dir, ".", unix.R_OK|unix.X_OK)
	}
	return slices.ContainsFunc(r.shares, func(s share) bool {
		if s.file != "" {
			return denied(s.root.dir, s.file, unix.R_OK) // its directory need not be readable
		}
		return s.root.Unreadable()
	})
}

func denied(dir int, name string, mode uint32) bool {
	return errors.Is(unix.Faccessat(dir, name, mode, unix.AT_EACCESS), unix.EACCES)
}

// Symlinks returns which symbolic links are followed.
func (r *Root) Symlinks() Symlinks { return r.policy.Symlinks }

// Directories returns the descriptors of the directories from which files are opened, which
// the root still owns. There is one, except for [OpenShares]; if the base is followed, it is
// the directory that contains all releases.
func (r *Root) Directories() []int {
	switch {
	case r.shares != nil:
	case r.parent != nil:
		return []int{r.parent.directory()}
	default:
		return []int{r.dir}
	}
	var all []int
	for _, s := range r.shares {
		all = append(all, s.root.dir)
	}
	return all
}

// Close closes the root. Open files stay open.
func (r *Root) Close() {
	r.making.Wait() // each ends when its connection has
	for _, s := range r.shares {
		s.root.Close()
	}
	if r.parent != nil {
		r.parent.release()
		r.parent = nil
	}
	r.close()
}

// Open opens the file for the path of a request target, percent-encoded and without query.
// The file is returned with status 200. 301 means that the path names a directory and lacks
// the trailing slash, 308 that the file has a cleaner path (see [Policy]), 401 that access
// does not grant what the file needs; other statuses say why there is no file. If the file has
// sidecars, the first coding in codings that has one is chosen.
func (r *Root) Open(path []byte, codings proto.Codings, access *proto.Access) (*File, proto.Status) {
	var space [unix.PathMax]byte
	name, status := r.clean(space[:0], path)
	if status != proto.StatusOK {
		return nil, status
	}
	if !r.admits(name, access) {
		return nil, proto.StatusUnauthorized
	}
	f, name, err := r.findPage(path, name, access)
	switch err {
	case errNoSlash:
		return nil, proto.StatusMovedPermanently
	case errUnclean:
		return nil, proto.StatusPermanentRedirect
	}
	if err != nil {
		return nil, statusOf(err)
	}
	f.describe(name, r.policy.Cache)
	if f.varies {
		f = r.coded(f, name, codings, access)
	}
	r.digest(f)
	return f, proto.StatusOK
}

// Page opens the site's own page for an error, in the root: 401.html, 403.html, 50x.html for a
// server error, and otherwise 404.html. Only 401.html needs no credentials.
func (r *Root) Page(s proto.Status, access *proto.Access) (*File, bool) {
	f, _ := r.page(pageName(s), access)
	return f, f != nil
}

// lockedPage is the page for missing credentials.
const lockedPage = "401.html"

func pageName(s proto.Status) string {
	switch {
	case s == proto.StatusUnauthorized:
		return lockedPage
	case s == proto.StatusForbidden:
		return "403.html"
	case s >= proto.StatusInternalServerError:
		return "50x.html"
	}
	return "404.html"
}

func (r *Root) page(page string, access *proto.Access) (*File, proto.Status) {
	if page == lockedPage {
		access = fullAccess()
	}
	var space [16]byte
	name := append(space[:0], page...)
	r.found(FilePage, name)
	f, err := r.file(name, access)
	if err != nil {
		return nil, statusOf(err)
	}
	f.describe(name, nil)
	return f, proto.StatusOK
}

// find opens the file for a clean name, or the index file if the name ends with a slash. It
// also returns the name of the file.
func (r *Root) find(name []byte, access *proto.Access) (*File, []byte, error) {
	if len(name) > 0 && name[len(name)-1] != '/' {
		f, err := r.file(name, access)
		if err == errDirectory {
			err = errNoSlash
		}
		return f, name, err
	}
	f, full, err := r.index(name, access)
	if err != unix.ENOENT {
		return f, full, err
	}
	err = r.directoryAt(name, access)
	if err == errDirectory && !r.policy.List {
		r.found(FileUnlisted, nil)
	}
	return nil, name, err
}

// The errors of names that are not served as regular files.
var (
	errDirectory = errors.New("is a directory")
	errNoSlash   = errors.New("is a directory, and its path lacks the slash")
	errUnclean   = errors.New("is a page, and has a path without .html")
	errSpecial   = errors.New("is not a regular file")
)

// file opens a regular file by its name beneath the root.
func (r *Root) file(name []byte, access *proto.Access) (*File, error) {
	f, err := r.regular(name, access)
	r.opened(name, f, err)
	return f, err
}

func (r *Root) regular(name []byte, access *proto.Access) (*File, error) {
	fd, err := r.enter(name, access)
	var st unix.Stat_t
	if err == unix.EACCES && r.stat(name, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return nil, errDirectory // it cannot be read, but exists
	}
	if err != nil {
		return nil, err
	}
	if err = fstat(fd, &st); err == nil {
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			f := r.pool.Get().(*File)
			f.fd, f.users, f.stamp = fd, 1, stampOf(&st)
			f.size, f.modified = f.stamp.size, f.stamp.modified
			f.settled = r.settled(fd, f.modified)
			return f, nil
		case unix.S_IFDIR:
			err = errDirectory
		default:
			err = errSpecial
		}
	}
	unix.Close(fd)
	return nil, err
}

// directoryAt returns errDirectory if the name is that of a directory, or "" for the root
// itself, errLocked if the request may not know, and otherwise ENOENT.
func (r *Root) directoryAt(name []byte, access *proto.Access) error {
	if len(name) == 0 {
		return errDirectory
	}
	f, err := r.file(name, access)
	switch {
	case err == nil:
		f.Close()
	case err == errDirectory, err == errLocked:
		return err
	}
	return unix.ENOENT
}

// coded returns the sidecar, or else the compressed copy, in the first of the codings that
// has one, or the file itself. A sidecar that is older than the file is ignored: it was made
// of another version.
func (r *Root) coded(f *File, name []byte, codings proto.Codings, access *proto.Access) *File {
	for _, coding := range codings.List() {
		suffix := coding.Suffix()
		if len(name)+len(suffix) >= cap(name) {
			continue
		}
		used := access.Used
		other, err := r.file(append(name, suffix...), access)
		if err != nil {
			access.Used = used
			continue
		}
		if other.modified.Before(f.modified) {
			r.foundCoding(CodingStale, coding)
			other.Close()
			continue
		}
		other.contentType, other.cacheControl = f.contentType, f.cacheControl
		other.varies, other.coding = true, coding
		f.Close()
		r.foundCoding(CodingChosen, coding)
		return other
	}
	switch {
	case len(codings.List()) == 0:
	case r.Copies != nil:
		return r.copied(f, codings)
	default:
		r.found(CodingMissing, nil)
	}
	return f
}

// statusOf returns the status for an error of the file system.
func statusOf(err error) proto.Status {
	if err == errLocked {
		return proto.StatusUnauthorized
	}
	if err == errDirectory || err == errSpecial {
		return proto.StatusForbidden
	}
	errno, ok := errors.AsType[syscall.Errno](err)
	if !ok {
		// os.Root says "path escapes from parent" without an errno.
		return proto.StatusForbidden
	}
	switch errno {
	case unix.ENOENT, unix.ENOTDIR, unix.ENAMETOOLONG, unix.ENXIO, unix.ENODEV:
		return proto.StatusNotFound
	case unix.EACCES, unix.EPERM, unix.ELOOP, unix.EXDEV:
		return proto.StatusForbidden
	case unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EAGAIN:
		return proto.StatusServiceUnavailable
	}
	return proto.StatusInternalServerError
}
