package keyring

import (
	"bytes"
	"fmt"
	"slices"
)

// look does what has to be done each second. Files are polled, because that sees what
// inotify does not: a directory above them that is renamed, a symbolic link to be
// followed anew, a file on another machine.
func (k *Keyring) look() {
	k.mu.Lock()
	items := k.loaded.items()
	k.mu.Unlock()
	for _, i := range items {
		k.lookAt(i)
	}
	k.rotate()
	k.warnExpiry()
}

// lookAt reads an item once its files have changed and are no longer being written.
// Only the goroutine that looks changes an item.
func (k *Keyring) lookAt(i *item) {
	now := i.sign()
	switch {
	case now == i.at:
		i.next = signature{}
		return
	case now != i.next: // it may still be being written
		i.next = now
		return
	}
	fresh := &item{Pair: i.Pair, ca: i.ca}
	err := fresh.read()
	if i.sign() != now {
		return // changed again meanwhile
	}
	i.at = now // what is refused is refused once
	if err == nil && !fresh.same(i) {
		err = k.take(i, fresh)
	}
	if err != nil {
		k.report(err)
	}
}

func (k *Keyring) report(err error) {
	k.Alert(fmt.Sprintf("%v; the one before stays in use", err))
}

func (i *item) same(other *item) bool {
	return bytes.Equal(i.source.Chain, other.source.Chain) && bytes.Equal(i.source.Key, other.source.Key)
}

// take puts an item that was read anew in the place of the one before, if it is valid.
func (k *Keyring) take(old, fresh *item) error {
	if err := fresh.check(k.Now()); err != nil {
		return err
	}
	err := k.change(func() {
		k.loaded.pairs = slices.Clone(k.loaded.pairs)
		if at := slices.Index(k.loaded.pairs, old); at >= 0 {
			k.loaded.pairs[at] = fresh
		}
		if k.loaded.authority == old {
			k.loaded.authority = fresh
		}
	})
	if err == nil {
		k.Log.Info().Str("file", fresh.Certificate).Msg(fresh.what() + " replaced")
		k.warnPermissions()
	}
	return err
}

// warnPermissions warns once of each key that everybody on this machine can read.
func (k *Keyring) warnPermissions() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, i := range k.loaded.pairs {
		switch {
		case k.readable[i.Key]:
			continue
		case i.mode&0o004 != 0:
			k.Alert(fmt.Sprintf("key %q can be read by every user of this machine; chmod 600 it, or 640 for a group", i.Key))
		case i.mode&0o040 != 0:
			k.Log.Info().Str("file", i.Key).Msg("key readable by its group")
		default:
			continue
		}
		k.readable[i.Key] = true
	}
}
