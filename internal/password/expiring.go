package password

import "time"

// expiringMap is a map whose entries expire after age, counted from their first put. Above most
// entries the oldest is dropped.
type expiringMap[K comparable, V any] struct {
	most int
	age  time.Duration

	entries map[K]*entry[V]
	order   []K // oldest first
}

type entry[V any] struct {
	value V
	since time.Time
}

// get returns the value of a key.
func (f *expiringMap[K, V]) get(k K, now time.Time) (v V, ok bool) {
	e := f.entries[k]
	if e == nil || now.Sub(e.since) >= f.age {
		return v, false
	}
	return e.value, true
}

// left returns the time until the entry of a key expires.
func (f *expiringMap[K, V]) left(k K, now time.Time) time.Duration {
	return f.age - now.Sub(f.entries[k].since)
}

// put sets the value of a key. An existing entry keeps its age.
func (f *expiringMap[K, V]) put(k K, v V, now time.Time) {
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
		f.entries = make(map[K]*entry[V])
	}
	f.entries[k] = &entry[V]{v, now}
	f.order = append(f.order, k)
}

// drop removes the oldest entry.
func (f *expiringMap[K, V]) drop() {
	delete(f.entries, f.order[0])
	f.order = f.order[1:]
}

func (f *expiringMap[K, V]) clear() { f.entries, f.order = nil, nil }
