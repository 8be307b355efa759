package control

// The values of BuildStatus.State, which the contract fixes.
const (
	StateStopped   = "stopped"
	StateBuilding  = "building" // nothing serves yet
	StateStarting  = "starting"
	StateRunning   = "running"
	StateUnhealthy = "unhealthy"
	StateBackoff   = "backoff"
	StateStopping  = "stopping"
	StateFailed    = "failed" // nothing to run: the first build failed
)

// states lists all of them; each is a series of its own in the metrics.
var states = [...]string{
	StateStopped, StateBuilding, StateStarting, StateRunning, StateUnhealthy, StateBackoff, StateStopping, StateFailed,
}

// The values of Event.Event that this version sends; a client may meet others from a later version.
const (
	EventAsked             = "asked"               // a person asked for what the reason names
	EventTaskStarted       = "task_started"        // a command was started that runs once, as the reason names
	EventTaskEnded         = "task_ended"          // it ended, as the reason says
	EventScheduleFailed    = "schedule_failed"     // a run of a schedule failed, as the reason says
	EventAdopted           = "adopted"             // a new supervisor found the serving generation
	EventBuilt             = "built"               // an attempt made a release
	EventBuildFailed       = "build_failed"        // an attempt made none
	EventOutOfMemory       = "out_of_memory"       // the kernel killed processes of it because memory ran out
	EventProved            = "proved"              // a candidate passed its check
	EventTookOver          = "took_over"           // a candidate was given the public name
	EventCandidateFailed   = "candidate_failed"    // a candidate ended or failed its check
	EventExited            = "exited"              // the serving generation ended without being told to
	EventRecovered         = "recovered"           // its successor serves
	EventGaveWay           = "gave_way"            // a release kept failing: the previous one comes back
	EventUnhealthy         = "unhealthy"           // the serving generation fails its probes
	EventHealthy           = "healthy"             // it passes them again
	EventStable            = "stable"              // it was healthy for stable_after
	EventStopping          = "stopping"            // it drains, for a stop
	EventStopped           = "stopped"             // the last process of a stopped build ended
	EventStaticFilesFailed = "static_files_failed" // static files are not those of the release that serves
	EventReplicaFailed     = "replica_failed"      // one server tree of several ended or hangs
	EventReplicaReady      = "replica_ready"       // its successor serves beside the others
	EventProcessReady      = "process_ready"       // a process beside the server is up
	EventProcessExited     = "process_exited"      // it ended without being told to
	EventSourceRestless    = "source_restless"     // a file of the source changes again and again
)
