package inputs

import "testing"

func TestFolderWithoutEndIsRefused(t *testing.T) {
	t.Parallel()
	c := counter{of: "/srv/app", seen: mostEntries - 1}
	must(t, c.another())
	contains(t, c.another().Error(), "/srv/app", "more than 1000000")
}
