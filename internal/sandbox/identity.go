package sandbox

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
)

// Identity is a user and its groups, by number.
type Identity struct {
	User, Group int
	Groups      []int // supplementary
}

// nobody is the user and group if the system has no user nobody.
const nobody = 65534

// LookUp returns a user given by name or number, with the group after a colon, or else with
// the user's groups. "" is nobody.
func LookUp(name string) (Identity, error) {
	if name == "" {
		if id, err := LookUp("nobody"); err == nil {
			return id, nil
		}
		return Identity{User: nobody, Group: nobody}, nil
	}
	who, group, hasGroup := strings.Cut(name, ":")
	id, err := lookUpUser(who)
	if err == nil && hasGroup {
		id.Groups = nil
		id.Group, err = lookUpGroup(group)
	}
	return id, err
}

func lookUpUser(name string) (Identity, error) {
	u, err := user.Lookup(name)
	if err != nil {
		number, bad := identifier(name)
		if bad != nil {
			return Identity{}, fmt.Errorf("no user %q on this machine", name)
		}
		if u, err = user.LookupId(name); err != nil {
			return Identity{User: number, Group: number}, nil // a user without a name, as in containers
		}
	}
	id := Identity{}
	if id.User, err = identifier(u.Uid); err != nil {
		return id, err
	}
	if id.Group, err = identifier(u.Gid); err != nil {
		return id, err
	}
	groups, err := u.GroupIds()
	if err != nil {
		return id, fmt.Errorf("groups of %s: %w", name, err)
	}
	for _, g := range groups {
		if n, err := identifier(g); err == nil && n != id.Group {
			id.Groups = append(id.Groups, n)
		}
	}
	return id, nil
}

func lookUpGroup(name string) (int, error) {
	if g, err := user.LookupGroup(name); err == nil {
		return identifier(g.Gid)
	}
	number, err := identifier(name)
	if err != nil {
		return 0, fmt.Errorf("no group %q on this machine", name)
	}
	return number, nil
}

// identifier parses a user or group number.
func identifier(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n >= math.MaxUint32 {
		return 0, errors.New("not a number of a user or group")
	}
	return int(n), nil
}

// String returns the user, group and supplementary groups, separated by colons, for
// [ParseIdentity].
func (id Identity) String() string {
	text := fmt.Sprintf("%d:%d", id.User, id.Group)
	for _, g := range id.Groups {
		text += fmt.Sprintf(":%d", g)
	}
	return text
}

// ParseIdentity parses the result of [Identity.String].
func ParseIdentity(text string) (Identity, error) {
	var numbers []int
	for part := range strings.SplitSeq(text, ":") {
		n, err := identifier(part)
		if err != nil {
			return Identity{}, fmt.Errorf("identity %q: %w", text, err)
		}
		numbers = append(numbers, n)
	}
	if len(numbers) < 2 {
		return Identity{}, fmt.Errorf("identity %q: no group", text)
	}
	return Identity{User: numbers[0], Group: numbers[1], Groups: numbers[2:]}, nil
}

// Become is [Identity.Become] for what [Identity.String] returns; it does nothing if that is "".
func Become(identity string) error {
	if identity == "" {
		return nil
	}
	id, err := ParseIdentity(identity)
	if err != nil {
		return err
	}
	return id.Become()
}

// Become permanently changes the user and groups of this process, which runs as root, in all
// threads. Programs that it executes cannot get capabilities again, unless this one was built
// with cgo.
func (id Identity) Become() error {
	if err := dropBounding(nil); err != nil && !errors.Is(err, errCgo) {
		return err
	}
	groups := id.Groups
	if groups == nil {
		groups = []int{}
	}
	if err := syscall.Setgroups(groups); err != nil {
		return fmt.Errorf("set groups of user %d: %w", id.User, err)
	}
	if err := syscall.Setresgid(id.Group, id.Group, id.Group); err != nil {
		return fmt.Errorf("set group %d: %w", id.Group, err)
	}
	if err := syscall.Setresuid(id.User, id.User, id.User); err != nil {
		return fmt.Errorf("set user %d: %w", id.User, err)
	}
	return nil
}

// IsRoot reports whether this process runs as root.
func IsRoot() bool { return os.Geteuid() == 0 }
