package relayd

import (
	"container/heap"
	"iter"
	"slices"

	"github.com/marmotgo/marmot/nostr"
)

// index finds the events of memory by author and by tag, each list newest first.
type index map[string][]*nostr.Event

// maxIndexed is by how many tags an event is found. Those that have more are looked
// at whenever a tag is asked for: an index of theirs could take far more memory than
// they do.
const maxIndexed = 64

// manyTags is where those are.
const manyTags = "many"

func authorKey(p nostr.PubKey) string { return "author " + p.String() }

func tagKey(name, value string) string { return name + " " + value }

// keysOf are the keys under which an event is found, each once.
func keysOf(e *nostr.Event) []string {
	keys := []string{authorKey(e.PubKey)}
	for _, t := range e.Tags {
		if len(t) < 2 || len(t[0]) != 1 || slices.Contains(keys, tagKey(t[0], t[1])) {
			continue
		}
		if keys = append(keys, tagKey(t[0], t[1])); len(keys) > maxIndexed {
			return []string{keys[0], manyTags}
		}
	}
	return keys
}

func (x index) add(e *nostr.Event) {
	for _, key := range keysOf(e) {
		x[key] = inserted(x[key], e)
	}
}

func (x index) remove(e *nostr.Event) {
	for _, key := range keysOf(e) {
		if x[key] = removed(x[key], e); len(x[key]) == 0 {
			delete(x, key)
		}
	}
}

func inserted(list []*nostr.Event, e *nostr.Event) []*nostr.Event {
	i, _ := slices.BinarySearchFunc(list, e, NewestFirst)
	return slices.Insert(list, i, e)
}

func removed(list []*nostr.Event, e *nostr.Event) []*nostr.Event {
	if i, ok := slices.BinarySearchFunc(list, e, NewestFirst); ok {
		return slices.Delete(list, i, i+1)
	}
	return list
}

// lists returns the shortest lists among which all that a filter selects is, and
// perhaps more; nil if it names neither authors nor tags.
func (x index) lists(f *nostr.Filter) (best [][]*nostr.Event) {
	least := -1
	consider := func(values int, key func(i int) string, more ...[]*nostr.Event) {
		lists, n := more, 0
		for i := range values {
			lists = append(lists, x[key(i)])
		}
		for _, l := range lists {
			n += len(l)
		}
		if least < 0 || n < least {
			best, least = lists, n
		}
	}
	if f.Authors != nil {
		consider(len(f.Authors), func(i int) string { return authorKey(f.Authors[i]) })
	}
	for name, values := range f.Tags {
		consider(len(values), func(i int) string { return tagKey(name, values[i]) }, x[manyTags])
	}
	return best
}

// merged goes through lists together, newest first and each event once.
func merged(lists [][]*nostr.Event) iter.Seq[*nostr.Event] {
	return func(yield func(*nostr.Event) bool) {
		h := heads(slices.DeleteFunc(slices.Clone(lists), func(l []*nostr.Event) bool { return len(l) == 0 }))
		heap.Init(&h)
		var last *nostr.Event
		for len(h) > 0 {
			e := h[0][0]
			if h[0] = h[0][1:]; len(h[0]) == 0 {
				heap.Pop(&h)
			} else {
				heap.Fix(&h, 0)
			}
			if e != last && !yield(e) {
				return
			}
			last = e
		}
	}
}

// heads is a heap of lists by their first events.
type heads [][]*nostr.Event

func (h heads) Len() int           { return len(h) }
func (h heads) Less(i, j int) bool { return NewestFirst(h[i][0], h[j][0]) < 0 }
func (h heads) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *heads) Push(l any)        { *h = append(*h, l.([]*nostr.Event)) }
func (h *heads) Pop() any {
	l := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return l
}
