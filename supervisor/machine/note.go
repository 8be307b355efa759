package machine

// EventName names what happened to a build, for people: in `events`, in the hooks' MEDCTRL_EVENT,
// in the dashboard. The contract shows the names, so they stay. (Not to be confused with [Event],
// which is what the machine is told.)
type EventName string

// The events that the machine tells of, by [Note].
const (
	EventAdopted         EventName = "adopted"          // a new supervisor found the serving generation
	EventProved          EventName = "proved"           // a candidate passed its check
	EventTookOver        EventName = "took_over"        // a candidate was given the public name
	EventCandidateFailed EventName = "candidate_failed" // a candidate ended or failed its check
	EventExited          EventName = "exited"           // the serving generation ended by itself
	EventRecovered       EventName = "recovered"        // its successor serves
	EventGaveWay         EventName = "gave_way"         // a release kept failing: the one before comes back
	EventUnhealthy       EventName = "unhealthy"        // the serving generation fails its probes
	EventHealthy         EventName = "healthy"          // it passes them again
	EventStable          EventName = "stable"           // it was healthy for Policy.StableAfter
	EventStopping        EventName = "stopping"         // it lost the public name and drains, for a stop
)

// The events that whoever runs the machine adds, about what the machine does not see.
const (
	EventBuilt       EventName = "built"        // an attempt made a release
	EventBuildFailed EventName = "build_failed" // an attempt made none
	EventStopped     EventName = "stopped"      // the last process of a stopped build ended
)
