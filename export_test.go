package marmot

import "github.com/marmotgo/marmot/group"

// StopAt lets a test stop the process at a named boundary; see crashHook.
func (c *Config) StopAt(f func(side string, b group.Boundary)) { c.crash = f }
