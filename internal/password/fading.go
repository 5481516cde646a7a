package password

import "time"

// fading is a map whose entries expire after age, counted from their first put. Above most
// entries the oldest is dropped.
type fading[K comparable, V any] struct {
	most int
	age  time.Duration

	entries map[K]*faded[V]
	order   []K // oldest first
}

type faded[V any] struct {
	value V
	since time.Time
}

// get returns the value of a key.
func (f *fading[K, V]) get(k K, now time.Time) (v V, ok bool) {
	e := f.entries[k]
	if e == nil || now.Sub(e.since) >= f.age {
		return v, false
	}
	return e.value, true
}

// left returns the time until the entry of a key expires.
func (f *fading[K, V]) left(k K, now time.Time) time.Duration {
	return f.age - now.Sub(f.entries[k].since)
}

// put sets the value of a key. An existing entry keeps its age.
func (f *fading[K, V]) put(k K, v V, now time.Time) {
	for len(f.order) > 0 && now.Sub(f.entries[f.order[0]].since) >= f.age {
		f.drop()
	}
	if e := f.entries[k]; e != nil {
		e.value = v
		return
	}
	if len(f.order) >= f.most {
		f.drop()
	}
	if f.entries == nil {
		f.entries = make(map[K]*faded[V])
	}
	f.entries[k] = &faded[V]{v, now}
	f.order = append(f.order, k)
}

// drop removes the oldest entry.
func (f *fading[K, V]) drop() {
	delete(f.entries, f.order[0])
	f.order = f.order[1:]
}

func (f *fading[K, V]) clear() { f.entries, f.order = nil, nil }
