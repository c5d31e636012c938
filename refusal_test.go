package marmot

import "testing"

func TestIsRefusal(t *testing.T) {
	for reason, final := range map[string]bool{
		"blocked: not here": true, "invalid: bad tag": true, "restricted: members only": true, "pow: 20 bits": true,
		"rate-limited: slow down": false, "auth-required: log in": false, "error: disk": false, "": false, "duplicate: have it": false,
	} {
		if isRefusal(reason) != final {
			t.Errorf("%q: %v", reason, !final)
		}
	}
}
