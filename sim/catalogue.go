package sim

// Catalogue is the small worlds that are explored exhaustively. Keys: alice's
// is the lowest, then bob's, dave's, carol's.
var Catalogue = []SmallWorld{
	{Name: "a lone commit", Admins: 1, Make: []string{"rename alice g0"}, See: []string{"bob", "carol"}, Wins: "alice 1"},
	{Name: "a commit and what follows", Admins: 1, Make: []string{"rename alice g0", "say alice g0", "rename alice g0"}, See: []string{"carol"}, Wins: "alice 3"},
	{Name: "two admins", Admins: 2, Make: []string{"rename alice g0", "rename bob g0"}, See: []string{"alice", "bob", "carol"}, Wins: "alice 1"},
	{Name: "three admins", Admins: 3, Make: []string{"rename alice g0", "rename bob g0", "rename carol g0"}, See: []string{"bob", "carol", "dave"}, Wins: "alice 1"},
	{Name: "the same admin twice", Admins: 2, Make: []string{"equivocate alice g0 2"}, See: []string{"bob", "carol"}},
	{Name: "the same admin four times", Admins: 2, Make: []string{"equivocate alice g0 4"}, See: []string{"carol"}},
	{Name: "one committer on two branches", Admins: 3, Make: []string{"rename alice g0", "rename bob g0", "give carol bob", "snapshot carol g0", "give carol alice", "rename carol g0", "revenge carol g0"}, See: []string{"dave"}},
	{Name: "one committer on two branches, with other keys", Admins: 3, Make: []string{"rename alice g0", "rename bob g0", "give carol bob", "snapshot carol g0", "give carol alice", "rename carol g0", "revenge carol g0"}, See: []string{"dave"}},
	{Name: "one committer on two branches, with other keys again", Admins: 3, Make: []string{"rename alice g0", "rename bob g0", "give carol bob", "snapshot carol g0", "give carol alice", "rename carol g0", "revenge carol g0"}, See: []string{"dave"}},
	{Name: "ordinary against privileged", Admins: 2, Make: []string{"update alice g0", "rename bob g0"}, See: []string{"alice", "bob", "carol"}, Wins: "bob 1"},
	{Name: "two ordinary", Admins: 1, Make: []string{"update bob g0", "update carol g0"}, See: []string{"alice", "dave"}, Wins: "bob 1"},
	{Name: "one witness beats priority", Admins: 2, Make: []string{"update alice g0", "say alice g0", "rename bob g0"}, See: []string{"carol", "bob"}, Wins: "alice 1"},
	{Name: "one witness beats a lower key", Admins: 2, Make: []string{"rename alice g0", "rename bob g0", "say bob g0"}, See: []string{"carol", "alice"}, Wins: "bob 1"},
	{Name: "a witness on each side", Admins: 2, Make: []string{"rename alice g0", "say alice g0", "rename bob g0", "say bob g0"}, See: []string{"carol", "bob"}, Wins: "alice 1"},
	{Name: "one account, many messages", Admins: 2, Make: []string{"rename alice g0", "say alice g0", "say alice g0", "say alice g0", "rename bob g0", "rename bob g0"}, See: []string{"carol"}, Wins: "bob 2"},
	{Name: "many messages count once", Admins: 3, Make: []string{"rename alice g0", "say alice g0", "rename bob g0", "say bob g0", "say bob g0"}, See: []string{"dave"}, Wins: "alice 1"},
	{Name: "quorum against depth", Admins: 2, Make: []string{"rename bob g0", "give carol bob", "say bob g0", "say carol g0", "rename alice g0", "rename alice g0"}, See: []string{"dave", "alice"}, Wins: "bob 1"},
	{Name: "depth against quorum", Admins: 2, Make: []string{"rename alice g0", "give carol alice", "say alice g0", "say carol g0", "rename bob g0", "rename bob g0", "rename bob g0"}, See: []string{"dave"}, Wins: "bob 3"},
	{Name: "quorum against score", Admins: 2, Make: []string{"rename alice g0", "say alice g0", "rename alice g0", "give dave alice", "base", "say alice g0", "rename bob g0", "give carol bob", "say carol g0", "say bob g0"}, See: []string{"dave"}, Wins: "bob 1"},
	{Name: "a second witness for a branch that lost", Admins: 2, Make: []string{"rename alice g0", "say alice g0", "rename bob g0", "say bob g0", "give carol bob", "say carol g0"}, See: []string{"dave"}, Wins: "bob 1"},
	{Name: "quorum in the second epoch", Admins: 2, Make: []string{"rename bob g0", "rename bob g0", "give carol bob", "say bob g0", "say carol g0", "rename alice g0"}, See: []string{"dave"}, Wins: "bob 2"},
	{Name: "score over two epochs", Admins: 2, Make: []string{"rename bob g0", "say bob g0", "rename bob g0", "say bob g0", "rename alice g0", "rename alice g0"}, See: []string{"carol"}, Wins: "bob 3"},
	{Name: "the same payload twice", Admins: 1, Make: []string{"say bob g0 hello", "say bob g0 hello", "rename alice g0"}, See: []string{"carol"}, Wins: "alice 1"},
	{Name: "talk before the fork", Admins: 2, Make: []string{"say bob g0", "say carol g0", "rename alice g0", "rename bob g0"}, See: []string{"dave"}, Wins: "alice 1"},
	{Name: "talk before the fork does not count", Admins: 2, Make: []string{"say dave g0", "rename alice g0", "rename bob g0", "say bob g0"}, See: []string{"carol"}, Wins: "bob 1"},
	{Name: "a late parent", Admins: 2, Make: []string{"rename bob g0", "rename bob g0", "rename alice g0"}, See: []string{"alice", "carol"}, Wins: "bob 2"},
	{Name: "two late parents", Admins: 2, Make: []string{"rename bob g0", "rename bob g0", "rename alice g0", "rename alice g0"}, See: []string{"carol"}, Wins: "alice 2"},
	{Name: "forks at two depths", Admins: 3, Make: []string{"rename alice g0", "give bob alice", "give carol alice", "rename alice g0", "rename bob g0", "rename carol g0"}, See: []string{"dave"}, Wins: "alice 2"},
	{Name: "a fork on the branch that loses", Admins: 3, Make: []string{"rename bob g0", "give carol bob", "rename bob g0", "rename carol g0", "rename alice g0"}, See: []string{"dave", "alice"}, Wins: "bob 2"},
	{Name: "own commit loses and wins back", Admins: 3, Make: []string{"rename bob g0", "give carol bob", "rename carol g0", "rename alice g0"}, See: []string{"bob", "dave"}, Wins: "carol 1"},
	{Name: "own messages on a branch that loses", Admins: 2, Make: []string{"rename bob g0", "say bob g0", "rename alice g0", "rename alice g0"}, See: []string{"bob"}, Wins: "alice 2", Acts: true},
	{Name: "a removal and a rename", Admins: 2, Make: []string{"remove alice g0 carol", "rename bob g0"}, See: []string{"carol", "bob", "dave"}, Final: true},
	{Name: "a removal that loses", Admins: 2, Make: []string{"rename alice g0", "remove bob g0 carol"}, See: []string{"carol", "alice", "dave"}, Wins: "alice 1", Final: true},
	{Name: "they remove each other", Admins: 2, Make: []string{"remove alice g0 bob", "remove bob g0 alice"}, See: []string{"carol", "dave"}, Wins: "alice 1"},
	{Name: "the removed one talks", Admins: 3, Make: []string{"remove alice g0 carol", "rename carol g0", "say carol g0", "say alice g0"}, See: []string{"bob", "dave"}, Wins: "alice 1"},
	{Name: "a removal against updates", Admins: 1, Make: []string{"update carol g0", "update carol g0", "remove alice g0 carol"}, See: []string{"bob", "alice"}, Wins: "carol 2", Final: true},
	{Name: "authorized on one branch only", Admins: 2, Make: []string{"demote alice g0 bob", "rename bob g0", "rename bob g0"}, See: []string{"carol", "dave"}, Wins: "bob 2"},
	{Name: "an admin that a commit made", Admins: 2, Make: []string{"promote alice g0 carol", "give carol alice", "rename carol g0", "rename bob g0"}, See: []string{"dave", "bob"}, Wins: "carol 1"},
	{Name: "a departure", Admins: 1, Make: []string{"leave dave g0", "give alice dave", "wait", "say alice g0"}, See: []string{"bob", "carol"}, Acts: true},
	{Name: "a departure and a rename", Admins: 2, Make: []string{"leave dave g0", "give alice dave", "wait", "rename bob g0"}, See: []string{"carol"}, Wins: "bob 1", Acts: true},
	{Name: "a departure committed twice", Admins: 1, Make: []string{"leave dave g0", "give alice dave", "wait", "give bob dave", "wait"}, See: []string{"carol"}, Acts: true},
	{Name: "a departure without its proposal", Admins: 2, Make: []string{"leave dave g0", "give alice dave", "wait", "base", "rename bob g0"}, See: []string{"carol"}, Wins: "bob 1"},
	{Name: "an end against a rename", Admins: 2, Make: []string{"disband alice g0", "wait", "wait", "rename bob g0"}, See: []string{"carol", "dave"}, Final: true},
	{Name: "an end that loses", Admins: 2, Make: []string{"disband bob g0", "wait", "wait", "rename alice g0", "rename alice g0", "rename alice g0"}, See: []string{"carol"}, Wins: "alice 3", Final: true},
	{Name: "another address", Admins: 2, Make: []string{"route alice g0", "say alice g0", "rename bob g0"}, See: []string{"carol"}, Wins: "alice 1"},
	{Name: "another address that loses", Admins: 2, Make: []string{"route bob g0", "say bob g0", "rename alice g0", "rename alice g0"}, See: []string{"carol"}, Wins: "alice 2"},
	{Name: "children of an equivocation", Admins: 3, Make: []string{"equivocate alice g0 2", "give bob", "say bob g0", "rename bob g0"}, See: []string{"carol"}},
	{Name: "a commit of one who may not", Admins: 1, Make: []string{"violate bob g0 rename-unauthorized", "rename alice g0"}, See: []string{"carol", "dave"}, Wins: "alice 1"},
	{Name: "a commit that no state authenticates", Admins: 3, Make: []string{"violate dave g0 changed-commit", "rename alice g0", "give bob alice", "say bob g0", "rename carol g0"}, See: []string{"bob"}, Wins: "alice 1"},
	{Name: "junk below the fork does not move the start", Admins: 3, Clients: 5, Make: append(append([]string{"say dave g0"}, sharedQuorum...), "violate dave g0 changed-commit", "rename alice g0", "rename alice g0"), See: []string{"erin"}, Wins: "carol 1"},
	{Name: "a shared quorum decides nothing", Admins: 3, Clients: 5, Make: append(append([]string{}, sharedQuorum...), "rename alice g0", "rename alice g0"), See: []string{"erin"}, Wins: "carol 1"},
	{Name: "a quorum before the fork decides nothing", Admins: 3, Clients: 5, Make: []string{"say carol g0", "say dave g0", "give erin", "base", "rename carol g0", "give bob carol", "say bob g0", "say carol g0", "rename alice g0", "rename alice g0"}, See: []string{"erin"}, Wins: "carol 2"},
	{Name: "a third account adds nothing", Admins: 2, Clients: 6, Make: []string{"rename bob g0", "give carol bob", "give dave bob", "say bob g0", "say carol g0", "say dave g0", "give frank", "base", "rename alice g0", "give erin alice", "say alice g0", "say erin g0"}, See: []string{"frank"}, Wins: "alice 1"},
	{Name: "a commit whose proposal is hidden", Admins: 2, Make: []string{"violate alice g0 hidden-proposal", "rename bob g0", "say bob g0"}, See: []string{"carol"}, Wins: "bob 1"},
	{Name: "a fork five epochs back", Admins: 2, Make: append(append(many(5, "rename bob g0"), "give carol bob", "base"), many(5, "rename alice g0")...), See: []string{"carol"}, Wins: "alice 5"},
	{Name: "a fork six epochs back", Admins: 2, Make: append(append(many(6, "rename bob g0"), "give carol bob", "base"), many(6, "rename alice g0")...), See: []string{"carol"}, Wins: "bob 6"},
	{Name: "a message five epochs back", Admins: 2, Make: append(append([]string{"say bob g0"}, many(5, "rename alice g0")...), "give carol alice", "say dave g0"), See: []string{"carol"}, Wins: "alice 5"},
	{Name: "a message six epochs back", Admins: 2, Make: append(append([]string{"say bob g0"}, many(6, "rename alice g0")...), "give carol alice", "say dave g0"), See: []string{"carol"}, Wins: "alice 6"},
}

// older are small worlds of protocol v1. Commits of different seconds: the earlier
// wins; of one second, the one with the lower event id.
var older = []SmallWorld{
	{Name: "two admins in one second", Make: []string{"rename alice g0", "rename bob g0"}},
	{Name: "the earlier one is an update", Make: []string{"update bob g0", "wait", "wait", "rename alice g0"}, Wins: "bob 1"},
	{Name: "depth is nothing", Make: []string{"update bob g0", "wait", "wait", "rename alice g0", "wait", "rename alice g0", "say alice g0"}, Wins: "bob 1"},
	{Name: "a fork below the winner", Make: []string{"rename alice g0", "wait", "wait", "give bob alice", "give carol alice", "base", "rename alice g0", "wait", "wait", "rename bob g0"}, Wins: "alice 2"},
	{Name: "a rewrapped commit", Make: []string{"rename alice g0", "wait", "wait", "rename bob g0", "rewrap g0 1"}},
	{Name: "talk on both branches", Make: []string{"rename alice g0", "say alice g0", "wait", "wait", "rename bob g0", "say bob g0"}, Wins: "alice 1"},
	{Name: "a departure of v1", Make: []string{"leave dave g0", "give alice dave", "wait", "rename bob g0"}, Acts: true},
}

func init() {
	for _, s := range older {
		s.Name, s.V1, s.Admins, s.See = "v1 "+s.Name, true, 2, []string{"carol"}
		Catalogue = append(Catalogue, s)
	}
}

// sharedQuorum is an epoch in which two accounts spoke, and after it a branch
// of carol's with a quorum, which erin knows.
var sharedQuorum = []string{
	"rename alice g0", "give bob alice", "give carol alice", "say alice g0", "say bob g0", "rename carol g0", "give bob carol",
	"say carol g0", "say bob g0", "give erin", "base",
}

// init adds a world for each way to break the rules: an admin and a member who
// is none try it, and the rename of one with a higher key has to win.
func init() {
	for _, name := range violationNames {
		Catalogue = append(Catalogue, SmallWorld{
			Name: "violation " + name, Admins: 3, See: []string{"bob"}, Wins: "carol 1",
			Make: []string{"violate alice g0 " + name, "violate dave g0 " + name, "rename carol g0"},
		})
	}
	Catalogue = append(Catalogue, SmallWorld{
		Name: "a commit of another's proposal", Admins: 3, See: []string{"bob"}, Wins: "carol 1",
		Make: []string{"violate alice g0 proposal-of-an-admin", "violate dave g0 commit-unauthorized", "rename carol g0"},
	})
}

func many(n int, line string) (out []string) {
	for range n {
		out = append(out, line)
	}
	return out
}
