package server

import (
	"strings"
	"testing"
)

// As gunicorn 20.1 writes it when the second worker dies while it halts for the first.
const haltedGunicorn = `[2026-11-23 12:16:55 +0000] [1158] [INFO] Starting gunicorn 20.1.0
[2026-11-23 12:16:55 +0000] [1161] [ERROR] Exception in worker process
Traceback (most recent call last):
  File "/usr/lib/python3/dist-packages/gunicorn/arbiter.py", line 589, in spawn_worker
    worker.init_process()
  File "/opt/deploy_one.py", line 6, in <module>
    raise RuntimeError("dead on purpose")
RuntimeError: dead on purpose
[2026-11-23 12:16:55 +0000] [1161] [INFO] Worker exiting (pid: 1161)
Traceback (most recent call last):
  File "/usr/lib/python3/dist-packages/gunicorn/arbiter.py", line 209, in run
    self.sleep()
gunicorn.errors.HaltServer: <HaltServer 'Worker failed to boot.' 3>

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "<frozen runpy>", line 198, in _run_module_as_main
    raise HaltServer(reason, self.WORKER_BOOT_ERROR)
gunicorn.errors.HaltServer: <HaltServer 'Worker failed to boot.' 3>
`

func TestLastWordsAreTheApplicationsNotGunicorns(t *testing.T) {
	for name, output := range map[string]string{
		"halted twice": haltedGunicorn,
		"plain":        "Traceback (most recent call last):\n  File \"x\"\nRuntimeError: dead on purpose\n[INFO] Shutting down: Master\n\n",
		"two workers": "Traceback (most recent call last):\n  File \"x\"\nRuntimeError: dead on purpose\n[2026-11-23 09:00:00 +0000] [9] [WARNING] Worker with pid 7 was terminated due to signal 15\n" +
			"[2026-11-23 09:00:00 +0000] [9] [INFO] Shutting down: Master\n[2026-11-23 09:00:00 +0000] [9] [INFO] Reason: Worker failed to boot.\n",
		"chained":  "Traceback (most recent call last):\n  File \"x\"\nRuntimeError: dead on purpose\n\nThe above exception was the direct cause of the following exception:\n\nTraceback (most recent call last):\n  File \"y\"\nValueError: Unable to configure handler\n[INFO] Worker exiting (pid: 3)\n",
		"no trace": "one\ntwo\nthree\nfour\nfive\nsix\nRuntimeError: dead on purpose",
	} {
		words := lastWords(strings.Split(output, "\n"))
		if n := len(words); n == 0 || n > shownLines || strings.TrimPrefix(words[n-1], "caused by ") != "RuntimeError: dead on purpose" {
			t.Errorf("%s: %q", name, words)
		}
	}
	again := strings.Split(strings.Repeat("set KEY\n[2026-11-23 12:16:55 +0000] [7] [INFO] Booting worker with pid: 9\n", 4), "\n")
	if words := lastWords(again); len(words) != 1 {
		t.Errorf("what each worker says: %q", words)
	}
	if words := lastWords(nil); len(words) != 0 {
		t.Errorf("of nothing: %q", words)
	}
}

func TestReasonIsExplainedByWhatWasPrintedLast(t *testing.T) {
	s := Of(entry())
	if got, want := Explain(s, "exit code 1", []string{"[INFO] Shutting down: Master", "a", "b"}), "exit code 1; last output: a | b"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := Explain(s, "exit code 1", nil); got != "exit code 1" {
		t.Errorf("of a silent one: %q", got)
	}
}
