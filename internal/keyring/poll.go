package keyring

import (
	"bytes"
	"fmt"
	"slices"
	"time"
)

// pollInterval is the interval at which files are polled. A changed file is read once it is the
// same in two polls.
const pollInterval = time.Second

// retryInterval is the interval at which refused files are read again although they have not
// changed: a certificate may become valid, and a disk may recover.
const retryInterval = time.Minute

// stopTime is how long Stop waits for a disk that does not respond.
const stopTime = time.Second

// Start starts polling files, rotating ticket keys, renewing the self-signed certificate and
// warning of expiry, in the background until Stop.
func (k *Keyring) Start() {
	for _, do := range []func(){k.poll, k.tend} { // a slow disk does not delay the rest
		k.watches.Go(func() {
			ticker := time.NewTicker(pollInterval)
			defer ticker.Stop()
			for {
				select {
				case <-ticker.C:
					do()
				case <-k.stop:
					return
				}
			}
		})
	}
}

// Stop ends what Start has started.
func (k *Keyring) Stop() {
	close(k.stop)
	ended := make(chan struct{})
	go func() {
		k.watches.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(stopTime):
	}
}

// poll polls all files. Unlike inotify, polling notices renamed parent directories, changed
// symbolic links, and files on network file systems.
func (k *Keyring) poll() {
	k.mu.Lock()
	items := k.loaded.items
	k.mu.Unlock()
	for _, i := range items {
		k.pollItem(i)
	}
}

// tend does what is due by time.
func (k *Keyring) tend() {
	k.rotate()
	k.renew()
	k.warnExpiry()
}

// pollItem reads an item once its files have changed and are no longer being written. Only the
// polling goroutine changes items.
func (k *Keyring) pollItem(i *item) {
	now := i.sign()
	switch {
	case now == i.at && (i.retryAt.IsZero() || k.Now().Before(i.retryAt)):
		i.next = signature{}
		return
	case now == i.at:
	case now != i.next: // it may still be written to
		i.next = now
		return
	}
	fresh := &item{Pair: i.Pair, kind: i.kind}
	err := fresh.read()
	if i.sign() != now {
		return // changed again in the meantime
	}
	if err == nil && !fresh.same(i) {
		err = k.take(i, fresh)
	}
	text := ""
	if i.at, i.retryAt = now, (time.Time{}); err != nil {
		text, i.retryAt = fmt.Sprintf("%v; the current one stays in use", err), k.Now().Add(retryInterval)
	}
	k.mu.Lock()
	known := i.refused == text
	i.refused = text
	k.mu.Unlock()
	if !known && text != "" {
		k.Alert(text)
	}
}

// Refused returns why changed files are not in use, one line for each.
func (k *Keyring) Refused() (all []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, i := range k.loaded.items {
		if i.refused != "" {
			all = append(all, i.refused)
		}
	}
	return all
}

func (i *item) same(other *item) bool {
	return bytes.Equal(i.source.Chain, other.source.Chain) && bytes.Equal(i.source.Key, other.source.Key)
}

// take replaces an item with a newly read one, if that is valid.
func (k *Keyring) take(old, fresh *item) error {
	if err := fresh.check(k.Now()); err != nil {
		return err
	}
	err := k.change(func() {
		k.loaded.items = slices.Clone(k.loaded.items)
		if at := slices.Index(k.loaded.items, old); at >= 0 { // otherwise a reload has removed it
			k.loaded.items[at] = fresh
		}
	})
	if err == nil {
		k.Log.Info().Str("file", fresh.Certificate).Msg(fresh.what() + " replaced")
		k.warnPermissions()
	}
	return err
}

// warnPermissions warns once of each key file that other users can read.
func (k *Keyring) warnPermissions() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, i := range k.loaded.items {
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
