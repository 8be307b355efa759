package machine

// EventName names what happened to a build, for people: in `events`, in the hooks' MEDCTRL_EVENT,
// in the dashboard. The contract shows the names, so they stay. (Not to be confused with [Event],
// which is what the machine is told.)
type EventName string

// The events that the machine reports, by [Note].
const (
	// a new supervisor found the serving generation
	EventAdopted         EventName = "adopted"
	EventProved          EventName = "proved"           // a candidate passed its check
	EventTookOver        EventName = "took_over"        // a candidate was given the public name
	EventCandidateFailed EventName = "candidate_failed" // a candidate ended or failed its check
	// the serving generation ended without being told to
	EventExited    EventName = "exited"
	EventRecovered EventName = "recovered" // its successor serves
	// a release kept failing: the previous one comes back
	EventGaveWay   EventName = "gave_way"
	EventUnhealthy EventName = "unhealthy" // the serving generation fails its probes
	EventHealthy   EventName = "healthy"   // it passes them again
	EventStable    EventName = "stable"    // it was healthy for Policy.StableAfter
	// one server tree of several ended or hangs; the others serve its clients
	EventReplicaFailed EventName = "replica_failed"
	EventReplicaReady  EventName = "replica_ready"  // its successor serves beside them
	EventProcessReady  EventName = "process_ready"  // a process beside the server is up
	EventProcessExited EventName = "process_exited" // it ended without being told to
	// it lost the public name and drains, for a stop
	EventStopping EventName = "stopping"
)

// The events that the machine's owner adds, about what the machine does not see.
const (
	EventBuilt       EventName = "built"        // an attempt made a release
	EventBuildFailed EventName = "build_failed" // an attempt made none
	EventStopped     EventName = "stopped"      // the last process of a stopped build ended
	EventTaskStarted EventName = "task_started" // a command was started that runs once, as Reason names
	EventTaskEnded   EventName = "task_ended"   // it ended, as Reason says
	// a run of a schedule failed, as Reason says
	EventScheduleFailed EventName = "schedule_failed"
	// a person asked for something, which Reason names
	EventAsked EventName = "asked"
	// a file of the source changes again and again, so its changes are built less often
	EventSourceRestless EventName = "source_restless"
	// the kernel killed processes of it because memory ran out
	EventOutOfMemory EventName = "out_of_memory"
	// static files are not those of the release that serves
	EventStaticFilesFailed EventName = "static_files_failed"
)
