package sandbox

import (
	"reflect"
	"testing"
)

func TestLookUp(t *testing.T) {
	for name, want := range map[string]Identity{
		"root:65534": {User: 0, Group: 65534},
		"4711":       {User: 4711, Group: 4711},
		"4711:0":     {User: 4711, Group: 0},
		"0:root":     {User: 0, Group: 0},
		"4294967294": {User: 4294967294, Group: 4294967294},
	} {
		if got, err := LookUp(name); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q is %+v, %v, want %+v", name, got, err, want)
		}
	}
	for _, name := range []string{"no-such-user", "-1", "4294967295", "root:no-such-group", "root:-1"} {
		if id, err := LookUp(name); err == nil {
			t.Errorf("%q is %+v", name, id)
		}
	}
	if id, err := LookUp(""); err != nil || id.User == 0 || id.Group == 0 {
		t.Errorf("nobody is %+v, %v", id, err)
	}
}

func TestIdentityAsText(t *testing.T) {
	for _, id := range []Identity{{User: 1, Group: 2}, {User: 65534, Group: 65534, Groups: []int{4, 27}}} {
		got, err := ParseIdentity(id.String())
		if err != nil || got.String() != id.String() {
			t.Errorf("%v becomes %v, %v", id, got, err)
		}
	}
	for _, text := range []string{"", "1", "1:", ":1", "1:2:", "1:2:x", "-1:1", "root:root", "1:4294967295"} {
		if id, err := ParseIdentity(text); err == nil {
			t.Errorf("%q is %v", text, id)
		}
	}
}
