package options

import "testing"

func TestSecurePort(t *testing.T) {
	for _, tt := range []struct {
		plain Plain
		ports []int
		want  int
	}{
		{"redirect", nil, 0}, {"redirect", []int{8443}, 8443}, {"redirect", []int{8443, 443}, 443}, {"redirect", []int{8443, 9443}, 8443},
		{"redirect:444", []int{443}, 444}, {"redirect:444", nil, 0}, {"serve", []int{443}, 0},
	} {
		if got := tt.plain.SecurePort(tt.ports); got != tt.want {
			t.Errorf("%s of %v: %d, want %d", tt.plain, tt.ports, got, tt.want)
		}
	}
}
