// Package kubernetes writes manifests, and what an image is made of, for builds that move to a cluster.
//
// [New] is pure: it goes from a valid configuration to texts. A pod has one build: a supervisor as its
// first process, with a file of its own, that serves a release made with the image (`build`,
// `--prebuilt`). What needs a release and no supervisor (migrations, processes, schedules) runs by
// `run --prebuilt`. Each key of the file has a rule that says what becomes of it (rules.go); what has
// no counterpart is in [Export.Said], and at the head of what is written. Values that may be secret are
// never written: they come from a Secret that is only named ([Secret]).
package kubernetes
