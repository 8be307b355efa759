// Package show is everything a terminal shows: the table and the long form of a status, events,
// logs and the progress of actions.
//
// Words of a child or of the file pass through Clean before they reach a terminal, and no line is
// wider than the terminal.
package show
