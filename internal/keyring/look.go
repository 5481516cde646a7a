package keyring

import (
	"bytes"
	"fmt"
	"slices"
	"time"
)

// lookEvery is the time between two looks at the files. A changed file is read when
// it has been the same for two of them.
const lookEvery = time.Second

// retryEvery is the time after which files that were refused are read again, though
// they are the same: a certificate may become valid, and a disk may recover.
const retryEvery = time.Minute

// stopTime is how long Stop waits for a disk that does not respond.
const stopTime = time.Second

// Start begins to look at the files, to rotate the ticket keys, to renew the self-signed
// certificate and to warn. Stop has to be called after it.
func (k *Keyring) Start() {
	for _, do := range []func(){k.look, k.tend} { // a disk does not hold up the rest
		ended := make(chan struct{})
		k.watches = append(k.watches, ended)
		go func() {
			defer close(ended)
			ticker := time.NewTicker(lookEvery)
			defer ticker.Stop()
			for {
				select {
				case <-ticker.C:
					do()
				case <-k.stop:
					return
				}
			}
		}()
	}
}

// Stop ends what Start began.
func (k *Keyring) Stop() {
	close(k.stop)
	limit := time.After(stopTime)
	for _, ended := range k.watches {
		select {
		case <-ended:
		case <-limit:
			return
		}
	}
}

// look looks at all files. They are polled, because that sees what inotify does not: a
// directory above them that is renamed, a symbolic link to be followed anew, a file on
// another machine.
func (k *Keyring) look() {
	k.mu.Lock()
	items := k.loaded.items()
	k.mu.Unlock()
	for _, i := range items {
		k.lookAt(i)
	}
}

// tend does what time alone demands.
func (k *Keyring) tend() {
	k.rotate()
	k.renew()
	k.warnExpiry()
}

// lookAt reads an item once its files have changed and are no longer being written.
// Only the goroutine that looks changes an item.
func (k *Keyring) lookAt(i *item) {
	now := i.sign()
	switch {
	case now == i.at && (i.retryAt.IsZero() || k.Now().Before(i.retryAt)):
		i.next = signature{}
		return
	case now == i.at:
	case now != i.next: // it may still be being written
		i.next = now
		return
	}
	fresh := &item{Pair: i.Pair, kind: i.kind}
	err := fresh.read()
	if i.sign() != now {
		return // changed again meanwhile
	}
	if err == nil && !fresh.same(i) {
		err = k.take(i, fresh)
	}
	text := ""
	if i.at, i.retryAt = now, (time.Time{}); err != nil {
		text, i.retryAt = fmt.Sprintf("%v; the current one stays in use", err), k.Now().Add(retryEvery)
	}
	k.mu.Lock()
	said := i.refused == text
	i.refused = text
	k.mu.Unlock()
	if !said && text != "" {
		k.Alert(text)
	}
}

// Refused returns why the current content of files is not used, in one line for each.
func (k *Keyring) Refused() (all []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, i := range k.loaded.items() {
		if i.refused != "" {
			all = append(all, i.refused)
		}
	}
	return all
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
		k.loaded.passwords = slices.Clone(k.loaded.passwords)
		if at := slices.Index(k.loaded.passwords, old); at >= 0 {
			k.loaded.passwords[at] = fresh
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
