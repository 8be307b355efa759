package traceback

import (
	"strings"
	"testing"
)

func TestCauseOutsideAProgramIsToldFromItsOwn(t *testing.T) {
	t.Parallel()
	traced := func(exception string) string {
		return "[ERROR] Exception in worker process\nTraceback (most recent call last):\n  File \"a.py\", line 1, in open\n    timed_out = connect()\n" +
			exception + "\n[INFO] Worker exiting (pid: 7)"
	}
	for output, outside := range map[string]bool{
		traced(`django.db.utils.OperationalError: (2002, "Can't connect to local MySQL server through socket '/run/mysqld/mysqld.sock' (2)")`): true,
		traced(`django.db.utils.OperationalError: (2003, "Can't connect to MySQL server on 'db' (111)")`):                                      true,
		traced(`django.db.utils.OperationalError: (2013, 'Lost connection to MySQL server during query')`):                                     true,
		traced(`psycopg2.OperationalError: connection to server at "db", port 5432 failed: Connection refused`):                                true,
		traced(`psycopg2.OperationalError: FATAL:  the database system is starting up`):                                                        true,
		traced(`psycopg2.OperationalError: server closed the connection unexpectedly`):                                                         true,
		traced(`django.db.utils.OperationalError: database is locked`):                                                                         true,
		traced(`redis.exceptions.ConnectionError: Error 111 connecting to localhost:6379. Connection refused.`):                                true,
		traced(`urllib.error.URLError: <urlopen error [Errno -3] Temporary failure in name resolution>`):                                       true,
		traced(`OSError: [Errno 28] No space left on device: '/opt/x'`):                                                                        true,
		traced(`redis.exceptions.BusyLoadingError: Redis is loading the dataset in memory`):                                                    true,
		traced(`psycopg2.OperationalError: SSL SYSCALL error: EOF detected`):                                                                   true,
		traced(`requests.exceptions.HTTPError: 503 Server Error: Service Unavailable for url: http://vault/v1/secret`):                         true,
		traced(`http.client.RemoteDisconnected: Remote end closed connection without response`):                                                true,
		traced(`RuntimeError: can't start new thread`):                                                                                         true,
		traced(`django.db.utils.OperationalError: (1205, 'Lock wait timeout exceeded; try restarting transaction')`):                           true,
		traced(`psycopg2.errors.ReadOnlySqlTransaction: cannot execute UPDATE in a read-only transaction`):                                     true,
		traced(`requests.exceptions.HTTPError: 404 Client Error: Not Found for url: http://vault/v1/secret`):                                   false,
		traced(`requests.exceptions.HTTPError: 403 Client Error: Forbidden for url: http://vault/v1/secret`):                                   false,
		traced(`TimeoutError: timed out`):                                     true,
		"[CRITICAL] WORKER TIMEOUT (pid:12)\n[INFO] Worker exiting (pid: 12)": true,
		"Error: connect ECONNREFUSED 127.0.0.1:3306":                          true,
		"":                                false,
		"[INFO] Starting gunicorn 20.1.0": false,
		traced(`ModuleNotFoundError: No module named 'nowhere'`):                                                           false,
		traced(`django.core.exceptions.ImproperlyConfigured: x`):                                                           false,
		traced(`django.db.utils.OperationalError: (1045, "Access denied for user 'm'@'localhost' (using password: YES)")`): false,
		traced(`psycopg2.OperationalError: connection to server at "db" failed: FATAL:  password authentication failed`):   false,
		traced(`django.db.utils.ProgrammingError: relation "things" does not exist`):                                       false,
		traced(`PermissionError: [Errno 13] Permission denied: 'debug.log'`):                                               false,
		traced("KeyError: 'x'"): false,
		"Traceback (most recent call last):\n  File \"a.py\"\nConnectionRefusedError: [Errno 111] Connection refused\n\n" + causeLine + "\n\n" + traced("ImportError: no backend"): true,
	} {
		if got := Outside(strings.Split(output, "\n")); got != outside {
			t.Errorf("outside %v, want %v: %s", got, outside, output)
		}
	}
}
