//go:build !goexperiment.runtimesecret

// Package forget is where secrets are worked on. A build with
// GOEXPERIMENT=runtimesecret has the runtime erase the registers, stack and
// temporary memory that the work used; any other build just works.
package forget

// Do calls f.
func Do(f func()) { f() }
