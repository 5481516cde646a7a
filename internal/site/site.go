// Package site is the document root: a request path becomes an open file
// with its size, time and type, and nothing outside the root ever.
//
// A path is decoded and judged as bytes ([clean]), then opened with a single
// openat2(2) that the kernel keeps beneath the root, and only then examined:
// metadata and bytes come from one descriptor, without a stat that could be out of
// date. Anything but a regular file is closed again.
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

// Root is an open document root. It may be used by several goroutines.
type Root struct {
	beneath // its directory
	policy  Policy
	paths   []string     // of the directory; see expand
	place   *place       // of a base that may lead to another root in time; nil: it does not
	at      string       // the name of the directory there, without links
	users   atomic.Int64 // of [Releases]
	later   bool         // it was opened when the process was in its sandbox
	pool    sync.Pool
	tell    func(Finding) // of Trace, or nil
	shares  []share       // of OpenShares: nothing else is beneath the root

	shared shared
	making sync.WaitGroup // of what makes archives and READMEs
	*bounds

	ruleFiles ruleFiles

	// Render makes safe HTML of Markdown, and may take a while; nil: Markdown is shown as
	// it is. It is set before the root is used.
	Render func(markdown []byte) ([]byte, error)
	// Copies are compressed copies of files without precompressed ones; nil: there are none.
	// It is set before the root is used.
	Copies *Copies
	// Digests are those of files' contents, of which entity tags are made; nil: tags are made
	// of times and sizes. It is set before the root is used.
	Digests *Digests
	// Now is the time; its default is time.Now. It is set before the root is used.
	Now func() time.Time
}

// Policy is what of a root is shown, and how. The zero value shows
// directories by nothing but a status, and hides dotfiles.
type Policy struct {
	Index    []string // names that stand for their directory, first found first
	Dotfiles bool     // whether names that begin with a dot are shown
	List     bool     // whether a directory without an index is listed
	Archive  bool     // whether a directory can be downloaded as an archive
	Readme   bool     // whether a README is shown beneath the list of its directory
	Name     string   // of the root, for its archive; "": "files"
	Rules    bool     // whether _redirects and _headers are read, and not served
	Clean    bool     // whether a page has a path without .html, and only that one
	Symlinks Symlinks // which are followed
	Fallback string   // a file for navigations to paths without one, or empty
	Cache    []Rule   // Cache-Control by path; the first that fits counts
	Types    []Rule   // the media type by path; the same, and where none fits the extension counts
	Areas    []Area   // which parts need credentials; the first that a name is in counts
}

// Open opens the directory as a document root.
func Open(dir string, policy Policy) (*Root, error) {
	p, err := placeOf(dir, policy.Symlinks)
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

// ErrFallback is why a root cannot be opened whose fallback cannot be.
var ErrFallback = errors.New("fallback")

func (r *Root) checkFallback() error {
	if r.policy.Fallback == "" {
		return nil
	}
	f, err := r.file(append(make([]byte, 0, len(r.policy.Fallback)+1), r.policy.Fallback...), everything())
	if err == unix.EXDEV { // it escapes
		err = errors.New("it leads out of the base")
	}
	if err != nil {
		return fmt.Errorf("%w %s: %w", ErrFallback, r.policy.Fallback, err)
	}
	f.Close()
	return nil
}

// Unreadable reports whether the user of this process may not read the directory, or
// something that is shared.
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

// Directories returns the descriptors of the directories from which files are opened,
// which belong to the root: one, unless it is of [OpenShares]. Where the base may lead to
// another root in time, it is that which has them all.
func (r *Root) Directories() []int {
	switch {
	case r.shares != nil:
	case r.place != nil:
		return []int{r.place.directory()}
	default:
		return []int{r.dir}
	}
	var all []int
	for _, s := range r.shares {
		all = append(all, s.root.dir)
	}
	return all
}

// Close closes the root. Files that are open stay so.
func (r *Root) Close() {
	r.making.Wait() // each ends when its connection has
	for _, s := range r.shares {
		s.root.Close()
	}
	if r.place != nil {
		r.place.release()
		r.place = nil
	}
	r.close()
}

// Open finds the file for the path of a request target, percent-encoded and
// without query. With 200 comes the file; 301 says that the path is a
// directory without its slash, 308 that the file has a cleaner path (see [Policy]); else
// the status says why there is none: 401 that access does not grant what it takes. Among
// the ready-made codings of the file the first one of the list is chosen.
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

// Page opens the site's own page for an error, at the root: 404.html, 401.html for missing
// credentials, and 50x.html for a fault of the server. Only 401.html is for everybody.
func (r *Root) Page(s proto.Status, access *proto.Access) (*File, bool) {
	f, _ := r.page(pageName(s), access)
	return f, f != nil
}

// lockedPage is the page for those who lack credentials.
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
		access = everything()
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

// find opens the file for a clean name, and returns the name of the file,
// which for a directory is its index.
func (r *Root) find(name []byte, access *proto.Access) (*File, []byte, error) {
	if len(name) > 0 && name[len(name)-1] != '/' {
		f, err := r.file(name, access)
		if err == errDirectory {
			err = errNoSlash
		}
		return f, name, err
	}
	for _, index := range r.policy.Index {
		if len(name)+len(index) >= cap(name) {
			continue
		}
		full := append(name, index...)
		r.found(FileIndex, full[len(name):])
		f, err := r.file(full, access)
		if err != unix.ENOENT {
			return f, full, err
		}
	}
	err := r.directoryAt(name, access)
	if err == errDirectory && !r.policy.List {
		r.found(FileUnlisted, nil)
	}
	return nil, name, err
}

// What a name may be other than a regular file.
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
		return nil, errDirectory // it may be searched, or is at least there
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

// directoryAt returns errDirectory if the name, which may be empty for the root itself, is
// that of a directory; errLocked if that is not to be known, and else ENOENT.
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

// coded returns the first of the codings in which the file lies ready, or
// the file itself. One that is older than the file was made of something
// else and does not count.
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
			r.weighed(CodingStale, coding)
			other.Close()
			continue
		}
		other.contentType, other.cacheControl = f.contentType, f.cacheControl
		other.varies, other.coding = true, coding
		f.Close()
		r.weighed(CodingChosen, coding)
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

// statusOf is the one place where an error of the file system becomes a
// status.
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
