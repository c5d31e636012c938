package sim

// drawMalice draws something that a member who breaks the rules, an ex-member
// or a stranger does.
func (w *World) drawMalice() (Step, bool) { return Step{}, false }
