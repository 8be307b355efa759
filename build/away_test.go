package build

import (
	"os/exec"
	"strings"
	"testing"
)

// exceptions are what a migration or a check may end with, and whether that may pass by itself.
const exceptions = `
class Error(Exception): pass
class DatabaseError(Error): pass
class OperationalError(DatabaseError): pass
class InterfaceError(Error): pass
class IntegrityError(DatabaseError): pass
class ProgrammingError(DatabaseError): pass
class ServerSelectionTimeoutError(Exception): pass
class ExceptionGroup(Exception):
    def __init__(self, text, exceptions): self.exceptions = exceptions
def coded(state):
    e = OperationalError("of PostgreSQL")
    e.pgcode = state
    return e
def caused(e, cause):
    e.__cause__ = cause
    return e
def during(e, context):
    e.__context__ = context
    return e
def instead(e, context): # raise e from None
    e.__context__, e.__suppress_context__ = context, True
    return e
passes = [
    OperationalError(2002, "Can't connect to local MySQL server"), OperationalError(2003, "x"), OperationalError(2005, "Unknown host"),
    OperationalError(2006, "MySQL server has gone away"), OperationalError(2013, "Lost connection to MySQL server during query"),
    OperationalError(1040, "Too many connections"), OperationalError(1053, "Server shutdown in progress"), InterfaceError(0, ""),
    coded("57P01"), coded("57P03"), coded("08006"), coded("53300"), InterfaceError("connection already closed"),
    OperationalError("server closed the connection unexpectedly"),
    OperationalError("connection to server at db failed: Connection refused"), OperationalError("the database system is starting up"),
    OperationalError("could not translate host name"), OperationalError("database is locked"), OperationalError("unable to open database file"),
    ConnectionRefusedError(111, "Connection refused"), TimeoutError("timed out"), OSError(113, "No route to host"),
    socket.gaierror(-3, "Temporary failure in name resolution"), ServerSelectionTimeoutError("x"),
    caused(OperationalError(2013, "Lost"), OperationalError(2013, "Lost")), during(SystemExit(1), OperationalError(2003, "x")),
    during(ProgrammingError("no such table"), ConnectionResetError()), ExceptionGroup("two", [ValueError(), ConnectionRefusedError()]),
    instead(ValueError("no backend"), OperationalError(2003, "x")), during(SystemExit(1), instead(RuntimeError("x"), ConnectionRefusedError())),
    OperationalError("SSL SYSCALL error: EOF detected"), DatabaseError("server closed the connection unexpectedly"), OperationalError("the connection is lost"),
    OperationalError("couldn't get a connection after 30.00 sec"), OperationalError("FATAL:  no more connections allowed (max_client_conn)"),
    OperationalError("08S01", "[08S01] [Microsoft][ODBC Driver 18 for SQL Server]Communication link failure (0) (SQLExecDirectW)"),
    OperationalError("08001", "[08001] [Microsoft][ODBC Driver 18 for SQL Server]TCP Provider: Error code 0x2746 (10054) (SQLDriverConnect)"),
    OperationalError("HYT00", "[HYT00] [Microsoft][ODBC Driver 18 for SQL Server]Login timeout expired (0) (SQLDriverConnect)"),
    OperationalError((20009, b"DB-Lib error message 20009, severity 9: Unable to connect: Adaptive Server is unavailable or does not exist")),
    OperationalError(20047, b"DBPROCESS is dead or not enabled"),
    DatabaseError("ORA-12541: TNS:no listener"), OperationalError("DPY-6005: cannot connect to database"), DatabaseError("DPY-4011: the database or network closed the connection"),
    OperationalError("ORA-03135: connection lost contact"), DatabaseError("ORA-12528: TNS:listener: all appropriate instances are blocking new connections"),
]
stays = [
    OperationalError(1045, "Access denied for user"), OperationalError(1049, "Unknown database"), OperationalError(1060, "Duplicate column"),
    OperationalError(1205, "Lock wait timeout exceeded"), coded("28P01"), coded("42P01"), coded("40P01"),
    OperationalError('connection to server at db failed: FATAL:  password authentication failed for user "m"'),
    OperationalError('FATAL:  database "m" does not exist'), OperationalError("no such table: x"), IntegrityError(1062, "Duplicate entry"),
    ProgrammingError(1146, "no table"), ZeroDivisionError(), KeyError("x"), SystemExit(1), PermissionError(13, "debug.log"),
    FileNotFoundError(2, "x"), caused(ValueError("x"), OperationalError(1045, "Access denied")), during(SystemExit(1), KeyError("x")),
    ExceptionGroup("two", [ValueError(), KeyError()]),
    InterfaceError("28000", "[28000] [Microsoft][ODBC Driver 18 for SQL Server]Login failed for user 'm'. (18456)"), DatabaseError("ORA-00942: table or view does not exist"),
    OperationalError((18456, b"Login failed for user 'm'.DB-Lib error message 20018, severity 14:")), OperationalError("42S02", "[42S02] Invalid object name"),
]
loop = ValueError()
loop.__context__ = loop
stays.append(loop)
for wanted, all in ((True, passes), (False, stays)):
    for e in all:
        if away(e) != wanted:
            print("may pass by itself: %s, want %s: %r" % (not wanted, wanted, e))
class CommandError(Exception): pass
fails_again = [
    SyntaxError("x"), ImportError("x"), KeyError("x"), ValueError("x"), during(SystemExit(1), CommandError("of the check")),
    caused(ValueError("x"), AttributeError("x")),
]
may_pass = [
    SystemExit(1), KeyboardInterrupt(), MemoryError(), PermissionError(13, "debug.log"), OSError(28, "No space left on device"),
    OperationalError(1045, "Access denied"), caused(ValueError("x"), FileNotFoundError(2, "x")), during(CommandError("x"), OperationalError(1049, "x")),
    ExceptionGroup("two", [ValueError(), OSError()]),
]
for wanted, all in ((True, fails_again), (False, may_pass)):
    for e in all:
        if own(e) != wanted:
            print("fails again: %s, want %s: %r" % (not wanted, wanted, e))
for wanted, all in (
    (True, [OperationalError(1045, "Access denied for user 'm'@'localhost' (using password: YES)"), OperationalError(1044, "x"), OperationalError(1698, "x"),
            coded("28P01"), coded("28000"), OperationalError('FATAL:  password authentication failed for user "m"'), during(SystemExit(1), OperationalError(1045, "x")),
            caused(ValueError("x"), OperationalError(1045, "x")), ExceptionGroup("two", [ValueError(), OperationalError(1045, "x")]),
            InterfaceError("28000", "[28000] Login failed for user 'm'. (18456)"), OperationalError((18456, b"Login failed for user 'm'.")),
            DatabaseError("ORA-01045: user M lacks CREATE SESSION privilege; logon denied")]),
    (False, [OperationalError(2003, "x"), OperationalError(1049, "Unknown database"), OperationalError(1142, "SELECT command denied to user"), coded("08006"),
             OperationalError("database is locked"), PermissionError(13, "x"), ValueError("Access denied for user")]),
):
    for e in all:
        if refused(e) != wanted:
            print("login refused: %s, want %s: %r" % (not wanted, wanted, e))
print("%d exceptions" % len(passes + stays))
`

func TestWhatMayPassByItselfIsDecidedByClassAndCode(t *testing.T) {
	t.Parallel()
	functions, ok := strings.CutSuffix(driver, "\nmain()\n")
	if !ok {
		t.Fatal("the driver does not end with its call")
	}
	out, err := exec.CommandContext(t.Context(), distribution, "-c", functions+exceptions, "app").CombinedOutput()
	if err != nil || strings.Count(string(out), "\n") != 1 || !strings.HasSuffix(string(out), " exceptions\n") {
		t.Errorf("%v\n%s", err, out)
	}
}
