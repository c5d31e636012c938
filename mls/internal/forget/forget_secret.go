//go:build goexperiment.runtimesecret

// Package forget is where secrets are worked on: the runtime erases the
// registers, stack and temporary memory that the work used.
package forget

import "runtime/secret"

// Do calls f and erases what it used.
func Do(f func()) { secret.Do(f) }
