// Package layout says where everything lies on disk.
//
// It only makes paths and touches no file. Below a root everything is either the supervisor's own
// or belongs to one build:
//
//	ROOT/.supervisor/            Root.Own: only the supervisor's user may enter it
//	    lock, id                 one supervisor for a root, the root's identity; supervisor/state names them
//	    control.sock             Root.Control
//	    state/                   Root.State: one file for each build
//	    events, events.1         Root.Events: what happened, of earlier runs too
//	    builds.toml              Root.LastGood: as it was applied last
//	    logs/                    Root.Logs: output of the builds' servers, unless log_dir says otherwise
//	    migrate/                 Root.MigrationLocks: one file for each build that migrates
//	ROOT/NAME/                   Root.Build
//	    gunicorn.sock            Build.Socket: the public socket
//	    gunicorn.sock.next       Build.Staging: where a candidate listens
//	    current -> releases/ID   Build.Current, Build.CurrentTo
//	    releases/ID/             Build.Release
//	        build.log            Release.Log
//	        release.json         Release.Record
//	    build-failed.log         Build.FailedLog
//	    build-failed.json        Build.FailedRecord
//	    venvs/HASH/              Build.Venv
//	    venvs/HASH.json          whether that is complete; package build writes and reads it
//	    data/                    Build.Data: writable, kept across releases
//	    run/                     Build.Run
//	        gunicorn-KEY.conf.py Build.Conf
//	        tmp-N/, tmp-of-ID/   Build.Temp, Build.TempOf: temporary files of what is running
//	        private-N.sock       Build.Private: where a server is probed
//
// The further names that supervisor/listener gives a socket, next to it (.gunicorn.sock.INODE), and
// the names of what a build has not finished (.tmp-…) begin with a dot and belong to those packages
// alone.
package layout
